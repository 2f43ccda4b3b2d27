"""What a run left on disk."""

from __future__ import annotations

import json

from distill.files import sha256_file


def read(path):
    return json.loads(path.read_text("utf-8"))


def stages(out):
    return {entry["name"]: entry for entry in read(out / "manifest.json")["stages"]}


def facts(out, stage):
    return stages(out)[stage]["facts"]


def keys(out):
    return {name: entry["key"] for name, entry in stages(out).items()}


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]


def score(out, model, name="test"):
    return read(out / "quality.json")["models"][model][name]["value"]


def weights(out):
    return sha256_file(out / "student" / "model.safetensors")
