"""The run folder where several processes share a run: the first writes, the others hear what it found.

A stage is the work of the first process, or of every one (`everyone`): training, labelling, and the data where text is augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .processes import first, leads, world
from .recipe import Recipe
from .rundir import RunDir


def run_dir(path: Path) -> RunDir:
    """The run folder as this process has it."""
    if world() == 1:
        return RunDir(path)
    return Leading(path) if leads() else Following(path)


class Leading(RunDir):
    """The folder of the first process, which tells the others what comes out of each stage."""

    def open(self, recipe: Recipe, *, force: bool) -> Recipe:
        """See `RunDir`."""
        opened = super().open(recipe, force=force)
        first(lambda: opened.to_dict())
        return opened

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        work: Callable[[], dict[str, Any]],
        *,
        everyone: bool = False,
    ) -> dict[str, Any]:
        """See `RunDir`."""
        began: list[bool] = []

        def begin() -> dict[str, Any]:
            began.append(first(lambda: True))
            return work()

        facts = super().stage(name, inputs, outputs, begin if everyone else work)
        if everyone and not began:
            first(lambda: False)
        first(lambda: {"facts": facts, "stages": self.manifest["stages"]})
        return facts


class Following(RunDir):
    """The folder of the other processes: nothing is written, and a stage is what the first process says of it."""

    def open(self, recipe: Recipe, *, force: bool) -> Recipe:
        """Wait until the first process has opened the folder; the recipe that it runs."""
        return Recipe.model_validate(first(recipe.to_dict))

    def refuse_foreign(self) -> None:
        """The first process looks."""

    def write_recipe(self, recipe: Recipe) -> None:
        """The first process writes."""

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        work: Callable[[], dict[str, Any]],
        *,
        everyone: bool = False,
    ) -> dict[str, Any]:
        """Work where everyone does; the facts are those of the first process."""
        if everyone and first(lambda: False):
            work()
        told = first(dict[str, Any])
        self.manifest["stages"] = told["stages"]
        self.through.append(name)
        return dict(told["facts"])
