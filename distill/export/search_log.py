"""What a search notes beside its file, and the gate that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DistillError
from ..files import read_json, sha256_file
from ..runtime.precision import FILES

SEARCH = "search.json"
"""Beside the ONNX files: how `searched` was found."""


def read_search(folder: Path) -> dict[str, Any]:
    """The log of the search that made a folder's `searched` file.

    Raises:
        DistillError: there is none, or it tells of another file.
    """
    log: dict[str, Any] = read_json(folder / "onnx" / SEARCH)
    file = folder / "onnx" / FILES["searched"]
    if log.get("sha256") != sha256_file(file):
        raise DistillError("this log is of another file", where=SEARCH, got=file.name, hint="export the model again")
    return log


def budget_gate(folder: Path, name: str, proof: Mapping[str, Any]) -> dict[str, Any]:
    """What parity.json says of `searched` beyond other files: its budget is its gate. Of other presets nothing.

    Args:
        folder: of the model.
        name: of the preset.
        proof: its numbers; a `mean_cosine` of None is that of a regression, or of a file that gave no numbers.

    Returns:
        {"gate", "passed", "metric_drop": share of the dev metric that was lost, where the budget is of that}, or {}.
    """
    if name != "searched":
        return {}
    log = read_search(folder)
    budget, found, finite = log["budget"], proof["mean_cosine"], proof["max_abs"] is not None
    if "metric_drop" in budget:
        lost = float(log["lost"])
        return {"gate": log["gate"], "passed": finite and lost <= budget["metric_drop"], "metric_drop": lost}
    value = log["after"] if found is None else found
    return {"gate": log["gate"], "passed": finite and value >= budget["min_cosine"] - 1e-6, "metric_drop": None}


def with_search(parity: dict[str, Any], folder: Path) -> dict[str, Any]:
    """parity.json with the log of the search under `search`, where there was one."""
    return {**parity, "search": read_search(folder)} if "searched" in parity["models"] else parity
