"""Compiled layers (`torch.compile`) of student and running teacher: taken where a short trial shows that they pay.

Each layer of an encoder is compiled as one graph for batches of any size; what is around the layers runs as it does. Layers of
one encoder share their code, so that compiling takes the time of one or two of them. The student's layers are compiled as they
train alone, the teacher's as it runs beside: what judges the student is not compiled.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from teachers.capture_families import encoder_of, parts_of

from ..data.sampler import TokenBudgetBatches
from ..errors import DistillError, ModelError, UserError, shorten
from ..files import remembered
from ..processes import world
from ..progress import note, seconds_text
from .objective import Objective
from .precision import one_step
from .trainer import Collate, Rows

WORTH = 60.0
"""Seconds of a stage that is too short to try: compiling takes about as long."""
ROUNDS = 3
"""Turns of both ways, of which the best counts."""
SHAPES = 4
"""Batches of a trial, from the shortest rows to the longest."""
DIFFERENCE = {False: 1e-4, True: 2e-2}
"""How far the two losses may be apart, as a share of the loss; in bf16 (True) further."""
BACKEND = "inductor"
RECOMPILED = 64
"""How often the code of a layer may be compiled anew: for a layer with other captures, and for sizes of 1."""


class CompileError(UserError):
    """Layers cannot be compiled here."""


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Attributes:
        eager, compiled: seconds of a step.
        compiling: seconds that compiling took.
    """

    eager: float
    compiled: float
    compiling: float

    def pays(self, steps: int) -> bool:
        """Whether so many steps save more than compiling takes."""
        return (self.eager - self.compiled) * steps > self.compiling

    def __str__(self) -> str:
        times = f"{self.compiled * 1000:.0f} ms compiled, {self.eager * 1000:.0f} ms as it is"
        return f"a step takes {times}, and compiling took {seconds_text(self.compiling)}"


class CompiledLayers:
    """Layers whose forward is compiled, until this is closed.

    Args:
        layers: each with whether it is compiled as it trains (True) or as it is evaluated (False).

    Attributes:
        on: whether the compiled code runs.
        lenient: whether a layer that cannot be compiled for a new kind of batch runs as it is from then on, which is said.
    """

    def __init__(self, layers: Sequence[tuple[nn.Module, bool]]) -> None:
        import torch._dynamo.config as settings

        self.on, self.lenient = True, False
        self._layers = [layer for layer, _ in layers]
        self._limit = settings.recompile_limit
        settings.recompile_limit = max(RECOMPILED, self._limit)
        for layer, training in layers:
            layer.forward = self._forward(layer, training)

    def _forward(self, layer: nn.Module, training: bool) -> Callable[..., Any]:
        plain = layer.forward
        compiled = torch.compile(plain, dynamic=True, fullgraph=True, backend=BACKEND)

        def forward(*args: Any, **options: Any) -> Any:
            if not self.on or layer.training != training:
                return plain(*args, **options)
            try:
                with _named(layer):
                    return compiled(*args, **options)
            except CompileError as error:
                if not self.lenient:
                    raise
                self.on = False
                note(f"training: layers are not compiled any more: {error.message} ({error.got})")
                return plain(*args, **options)

        return forward

    def __enter__(self) -> CompiledLayers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the layers as they were found."""
        import torch._dynamo.config as settings

        for layer in self._layers:
            layer.__dict__.pop("forward", None)
        settings.recompile_limit = self._limit


def compile_stage(
    asked: Literal["auto"] | bool,
    objective: Objective,
    batches: Callable[[], Sequence[Mapping[str, Tensor]]],
    *,
    name: str,
    steps: int,
    bf16: bool,
    path: Path,
) -> CompiledLayers | None:
    """The compiled layers of a stage, where they are asked for or, with `auto`, where they pay.

    Args:
        asked: `train.compile`.
        objective: left as it was but for the layers, random state included.
        batches: makes batches of several lengths.
        name: of the stage.
        steps: of it, a batch each.
        bf16: whether products run in bfloat16.
        path: where the choice is kept, so that a resumed training makes the same one.

    Returns:
        None where layers run as they are.

    Raises:
        UserError: they are asked for, and cannot be compiled.
    """
    if asked is False:
        return None
    made: list[CompiledLayers] = []

    def choose() -> bool:
        try:
            found = _try(objective, batches(), steps, bf16, made, short=asked == "auto")
        except CompileError as error:
            if asked is True:
                error.where = f"stages.{name}: train.compile"
                raise
            note(f"training: stage '{name}' is not compiled: {error.message} ({error.got})")
            return False
        if isinstance(found, str):
            note(f"training: stage '{name}' is not compiled, since {found}")
            return False
        taken = asked is True or found.pays(steps)
        note(f"training: stage '{name}' is {'' if taken else 'not '}compiled: {found}")
        return taken

    try:
        if not remembered(path, choose):
            _closed(made)
            return None
        compiled = made[0] if made else CompiledLayers(layers_of(objective))
    except BaseException:
        _closed(made)
        raise
    compiled.lenient = asked == "auto"
    return compiled


def layers_of(objective: Objective) -> list[tuple[nn.Module, bool]]:
    """The layers of a student, and those of a teacher that runs beside it, each with whether it trains.

    Raises:
        CompileError: the student has no layers of an encoder.
    """
    models: list[tuple[Any, bool]] = [(getattr(objective, "student", None), True)]
    inner = getattr(objective, "inner", None)
    if inner is not None:
        models.append((inner._teacher[0], False))
    found: dict[nn.Module, bool] = {}
    for model, training in models:
        try:
            found |= dict.fromkeys(parts_of(encoder_of(model)).layers, training)
        except ModelError as error:
            raise CompileError("this model has no layers that can be compiled", got=error.got) from error
    return list(found.items())


def trial_batches(rows: Rows, collate: Collate, size: int, budget: TokenBudgetBatches | None = None) -> list[dict[str, Tensor]]:
    """Batches from the shortest rows to the longest, as training makes them, without their row numbers.

    Args:
        rows, collate: of the stage.
        size: rows of a batch.
        budget: batches of so many tokens instead.
    """
    if budget is not None:
        groups = sorted(budget, key=lambda group: int(max(rows.lengths[row] for row in group)))
    else:
        order = np.argsort(np.asarray(rows.lengths), kind="stable")
        size = min(size, len(order))
        groups = [order[start : start + size].tolist() for start in np.linspace(0, len(order) - size, SHAPES).astype(int)]
    chosen = [groups[place] for place in np.linspace(0, len(groups) - 1, SHAPES).astype(int)]
    made = [collate([rows[int(row)] for row in group]) for group in chosen]
    return [{key: value for key, value in batch.items() if key != "row"} for batch in made]


def _try(
    objective: Objective,
    batches: Sequence[Mapping[str, Tensor]],
    steps: int,
    bf16: bool,
    made: list[CompiledLayers],
    *,
    short: bool,
) -> Trial | str:
    """Time steps as they are and compiled, in turn. The compiled layers are added to `made`.

    Returns:
        The trial; where the stage is too short for one (`short`), that in words.

    Raises:
        CompileError: the layers cannot be compiled, or give other losses.
    """
    if world() > 1:
        raise CompileError("compiled layers train in one process", got=f"{world()} processes")
    layers = layers_of(objective)
    device = next(objective.parameters()).device
    batches = [{name: value.to(device) for name, value in batch.items()} for batch in batches]
    objective.train()
    expected = _round(objective, batches, bf16)[1]
    eager = _round(objective, batches, bf16)[0]
    if short and eager * steps < WORTH:
        return f"it takes about {seconds_text(eager * steps)} as it is"
    compiled = CompiledLayers(layers)
    made.append(compiled)
    losses: list[float] = []
    start = time.perf_counter()
    try:
        for _ in range(2):
            losses += _round(objective, batches, bf16)[1]
    except CompileError:
        raise
    except DistillError as error:
        raise CompileError("what losses capture inside the layers is lost when they are compiled", got=error.got) from error
    first = time.perf_counter() - start
    if not _drops(objective):
        _check(expected * 2, losses, bf16)
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for way in (0, 1):
            compiled.on = bool(way)
            best[way] = min(best[way], _round(objective, batches, bf16)[0])
    return Trial(best[0], best[1], max(0.0, first - 2 * len(batches) * best[1]))


def _round(objective: Objective, batches: Sequence[Mapping[str, Tensor]], bf16: bool) -> tuple[float, list[float]]:
    """Mean seconds of a step over the batches, and the loss of each."""
    found = [one_step(objective, batch, bf16) for batch in batches]
    return float(np.mean([seconds for seconds, _ in found])), [loss for _, loss in found]


def _check(expected: Sequence[float], found: Sequence[float], bf16: bool) -> None:
    """Refuse compiled layers that give other losses."""
    apart = max(abs(ours - theirs) / max(1.0, abs(theirs)) for ours, theirs in zip(found, expected, strict=True))
    if not apart <= DIFFERENCE[bf16]:
        raise CompileError(
            "compiled layers give other losses", got=f"{apart:.1e} apart", expected=f"below {DIFFERENCE[bf16]:.0e}"
        )


def _drops(objective: nn.Module) -> bool:
    """Whether a dropout is on: compiled code draws other random numbers, so that losses cannot be compared."""
    modules = list(objective.modules())
    return any(module.p > 0 for module in modules if isinstance(module, nn.Dropout)) or any(
        isinstance(rate := getattr(module, "attention_dropout", None), float) and rate > 0 for module in modules
    )


def _closed(made: list[CompiledLayers]) -> None:
    for compiled in made:
        compiled.close()


@contextlib.contextmanager
def _named(layer: nn.Module) -> Iterator[None]:
    """Turn what torch raises where it cannot compile into an error that says why."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, FailOnRecompileLimitHit, CppCompileError, InvalidCxxCompiler) as error:
        text = str(error)
        kind = type(layer).__name__
        if re.search(r"InvalidCxxCompiler|No working C\+\+ compiler", f"{type(error).__name__} {text}"):
            raise CompileError(
                "no C++ compiler is here, which torch.compile needs",
                got=kind,
                hint="install one (g++), or name it in the environment variable CXX",
            ) from error
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise CompileError(
            "a layer cannot be compiled as one graph",
            got=shorten(f"{kind}: {lines[0] if lines else type(error).__name__}"),
            expected="layers without code that torch.compile cannot follow",
            hint="train.compile=false",
        ) from error
