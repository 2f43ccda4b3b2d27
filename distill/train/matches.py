"""Losses between layers that the recipe names one by one (`match`), and the definitions of both conventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from teachers.capture import EncoderShape, States, Wanted, attention_probabilities

from ..errors import UserError
from ..losses.attention import attention_mse
from ..losses.gram import fsp, nst_pair
from ..losses.hidden import hidden_cosine, hidden_mse, pkd
from ..losses.textbrewer import attention_ce, nst_by_length
from ..recipe_convention import told
from ..recipe_match import Match

HIDDEN: dict[str, Callable[..., Tensor]] = {"hidden_mse": hidden_mse, "cos": hidden_cosine, "pkd": pkd}
ATTENTION: dict[str, Callable[..., Tensor]] = {
    "attention_mse": attention_mse,
    "attention_mse_sum": attention_mse,
    "attention_ce": attention_ce,
    "attention_ce_mean": attention_ce,
}
ONE_HEAD = {"attention_mse_sum": "sum", "attention_ce_mean": "mean"}
"""What makes one head of all, so that their numbers may differ."""
SAME_WIDTH = frozenset({*HIDDEN, "fsp", "gram"})
TEXTBREWER_STD = 0.02
"""Of the weights that TextBrewer's projections start with."""


def attention_match(spec: Match, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """A match of attention, unweighted.

    Args:
        spec: of the recipe.
        student, teacher: raw scores or probabilities of its two layers, [B, H, L, L].
        mask: [B, L].
    """
    if spec.loss in ONE_HEAD:
        student, teacher = (getattr(side, ONE_HEAD[spec.loss])(1, keepdim=True) for side in (student, teacher))
    return ATTENTION[spec.loss](student, teacher, mask)


def hidden_match(
    spec: Match, student: States, teacher: States, mask: Tensor, mapped: Callable[[Tensor], Tensor], *, theirs: bool
) -> Tensor:
    """A match of hidden states, unweighted.

    Args:
        spec: of the recipe.
        student, teacher: inner states of one batch.
        mask: [B, L].
        mapped: the match's projection.
        theirs: whether TextBrewer's definitions are wanted.
    """
    states = [mapped(hidden_state(student, layer)) for layer in layers_of(spec.layer_S)]
    goals = [hidden_state(teacher, layer) for layer in layers_of(spec.layer_T)]
    if spec.loss in HIDDEN:
        return HIDDEN[spec.loss](states[0], goals[0], mask)
    two: Callable[..., Tensor] = fsp if spec.loss in ("fsp", "gram") else nst_by_length if theirs else nst_pair
    return two(*states, *goals, mask)


def layers_of(layer: int | tuple[int, int]) -> tuple[int, ...]:
    """The layers that one side of a match names."""
    return layer if isinstance(layer, tuple) else (layer,)


def hidden_state(states: States, number: int) -> Tensor:
    """Of the states that TextBrewer counts from 0: what the first layer sees, then what each layer gives."""
    if number:
        return states.hidden_states[number - 1]
    assert states.embeddings is not None, "captured, since it is wanted"
    return states.embeddings


def attention_of(states: States, shape: EncoderShape, mask: Tensor) -> States:
    """The same states with attention probabilities in place of raw scores, which is what TextBrewer's users compare."""
    states.attention_scores = {
        layer: attention_probabilities(scores, mask, shape.windows[layer]) for layer, scores in states.attention_scores.items()
    }
    return states


def wanted_of(spec: Match) -> tuple[Wanted, Wanted]:
    """What has to be captured of the student and of the teacher."""
    found = []
    for layer in (spec.layer_S, spec.layer_T):
        numbers = layers_of(layer)
        if spec.feature == "attention":
            found.append(Wanted(attention_scores=frozenset(numbers)))
        else:
            found.append(Wanted(embeddings=0 in numbers, hidden_states=frozenset(number - 1 for number in numbers if number)))
    return found[0], found[1]


def projections_of(specs: Sequence[Match], seed: int, *, theirs: bool) -> nn.ModuleDict:
    """The learned projections of matches by their terms: linear, maybe with an activation after it.

    Args:
        specs: matches.
        seed: of their weights.
        theirs: whether they start as TextBrewer's, from a normal distribution, in place of an orthogonal map.
    """
    made = nn.ModuleDict()
    generator = torch.Generator().manual_seed(seed)
    for spec in specs:
        if spec.proj is None:
            continue
        kind, ours, other = spec.proj[:3]
        linear = nn.Linear(ours, other)
        nn.init.zeros_(linear.bias)
        if theirs:
            nn.init.normal_(linear.weight, std=TEXTBREWER_STD, generator=generator)
        else:
            nn.init.orthogonal_(linear.weight, generator=generator)
        made[spec.term] = linear if kind == "linear" else nn.Sequential(linear, nn.ReLU() if kind == "relu" else nn.Tanh())
    return made


def own_settings(optimizer: torch.optim.Optimizer, specs: Sequence[object], projections: nn.ModuleDict) -> None:
    """Give projections the rate and weight decay that their matches ask for, in groups of their own; before any schedule.

    Args:
        optimizer: holds their weights already.
        specs: losses of a stage.
        projections: by term.
    """
    for spec in specs:
        if not isinstance(spec, Match) or spec.proj is None or len(spec.proj) == 3:
            continue
        own = list(projections[spec.term].parameters())
        numbers = {id(weight) for weight in own}
        for group in optimizer.param_groups:
            group["params"] = [weight for weight in group["params"] if id(weight) not in numbers]
        common = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        optimizer.add_param_group({**common, **spec.proj[3], "params": own})


def check_matches(specs: Sequence[Match], teacher: EncoderShape, student: EncoderShape) -> None:
    """Refuse a match that the two encoders cannot have.

    Args:
        specs: matches of a stage.
        teacher, student: the encoders' sizes.

    Raises:
        UserError: a layer that is not there, widths or head counts that do not fit; the file and the key are named.
    """
    for spec in specs:
        for key, shape, who in (("layer_T", teacher, "teacher"), ("layer_S", student, "student")):
            most = shape.layers - (spec.feature == "attention")
            for number in layers_of(getattr(spec, key)):
                if number > most:
                    counted = ", where 0 is what its first layer sees" if spec.feature == "hidden" else ""
                    raise UserError(
                        f"the {who} has no such layer",
                        where=f"{told(spec)}.{key}",
                        got=number,
                        expected=f"0 to {most}: the {who} has {shape.layers} layers{counted}",
                    )
        _check_sizes(spec, teacher, student)


def _check_sizes(spec: Match, teacher: EncoderShape, student: EncoderShape) -> None:
    """Widths, the projection's too, and heads.

    Raises:
        UserError: they do not fit.
    """
    widths = f"the student is {student.hidden} wide, the teacher {teacher.hidden}"
    if spec.proj is not None and tuple(spec.proj[1:3]) != (student.hidden, teacher.hidden):
        raise UserError(
            "this projection does not fit the two models",
            where=f"{told(spec)}.proj",
            got=list(spec.proj[:3]),
            expected=f"[{spec.proj[0]}, {student.hidden}, {teacher.hidden}]: {widths}",
        )
    if spec.proj is None and spec.loss in SAME_WIDTH and student.hidden != teacher.hidden:
        raise UserError(
            f"{spec.loss} compares states of equal widths",
            where=f"{told(spec)}.proj",
            got=widths,
            expected=f"[linear, {student.hidden}, {teacher.hidden}]",
        )
    if spec.feature == "attention" and spec.loss not in ONE_HEAD and student.heads != teacher.heads:
        raise UserError(
            f"{spec.loss} compares head by head",
            where=f"{told(spec)}.loss",
            got=f"the student has {student.heads} heads, the teacher {teacher.heads}",
            expected="attention_mse_sum, which adds them up",
        )
