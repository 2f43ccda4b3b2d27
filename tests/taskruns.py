"""Runs of labelled tasks on tiny files: their recipe, and what they left on disk."""

from __future__ import annotations

import json

import tiny

from distill.files import sha256_file

KINDS = tuple(tiny.TASK_FILES)
TASKS = {kind: "classification" if kind == "pairs" else kind for kind in KINDS}
SOFT = {"multilabel": "soft_binary_cross_entropy", "regression": "logits_mse"}
QUICK = {"batch_size": 16, "learning_rate": 1e-3}
TRAIN, TEST = 200, 80
"""Rows of each labelled file."""


def recipe(kind, **parts):
    """A recipe in two stages for one kind of data; `parts` replace whole parts of it."""
    task = TASKS[kind]
    return {
        "name": "tiny",
        "task": task,
        "teacher": {"model": "encoder", "max_length": 64, "finetune": {"epochs": 3, **QUICK}},
        "data": {
            "train": tiny.TASK_FILES[kind],
            "dev": {"share": 0.2},
            "evaluate": {"test": f"test-{tiny.TASK_FILES[kind]}"},
            "stride": 16,
        },
        "student": {"layers": 2},
        "stages": [
            {"name": "inner", "losses": ["attention_mse", "hidden_mse"], "max_steps": 3, **QUICK},
            {"name": "prediction", "losses": [SOFT.get(task, "kl_divergence"), "hard_label"], "epochs": 1, **QUICK},
        ],
        "train": {"precision": "fp32", "evaluate_every": 0.5},
        "export": {"presets": ["fp32"]},
        **parts,
    }


class Trained(Exception):
    """The student is trained and saved; what follows is not of interest."""


def taught(trained, **parts):
    """A recipe that takes the teacher of that run as it is, one stage of predictions."""
    stage = {"losses": ["kl_divergence"], "max_steps": 3, **QUICK}
    parts = {"teacher": {"model": str(trained / "teacher"), "max_length": 64}, "stages": [stage], **parts}
    return recipe("classification", **parts)


def read(path):
    return json.loads(path.read_text("utf-8"))


def facts(out, stage):
    return next(entry for entry in read(out / "manifest.json")["stages"] if entry["name"] == stage)["facts"]


def keys(out):
    return {entry["name"]: entry["key"] for entry in read(out / "manifest.json")["stages"]}


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]


def score(out, model, name="test"):
    return read(out / "quality.json")["models"][model][name]["value"]


def weights(out):
    return sha256_file(out / "student" / "model.safetensors")
