"""Recipes of labelled tasks on tiny files."""

from __future__ import annotations

import tiny

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


def taught(trained, **parts):
    """A recipe that takes the teacher of that run as it is, one stage of predictions."""
    stage = {"losses": ["kl_divergence"], "max_steps": 3, **QUICK}
    parts = {"teacher": {"model": str(trained / "teacher"), "max_length": 64}, "stages": [stage], **parts}
    return recipe("classification", **parts)
