"""Everything about a recipe that local files can tell before a run. Imports no torch, opens no connection."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from students.spec import LayersSpec
from teachers.spec import SentenceFinetuneSpec

from .errors import DistillError, ModelError, RecipeError, UserError, nearest
from .locating import is_model_folder, locate_model
from .modelfolder import check_model_files, layers_of
from .recipe import Recipe, SourceSpec
from .recipe_check_augment import check_augment
from .recipe_check_names import in_hub_cache, placed
from .recipe_convention import convention_notes, engine_notes, map_notes
from .recipe_load import Overrides, RecipeLike, load_recipe

Check = Callable[[SourceSpec], list[DistillError]]
TRACKERS = {
    "azure_ml": "azureml",
    "clearml": "clearml",
    "codecarbon": "codecarbon",
    "comet_ml": "comet_ml",
    "dagshub": "dagshub",
    "dvclive": "dvclive",
    "mlflow": "mlflow",
    "neptune": "neptune",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""What `train.report_to` may name -> the package it needs."""
_FETCHED = "{path}: '{source}' is a data set of the hub; a run fetches it if it is not in the cache"


def check_recipe(recipe: RecipeLike, overrides: Overrides = (), *, given: Collection[str] = ()) -> list[str]:
    """Check a recipe's form, and that the models, packages, files and columns it names are there.

    A model or data set of the hub that is not on this machine is a note, not an error: nothing is fetched here.

    Args:
        recipe, overrides: as in `load_recipe`.
        given: parts that are not looked at: teacher, train, evaluate that come as objects; a student that is not made.

    Returns:
        Notes worth reading before a run.

    Raises:
        RecipeError: everything that is wrong with it, at once.
    """
    resolved = load_recipe(recipe, overrides)
    notes: list[str] = []
    problems = [*_models(resolved, notes, given), *_data(resolved, notes, given), *_trackers(resolved)]
    problems += [*_parallel(resolved, notes), *_teaching(resolved, notes), *check_augment(resolved, notes)]
    problems += _measuring(resolved)
    notes += [*convention_notes(resolved.stages), *map_notes(resolved.stages), *engine_notes(resolved)]
    if problems:
        raise RecipeError(problems, f"recipe '{resolved.name}'")
    if importlib.util.find_spec("torch") is None:
        notes.append("a run needs more packages than are installed: pip install 'distill-toolkit[train]'")
    return notes


def _models(recipe: Recipe, notes: list[str], given: Collection[str]) -> Iterator[DistillError]:
    named = {} if "teacher" in given else {"teacher.model": recipe.teacher.model}
    named |= {f"teacher.others.{number}.model": other.model for number, other in enumerate(recipe.teacher.others)}
    start = recipe.student.start
    if start != "teacher":
        named["student.from"] = start
    for path, model in named.items():
        try:
            found = locate_model(model)
        except DistillError as problem:
            yield placed(problem, path)
            continue
        if Path(found).is_dir():
            try:
                if not is_model_folder(Path(found)):
                    raise ModelError(
                        "there is no model in this folder", got=model, expected="a folder with modules.json or config.json"
                    )
                check_model_files(Path(found), model)
                if "student" not in given and path == ("teacher.model" if start == "teacher" else "student.from"):
                    yield from _layers(recipe, layers_of(Path(found), model))
            except ModelError as problem:
                yield placed(problem, path)
        elif not Path(found).exists() and not in_hub_cache(found):
            notes.append(f"{path}: '{found}' is not on this machine; a run fetches it from the hub")


def _layers(recipe: Recipe, available: int | None) -> Iterator[DistillError]:
    """Whether a student that is cut out of a model asks for layers that this has."""
    if not isinstance(recipe.student, LayersSpec) or available is None:
        return
    wanted = recipe.student.layers
    if (wanted if isinstance(wanted, int) else 1 + max(wanted, default=0)) > available:
        numbers = f"at most {available}" if isinstance(wanted, int) else f"numbers from 0 to {available - 1}"
        yield UserError("the start model has fewer layers than that", where="student.layers", got=wanted, expected=numbers)


def _data(recipe: Recipe, notes: list[str], given: Collection[str]) -> Iterator[DistillError]:
    from .data.sources import source_kind

    for path, spec, check in data_sources(recipe):
        if any(path.startswith(f"data.{part}.") for part in given):
            continue
        try:
            problems = check(spec)
            hub = not problems and source_kind(spec) == "hub"
        except DistillError as error:
            problems, hub = [error], False
        for problem in problems:
            yield placed(problem, path)
        if hub:
            notes.append(_FETCHED.format(path=path, source=spec.source))


def _parallel(recipe: Recipe, notes: list[str]) -> Iterator[DistillError]:
    from .data.parallel.read import check_parallel, is_hub

    for number, spec in enumerate(recipe.data.parallel):
        path = f"data.parallel.{number}"
        problems = check_parallel(spec, on_bad_row=recipe.data.on_bad_row)
        yield from (placed(problem, path) for problem in problems)
        if not problems and is_hub(spec):
            notes.append(_FETCHED.format(path=path, source=spec.source))


def data_sources(recipe: Recipe) -> Iterator[tuple[str, SourceSpec, Check]]:
    """Every source that a recipe reads, with its path in the recipe and what looks for its problems."""
    from .data.evaluation_check import check_part
    from .data.evaluation_sets import sources_of_set
    from .data.labelled_check import check_labelled
    from .data.sources import check_source

    data, embedding = recipe.data, recipe.task == "embedding"
    plain: Check = check_source if embedding else lambda spec: check_labelled(spec, recipe.task)
    for part in ("train", "start"):
        for number, spec in enumerate(getattr(data, part)):
            yield f"data.{part}.{number}", spec, plain
    if isinstance(data.dev, SourceSpec):
        yield "data.dev", data.dev, plain
    sets = {f"data.evaluate.{name}": labelled for name, labelled in data.evaluate.items()}
    one = isinstance(data.select, SourceSpec)
    sets |= {"data.select" if one else f"data.select.{name}": labelled for name, labelled in data.selecting.items()}
    for path, labelled in sets.items():
        for part, source in sources_of_set(labelled).items():
            check = functools.partial(check_part, labelled, part) if embedding else plain
            yield f"{path}.{part}" if part else path, source, check
    for number, spec in enumerate(data.unlabelled):
        yield f"data.unlabelled.{number}", spec, lambda spec: check_labelled(spec, recipe.task, labelled=False)


def _teaching(recipe: Recipe, notes: list[str]) -> Iterator[DistillError]:
    """What a sentence teacher is trained on: that it is there, and has what its objectives need."""
    from .data.sources import source_kind
    from .data.teaching import check_teaching

    spec = recipe.teacher.finetune
    stages = spec.stages if isinstance(spec, SentenceFinetuneSpec) else ()
    for name, source in recipe.data.teaching.items():
        path = f"data.teaching.{name}"
        objectives = dict.fromkeys(stage.objective for stage in stages if name in stage.data)
        if not objectives:
            notes.append(f"{path}: no stage of teacher.finetune names it, so it is not read")
        found = [problem for objective in objectives for problem in check_teaching(source, objective)]
        for problem in {str(one): one for one in found}.values():
            yield placed(problem, path)
        if objectives and not found and source_kind(source) == "hub":
            notes.append(f"{path}: '{source.source}' is a data set of the hub; a run fetches it if it is not in the cache")


def _measuring(recipe: Recipe) -> Iterator[DistillError]:
    """The text that models are timed on."""
    if recipe.measure.text is None:
        return
    from .measure.cases import read_texts

    try:
        read_texts(Path(recipe.measure.text))
    except DistillError as problem:
        yield placed(problem, "measure.text")


def _trackers(recipe: Recipe) -> Iterator[DistillError]:
    for name in recipe.train.report_to:
        if name not in TRACKERS:
            yield UserError(
                f"unknown tracker '{name}'",
                where="train.report_to",
                hint=nearest(name, TRACKERS),
                expected="one of: " + ", ".join(TRACKERS),
            )
        elif importlib.util.find_spec(TRACKERS[name]) is None:
            yield UserError(
                f"the tracker '{name}' needs a package that is not installed",
                where="train.report_to",
                hint=f"pip install {TRACKERS[name]}",
            )
