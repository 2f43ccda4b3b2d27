"""Augmentation as a recipe asks for it: `distill augment`, and what the stages of a run need to know of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .data.augment.account import report_lines
from .data.augment.make import maker_for, mask_word, needs_mask, settings_key
from .data.augment.parts import output_format
from .data.augment.read import read_examples, refuse_task
from .data.augment.stream import write_augmented
from .errors import UserError
from .launch import refuse_many_processes
from .progress import note
from .recipe import Recipe
from .recipe_augment import METHODS, TextSpec, VocabularyMixSpec

__all__ = ["augment_recipe", "report_lines", "run_key", "run_mask"]


def augment_recipe(
    recipe: Recipe,
    out: Path,
    *,
    form: str | None = None,
    workers: int | None = None,
    ray: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Augment `data.train` of a recipe as its `data.augment` says, into a file.

    The file has the columns text, text_pair for pairs, label for labelled tasks, row (of the original) and variant (0 for an
    original). An interrupted call goes on where it stopped.

    Args:
        recipe: checked; its data, augmentation, seed and task count, and for mask tokens its models.
        out: file to write; its report goes beside it.
        form: parquet or jsonl; None goes by the ending of `out`.
        workers: processes, each with a model of its own; None: this one, or on Ray one a GPU, else one a machine.
        ray: address of a Ray cluster whose workers do it (see `distill.cluster.Cluster`); None: this machine does.
        force: replace `out` if it is there.

    Returns:
        The report.

    Raises:
        UserError: the recipe has no augmentation of this kind, `out` exists, or a source or model does not fit; a launcher
            started several processes; Ray cannot be reached, or its workers do not find what they need.
    """
    refuse_many_processes(
        "distill augment",
        hint="start it without torchrun, and give it processes of its own: --workers N, or --ray ADDRESS",
    )
    spec = recipe.data.augment
    if not isinstance(spec, TextSpec):
        raise UserError(
            "this recipe does not say how to augment" if spec is None else f"{spec.method} is made inside a run only",
            where="data.augment",
            got=None if spec is None else spec.method,
            expected="a method among " + ", ".join(METHODS),
            hint="data.augment='{method: tang}'",
        )
    refuse_task(recipe.task)
    output_format(out, form)
    if out.exists() and not force:
        raise UserError("this file exists", where=str(out), hint="choose another name, or add --force")
    counts: Counter[str] = Counter()
    data, task = recipe.data, recipe.task
    with contextlib.ExitStack() as held:
        if ray is not None:
            from .cluster import Cluster
            from .cluster_augment import RayCrew

            cluster = held.enter_context(Cluster(ray, workers))
        maker = maker_for(
            spec, lambda: (t for row in read_examples(data, task, Counter()) for t in row.texts), run_mask(recipe, None)
        )
        crew = RayCrew(cluster, maker, recipe.seed) if ray is not None else workers or 1
        examples = read_examples(data, task, counts)
        report = write_augmented(examples, maker, out, seed=recipe.seed, settings=maker.key(), form=form, workers=crew)
    if counts["bad_rows"]:
        note(f"note: {counts['bad_rows']:,} rows could not be read and were passed over (data.on_bad_row: skip)")
    return report


def run_mask(recipe: Recipe, tokenizers: Mapping[str, Any] | None) -> str | None:
    """The mask token that teacher and student of a recipe know, where its augmentation needs one.

    Args:
        recipe: names the models.
        tokenizers: of `teacher` and `student`, if they are loaded.

    Raises:
        ModelError: a model has no mask token, or they have different ones.
    """
    spec = recipe.data.augment
    if spec is None or isinstance(spec, VocabularyMixSpec) or not needs_mask(spec):
        return None
    if tokenizers is None:
        from teachers.heads import find_tokenizer

        first, *others = recipe.teacher.every
        tokenizers = {"teacher": find_tokenizer(first.model, revision=first.revision)}
        tokenizers |= {f"teacher {other.model}": find_tokenizer(other.model, revision=other.revision) for other in others}
        if recipe.student.start != "teacher":
            tokenizers["student"] = find_tokenizer(recipe.student.start)
    return mask_word(spec, tokenizers)


def run_key(recipe: Recipe, mask: str | None, teacher: Any = None) -> dict[str, Any] | None:
    """What decides a run's augmentation besides its data: a part of the stage's key.

    Args:
        recipe: with the augmentation and the seed.
        mask: from `run_mask`.
        teacher: the teacher's key, since vocabulary_mix takes the teacher's words.
    """
    spec = recipe.data.augment
    if spec is None:
        return None
    if isinstance(spec, VocabularyMixSpec):
        return {"teacher": teacher, "seed": recipe.seed}
    return {**settings_key(spec, mask), "seed": recipe.seed}
