"""Words replaced by what a masked language model puts in their place: TinyBERT's augmentation (arXiv 1909.10351).

The candidates of a word are found once, not once a variant: the K likeliest pieces where the word is masked. Words of more than
one piece take their nearest neighbours in a table of vectors, or stay. Each draw replaces every such word with probability p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...errors import ModelError, UserError
from ...files import cache_dir, fingerprint
from .arguments import probability, some_candidates
from .cache import CandidateCache, Found
from .masked_lm_engine import MaskedLM, Query
from .neighbours import NeighbourMethod
from .pieces import Group, Pieces, Slot, published_slots
from .plans import Plan, ReplacePlan
from .vectors import WordVectors
from .words import Word, find_words, match_case

_FORMAT = 1


class MaskedLMMethod:
    """Each word is replaced with probability `p` by one of its candidates; English stop words stay.

    Candidates are pieces of letters alone, of the script of the word, that begin a word if the word's piece does, spelled with
    its capitals. A possessive keeps its 's. Of a Korean eojeol that is one piece and a particle the piece is replaced, by one
    that ends alike (vowel, ㄹ, another consonant), so that the particle stays right.

    Args:
        model: a masked LM: hub id, folder or `package:NAME`.
        vectors: for words of more than one piece; None leaves them as they are.
        p: probability per word, 0 to 1.
        candidates: so many of the likeliest pieces are drawn from; the word itself may be one of them.
        sees_original: the model sees the word that it is to replace, as in the published code: candidates are closer to it. False
            is as in the paper.
        rows: `sentence` gives the model the sentence once, with all masks appended; they have the positions of their words and do
            not see each other. `word` gives it a masked copy of the sentence for every word, as published: many times slower, for
            every architecture, and with other candidates, since in a sentence row the other words have read the word.
        published: choose words and candidates as TinyBERT's code does: basic tokens of ASCII letters, the likeliest pieces of the
            whole vocabulary less continuations, in the tokenizer's lower case. To compare with it, not to train on.
        batch_tokens: tokens per forward pass; None takes a number that suits the machine. No result depends on it in fp32.
        precision: of matrix products; in bf16 a candidate in some hundreds depends on what it was computed with.
        cache: keep candidates under `$DISTILL_CACHE/augment/`.

    Raises:
        UserError: an argument is out of its range.
        ModelError: see `MaskedLM`; or `published` with a tokenizer that is not BERT's.
    """

    name = "masked_lm"

    def __init__(
        self,
        model: str,
        *,
        vectors: WordVectors | None = None,
        p: float = 0.4,
        candidates: int = 15,
        sees_original: bool = True,
        rows: Literal["word", "sentence"] = "sentence",
        published: bool = False,
        batch_tokens: int | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
        cache: bool = True,
    ) -> None:
        _check(p, candidates, batch_tokens, rows, precision)
        if published and rows != "word":
            raise UserError("the published algorithm reads a word at a time", where="rows", got=rows, expected="word")
        self._arguments: dict[str, Any] = {
            **{"model": model, "vectors": vectors, "p": p, "candidates": candidates, "sees_original": sees_original},
            **{"rows": rows, "published": published, "batch_tokens": batch_tokens, "precision": precision, "cache": cache},
        }
        self.p = p
        self.candidates = candidates
        self.published = published
        self._model = MaskedLM(model, sees_original=sees_original, rows=rows, batch_tokens=batch_tokens, precision=precision)
        self._pieces = Pieces(self._model.tokenizer, self._model.outputs)
        if published and not self._pieces.wordpiece:
            raise ModelError("the published algorithm needs BERT's tokenizer", where=model, expected="pieces marked by ##")
        self._neighbours = None if vectors is None else NeighbourMethod(vectors, p=p, candidates=candidates)
        settings: dict[str, Any] = {"format": _FORMAT, "candidates": candidates, "sees_original": sees_original, "rows": rows}
        settings |= {"published": published, "precision": precision}
        key = fingerprint({**settings, **self._model.fingerprint()}) if cache else ""
        self._cache = CandidateCache(cache_dir() / "augment" / f"{key}.sqlite" if cache else None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes load the model themselves."""
        return _again, (self._arguments,)

    def prepare(self, texts: Sequence[str]) -> list[Plan]:
        """A plan for every text."""
        found = self._cache.read(texts)
        new = [text for text in texts if text not in found]
        if new:
            made = self._ask(new)
            self._cache.write(made)
            found |= made
        words = {text: find_words(text) for text in texts}
        by_vectors = self._by_vectors(found)
        plans: list[Plan] = []
        for text in texts:
            slots: list[tuple[Word, Sequence[str]]] = []
            for start, end, candidates in found[text]:
                word = Word(text[start:end], start, end)
                slots.append((word, candidates or by_vectors.get(word.text, ())))
            plans.append(ReplacePlan(text, len(words[text]), tuple(slot for slot in slots if slot[1]), self.p))
        return plans

    def _by_vectors(self, found: dict[str, Found]) -> dict[str, Sequence[str]]:
        """The neighbours of the words that have no candidates."""
        if self._neighbours is None:
            return {}
        words = {text[start:end]: None for text, slots in found.items() for start, end, candidates in slots if not candidates}
        plans = self._neighbours.prepare(list(words))
        return {plan.text: plan.slots[0][1] for plan in plans if isinstance(plan, ReplacePlan) and plan.slots}

    def _ask(self, texts: Sequence[str]) -> dict[str, Found]:
        """The words of texts that may be replaced, with the model's candidates; words of more than one piece have none."""
        slots, others, queries, allowed = self._queries(texts)
        likeliest = self._model.likeliest(queries, self.candidates, allowed)
        made: dict[str, Found] = {}
        for text, ours, rest, answers in zip(texts, slots, others, likeliest, strict=True):
            entries: list[tuple[int, int, tuple[str, ...]]] = [(word.start, word.end, ()) for word in rest]
            entries += [
                (slot.word.start, slot.word.end, self._spelled(slot, ids)) for slot, ids in zip(ours, answers, strict=True)
            ]
            made[text] = tuple(sorted(entries))
        return made

    def _queries(
        self, texts: Sequence[str]
    ) -> tuple[list[list[Slot]], list[list[Word]], list[Query], list[np.ndarray[Any, np.dtype[np.bool_]]]]:
        """Words of one piece, others, what the model is asked, and the pieces that it may answer with."""
        encoded = self._model.tokenizer(
            list(texts), add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        groups: dict[Group | None, int] = {}
        slots, others, queries = [], [], []
        for index, text in enumerate(texts):
            ids = encoded["input_ids"][index]
            if self.published:
                ours, rest = published_slots(text, self._model.tokenizer, encoded.encodings[index])
            else:
                ours, rest = self._pieces.slots(text, find_words(text), ids, encoded["offset_mapping"][index])
            choices = [groups.setdefault(slot.group, len(groups)) for slot in ours]
            slots.append(ours)
            others.append(rest)
            queries.append(Query(ids, [slot.token for slot in ours], choices))
        everything = np.ones(self._model.outputs, np.bool_)
        return slots, others, queries, [everything if group is None else self._pieces.allowed(group) for group in groups]

    def _spelled(self, slot: Slot, ids: Sequence[int]) -> tuple[str, ...]:
        """Pieces as they will stand in the text."""
        if self.published:
            tokens = self._model.tokenizer.convert_ids_to_tokens(list(ids))
            return tuple(token for token in tokens if token and not token.startswith("##"))
        return tuple(dict.fromkeys(match_case(self._pieces.text(index), slot.word.text) for index in ids))


def _again(arguments: dict[str, Any]) -> MaskedLMMethod:
    return MaskedLMMethod(**arguments)


def _check(p: float, candidates: int, batch_tokens: int | None, rows: str, precision: str) -> None:
    """Refuse arguments that are out of their range."""
    probability("p", p)
    some_candidates(candidates)
    if batch_tokens is not None and batch_tokens < 1:
        raise UserError("a batch has at least one token", where="batch_tokens", got=batch_tokens)
    if rows not in ("word", "sentence"):
        raise UserError("no such kind of rows", where="rows", got=rows, expected="word or sentence")
    if precision not in ("fp32", "bf16"):
        raise UserError("no such precision", where="precision", got=precision, expected="fp32 or bf16")
