"""What a launcher says of this process, and what the processes it started cannot do together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    from .recipe import Recipe


@dataclass(frozen=True)
class Launch:
    """Which process this is.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1


def launched(environment: Mapping[str, str] = os.environ) -> Launch:
    """What a launcher says of this process; without one it is the first of one.

    Args:
        environment: where launchers tell (WORLD_SIZE, RANK, MASTER_ADDR, MASTER_PORT).

    Raises:
        UserError: a value is missing or is no such number.
    """
    world = _number(environment, "WORLD_SIZE", "1", at_least=1)
    if world == 1:
        return Launch()
    rank = _number(environment, "RANK", "", at_least=0)
    if rank >= world:
        raise UserError("there is no such process", where="RANK", got=rank, expected=f"a number below WORLD_SIZE={world}")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name, "").strip()]
    if missing:
        raise UserError(
            "WORLD_SIZE speaks of several processes, and nothing tells where they meet",
            where=f"process {rank} of {world}",
            got=f"no {', no '.join(missing)}",
            hint="start the run with torchrun or accelerate launch; unset WORLD_SIZE for one process",
        )
    return Launch(rank, world)


def _number(environment: Mapping[str, str], name: str, default: str, *, at_least: int) -> int:
    text = environment.get(name, "").strip() or default
    if not (text.isascii() and text.isdigit() and int(text) >= at_least):
        raise UserError("this is no number of processes", where=name, got=text, expected=f"a whole number from {at_least}")
    return int(text)


def refuse_many_processes(what: str, environment: Mapping[str, str] = os.environ, *, hint: str | None = None) -> None:
    """Refuse several processes where the work is for one.

    Args:
        what: the work, such as "a sweep".
        environment: as for `launched`.
        hint: what to try instead; None: no launcher.

    Raises:
        UserError: a launcher started several.
    """
    world = _number(environment, "WORLD_SIZE", "1", at_least=1)
    if world > 1:
        raise UserError(
            f"{what} runs in one process, and a launcher started several",
            where=f"process {environment.get('RANK', '?')}",
            got=f"WORLD_SIZE={world}",
            expected="1",
            hint=hint or "start it without torchrun or accelerate launch; unset WORLD_SIZE",
        )


def check_launch(recipe: Recipe, launch: Launch) -> None:
    """Refuse, before any work, what several processes cannot do with the results of one.

    Raises:
        UserError: a batch does not divide by their number, or the recipe asks for what runs in one process alone.
    """
    if launch.world == 1:
        return
    for where, what, hint in _alone(recipe):
        raise UserError(what, where=where, got=f"{launch.world} processes", expected="1", hint=hint)
    finetune = recipe.teacher.finetune
    batches = [(f"stages.{stage.name}.batch_size", stage.batch_size) for stage in recipe.stages]
    if finetune is not None:
        batches.append(("teacher.finetune.batch_size", int(finetune.batch_size)))  # type: ignore[union-attr]
    for name, size in batches:
        if size % launch.world:
            lower = size // launch.world * launch.world
            fitting = " or ".join(str(n) for n in (lower, lower + launch.world) if n)
            raise UserError(
                "the batch does not divide by the number of processes",
                where=name,
                got=f"{size} sentences, {launch.world} processes",
                expected="the same number of sentences in each",
                hint=f"{name}={fitting}",
            )


def _alone(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """What of a recipe one process alone can do: where it stands, what it is, and what to try."""
    hint = "start the run in one process: distill run RECIPE"
    if recipe.train.engine == "textbrewer":
        yield "train.engine", "TextBrewer's engine trains in one process", hint
    for stage in recipe.stages:
        where = f"stages.{stage.name}"
        if stage.convention == "textbrewer":
            yield where, "convention: textbrewer trains in one process", hint
        if any(loss.name == "match" for loss in stage.losses):
            yield where, "matches of chosen layers train in one process", hint
        if stage.batch_tokens is not None:
            yield f"{where}.batch_tokens", "batches of so many tokens are not shared", hint
    if recipe.train.compile is True:
        yield "train.compile", "compiled layers train in one process", "train.compile=false"
    if recipe.train.store_states is not None:
        yield "train.store_states", "inner states are stored by one process", hint
    if recipe.teacher.finetune is not None and recipe.task == "embedding":
        hint = "train it first in one process (distill.teach) and name its folder in teacher.model"
        yield "teacher.finetune", "a sentence teacher is trained in one process", hint
