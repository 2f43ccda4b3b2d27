"""The short spellings of a recipe's tree, made long. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Accept the short spellings: `data.train: file.txt`, one source instead of a list, a bare loss name, a file of vectors."""
    tree = dict(raw)
    data = tree.get("data")
    if isinstance(data, Mapping):
        data = dict(data)
        if "train" in data:
            train = data["train"]
            sources = train if isinstance(train, (list, tuple)) else [train]
            data["train"] = [_source(item) for item in sources]
        for key in ("dev", "select"):
            if key in data:
                data[key] = _source(data[key])
        if "unlabelled" in data:
            more = data["unlabelled"]
            data["unlabelled"] = [_source(item) for item in (more if isinstance(more, (list, tuple)) else [more])]
        if isinstance(data.get("augment"), Mapping) and "vectors" in data["augment"]:
            data["augment"] = {**data["augment"], "vectors": _source(data["augment"]["vectors"])}
        if isinstance(data.get("evaluate"), Mapping):
            data["evaluate"] = {name: _labelled(_source(item), tree.get("task")) for name, item in data["evaluate"].items()}
        tree["data"] = data
    if isinstance(tree.get("student"), Mapping):
        tree["student"] = {"kind": "layers", **tree["student"]}
    if tree.get("task", "embedding") != "embedding":
        train = tree.get("train", {})
        tree["train"] = {"select_by": "task_metric", **train} if isinstance(train, Mapping) else train
    if isinstance(tree.get("teacher"), str):
        tree["teacher"] = {"model": tree["teacher"]}
    if isinstance(tree.get("stages"), (list, tuple)):
        tree["stages"] = [_stage(stage) for stage in tree["stages"]]
    return tree


def _source(item: Any) -> Any:
    return {"source": item} if isinstance(item, str) else item


def _labelled(item: Any, task: Any) -> Any:
    """An evaluation set is of the recipe's task where it does not say otherwise."""
    if isinstance(item, Mapping) and "kind" not in item and task not in (None, "embedding"):
        return {**item, "kind": task}
    return item


def _stage(stage: Any) -> Any:
    if isinstance(stage, Mapping) and isinstance(stage.get("losses"), (list, tuple)):
        losses = [{"name": loss} if isinstance(loss, str) else loss for loss in stage["losses"]]
        return {**stage, "losses": losses}
    return stage
