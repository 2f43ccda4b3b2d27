"""run(recipe) -> Report: teacher, data, signals, student, training, onnx, parity, quality, measure, report, in this order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from teachers.load import Teacher
from teachers.remote import check_url, signals_url

from .data.evaluation import EvaluationSet
from .embedding.run import EmbeddingRun
from .errors import UserError
from .files import lock
from .given import split_objects
from .launch import check_launch, launched
from .live import live_page
from .processes import leads, together
from .progress import note
from .recipe import Recipe
from .recipe_check import check_recipe
from .recipe_load import Overrides, RecipeLike, load_recipe
from .report.model import Report
from .rundir import RunDir
from .scratch import check_scratch
from .sharing import run_dir
from .tasks.run import TaskRun

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def run(
    recipe: RecipeLike,
    overrides: Overrides = (),
    *,
    out: Path | str | None = None,
    force: bool = False,
    teacher: SentenceTransformer | Teacher | None = None,
    train: Iterable[str] | None = None,
    evaluate: Mapping[str, EvaluationSet] | None = None,
) -> Report:
    """Distil, export, prove, measure and report: the whole of a recipe.

    Args:
        recipe: shipped name, YAML file, mapping or `Recipe`.
        overrides: `{"student.layers": 2}` or `["student.layers=2"]`; `teacher.model` may be a loaded model there, and
            `data.train` a `datasets.Dataset`.
        out: run folder; None: `runs/<name>`.
        force: replace what a changed recipe touches in a run folder that is there already.
        teacher: a loaded model instead of `teacher.model`; `teacher.prompt` holds for it too.
        train: sentences, or a `datasets.Dataset`, instead of `data.train`.
        evaluate: evaluation sets by name, instead of `data.evaluate`.

    Returns:
        The report, which is also on disk as report.json, report.md and report.html.

    Raises:
        UserError: the recipe, the data or the models do not fit, or not the number of processes that a launcher started;
            nothing has been trained then.
        GateError: an exported file failed its parity gate (the report is written nevertheless), or training collapsed.
    """
    overrides, objects = split_objects(overrides)
    teacher, train = objects.get("teacher.model", teacher), objects.get("data.train", train)
    asked = load_recipe(recipe, overrides)
    if teacher is not None and asked.teacher.others:
        raise UserError(
            "several teachers are named in the recipe, not given as objects",
            where="teacher",
            got=f"an object, and teacher.others of {len(asked.teacher.others)}",
            expected="one or the other",
            hint="save the model, and name its folder as teacher.model",
        )
    given = {"teacher": teacher is not None, "train": train is not None, "evaluate": evaluate is not None}
    with opened(asked, out, given, force=force) as (asked, folder), contextlib.ExitStack() as held:
        if asked.task != "embedding":
            _only_names(given)
        if leads():
            held.enter_context(live_page(folder))
        if asked.task != "embedding":
            return TaskRun(asked, folder).go()
        return EmbeddingRun(asked, folder, given).go(teacher, train, evaluate)


@contextlib.contextmanager
def opened(recipe: Recipe, out: Path | str | None, given: Mapping[str, bool], *, force: bool) -> Iterator[tuple[Recipe, RunDir]]:
    """Check a recipe and open its run folder, for the processes of this launch; the recipe comes back as it will be run."""
    launch = launched()
    check_launch(recipe, launch)
    for line in check_recipe(recipe, given=[name for name, is_given in given.items() if is_given]):
        note(f"note: {line}")
    url = signals_url()
    if url is not None:
        check_url(url)
    check_scratch()
    target = Path(out) if out is not None else Path("runs") / recipe.name
    with together(launch), contextlib.ExitStack() as held:
        folder = run_dir(target)
        folder.refuse_foreign()  # before the lock: nothing is written where nothing of ours belongs
        if leads():
            held.enter_context(lock(target / ".lock", "this run folder", wait=False))
        yield folder.open(recipe, force=force), folder


def _only_names(given: Mapping[str, bool]) -> None:
    """Labelled tasks take their inputs by name alone."""
    objects = [name for name, is_given in given.items() if is_given]
    if objects:
        raise UserError(
            "labelled tasks take models and data by name, not as objects",
            where=", ".join(objects),
            hint="save the model or the data set, and name the folder or the file in the recipe",
        )
