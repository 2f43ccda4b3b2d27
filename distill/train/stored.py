"""The teacher's inner states read from disk in place of a teacher that runs beside (`train.store_states`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from teachers.capture import EncoderShape, States, Wanted, encoder_of
from teachers.pieces import read_key
from teachers.state_rows import Estimate, Part, StoredStates
from teachers.state_store import StateStore

from ..files import cache_dir
from ..progress import note, track

if TYPE_CHECKING:
    from .inner import InnerLosses, InnerTeacher
    from .trainer import Collate, Rows

PREFIX = "teacher."
"""How the stored states of a batch are named: `teacher.hidden_states.2`, `teacher.embeddings`."""

NUMBERS: dict[str, np.dtype[Any]] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}
QKV = ("queries", "keys", "values")


class Said:
    """What a whole task model says of rows while their inner states are stored: one run gives both.

    Args:
        logits: the teacher's inputs of a batch -> its padded logits.
        unpadded: logits of one row, and its tokens -> without padding.

    Attributes:
        rows: `row_key` of the teacher's inputs -> logits, float32.
    """

    def __init__(self, logits: Callable[[dict[str, Tensor]], Tensor], unpadded: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self.logits, self.unpadded = logits, unpadded
        self.rows: dict[bytes, np.ndarray] = {}

    def run(self, inputs: dict[str, Tensor], keys: Sequence[bytes], lengths: Sequence[int]) -> None:
        """One forward pass, whose logits are kept."""
        found = self.logits(inputs).float().cpu().numpy()
        for key, row, tokens in zip(keys, found, lengths, strict=True):
            self.rows[key] = self.unpadded(row, tokens).copy()


def parts_of_states(wanted: Wanted, shape: EncoderShape) -> list[Part]:
    """What is kept of a row, for the states that are wanted of an encoder."""
    parts = [Part("embeddings", None, shape.hidden)] if wanted.embeddings else []
    parts += [Part(f"hidden_states.{layer}", None, shape.hidden) for layer in sorted(wanted.hidden_states)]
    parts += [Part(f"attention_scores.{layer}", shape.heads, None) for layer in sorted(wanted.attention_scores)]
    parts += [Part(f"{name}.{layer}", shape.heads, shape.head_dim) for layer in sorted(wanted.qkv) for name in QKV]
    return parts


def store_states(
    teacher: InnerTeacher, losses: InnerLosses, rows: Rows, pad: Collate, numbers: str, *, name: str = "training rows"
) -> StoredStates:
    """The teacher's states of every row, from the cache where they are there; computed once where they are not.

    Args:
        teacher: the teacher, with its key.
        losses: say which states they compare.
        rows: tokenised for the student.
        pad: makes a batch of some of them.
        numbers: fp32 or fp16.
        name: of the rows, in notes.

    Raises:
        RunError: the disk has no room for them.
        ModelError: a state that is not finite, or too large for fp16.
    """
    assert teacher.key is not None, "whoever lets states be stored names the teacher"
    encoder = encoder_of(teacher.encoder)
    keys = [read_key(encoder, rows[row], teacher.ids) for row in range(len(rows))]  # names of the rows in the store
    lengths = np.asarray(rows.lengths)
    device = next(teacher.encoder.parameters()).device
    teacher.encoder.eval()

    def compute(wanted: Sequence[int]) -> dict[str, np.ndarray]:
        """The teacher's states of some rows, padded, and what it says of them where that is collected."""
        batch = {key: value.to(device) for key, value in pad([rows[row] for row in wanted]).items()}
        if teacher.said is None:
            losses.run_teacher(batch)
        else:
            with torch.no_grad():
                inputs = losses.teacher_inputs(batch)
                teacher.said.run(inputs, [keys[row] for row in wanted], [int(lengths[row]) for row in wanted])
        states = losses.captures[1].take()
        return {part.name: _of(states, part.name).float().cpu().numpy() for part in store.parts}

    def announce(found: Estimate) -> None:
        note(
            f"inner states: {found.new:,} {name} through the teacher take {found.bytes_new / 1e6:,.1f} MB in {numbers}"
            f" ({found.reused:,} are there: {found.bytes_reused / 1e6:,.1f} MB); {found.bytes_free / 1e6:,.0f} MB are free"
        )

    parts = parts_of_states(losses.of_teacher, losses.shapes[1])
    store = StateStore(cache_dir(), teacher.key, parts, NUMBERS[numbers])
    return store.label(keys, lengths, compute, batch_size=teacher.batch_size, announce=announce, progress=track)


def with_states(collate: Collate, stored: StoredStates) -> Collate:
    """A collator that adds the teacher's stored states of each row, padded with zeros, float32."""

    def add(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = collate(items)
        found = stored.batch(batch["row"].numpy(), batch["input_ids"].shape[1])
        return {**batch, **{PREFIX + name: torch.from_numpy(values) for name, values in found.items()}}

    return add


def on_stored(
    teacher: InnerTeacher,
    losses: InnerLosses,
    rows: tuple[Rows, Rows],
    batches: tuple[Collate, Collate | None],
    pad: Collate,
    numbers: str,
) -> tuple[tuple[Collate, Collate | None], dict[str, int]]:
    """Batches of a stage that bring the teacher's stored states along.

    Args:
        teacher, losses, pad, numbers: as in `store_states`.
        rows: for training, and for dev.
        batches: what makes those of each; None for dev rows that no loss looks at, whose states are not stored.

    Returns:
        The two with states, and `states_facts` of the training rows.
    """
    kept = store_states(teacher, losses, rows[0], pad, numbers)
    judged = batches[1]
    if judged is not None:
        judged = with_states(judged, store_states(teacher, losses, rows[1], pad, numbers, name="dev rows"))
    return (with_states(batches[0], kept), judged), states_facts(kept)


def states_facts(stored: StoredStates) -> dict[str, int]:
    """What stored states take on disk, for the facts of a run."""
    found = stored.estimate
    return {"rows": found.new + found.reused, "computed": found.new, "bytes": found.bytes_new + found.bytes_reused}


def states_in(features: Mapping[str, Tensor]) -> States | None:
    """The teacher's states that a batch brings, or None where it brings none."""
    states, found = States(), False
    for name, value in features.items():
        if name.startswith(PREFIX):
            found = True
            kind, _, layer = name.removeprefix(PREFIX).partition(".")
            if layer:
                getattr(states, kind)[int(layer)] = value
            else:
                states.embeddings = value
    return states if found else None


def without_states(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch as a model reads it."""
    return {name: value for name, value in features.items() if not name.startswith(PREFIX)}


def _of(states: States, name: str) -> Tensor:
    """A captured state by its name in the store."""
    kind, _, layer = name.partition(".")
    found = getattr(states, kind)
    return found[int(layer)] if layer else found
