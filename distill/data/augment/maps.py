"""Augmentation inside other pipelines: `datasets.Dataset.map` and Ray Data's `map_batches`, on any number of machines."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtra, nearest
from .base import Example, Rng
from .pairs import Augmenter
from .stream import Make


class MapVariants:
    """Takes a batch of columns, gives the batch with the variants of every row behind it.

    All columns are kept: a variant has those of its original, and a column `variant` counts from 0, the original. A row's
    variants depend on its texts and the seed alone, so batches, processes and machines make no difference. The object is
    small and can be pickled; a model is loaded where it is first called, once a process.

        dataset.map(MapVariants(maker, seed=42), batched=True)
        ray_dataset.map_batches(MapVariants(maker, seed=42))

    Args:
        make: makes the augmenter, such as `make.maker_for(...)`.
        seed: of the draws.
        text: name of the column of texts.
        text_pair: name of the column of second texts, if there is one.
    """

    def __init__(self, make: Make, *, seed: int, text: str = "text", text_pair: str | None = None) -> None:
        self.make, self.seed, self.text, self.text_pair = make, seed, text, text_pair
        self._digest = hashlib.sha256(pickle.dumps(make)).hexdigest()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The rows of a batch, each followed by its variants.

        Raises:
            DataError: a column is missing, or holds something else than text.
        """
        columns = {str(name): _values(values) for name, values in batch.items()}
        first = self._texts(columns, self.text)
        second: Sequence[str | None] = [None] * len(first)
        if self.text_pair is not None:
            second = self._texts(columns, self.text_pair)
        examples = [Example(a, b, row=row) for row, (a, b) in enumerate(zip(first, second, strict=True))]
        made = _augmenter(self._digest, self.make).augment(examples, Rng(self.seed))
        result: dict[str, Any] = {name: [values[example.row] for example in made] for name, values in columns.items()}
        result[self.text] = [example.text for example in made]
        if self.text_pair is not None:
            result[self.text_pair] = [example.text_pair for example in made]
        result["variant"] = [example.variant for example in made]
        return result

    def _texts(self, columns: Mapping[str, Sequence[Any]], name: str) -> list[str]:
        if name not in columns:
            raise DataError("no such column", got=name, expected=", ".join(columns), hint=nearest(name, columns))
        for value in columns[name]:
            if not isinstance(value, str):
                raise DataError("this is no text", where=f"column '{name}'", got=repr(value), expected="a string")
        return [str(value) for value in columns[name]]


def map_variants_ray(dataset: Any, mapper: MapVariants, *, batch_size: int = 256, **options: Any) -> Any:
    """A Ray Data set with the variants of every row, made wherever Ray runs.

    Args:
        dataset: a `ray.data.Dataset`.
        mapper: what to do.
        batch_size: rows at a time; nothing depends on it but speed.
        **options: of `map_batches`, such as `num_cpus`, `num_gpus`, `concurrency`.

    Raises:
        MissingExtra: Ray is not installed.
    """
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise MissingExtra("ray", "ray", "augmenting with Ray Data") from error
    return dataset.map_batches(mapper, batch_size=batch_size, batch_format="numpy", **options)


def _values(values: Any) -> list[Any]:
    """A column as a list of Python's own values."""
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


_made: dict[str, Augmenter] = {}
"""The augmenter of this process, by a hash of its maker; the last one alone, since it may hold a model."""


def _augmenter(digest: str, make: Make) -> Augmenter:
    """One augmenter a process for equal makers."""
    if digest not in _made:
        _made.clear()
        _made[digest] = make()
    return _made[digest]
