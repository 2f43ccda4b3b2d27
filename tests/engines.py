"""One small task through either engine of training: what both did, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tiny
import torch
import transformers

from distill.data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from distill.evaluate.outputs import run_over, torch_predict
from distill.evaluate.scoring import Scorer, make_collator, make_features
from distill.recipe import Recipe
from distill.recipe_load import load_recipe
from distill.tasks.several import Several
from distill.train.inner import InnerTeacher
from distill.train.task import model_logits
from distill.train.task_engine import train_task
from distill.train.textbrewer import train_textbrewer
from teachers.heads import CLASSES

ENGINES = {"trainer": train_task, "textbrewer": train_textbrewer}
ROWS, DEV = 40, 16
LABELS = {"classification": ("a", "b", "c"), "multilabel": ("a", "b", "c"), "tokens": ("O", "B-X", "I-X")}


def examples(task: str, start: int, count: int) -> Any:
    """Sentences whose labels can be read off their words."""
    texts = tiny.SENTENCES[start : start + count]
    words = [text.split() for text in texts]
    if task == "tokens":
        return TokenExamples(words, [[len(word) % 2 for word in row] for row in words])
    if task == "spans":
        ids = [str(number) for number in range(len(texts))]
        answers = [[(row[1], text.index(row[1]))] for row, text in zip(words, texts, strict=True)]
        return SpanExamples(ids, ["what comes second?"] * len(texts), texts, answers)
    sizes = np.array([len(row) for row in words])
    if task == "regression":
        return TextExamples(texts, None, sizes / 5.0)
    if task == "multilabel":
        return TextExamples(texts, None, np.stack([sizes % number == 0 for number in (2, 3, 5)], 1).astype(np.float32))
    return TextExamples(texts, None, (sizes % 3).astype(np.int64))


def model(task: str, layers: int, hidden: int, seed: int) -> Any:
    """A small BERT with a head, dropout 0.1, as transformers makes it."""
    config = tiny._config("bert", layers, hidden, 4, 64, len(tiny.tokenizer()))
    if task in LABELS:
        config.num_labels = len(LABELS[task])
    elif task == "regression":
        config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(transformers, CLASSES[task]).from_config(config)
        made.get_input_embeddings().weight.data *= 4
    return made.eval()


class Trained(NamedTuple):
    facts: dict[str, Any]
    log: list[dict[str, Any]]
    student: Any
    teacher: Any
    work: Any

    def steps(self) -> list[dict[str, Any]]:
        return [line for line in self.log if "losses" in line]

    def dev(self) -> list[dict[str, float]]:
        return [line["dev"] for line in self.log if "dev" in line]


def recipe_of(task: str, stages: list[dict[str, Any]], **values: Any) -> Recipe:
    stage = {"batch_size": 8, "learning_rate": 1e-3, "max_steps": 1}
    return load_recipe(
        {
            "name": "tiny",
            "task": task,
            "teacher": "unused",
            "data": {"train": "unused.tsv"},
            "student": {"kind": "tiny", "layers": 2, "hidden": 32, "heads": 4},
            "stages": [{"name": f"s{number}"} | stage | extra for number, extra in enumerate(stages)],
            "train": {"precision": "fp32", "patience": None, "evaluate_every": 2, "select_by": "task_metric"} | values,
        }
    )


def run(
    root: Path,
    engine: str,
    stages: list[dict[str, Any]],
    *,
    task: str = "classification",
    width: int = 48,
    touch: Any = None,
    folder: str | None = None,
    labelled: int | None = None,
    teachers: int = 1,
    **values: Any,
) -> Trained:
    """Train a small student of a teacher of 4 layers with one engine, its files below `root`."""
    recipe = recipe_of(task, stages, **values)
    teacher, student = model(task, 4, width, 1), model(task, 2, 32, 2)
    together = [teacher, *(model(task, 4, width, 10 + number) for number in range(1, teachers))]
    tokenizer = tiny.tokenizer()
    collate = make_collator(task, tokenizer)
    names = LabelSet(LABELS.get(task, ()))
    parts = [examples(task, start, count) for start, count in ((0, ROWS), (100, DEV))]
    rows, dev = (make_features(task, part, tokenizer, 64, labels=names, stride=8) for part in parts)

    def says(one: Any, features: Any) -> list[np.ndarray]:
        return run_over(torch_predict(lambda batch: model_logits(one, batch, task), torch.device("cpu")), features, collate)

    even = np.full(teachers, 1 / teachers)
    joined = Several(task, (), (), "mean", even)
    apart = [[says(one, features) for one in together] for features in (rows, dev)]
    said = [joined.together(each) for each in apart]
    more = {}
    if engine == "textbrewer" and teachers > 1:  # it takes the mean itself
        said[0], more = joined.apart(apart[0]), {"teachers": teachers}
    if touch is not None:
        touch(student, teacher)
    place = root / (folder or engine)
    place.mkdir(exist_ok=True)
    facts = ENGINES[engine](
        recipe,
        student,
        rows,
        collate,
        Scorer(task, parts[1], dev, names),
        work=place / "work",
        log=place / "log.jsonl",
        labelled=labelled,
        logits=said[0],
        dev_logits=said[1],
        inner=InnerTeacher(teacher),
        **more,
    )
    log = [json.loads(line) for line in (place / "log.jsonl").read_text("utf-8").splitlines()]
    return Trained(facts, log, student, teacher, place / "work")


def flat(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Every number of a log by stage, step and name."""
    found = {}
    for line in lines:
        values = {key: value for key, value in line.items() if isinstance(value, float)}
        values |= {f"{part}.{key}": value for part in ("losses", "dev") for key, value in line.get(part, {}).items()}
        found |= {f"{line['stage']} {line['step']} {key}": value for key, value in values.items()}
    return found


def assert_same_steps(one: Trained, other: Trained) -> None:
    """The two logs tell the same steps: every loss by name, gradient norm, rate and dev metric, to 1e-5."""
    assert flat(one.log) == pytest.approx(flat(other.log), rel=1e-5, abs=1e-5)
