"""Sources -> cleaned, de-duplicated, split sentences that share nothing with the evaluation sets."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from ..errors import DataError
from ..progress import track
from ..recipe import DataSpec, ShareSpec, SourceSpec
from ..recipe_augment import TextSpec, VocabularyMixSpec
from .augment.account import Account
from .augment.base import Example
from .augment.make import maker_for
from .augment.parts import Parts
from .augment.together import augment_together
from .augment.vocabulary import mix_vocabulary
from .evaluation import EvaluationSet, read_set, texts_of
from .saved import PreparedData, Translations, load_prepared, save
from .sources import PYTHON_DOCS, UNREADABLE, ScoredPairs, make_pairs, read_sentences
from .text import digest, fold, normalise
from .translations import Row, read_translations

__all__ = ["COUNTED", "PreparedData", "fold", "load_prepared", "normalise", "prepare", "save"]

_NAME = re.compile("[A-Za-z0-9_-]+")

COUNTED = ("read", "bad_rows", "too_short", "too_long", "duplicates", "removed_evaluation", "removed_dev", "train", "dev")
"""What is counted: sentences read, dropped (by reason, the first that applies) and kept; `bad_rows` are rows."""


def prepare(
    data: DataSpec,
    *,
    train: Iterable[str] | None = None,
    evaluate: Mapping[str, EvaluationSet] | None = None,
    words: Sequence[str] = (),
    mask: str | None = None,
    seed: int = 0,
    parts: Parts | None = None,
) -> PreparedData:
    """Read, clean, de-duplicate and split the text of a recipe.

    Two sentences are the same if they differ in case, spaces and punctuation alone. Sentences of `evaluate` and
    `select` sets are removed from train and dev, those of dev from train.

    Args:
        data: the sources and limits.
        train: sentences to use instead of `data.train`.
        evaluate: labelled sets to use instead of `data.evaluate`.
        words: the teacher's vocabulary, for the augmentation vocabulary_mix.
        mask: the mask token of teacher and student, for those that need one.
        seed: of the augmentation.
        parts: where variants are kept while they are made, for an augmentation that makes some of each sentence.

    Returns:
        The text, and the counts of what was dropped.

    Raises:
        DataError: a source cannot be read, or fewer than two sentences are left for train or dev.
    """
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    if evaluate is None:
        labelled = {name: read_set(spec, on_bad_row=data.on_bad_row, counts=counts) for name, spec in data.evaluate.items()}
    else:
        labelled = {name: _given_set(rows, name) for name, rows in evaluate.items()}
    select = {name: read_set(spec, on_bad_row=data.on_bad_row, counts=counts) for name, spec in data.selecting.items()}
    blocked = {digest(text) for rows in (*labelled.values(), *select.values()) for text in texts_of(rows)}
    held_out: dict[bytes, str] = {}
    if isinstance(data.dev, SourceSpec):
        dev_counts: Counter[str] = Counter()
        held_out = _clean(_read([data.dev], data, dev_counts), data, blocked, set(), dev_counts)
        counts["bad_rows"] += dev_counts["bad_rows"]
        _enough(held_out, "dev", data.dev.source, dev_counts)
    pairs = read_translations(data.parallel, data, blocked | set(held_out), counts)
    sentences = _read(data.train, data, counts) if train is None else _given(train)
    where = (
        ", ".join([*(spec.source for spec in data.train), *(spec.source for spec in data.parallel)])
        if train is None
        else "the sentences given"
    )
    kept = _clean(sentences, data, blocked, set(held_out), counts, known=pairs)
    everything = {**pairs, **{key: Row(text, text, key) for key, text in kept.items()}}
    if isinstance(data.dev, ShareSpec):
        _enough(everything, "train and dev", where, counts, least=4)
        dev = _hold_out(everything, data.dev.share, data.dev_limit)
        pairs = {key: row for key, row in pairs.items() if key not in dev}
        kept = {key: text for key, text in kept.items() if key not in dev}
    else:
        _enough(everything, "train", where, counts)
        dev = {key: Row(text, text, key) for key, text in sorted(held_out.items())[: data.dev_limit]}
    report = None
    if data.augment is not None:
        blocked |= set(dev)
        if isinstance(data.augment, VocabularyMixSpec):
            kept = _mixed(kept, data, data.augment, words, blocked, seed, counts)
        else:
            assert parts is not None, "variants are kept while they are made"
            kept, report = _varied(kept, data, data.augment, mask, blocked, seed, counts, parts)
    rows = [*pairs.values(), *(Row(text, text, key) for key, text in kept.items())]
    start = _for_start(data, blocked | set(dev), {*pairs, *kept}, counts)
    counts["train"], counts["dev"] = len(rows), len(dev)
    return PreparedData(
        [row.text for row in rows],
        [row.text for row in dev.values()],
        labelled,
        select,
        dict(counts),
        report,
        translations=_translations(rows, list(dev.values())) if data.parallel else None,
        start=start,
    )


def _translations(train: Sequence[Row], dev: Sequence[Row]) -> Translations:
    """What the teacher reads for each text, and in which language each is."""
    return Translations(*([getattr(row, name) for row in rows] for rows in (train, dev) for name in ("goal", "language")))


def _for_start(data: DataSpec, blocked: set[bytes], known: set[bytes], counts: Counter[str]) -> list[str]:
    """Text for the stages toward the start model alone."""
    own: Counter[str] = Counter()
    found = _clean(_read(data.start, data, own), data, blocked, set(), own, known=known)
    if data.start:
        counts["bad_rows"] += own["bad_rows"]
        counts["start"] = len(found)
    return list(found.values())


def _hold_out(rows: Mapping[bytes, Row], share: float, limit: int) -> dict[bytes, Row]:
    """Rows for dev: every text of the goals that are chosen by hash, so that no translation of theirs is trained on."""
    goals: dict[bytes, list[bytes]] = {}
    for key, row in rows.items():
        goals.setdefault(row.goal_key, []).append(key)
    return {key: rows[key] for goal in _share(goals, share, limit) for key in goals[goal]}


def _varied(
    kept: dict[bytes, str],
    data: DataSpec,
    spec: TextSpec,
    mask: str | None,
    blocked: set[bytes],
    seed: int,
    counts: Counter[str],
    parts: Parts,
) -> tuple[dict[bytes, str], dict[str, Any]]:
    """Training sentences with variants of each behind them, and the report; what is evaluated on stays out of these too."""
    texts = list(kept.values())
    maker = maker_for(spec, lambda: texts, mask)
    account = Account()
    own: Counter[str] = Counter()
    new: dict[bytes, str] = {}
    examples = [Example(text, row=row) for row, text in enumerate(texts)]
    for made, part in augment_together(examples, maker, seed, parts, settings=maker.key()):
        account += part
        for key, text in _clean((row.text for row in made if row.variant), data, blocked, set(), own).items():
            if key not in kept:
                new.setdefault(key, text)
    counts["augmented"] = len(new)
    return {**kept, **new}, account.report()


def _mixed(
    kept: dict[bytes, str],
    data: DataSpec,
    spec: VocabularyMixSpec,
    words: Sequence[str],
    blocked: set[bytes],
    seed: int,
    counts: Counter[str],
) -> dict[bytes, str]:
    """Training sentences with those that words of the vocabulary make of them; what is evaluated on stays out of these too."""
    if not words:
        raise DataError("the teacher's vocabulary has no whole words to put in", where="data.augment", hint="leave augment out")
    made = mix_vocabulary(list(kept.values()), words, count=spec.sentences, share=spec.share, max_words=spec.max_words, seed=seed)
    if not made:
        raise DataError(
            "no sentence is short enough to be a frame", where="data.augment.max_words", got=spec.max_words, hint="raise it"
        )
    own: Counter[str] = Counter()
    new = _clean([*made, *(words if spec.words else ())], data.model_copy(update={"min_chars": 1}), blocked, set(kept), own)
    counts["augmented"] = len(new)
    if spec.replace:
        counts["frames"] = len(kept)
        return new
    return {**kept, **new}


def _read(specs: Iterable[SourceSpec], data: DataSpec, counts: Counter[str]) -> Iterator[str]:
    for spec in specs:
        sentences = read_sentences(spec, on_bad_row=data.on_bad_row, counts=counts)
        if spec.source == PYTHON_DOCS:  # shows its own progress
            yield from sentences
        else:
            yield from track(sentences, total=spec.limit, description=f"Reading {spec.source}", unit="sentences")


def _given(sentences: Iterable[str]) -> Iterator[str]:
    """Sentences given from Python, their kind checked."""
    if isinstance(sentences, str):
        raise DataError("one string is not a list of sentences", where="train", got=sentences, expected="an iterable of strings")
    for index, sentence in enumerate(sentences):
        if not isinstance(sentence, str) or UNREADABLE.search(sentence):
            raise DataError("not a sentence", where=f"train[{index}]", got=repr(sentence), expected="a string without null bytes")
        yield sentence


def _given_set(rows: EvaluationSet, name: str) -> EvaluationSet:
    """An evaluation set given from Python, its name and content checked."""
    where = f"evaluation set '{name}'"
    if not _NAME.fullmatch(name) or name == "agreement":
        expected = "letters, digits, '-' and '_', and not 'agreement', which is the agreement with the teacher"
        raise DataError("an evaluation set cannot have this name", where=where, got=name, expected=expected)
    if isinstance(rows, ScoredPairs):
        return _given_pairs(rows, where)
    for text in texts_of(rows):
        if not isinstance(text, str):
            raise DataError("not a text", where=where, got=repr(text), expected="a string")
    return rows


def _given_pairs(pairs: ScoredPairs, where: str) -> ScoredPairs:
    """Labelled pairs given from Python, their content checked."""
    if not len(pairs.sentences1) == len(pairs.sentences2) == len(pairs.scores):
        got = f"{len(pairs.sentences1)}, {len(pairs.sentences2)} and {len(pairs.scores)}"
        raise DataError("sentences and scores differ in number", where=where, got=got)
    rows = list(zip(pairs.sentences1, pairs.sentences2, np.asarray(pairs.scores, dtype=np.float64).tolist(), strict=True))
    for index, row in enumerate(rows):
        if not isinstance(row[0], str) or not isinstance(row[1], str) or not math.isfinite(row[2]):
            raise DataError(
                "not a scored pair", where=f"{where}[{index}]", got=repr(row), expected="two strings and a finite score"
            )
    return make_pairs(rows, where, pairs.languages)


def _clean(
    sentences: Iterable[str],
    data: DataSpec,
    blocked: set[bytes],
    dev: set[bytes],
    counts: Counter[str],
    known: Container[bytes] = (),
) -> dict[bytes, str]:
    """Digest -> sentence of those that are kept, in order; what is dropped is counted, what is `known` as a duplicate."""
    kept: dict[bytes, str] = {}
    for raw in sentences:
        counts["read"] += 1
        text = normalise(raw)
        if len(text) < data.min_chars:
            counts["too_short"] += 1
            continue
        if len(text) > data.max_chars:
            counts["too_long"] += 1
            continue
        key = digest(text)
        if key in blocked:
            counts["removed_evaluation"] += 1
        elif key in dev:
            counts["removed_dev"] += 1
        elif key in kept or key in known:
            counts["duplicates"] += 1
        else:
            kept[key] = text
    return kept


def _share(goals: Mapping[bytes, Sequence[bytes]], share: float, limit: int) -> list[bytes]:
    """The goals whose digest falls into the share, in the order of their digests.

    At least two, so many that they have at most `limit` texts, and two at least are left over.
    """
    order = sorted(goals)
    bound = int(share * 2**64)
    inside = sum(int.from_bytes(key[:8], "big") < bound for key in order)
    texts = itertools.accumulate(len(goals[key]) for key in order)
    fitting = sum(count <= limit for count in texts)
    return order[: min(max(inside, 2), max(fitting, 2), len(order) - 2)]


def _enough(kept: Sized, part: str, where: str, counts: Counter[str], least: int = 2) -> None:
    if len(kept) >= least:
        return
    dropped = [f"{counts[name]} {name.replace('_', ' ')}" for name in COUNTED[1:7] if counts[name]]
    raise DataError(
        "this corpus is empty" if not counts["read"] else f"too few sentences are left for {part}",
        where=where,
        got=f"{len(kept)} of {counts['read']} read" + (f" (dropped: {', '.join(dropped)})" if dropped else ""),
        expected=f"at least {least} different sentences",
        hint="give more text, or check min_chars, max_chars and the columns" if counts["read"] else None,
    )
