"""A stage's losses in TextBrewer's words: its configuration, its adaptors, and the names of its terms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from teachers.capture import States

from ..errors import UserError
from ..losses.schedule import weight_at
from ..losses.textbrewer import probability_shift
from ..recipe_losses import PREDICTION, HardLabel, LogitsMSE, LossSpec, SoftCrossEntropy, Tempered
from ..recipe_match import Match
from .inner import InnerLosses
from .layer_map import LayerPairs
from .matches import attention_of, layers_of
from .soften import temperature_of
from .task import TaskObjective, gold_of, hard_label, model_logits, token_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # it compares strings by identity
    from textbrewer.losses import mmd_loss
    from textbrewer.presets import register_new

NST = "distill_nst"
"""Under this name of our own: TextBrewer's `nst` of states on which its divisor comes out as the width."""

TERM = {"kd_loss_weight": "unweighted_kd_loss", "hard_label_weight": "unweighted_hard_label_loss"}
"""The weight of a loss on predictions in TextBrewer's configuration -> its name of the term."""

KD = {"soft_cross_entropy": "ce", "logits_mse": "mse"}
MATCH = {
    "attention_mse": ("attention", "attention_mse"),
    "hidden_mse": ("hidden", "hidden_mse"),
    "embedding_layer_mse": ("hidden", "hidden_mse"),
    "hidden_cosine": ("hidden", "cos"),
    "pkd": ("hidden", "pkd"),
    "nst": ("hidden", NST),
    "fsp": ("hidden", "fsp"),
}
"""The recipe's name of a loss -> TextBrewer's feature and name."""

Layer = int | list[int]
Adaptor = Callable[[Mapping[str, Tensor], Any], dict[str, Any]]


def nst_by_width(state_S: list[Tensor], state_T: list[Tensor], mask: Tensor | None = None) -> Tensor:
    """TextBrewer's `nst`, which divides Gram matrices by the length where it is given a mask, divided by the width.

    Args:
        state_S: two layers of the student, [B, L, d_S].
        state_T: two layers of the teacher, [B, L, d_T].
        mask: [B, L].
    """
    if mask is None:
        return mmd_loss(state_S, state_T)
    scaled = [[state * math.sqrt(state.shape[1] / state.shape[2]) for state in side] for side in (state_S, state_T)]
    return mmd_loss(*scaled, mask=mask)


register_new("match_Loss", NST, nst_by_width)


@dataclass(frozen=True)
class Terms:
    """What TextBrewer is told of a stage's losses.

    Attributes:
        config: arguments of its DistillationConfig.
        schedules: attributes of that configuration that say how a weight changes with the share of steps done, or a
            temperature with the logits.
        projections: for each match the module that maps the student's states, or None.
        names: its name of a term -> the recipe's name, and the attribute of the configuration, or the number, that is
            the term's weight.
        adaptors: of student and teacher.
    """

    config: dict[str, Any]
    schedules: dict[str, Callable[..., Any]]
    projections: list[nn.Module | None]
    names: dict[str, tuple[str, str | float]]
    adaptors: tuple[Adaptor, Adaptor]


class StudentSide(nn.Module):
    """The student as TextBrewer calls it: a batch in, logits and inner states out.

    Args:
        objective: student and projections, whose weights are this module's.
    """

    def __init__(self, objective: TaskObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, **features: Tensor) -> tuple[Tensor, States | None]:
        """Args: features: as `model_logits` takes them."""
        logits = model_logits(self.objective.student, features, self.objective.task)
        inner = self.objective.inner
        return logits, None if inner is None else inner.captures[0].take()


class TeacherSide(nn.Module):
    """The teacher as TextBrewer calls it: stored logits handed on, inner states from the encoder.

    Made in eval mode, which TextBrewer gives back when it is done.

    Args:
        inner: runs the teacher; None where no loss compares inner states.
        number: which of several teachers this is; None: the only one.
    """

    def __init__(self, inner: InnerLosses | None, number: int | None = None) -> None:
        super().__init__()
        self.number = number
        self.encoder = None if inner is None else inner.captures[1].encoder
        self.inner = (inner,)  # a tuple keeps the student's projections out of the teacher
        self.eval()

    def forward(self, teacher_logits: Tensor | None = None, **features: Tensor) -> tuple[Tensor | None, States | None]:
        """Args: features: `input_ids`, `attention_mask`, maybe `token_type_ids`, the student's."""
        (inner,) = self.inner
        if teacher_logits is not None and self.number is not None:
            teacher_logits = teacher_logits[:, self.number]
        if inner is None:
            return teacher_logits, None
        inner.run_teacher(features)
        return teacher_logits, inner.captures[1].take()


def translate(objective: TaskObjective, teachers: int = 1) -> Terms:
    """A stage's losses as TextBrewer is told of them; `check_stage` has passed them.

    Args:
        objective: of the stage.
        teachers: how many say something of each row.
    """
    inner, theirs = objective.inner, objective.textbrewer
    config: dict[str, Any] = {"hard_label_weight": 0, "kd_loss_weight": 0}
    schedules: dict[str, Callable[..., Any]] = {}
    names: dict[str, tuple[str, str | float]] = {}
    compared: SoftCrossEntropy | LogitsMSE | None = None
    for spec in objective.losses:
        slot = "hard_label_weight" if isinstance(spec, HardLabel) else "kd_loss_weight"
        scale = spec.weight
        if isinstance(spec, SoftCrossEntropy | LogitsMSE):
            compared = spec
            if not theirs:
                scale *= spec.temperature**2  # which its own loss leaves out
            config |= {"temperature": spec.temperature, "kd_loss_type": KD[spec.name]}
            if isinstance(spec, Tempered) and spec.temperature_schedule != "constant":
                schedules["temperature_scheduler"] = _softened(spec)
        names[TERM[slot]] = (spec.name, slot)
        config[slot] = scale if theirs else scale * weight_at(spec.weight_schedule, 0.0)
        if spec.weight_schedule != "constant":
            schedules[f"{slot}_scheduler"] = _scheduled(spec, 1.0 if theirs else scale)
    matches, projections = ([], []) if inner is None else _matches(inner, names)
    config["intermediate_matches"] = matches
    hard = any(spec.name == "hard_label" for spec in objective.losses)
    adaptors = (_adaptor(objective, compared, hard, 0), _adaptor(objective, compared, False, 1, teachers))
    return Terms(config, schedules, projections, names, adaptors)


def _scheduled(spec: LossSpec, scale: float) -> Callable[[float], float]:
    """A weight by the share of steps done. TextBrewer replaces its weight by this; the recipe's stays a factor here."""
    return lambda share: scale * weight_at(spec.weight_schedule, min(1.0, share))


def _softened(spec: Tempered) -> Callable[[Tensor, Tensor, float], Any]:
    """Temperatures of rows; TextBrewer's own fall below zero where beta is large."""
    return lambda ours, theirs, base: temperature_of(spec, ours, theirs, None)


def _matches(
    inner: InnerLosses, names: dict[str, tuple[str, str | float]]
) -> tuple[list[dict[str, Any]], list[nn.Module | None]]:
    """Every loss between inner states, layer by layer, with its projection; the names of their terms go into `names`."""
    matches: list[dict[str, Any]] = []
    projections: list[nn.Module | None] = []
    _looks_everywhere(inner)
    for spec in inner.specs:
        assert spec.name not in PREDICTION, "inner losses alone"
        if isinstance(spec, Match):
            loss = NST if spec.loss in ("nst", "mmd") and inner.convention == "distill" else spec.loss
            layers = {
                key: number[0] if len(number) == 1 else number
                for key, number in (("layer_T", [*layers_of(spec.layer_T)]), ("layer_S", [*layers_of(spec.layer_S)]))
            }
            matches.append({**layers, "feature": spec.feature, "loss": loss, "weight": spec.weight})
            projections.append(inner.projections[spec.term] if spec.proj else None)
            places = ("-".join(map(str, layers_of(layer))) for layer in (spec.layer_S, spec.layer_T))
            names["_".join(["unweighted", spec.feature, loss, *places])] = (spec.term, spec.weight)
            continue
        feature, loss = MATCH[spec.name]
        if spec.name == "nst" and inner.convention == "textbrewer":
            loss = "nst"
        for (teacher, student), layer in _layers(spec.name, inner.pairs):
            match = {"layer_T": teacher, "layer_S": student, "feature": feature, "loss": loss, "weight": spec.weight}
            matches.append(match)
            name = inner.projection_name(spec, layer, *inner.shapes)
            projections.append(None if name is None else inner.projections[name])
            places = ("-".join(map(str, place)) if isinstance(place, list) else str(place) for place in (student, teacher))
            names["_".join(["unweighted", feature, loss, *places])] = (spec.name, spec.weight)
    return matches, projections


def _looks_everywhere(inner: InnerLosses) -> None:
    """Refuse raw scores of local attention, of which TextBrewer would compare those that no layer looks at.

    Raises:
        UserError: a teacher's layer whose scores are compared looks at its neighbours alone.
    """
    windows = inner.shapes[1].windows
    layers = inner.captures[1].wanted.attention_scores if inner.convention == "distill" else ()
    local = sorted(layer for layer in layers if windows[layer] is not None)
    if local:
        raise UserError(
            "TextBrewer compares attention scores of any two tokens, and these layers of the teacher look at near ones alone",
            where="train.engine",
            got=f"attention of the layers {local}, counted from 0",
            expected="trainer, or convention textbrewer in the stage",
        )


def _layers(name: str, pairs: LayerPairs) -> list[tuple[tuple[Layer, Layer], int | None]]:
    """The layers that TextBrewer matches, teacher first, and the student's layer that each stands for, None its embeddings.

    Of hidden states 0 is what the first layer sees, and layer n is n + 1.
    """
    if name == "attention_mse":
        return [((t, s), s) for t, s in pairs]
    if name == "embedding_layer_mse":
        return [((0, 0), None)]
    if name == "nst":
        return [(([t + 1, t + 1], [s + 1, s + 1]), s) for t, s in pairs]
    if name == "fsp":
        return [(([t + 1, later_t + 1], [s + 1, later_s + 1]), s) for (t, s), (later_t, later_s) in pairwise(pairs)]
    return [((t + 1, s + 1), s) for t, s in pairs]


def _adaptor(
    objective: TaskObjective, compared: SoftCrossEntropy | LogitsMSE | None, hard: bool, side: int, teachers: int = 1
) -> Adaptor:
    """What TextBrewer reads of a model's output.

    Args:
        objective: of the stage.
        compared: the loss between the two predictions, or None.
        hard: whether the loss on gold labels is wanted.
        side: 0 for the student, 1 for a teacher.
        teachers: how many say something of each row.
    """
    task, theirs, inner = objective.task, objective.textbrewer, objective.inner

    def adapt(features: Mapping[str, Tensor], output: tuple[Tensor, States | None]) -> dict[str, Any]:
        logits, states = output
        mask = features["attention_mask"]
        found: dict[str, Any] = {"inputs_mask": mask}
        if states is not None:
            if theirs and inner is not None:
                states = attention_of(states, inner.shapes[side], mask)
            hidden = {layer + 1: state for layer, state in states.hidden_states.items()}
            found |= {"hidden": hidden | {0: states.embeddings}, "attention": states.attention_scores}
        if compared is not None:
            if side == 1 and compared.probability_shift:  # its own would change the stored logits, and look at unlabelled rows
                logits = _shifted(logits, features, task, teachers)
            found |= _predictions(logits, features, task, theirs, of_numbers=compared.name == "logits_mse")
        if hard:
            found["losses"] = hard_label(logits, features, task)
        return found

    return adapt


def _shifted(logits: Tensor, features: Mapping[str, Tensor], task: str, teachers: int) -> Tensor:
    """A teacher's logits with `probability_shift`; of several so that it is their mean that is shifted."""
    gold = gold_of(features, task)
    if teachers == 1:
        return probability_shift(logits, gold)
    mean = features["teacher_logits"].mean(1)
    return logits + (probability_shift(mean, gold) - mean)


def _predictions(logits: Tensor, features: Mapping[str, Tensor], task: str, theirs: bool, *, of_numbers: bool) -> dict[str, Any]:
    """Logits and what counts of them. Of spans, its examples give start and end apart and have the sum of both losses.

    Args:
        logits: as `model_logits` gives them.
        features: of the batch.
        task: of the recipe.
        theirs: whether TextBrewer's definitions are wanted.
        of_numbers: whether the loss compares number by number, so that padded positions have to be left out.
    """
    if task == "tokens":
        return {"logits": logits, "logits_mask": token_rows(features)}
    if task != "spans":
        return {"logits": logits}
    mask = features["attention_mask"].bool()
    if of_numbers:
        positions = logits.transpose(1, 2)
        return {
            "logits": list(positions.split(1, dim=2)) if theirs else positions,
            "logits_mask": [mask, mask] if theirs else mask,
        }
    return {"logits": list(logits.unbind(1)) if theirs else logits}
