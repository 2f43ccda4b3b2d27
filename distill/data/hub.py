"""A data set of the Hugging Face hub as a table, streamed: nothing but the rows that are read is fetched."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import DataError, MissingExtra, shorten
from ..recipe import SourceSpec
from .tables import Row

_commits: dict[str, str] = {}
_COMMIT = re.compile(r"[0-9a-f]{40}")


def read_commits() -> dict[str, str]:
    """`commit_key` of every hub data set that this process has read -> the commit it was read at."""
    return dict(_commits)


def commit_key(source: str, revision: str | None) -> str:
    """The name of a hub data set in `read_commits`."""
    return f"{source}@{revision or 'main'}"


class HubTable:
    """Rows of one split of a hub data set, read at the commit that its revision stands for when it is opened.

    Where the hub is switched off (HF_HUB_OFFLINE=1), a copy in the local cache is read instead.

    Args:
        spec: its id, subset, split and revision.

    Raises:
        DataError: unknown data set, subset or split, or the hub cannot be reached.
        MissingExtra: the package `datasets` is not installed.
    """

    def __init__(self, spec: SourceSpec) -> None:
        try:
            import datasets
        except ImportError as error:
            raise MissingExtra("train", "datasets", f"reading the hub data set '{spec.source}'") from error
        self.where = f"{spec.source} ({spec.split})"
        offline = bool(datasets.config.HF_HUB_OFFLINE)
        try:
            with _quiet():
                revision = spec.revision if offline else _pinned(spec)
                self._rows: Any = datasets.load_dataset(
                    spec.source, spec.subset, split=spec.split, revision=revision, streaming=not offline
                )
                sample = next(iter(self._rows), None)
        except Exception as error:  # the library raises kinds of many packages
            raise _problem(spec, error, offline) from error
        commit = _kept_commit(self._rows, spec.source) if offline else revision
        if commit:
            _commits[commit_key(spec.source, spec.revision)] = commit
        features = getattr(self._rows, "features", None) or sample or {}
        self.names: tuple[str, ...] | None = tuple(features)
        self.first = tuple(sample.get(name) for name in self.names) if sample else None
        self._features = features

    def class_names(self, position: int) -> tuple[str, ...] | None:
        """The names that the data set keeps for the numbers of a column of classes, or of lists of classes; else None."""
        feature: Any = self._features.get((self.names or ())[position])
        names = getattr(getattr(feature, "feature", feature), "names", None)
        return tuple(map(str, names)) if names else None

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        """Every row's values at `positions`, in order."""
        names = [(self.names or ())[position] for position in positions]
        rows = enumerate(self._rows, 1)
        while True:
            try:
                number, row = next(rows)
            except StopIteration:
                return
            except Exception as error:
                raise DataError(
                    f"reading this data set broke off: {shorten(error)}", where=self.where, hint="run the same command again"
                ) from error
            yield number, tuple(row.get(name) for name in names)


def _pinned(spec: SourceSpec) -> str | None:
    """The commit that a revision stands for now."""
    if _COMMIT.fullmatch(spec.revision or ""):
        return spec.revision
    from huggingface_hub import HfApi

    return HfApi().dataset_info(spec.source, revision=spec.revision).sha


def _kept_commit(rows: Any, source: str) -> str | None:
    """The commit of a copy in the local cache, from the addresses its files were fetched from; None where they do not tell."""
    files = getattr(getattr(rows, "info", None), "download_checksums", None) or {}
    found = {match[1] for file in files if (match := re.search(rf"{re.escape(source)}@([0-9a-f]{{40}})/", str(file)))}
    return found.pop() if len(found) == 1 else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The hub's client warns at each of its retries, several lines a second; what comes of them is told once, here."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _problem(spec: SourceSpec, error: Exception, offline: bool) -> DataError:
    """Our words for what `datasets` raised."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = shorten(error)
    if offline or kinds & {
        "ConnectionError",
        "OfflineModeIsEnabled",
        "ConnectError",
        "Timeout",
        "TimeoutException",
        "NetworkError",
    }:
        state = (
            "the hub is switched off (HF_HUB_OFFLINE) and the data set is not in the cache"
            if offline
            else "the hub cannot be reached"
        )
        return DataError(
            f"{state}: {text}",
            where=spec.source,
            expected="a data set of the hub, a file, or python-docs",
            hint="check the connection, or download the data and name the file; python-docs needs no network",
        )
    return DataError(
        f"this hub data set cannot be read: {text}",
        where=spec.source,
        got=f"subset {spec.subset or 'none'}, split {spec.split}",
        hint="check the spelling of source, subset, split and revision; a file is named by its path",
    )
