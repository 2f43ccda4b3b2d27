"""What the checks of a recipe share: where a problem stands, and whether a model of the hub is on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import DistillError, UserError


def placed(problem: DistillError, path: str) -> DistillError:
    """The same problem, with the recipe path that led to it in front."""
    where = path if problem.where in (None, path) else f"{path}: {problem.where}"
    return UserError(problem.message, where=where, got=problem.got, expected=problem.expected, hint=problem.hint)


def in_hub_cache(model: str) -> bool:
    """Whether the Hugging Face cache holds some revision of a hub model."""
    return any(any((place / "snapshots").glob("*")) for place in _cached(model))


def hub_commit(model: str, revision: str | None = None) -> str | None:
    """The commit that a name of a hub model stands for in the local cache; None where it is not there."""
    if ".." in (revision or ""):
        return None
    for place in _cached(model):
        if revision is not None and (place / "snapshots" / revision).is_dir():
            return revision
        reference = place / "refs" / (revision or "main")
        if reference.is_file():
            return reference.read_text("utf-8", "replace").strip()[:64]
    return None


def _cached(model: str) -> list[Path]:
    """Where the Hugging Face cache would hold a hub model."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    owner_and_name = model if "/" in model else f"sentence-transformers/{model}"
    return [cache / ("models--" + name.replace("/", "--")) for name in dict.fromkeys((model, owner_and_name))]
