"""What is installed of everything that the project needs, by its own metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "distill-toolkit"
EXTRAS = ("train", "search", "augment", "ray", "parallel", "parquet", "tensorboard")
"""What a user installs; `test` and `dev` are for those who change the project."""


def closure(extras: Iterable[str] = EXTRAS) -> tuple[dict[str, metadata.Distribution], dict[str, list[str]], list[str]]:
    """Everything that the project with some extras needs.

    Args:
        extras: of the project.

    Returns:
        name -> distribution, name -> the names that it needs itself, and the names that are not installed, each sorted.
    """
    found: dict[str, metadata.Distribution] = {}
    needs: dict[str, set[str]] = {}
    absent: set[str] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(PROJECT, extra) for extra in ("", *extras)]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen or name in absent:
            continue
        seen.add((name, extra))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            absent.add(name)
            continue
        for wanted in _requirements(found[name], extra):
            other = canonicalize_name(wanted.name)
            needs.setdefault(name, set()).add(other)
            pending += [(other, more) for more in ("", *wanted.extras)]
    present = {name: sorted(needs.get(name, set()) & found.keys()) for name in sorted(found)}
    return {name: found[name] for name in sorted(found)}, present, sorted(absent)


def _requirements(distribution: metadata.Distribution, extra: str) -> Iterator[Requirement]:
    """What a distribution needs on this machine, with one of its extras."""
    for text in distribution.requires or ():
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield wanted


def licence(distribution: metadata.Distribution) -> str:
    """The licence that a package names: its SPDX expression, else its classifiers, else a short text; "" for none."""
    told = distribution.metadata
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [text.split(" :: ")[-1] for text in told.get_all("Classifier") or () if text.startswith("License :: ")]
    named = [text for text in classified if text != "OSI Approved"]
    if named:
        return " OR ".join(sorted(named))
    text = (told.get("License") or "").strip()
    return text if len(text) <= 80 and "\n" not in text else text.splitlines()[0].strip()[:80]
