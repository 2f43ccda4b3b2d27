"""The short spellings of a recipe's tree, made long. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Accept the short spellings: `data.train: file.txt`, one source instead of a list, a bare loss name, a file of vectors."""
    tree = dict(raw)
    if isinstance(tree.get("data"), Mapping):
        tree["data"] = _data(tree["data"], tree.get("task"))
    if isinstance(tree.get("student"), Mapping):
        tree["student"] = {"kind": "layers", **tree["student"]}
    if tree.get("task", "embedding") != "embedding":
        train = tree.get("train", {})
        tree["train"] = {"select_by": "task_metric", **train} if isinstance(train, Mapping) else train
    if isinstance(tree.get("teacher"), str):
        tree["teacher"] = {"model": tree["teacher"]}
    if isinstance(tree.get("teacher"), (list, tuple)) and tree["teacher"]:
        first, *others = tree["teacher"]
        tree["teacher"] = {**(first if isinstance(first, Mapping) else {"model": first}), "others": others}
    if isinstance(tree.get("teacher"), Mapping) and isinstance(tree["teacher"].get("others"), (list, tuple)):
        named = [item if isinstance(item, Mapping) else {"model": item} for item in tree["teacher"]["others"]]
        tree["teacher"] = {**tree["teacher"], "others": named}
    if isinstance(tree.get("stages"), (list, tuple)):
        tree["stages"] = [_stage(stage) for stage in tree["stages"]]
    return tree


def _data(raw: Mapping[str, Any], task: Any) -> dict[str, Any]:
    """Every bare file a source, every single source a list where a list is meant."""
    data = dict(raw)
    for key in ("train", "unlabelled", "start", "parallel"):
        if key in data:
            more = data[key]
            data[key] = [_source(item) for item in (more if isinstance(more, (list, tuple)) else [more])]
    for key in ("dev", "select"):
        if key in data:
            data[key] = _source(data[key])
    if isinstance(data.get("select"), Mapping) and "source" not in data["select"]:
        data["select"] = {name: _source(item) for name, item in data["select"].items()}
    if isinstance(data.get("teaching"), Mapping):
        data["teaching"] = {name: _source(item) for name, item in data["teaching"].items()}
    if isinstance(data.get("augment"), Mapping) and "vectors" in data["augment"]:
        data["augment"] = {**data["augment"], "vectors": _source(data["augment"]["vectors"])}
    if isinstance(data.get("evaluate"), Mapping):
        data["evaluate"] = {name: _labelled(_parts(_source(item)), task) for name, item in data["evaluate"].items()}
    return data


def _parts(item: Any) -> Any:
    """An evaluation set whose own sources may be bare files."""
    if not isinstance(item, Mapping):
        return item
    return {key: _source(part) if key in ("fit", "queries", "relevance") else part for key, part in item.items()}


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
