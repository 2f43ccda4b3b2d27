"""What the teacher of a labelled task says of every row, asked once, from the cache where it is there.

Where a row has one vector of logits, each row is kept by its token ids, so that other data, more data or a run that was stopped
pays for new rows alone. Where every token has logits, a data set is kept as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from teachers.device import at_work
from teachers.heads import HeadModel
from teachers.pieces import as_read, read_key
from teachers.precision import Precision, keyed, products
from teachers.remote import signals_url
from teachers.store import EmbeddingStore

from ..data.features import TaskCollator
from ..errors import ModelError, RunError
from ..evaluate.outputs import Features, Predict, run_over, torch_predict
from ..files import atomic_folder, cache_dir, fingerprint, lock, read_json, sha256_file, write_json
from ..processes import world
from ..progress import note, track
from ..recipe import BY_TOKEN
from ..train.task import model_logits


def teacher_logits(
    head: HeadModel,
    key: dict[str, Any],
    order: np.ndarray | None,
    task: str,
    features: Features,
    collate: TaskCollator,
    content: object,
    *,
    batch_size: int,
    precision: Precision = "fp32",
    ids: Tensor | None = None,
    said: Mapping[bytes, np.ndarray] = MappingProxyType({}),
) -> list[np.ndarray]:
    """What the teacher says of every row, in the data's order of labels; from the cache where it is there.

    Args:
        head: the teacher.
        key: its `head_key`.
        order: for each label the teacher's output.
        task: of the recipe.
        features: the rows, tokenised for the teacher.
        collate: for the teacher.
        content: JSON values that tell these rows from others, where every token has logits.
        batch_size: rows per forward.
        precision: numbers inside the teacher's matrix products.
        ids: the teacher's id of each token id of the rows, where these are of a trimmed vocabulary.
        said: what the teacher has said of rows just now, by `row_key` of its inputs: these it is not asked again.

    Returns:
        For each row its logits without padding, float32.
    """
    head.model.eval()
    with at_work(head.model) as device:
        asked = _Asked(_predict(head, task, precision, ids, device), features, collate, batch_size, head.model, ids, said)
        return _kept(head, asked, keyed(key, precision), order, task, content)


def _predict(head: HeadModel, task: str, precision: Precision, ids: Tensor | None, device: torch.device) -> Predict:
    """The teacher as a function of a batch."""

    def logits(batch: Mapping[str, Tensor]) -> Tensor:
        with products(precision, device):
            return model_logits(head.model, as_read(head.model, batch, ids), task)

    return torch_predict(logits, device)


def _kept(
    head: HeadModel, ask: _Asked, key: Mapping[str, Any], order: np.ndarray | None, task: str, content: object
) -> list[np.ndarray]:
    """What the teacher says of all rows: from the cache, or asked now and kept there."""
    features = ask.features
    if task not in BY_TOKEN:
        outputs = int(head.model.config.num_labels) if order is None else len(order)
        return _row_by_row(ask, {"kind": "logits", "task": task, **key}, order, outputs, features)
    lengths = np.asarray(features.lengths)
    place = cache_dir() / "logits" / fingerprint({"teacher": key, "task": task, "rows": content})
    with lock(place.with_suffix(".lock"), "this teacher's logits", wait=True):
        found = _stored(place, lengths, task)
        if found is not None:
            note(f"signals: {len(found):,} rows of the teacher's logits from the cache")
            return found
        found = ask(range(len(features)), description="teacher logits")
        broken = [row for row, values in enumerate(found) if not np.isfinite(values).all()]
        if broken:
            raise ModelError(
                "the teacher gives NaN or infinity for a row",
                where=f"row {broken[0] + 1}",
                hint="remove the row, or check the teacher's weights",
            )
        if order is not None:
            found = [np.ascontiguousarray(row[..., order]) for row in found]
        flat = np.concatenate([row.reshape(-1) for row in found]).astype(np.float32)
        with atomic_folder(place) as work:
            np.save(work / "logits.npy", flat, allow_pickle=False)
            write_json(work / "complete.json", {"sha256": sha256_file(work / "logits.npy"), "classes": int(found[0].shape[-1])})
    return found


class _Rows:
    """Some rows of a data set, as one."""

    def __init__(self, features: Features, rows: Sequence[int]) -> None:
        self._features, self._rows = features, rows
        self.lengths = np.asarray(features.lengths)[list(rows)]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._features[self._rows[index]]


@dataclass(frozen=True)
class _Asked:
    """The teacher, asked about rows of a data set unless it has said already what it thinks of them."""

    predict: Predict
    features: Features
    collate: TaskCollator
    batch_size: int
    model: nn.Module
    ids: Tensor | None
    said: Mapping[bytes, np.ndarray]

    def __call__(self, rows: Sequence[int], description: str = "") -> list[np.ndarray]:
        """Logits of each of the rows, without padding."""
        found = {row: self.said.get(read_key(self.model, self.features[row], self.ids)) for row in rows} if self.said else {}
        missing = [row for row in rows if found.get(row) is None]
        if missing:
            part = _Rows(self.features, missing)
            asked = run_over(self.predict, part, self.collate, batch_size=self.batch_size, description=description)
            found |= dict(zip(missing, asked, strict=True))
        return [logits for row in rows if (logits := found[row]) is not None]


class Later(Sequence[np.ndarray]):
    """Rows of logits that are asked for when the first of them is read.

    Args:
        ask: gives all of them.
    """

    def __init__(self, ask: Callable[[], Sequence[np.ndarray]]) -> None:
        self._ask = functools.cache(ask)

    def __len__(self) -> int:
        return len(self._ask())

    def __getitem__(self, row: Any) -> Any:
        """Logits of a row."""
        return self._ask()[row]


def _row_by_row(
    asked: _Asked, key: Mapping[str, Any], order: np.ndarray | None, outputs: int, features: Features
) -> list[np.ndarray]:
    """Each different row once; its token ids are its name in the store."""
    names = [_name(features[row]) for row in range(len(features))]
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        first.setdefault(name, row)

    def ask(wanted: Sequence[str]) -> np.ndarray:
        rows = np.stack(asked([first[name] for name in wanted]))
        return rows if order is None else rows[:, order]

    found = EmbeddingStore(cache_dir(), key, outputs, signals_url()).label(names, ask, progress=track)
    there = "from the cache" if world() == 1 else "from the cache or by other processes"
    note(f"signals: {found.new_sentences:,} rows through the teacher, {found.reused:,} {there}")
    return list(found.gather(np.arange(len(found))))


def _name(row: Mapping[str, Any]) -> str:
    """Token ids, and which text each is of where the model is told so, as a string."""
    return "|".join(" ".join(map(str, np.asarray(row[part]).tolist())) for part in ("input_ids", "token_type_ids") if part in row)


def _stored(place: Path, lengths: np.ndarray, task: str) -> list[np.ndarray] | None:
    """Logits that an earlier run left, if they are whole."""
    if not (place / "complete.json").is_file():
        return None
    try:
        mark = read_json(place / "complete.json")
        if mark["sha256"] != sha256_file(place / "logits.npy"):
            return None
        flat = np.load(place / "logits.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, RunError):
        return None
    classes = int(mark["classes"])
    shapes = [_shape(task, int(tokens), classes) for tokens in lengths]
    sizes = np.array([int(np.prod(shape)) for shape in shapes])
    if sizes.sum() != len(flat):
        return None
    ends = np.cumsum(sizes)
    return [np.array(flat[end - size : end]).reshape(shape) for shape, size, end in zip(shapes, sizes, ends, strict=True)]


def _shape(task: str, tokens: int, classes: int) -> tuple[int, int]:
    return (tokens, classes) if task == "tokens" else (2, tokens)
