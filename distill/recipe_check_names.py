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
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    owner_and_name = model if "/" in model else f"sentence-transformers/{model}"
    names = {model, owner_and_name}
    return any(any((cache / ("models--" + name.replace("/", "--")) / "snapshots").glob("*")) for name in names)
