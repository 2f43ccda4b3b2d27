"""Blocks of examples augmented by workers on a Ray cluster; this process alone keeps the parts."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from .cluster import Cluster, Hands, from_any_folder
from .data.augment.base import Example
from .data.augment.crew import Outcome, Task, Worker, opened
from .data.augment.make import Maker
from .errors import DistillError, ModelError
from .recipe_augment import TextSpec, VectorsSpec


class RayCrew:
    """The workers of a cluster as a `Crew` of `distill.data.augment.stream.write_augmented`.

    Args:
        cluster: where they work.
        maker: makes the augmenter, on every machine of the same models, vectors and packages.
        seed: of the draws.
    """

    def __init__(self, cluster: Cluster, maker: Maker, seed: int) -> None:
        self.ahead = 2 * cluster.workers
        everywhere = replace(maker, spec=_absolute(maker.spec))
        self._hands = Hands(cluster, BlockWorker, everywhere, seed, _named(maker))
        self._threads = ThreadPoolExecutor(cluster.workers)

    def start(self, examples: list[Example], labelled: bool) -> Task:
        """See `Crew`."""
        future = self._threads.submit(self._hands.ask, "augment", examples, labelled)
        return lambda: opened(future.result())

    def close(self, *, wait: bool) -> None:
        """See `Crew`."""
        self._threads.shutdown(wait=wait, cancel_futures=True)


class BlockWorker:
    """Runs on a machine of the cluster: an augmenter, with a model of its own where it needs one.

    Args:
        maker: makes it.
        seed: of the draws.
        key: of models, vectors and packages, as the machine has them that asks.
    """

    def __init__(self, maker: Maker, seed: int, key: dict[str, Any]) -> None:
        self._maker, self._key = maker, key
        self._worker = Worker(maker, seed)

    def load(self) -> None:
        """Make the augmenter, if that has not been done since this worker was started.

        Raises:
            ModelError: something that it needs is not here, or is something else.
        """
        if self._worker.augmenter is not None:
            return
        host = f"Ray worker on {socket.gethostname()}"
        try:
            found = _named(self._maker)
            other = [name for name, value in self._key.items() if found[name] != value]
            if not other:
                self._worker.augmenter = self._maker()
        except DistillError as error:
            raise ModelError(
                "this machine cannot augment",
                where=host,
                got=error.message if error.where is None else f"{error.where}: {error.message}",
                expected="models and vectors that every machine finds (a hub id, an installed package, a path that all see), "
                "and the same packages",
                hint=error.hint,
            ) from None
        if other:
            raise ModelError(
                "this machine would make other variants",
                where=host,
                got=f"another {' and another '.join(other)} under the same name",
                expected="models, vectors and taggers as on the machine that asks",
                hint="copy the files anew, and install the same versions of the packages",
            )

    def augment(self, examples: list[Example], labelled: bool) -> Outcome:
        """What a block became, for `opened`."""
        self.load()
        return self._worker.tried(examples, labelled)


def _named(maker: Maker) -> dict[str, Any]:
    """What decides the variants and lies on a machine: hashes of files, versions of packages."""
    return {name: value for name, value in maker.key().items() if name in ("model", "vectors", "packages")}


def _absolute(spec: TextSpec) -> TextSpec:
    """A spec that names its files as they are found from any folder: the workers' current folder is another."""
    values: dict[str, Any] = {}
    model, vectors = getattr(spec, "model", None), getattr(spec, "vectors", None)
    if model is not None:
        values["model"] = from_any_folder(model)
    if isinstance(vectors, VectorsSpec):
        names = {"source": vectors.source, "vocabulary": vectors.vocabulary}
        values["vectors"] = vectors.model_copy(update={key: name and from_any_folder(name) for key, name in names.items()})
    return spec.model_copy(update=values)
