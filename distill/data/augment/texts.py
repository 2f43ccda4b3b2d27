"""Augmentation of texts that are in memory, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import DataError
from ...recipe_augment import TextSpec
from ..sources import UNREADABLE
from .base import Example
from .make import maker_for, spec_of
from .pairs import Augmenter
from .stream import augment_in_blocks


def augment_texts(
    texts: Iterable[str | tuple[str, str]],
    method: str | Mapping[str, Any] | TextSpec | Augmenter,
    *,
    seed: int = 42,
    mask: str | None = None,
    labels: Iterable[Any] | None = None,
    **settings: Any,
) -> list[Example]:
    """Variants of texts, or of pairs of texts.

    Args:
        texts: strings, or pairs of strings; a datasets column will do.
        method: `masked_lm`, `word_vectors`, `tang`, `masking`, `part_of_speech` or `ngrams`; a mapping as in a recipe's
            `data.augment`; or an `Augmenter`.
        seed: of the draws: equal seeds give equal variants, whatever other texts there are.
        mask: the mask token of the models that will read the variants, for `masking` and `tang`.
        labels: one for each text; a variant carries that of its original.
        **settings: of the method, as in a recipe: `model="klue/bert-base", variants=5`.

    Returns:
        Each text (`variant` 0) followed by its variants (`variant` 1, 2, ...); `row` is its place in `texts`.

    Raises:
        UserError: an unknown method or setting, a model that is none; every mistake says what to try.

    Example:
        >>> import distill
        >>> [example.text for example in distill.augment_texts(["A long day."], "ngrams", p=1.0, longest=1, variants=1)]
        ['A long day.', 'long']
    """
    examples = _examples(texts, labels)
    if isinstance(method, Augmenter):
        augmenter = method
    else:
        spec = spec_of(method, settings)
        augmenter = maker_for(spec, lambda: (text for example in examples for text in example.texts), mask)()
    return [example for made, _ in augment_in_blocks(examples, augmenter, seed) for example in made]


def _examples(texts: Iterable[Any], labels: Iterable[Any] | None) -> list[Example]:
    """Texts as examples, their kind checked."""
    if isinstance(texts, str | Mapping):
        raise DataError(
            "this is not a list of texts", where="texts", got=repr(texts)[:100], expected="an iterable of strings or pairs"
        )
    items = list(texts)
    names = [None] * len(items) if labels is None else list(labels)
    if len(names) != len(items):
        raise DataError("texts and labels differ in number", where="labels", got=f"{len(items)} and {len(names)}")
    examples = []
    for row, (item, label) in enumerate(zip(items, names, strict=True)):
        parts = (item,) if isinstance(item, str) else tuple(item) if isinstance(item, tuple | list) else ()
        if len(parts) not in (1, 2) or not all(isinstance(part, str) and not UNREADABLE.search(part) for part in parts):
            expected = "a string or a pair of strings, without null bytes"
            raise DataError("this is no text", where=f"texts[{row}]", got=repr(item), expected=expected)
        examples.append(Example(parts[0], parts[1] if len(parts) == 2 else None, label, row))
    return examples
