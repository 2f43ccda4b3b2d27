"""What a model says of the sentences of a run, once per text, from the cache where it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from teachers.ensemble import EnsembleTeacher
from teachers.load import Teacher
from teachers.precision import Precision, keyed
from teachers.remote import signals_url
from teachers.store import EmbeddingStore, StoredRows

from .files import cache_dir, fingerprint
from .processes import total
from .progress import note, track
from .report.words import public_name


class Rows(Protocol):
    """The vectors of a list of texts, read when they are asked for."""

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The vectors of some of the texts, float32 [k, d]."""


class Crowd(Protocol):
    """Several copies of a model that are asked at the same time, such as those of `distill.cluster`.

    Attributes:
        count: of the copies.
    """

    count: int

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of some texts, float32 [n, d]; called from `count` threads."""


class Signals:
    """What one model says of the training and of the dev sentences, looked up when it is asked for.

    Args:
        rows: of training and dev sentences; empty where an earlier run labelled them.
        label: fills `rows`, from the cache where it can.
    """

    def __init__(self, rows: list[StoredRows], label: Callable[[], object]) -> None:
        self._rows = rows
        self._label = label

    def _part(self, index: int) -> StoredRows:
        if not self._rows:
            self._label()
        return self._rows[index]

    @property
    def train(self) -> StoredRows:
        """Of the training sentences."""
        return self._part(0)

    def counts(self) -> tuple[int, int]:
        """Different sentences that went through the model now, in this process, and those that were there."""
        if not self._rows:
            self._label()
        return sum(rows.new_sentences for rows in self._rows), sum(rows.reused for rows in self._rows)

    def dev_vectors(self) -> np.ndarray:
        """Of all dev sentences, float32 [n, d]."""
        rows = self._part(1)
        return rows.gather(np.arange(len(rows)))


class JoinedRows:
    """What several teachers say of the same texts as one vector of each, put together when it is asked for.

    Args:
        parts: of each teacher; their vectors stay where they are.
        put: makes one vector of a text of those of all teachers: [[n, d_k], ...] -> [n, d].
    """

    def __init__(self, parts: Sequence[Rows], put: Callable[[list[np.ndarray]], np.ndarray]) -> None:
        self._parts, self._put = parts, put

    def __len__(self) -> int:
        return len(self._parts[0])

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The vectors of some of the texts, float32 [k, d]; `indices` as for `StoredRows.gather`."""
        return self._put([part.gather(indices) for part in self._parts])


class JoinedSignals:
    """What several teachers say of the training and of the dev sentences, as `Signals` of one.

    Args:
        parts: of each teacher.
        put: as for `JoinedRows`.
    """

    def __init__(self, parts: Sequence[Signals], put: Callable[[list[np.ndarray]], np.ndarray]) -> None:
        self._parts, self._put = parts, put

    @property
    def train(self) -> JoinedRows:
        """Of the training sentences."""
        return JoinedRows([part.train for part in self._parts], self._put)

    def counts(self) -> tuple[int, int]:
        """Sentences that went through all teachers now, and that were in their stores."""
        found = [part.counts() for part in self._parts]
        return sum(new for new, _ in found), sum(reused for _, reused in found)

    def dev_vectors(self) -> np.ndarray:
        """Of all dev sentences, float32 [n, d]."""
        return self._put([part.dev_vectors() for part in self._parts])


def labelling(
    teacher: Teacher,
    key: dict[str, Any],
    train: Sequence[str],
    dev: Sequence[str],
    *,
    name: str,
    batch_size: int,
    precision: Precision = "fp32",
    crowd: Crowd | None = None,
) -> tuple[Signals, Callable[[], dict[str, Any]]]:
    """Embeddings of training and dev sentences by one model, and the work that makes them.

    Args:
        teacher: the model.
        key: its fingerprint, which names its store.
        train, dev: the sentences that it reads.
        name: of the model in notes.
        batch_size: sentences per forward.
        precision: numbers inside its matrix products.
        crowd: asked instead of the model, in the same precision.

    Returns:
        The signals, which do the work when they are first asked for, and the work itself, which returns facts:
        {"computed", "reused", "train_sha256", "dev_sha256"}.
    """
    store = EmbeddingStore(cache_dir(), keyed(key, precision), teacher.dim, signals_url())
    found: list[StoredRows] = []

    def embed(batch: Sequence[str]) -> np.ndarray:
        return teacher.embed(batch, batch_size=batch_size, precision=precision)

    def label() -> None:
        for texts in (train, dev):
            if crowd is not None:
                found.append(store.label(texts, crowd.embed, progress=track, workers=crowd.count))
            else:
                found.append(store.label(texts, embed, progress=track))

    def work() -> dict[str, Any]:
        label()
        here, every = sum(rows.new_sentences for rows in found), sum(rows.new_sentences + rows.reused for rows in found)
        computed = total(here)
        how = "" if precision == "fp32" else f" in {precision}"
        reused = every - computed
        note(f"signals: {computed:,} sentences through {name}{how}, {reused:,} from the cache")
        return {"computed": computed, "reused": reused, "train_sha256": found[0].sha256(), "dev_sha256": found[1].sha256()}

    return Signals(found, label), work


def labelling_of_each(
    teacher: EnsembleTeacher,
    train: Sequence[str],
    dev: Sequence[str],
    *,
    batch_size: int,
    precision: Precision = "fp32",
    crowds: Sequence[Crowd] | None = None,
) -> tuple[list[Signals], Callable[[], dict[str, Any]]]:
    """The same of several teachers, each with the store that it has as the only teacher of a run.

    Args:
        teacher: the teachers.
        train, dev, batch_size, precision: as in `labelling`.
        crowds: asked instead of the models, one for each.

    Returns:
        The signals of each, and the work, whose facts are those of all together: {"computed", "reused", "train_sha256",
        "dev_sha256"}, and "teachers", which has the same of each.
    """
    asked: Sequence[Crowd | None] = crowds or [None] * len(teacher.members)
    made = [
        labelling(
            one,
            one.fingerprint(),
            train,
            dev,
            name=public_name(one.name),
            batch_size=batch_size,
            precision=precision,
            crowd=crowd,
        )
        for one, crowd in zip(teacher.members, asked, strict=True)
    ]

    def work() -> dict[str, Any]:
        found = [label() for _, label in made]
        together = {name: sum(facts[name] for facts in found) for name in ("computed", "reused")}
        hashes = {name: fingerprint([facts[name] for facts in found]) for name in ("train_sha256", "dev_sha256")}
        return {**together, **hashes, "teachers": found}

    return [signals for signals, _ in made], work
