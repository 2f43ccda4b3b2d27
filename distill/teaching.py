"""A sentence teacher is trained before it teaches: as a stage of a run, or alone with `teach`."""

from __future__ import annotations

import copy
import functools
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from students.build import save_student
from teachers.finetune.objectives import Arranged, arrange
from teachers.finetune.pooling import plain_encoder, reads_layers, with_pooling
from teachers.finetune.sbert import Surroundings, finetune_encoder
from teachers.load import Teacher, load_encoder, load_teacher
from teachers.spec import SentenceFinetuneSpec

from .data.evaluation import EvaluationSet, ScoredPairs, read_set, texts_of
from .data.teaching import read_teaching
from .data.text import fold
from .errors import DataError, UserError
from .evaluate.ranks import spearman
from .evaluate.sts import evaluate_sts, pair_scores
from .evaluate.suite import defined
from .files import atomic_write, fingerprint, lock, read_json, remembered, write_json
from .launch import refuse_many_processes
from .progress import Ticks, note
from .recipe import Recipe
from .recipe_check import check_recipe
from .recipe_load import Overrides, RecipeLike, load_recipe
from .rundir import RunDir, versions
from .teaching_table import markdown
from .train import checkpoints
from .train.log import StepLog
from .train.precision import choose_precision

OUTPUTS = ("teacher", "teacher.jsonl", "teacher.json", "teacher.md")
"""What the stage leaves in the run folder: the model, its log, the evaluation table."""
TRIED = 16
"""Rows of the batch that tries which precision is faster."""


@dataclass(frozen=True)
class Taught:
    """A teacher that was trained alone.

    Attributes:
        teacher: its folder.
        stages: facts of every stage of its training.
        rows: the evaluation table: {"set", "stage", "n", "pearson_cosine", ..., "ci95"} a row.
        markdown: the same for people.
    """

    teacher: Path
    stages: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    markdown: str


def teach(recipe: RecipeLike, overrides: Overrides = (), *, out: Path | str | None = None, force: bool = False) -> Taught:
    """Run the teacher's part of a recipe alone: train it, and judge it on every evaluation set before and after each stage.

    `run` with the same recipe and folder goes on from there.

    Args:
        recipe, overrides, force: as in `distill.run`.
        out: run folder; None: `runs/<name>`.

    Returns:
        The teacher's folder, facts and the table, which is also on disk as teacher.json and teacher.md.

    Raises:
        UserError: the recipe trains no sentence teacher, or as in `distill.run`.
        GateError: the training collapsed.
    """
    refuse_many_processes("the training of a sentence teacher")
    asked = load_recipe(recipe, overrides)
    if not isinstance(asked.teacher.finetune, SentenceFinetuneSpec):
        raise UserError(
            "this recipe trains no sentence teacher",
            where=f"recipe '{asked.name}'",
            expected="teacher.finetune.stages",
            hint="see the recipes sbert-sts, sbert-nli-sts and simcse",
        )
    for line in check_recipe(asked, given=["student"]):
        note(f"note: {line}")
    target = Path(out) if out is not None else Path("runs") / asked.name
    folder = RunDir(target)
    folder.refuse_foreign()
    with lock(target / ".lock", "this run folder", wait=False):
        asked = folder.open(asked, force=force)
        folder.write_recipe(asked)
        facts = train_teacher(asked, folder, prepared_teacher(asked, load_teacher(asked.teacher)))
    found = read_json(folder.path / "teacher.json")
    return Taught(folder.path / "teacher", facts["stages"], found["rows"], (folder.path / "teacher.md").read_text("utf-8"))


def prepared_teacher(recipe: Recipe, teacher: Teacher) -> Teacher:
    """The teacher with the pooling that its training asks for; a copy, since it will be trained."""
    spec = recipe.teacher.finetune
    assert isinstance(spec, SentenceFinetuneSpec), "called where the recipe asks for it"
    model = copy.deepcopy(teacher.model)
    model = model if spec.pooling is None else with_pooling(model, spec.pooling)
    return Teacher(model, teacher.name, teacher.prompt)


def train_teacher(
    recipe: Recipe, folder: RunDir, teacher: Teacher, evaluate: Mapping[str, EvaluationSet] | None = None
) -> dict[str, Any]:
    """The stage `finetune` of a run: `teacher/` is made, unless it is there and nothing that decides it has changed.

    Args:
        recipe: says how, and on what.
        folder: the run folder, opened.
        teacher: from `prepared_teacher`; trained in place.
        evaluate: sets to use instead of `data.evaluate`. The table is of sts sets; no text of any set is trained on.

    Returns:
        Facts: {"start", "path", "precision", "stages": [...], "removed_evaluation", ...}.
    """
    spec, data = recipe.teacher.finetune, recipe.data
    assert isinstance(spec, SentenceFinetuneSpec), "called where the recipe asks for it"
    counts: Counter[str] = Counter()
    read = functools.partial(read_set, on_bad_row=data.on_bad_row, counts=counts)
    every = {name: read(one) for name, one in data.evaluate.items()} if evaluate is None else dict(evaluate)
    choosing = {name: read(one) for name, one in data.selecting.items()}
    rows = stage_rows(recipe, spec, held_out([*every.values(), *choosing.values()]), counts)
    sets, select = _scored(every), _scored(choosing)
    inputs = {
        "seed": recipe.seed,
        "start": teacher.fingerprint(),
        "finetune": spec.model_dump(mode="json"),
        "rows": {name: fingerprint([part.columns, list(part.labels)]) for name, part in rows.items()},
        "select": {name: _key(pairs) for name, pairs in select.items()},
        "evaluate": {name: _key(pairs) for name, pairs in sets.items()},
        "torch": versions().get("torch"),
    }
    place, work = folder.path / "teacher", folder.work / f"teacher-{fingerprint(inputs)}"
    log = folder.path / "teacher.jsonl"

    def make() -> dict[str, Any]:
        if not work.exists():
            log.unlink(missing_ok=True)
        precision = _precision(spec.precision, teacher, rows[spec.stages[0].name], work / "precision.json")
        before = remembered(work / "before.json", lambda: judge(teacher, sets, "before"))
        around = Surroundings(
            work=work,
            checkpoints=checkpoints,
            log=lambda stage, step: StepLog(log, stage, step),
            bar=lambda steps, title: Ticks(steps, title, "steps"),
            say=note,
            dev=(lambda: dev_score(teacher, select)) if select else None,
            after=lambda: {"evaluation": judge(teacher, sets, "after")},
        )
        stages = finetune_encoder(teacher.model, spec, rows, around, precision=precision, prompt=teacher.prompt, seed=recipe.seed)
        table = [*before, *({**row, "stage": stage["name"]} for stage in stages for row in stage.pop("evaluation"))]
        write_json(folder.path / "teacher.json", {"schema_version": 1, "rows": table})
        atomic_write(folder.path / "teacher.md", markdown(table))
        save_student(teacher.model, place)
        return {"start": teacher.name, "path": "teacher", "precision": precision, "stages": stages, **counts}

    facts = folder.stage("finetune", inputs, OUTPUTS, make)
    shutil.rmtree(work, ignore_errors=True)
    return facts


def tuned_teacher(recipe: Recipe, folder: RunDir, teacher: Teacher) -> Teacher:
    """The teacher that `train_teacher` left in the run folder, with the name and prompt of the one it was made of."""
    place = folder.path / "teacher"
    return Teacher(load_encoder(str(place), max_length=recipe.teacher.max_length), teacher.name, teacher.prompt)


def stage_rows(recipe: Recipe, spec: SentenceFinetuneSpec, held: frozenset[str], counts: Counter[str]) -> dict[str, Arranged]:
    """Rows of every stage, without those of which a text occurs in an evaluation or select set.

    Args:
        recipe: names the sources.
        spec: the stages.
        held: folded texts of those sets.
        counts: `removed_evaluation` is raised by the rows left out, `bad_rows` by those that could not be read; each source is
            counted once for each stage that reads it.

    Raises:
        DataError: a source cannot be read or does not fit, or no row of it is left.
    """
    found = {}
    for stage in spec.stages:
        sources = {}
        for name in stage.data:
            columns = read_teaching(
                recipe.data.teaching[name],
                stage.objective,
                on_bad_row=recipe.data.on_bad_row,
                counts=counts,
                where=f"data.teaching.{name}",
            )
            sources[name] = _without(columns, held, counts)
            if not next(iter(sources[name].values())):
                raise DataError(
                    "every row has a text of an evaluation or select set, so none is left to train on",
                    where=f"data.teaching.{name}",
                    got=f"{len(next(iter(columns.values()))):,} rows",
                    hint="the teacher must not see what it is judged on: use another split",
                )
        found[stage.name] = arrange(stage.objective, sources, recipe.seed)
    return found


def held_out(sets: Iterable[EvaluationSet]) -> frozenset[str]:
    """The texts of evaluation sets, folded: two texts are the same if they differ in case, spaces and punctuation alone."""
    return frozenset(fold(text) for rows in sets for text in texts_of(rows))


def _scored(sets: Mapping[str, EvaluationSet]) -> dict[str, ScoredPairs]:
    return {name: rows for name, rows in sets.items() if isinstance(rows, ScoredPairs)}


def _without(columns: Mapping[str, list[Any]], held: frozenset[str], counts: Counter[str]) -> dict[str, list[Any]]:
    """Rows none of whose texts is held out."""
    texts = [values for name, values in columns.items() if name not in ("score", "label")]
    keep = [not any(fold(text) in held for text in row) for row in zip(*texts, strict=True)]
    counts["removed_evaluation"] += len(keep) - sum(keep)
    return {name: [value for value, kept in zip(values, keep, strict=True) if kept] for name, values in columns.items()}


def dev_score(teacher: Teacher, sets: Mapping[str, ScoredPairs]) -> float:
    """Mean over labelled sets of the Spearman of the teacher's cosines; the mode it was in comes back."""
    was = teacher.model.training
    found = []
    for pairs in sets.values():
        first, second = (teacher.embed(side, batch_size=64) for side in (pairs.sentences1, pairs.sentences2))
        found.append(spearman(pair_scores(first, second)["cosine"], pairs.scores))
    teacher.model.train(was)
    return float(np.mean(found))


def judge(teacher: Teacher, sets: Mapping[str, ScoredPairs], stage: str) -> list[dict[str, Any]]:
    """A row of the table for every set: Pearson and Spearman of four similarities."""
    rows = []
    for name, pairs in sets.items():
        first, second = (teacher.embed(side, batch_size=64) for side in (pairs.sentences1, pairs.sentences2))
        found = evaluate_sts(first, second, pairs.scores)
        kept = {"n": found["n"], **found["details"], "ci95": found["ci95"]}
        rows.append({"set": name, "stage": stage, **{key: defined(value) for key, value in kept.items()}})
    return rows


def _key(pairs: ScoredPairs) -> str:
    return fingerprint([pairs.sentences1, pairs.sentences2, pairs.scores.tolist()])


class _Forward(nn.Module):
    """A teacher as something that can be timed: any loss will do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of a batch -> {"loss": []}."""
        return {"loss": self.model(dict(features))["sentence_embedding"].float().square().mean()}


def _precision(asked: Literal["auto", "fp32", "bf16"], teacher: Teacher, rows: Arranged, path: Path) -> Literal["fp32", "bf16"]:
    """The precision asked for, or the faster one, found by trial; the same one again after an interruption."""
    if asked != "auto":
        return asked

    def choose() -> Literal["fp32", "bf16"]:
        texts = [str(text) for text in next(iter(rows.columns.values()))[:TRIED]]
        features = teacher.model.preprocess(texts, prompt=teacher.prompt)
        batch = {name: value.to(teacher.model.device) for name, value in features.items() if torch.is_tensor(value)}
        chosen, words = choose_precision(_Forward(teacher.model), batch)
        note(f"teacher: {chosen}, since {words}")
        return chosen

    return remembered(path, choose)


def start_model(teacher: Teacher) -> SentenceTransformer:
    """What a student is cut from: the teacher, or, where its pooling reads several layers, the same with a plain one."""
    return plain_encoder(teacher.model) if reads_layers(teacher.model) else teacher.model
