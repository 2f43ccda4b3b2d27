"""The first half of a run of embeddings alone: what the teacher says of its text, made here or on a Ray cluster."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .cluster import Cluster
from .embedding.run import EmbeddingRun
from .errors import UserError
from .launch import refuse_many_processes
from .pipeline import opened
from .recipe_load import Overrides, RecipeLike, load_recipe


def label(
    recipe: RecipeLike,
    overrides: Overrides = (),
    *,
    out: Path | str | None = None,
    force: bool = False,
    ray: str | None = None,
    workers: int | None = None,
) -> dict[str, int]:
    """Go through a recipe as far as what the teacher says of its text; `distill.run` with the same recipe finds that.

    Args:
        recipe, overrides, out, force: as for `distill.run`.
        ray: address of a Ray cluster whose workers do it (see `distill.cluster.Cluster`); None: this process does.
        workers: on Ray; None: one a GPU, or where there is none one a machine.

    Returns:
        {"computed": different sentences that went through the teacher now, "reused": those that were in the store}.

    Raises:
        UserError: the recipe, the data or the models do not fit; its task is another than `embedding`; Ray cannot be reached,
            or its workers do not find the teacher.
    """
    asked = load_recipe(recipe, overrides)
    if asked.task != "embedding":
        raise UserError(
            "a labelled task is labelled in its run, on tokens",
            where="task",
            got=asked.task,
            expected="embedding",
            hint="distill run RECIPE; under torchrun processes share that work",
        )
    if ray is not None:
        refuse_many_processes("labelling on Ray")
    with opened(asked, out, {}, force=force) as (asked, folder):
        with Cluster(ray, workers) if ray is not None else contextlib.nullcontext() as cluster:
            computed, reused = EmbeddingRun(asked, folder, {}, cluster).label()
        return {"computed": computed, "reused": reused}
