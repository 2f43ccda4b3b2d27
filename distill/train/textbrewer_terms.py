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

from ..losses.schedule import weight_at
from ..recipe_losses import PREDICTION, LossSpec, Tempered
from .inner import InnerLosses
from .layer_map import LayerPairs
from .task import TaskObjective, hard_label, model_logits, token_rows

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
        schedules: attributes of that configuration that say how a weight changes with the share of steps done.
        projections: for each match the module that maps the student's states, or None.
        names: its name of a term -> the recipe's name, and the attribute of the configuration, or the number, that is
            the term's weight.
        adaptors: of student and teacher.
    """

    config: dict[str, Any]
    schedules: dict[str, Callable[[float], float]]
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
    """

    def __init__(self, inner: InnerLosses | None) -> None:
        super().__init__()
        self.encoder = None if inner is None else inner.captures[1].encoder
        self.inner = (inner,)  # a tuple keeps the student's projections out of the teacher
        self.eval()

    def forward(self, teacher_logits: Tensor | None = None, **features: Tensor) -> tuple[Tensor | None, States | None]:
        """Args: features: `input_ids`, `attention_mask`, maybe `token_type_ids`, the student's."""
        (inner,) = self.inner
        if inner is None:
            return teacher_logits, None
        inner.run_teacher(features)
        return teacher_logits, inner.captures[1].take()


def translate(objective: TaskObjective) -> Terms:
    """A stage's losses as TextBrewer is told of them; `check_stage` has passed them."""
    inner = objective.inner
    config: dict[str, Any] = {"hard_label_weight": 0, "kd_loss_weight": 0}
    schedules: dict[str, Callable[[float], float]] = {}
    names: dict[str, tuple[str, str | float]] = {}
    compared = None
    for spec in objective.losses:
        slot = "hard_label_weight" if spec.name == "hard_label" else "kd_loss_weight"
        scale = spec.weight
        if spec.name != "hard_label":
            compared = spec.name
            temperature = spec.temperature if isinstance(spec, Tempered) else 1.0
            scale *= temperature**2  # which its own loss leaves out
            config |= {"temperature": temperature, "kd_loss_type": KD[spec.name]}
        names[TERM[slot]] = (spec.name, slot)
        config[slot] = scale * weight_at(spec.weight_schedule, 0.0)
        if spec.weight_schedule != "constant":
            schedules[f"{slot}_scheduler"] = _scheduled(spec, scale)
    matches, projections = ([], []) if inner is None else _matches(inner, names)
    config["intermediate_matches"] = matches
    hard = any(spec.name == "hard_label" for spec in objective.losses)
    adaptors = (_adaptor(objective.task, compared, hard), _adaptor(objective.task, compared, False))
    return Terms(config, schedules, projections, names, adaptors)


def _scheduled(spec: LossSpec, scale: float) -> Callable[[float], float]:
    """A weight by the share of steps done. TextBrewer replaces its weight by this; the recipe's stays a factor here."""
    return lambda share: scale * weight_at(spec.weight_schedule, min(1.0, share))


def _matches(
    inner: InnerLosses, names: dict[str, tuple[str, str | float]]
) -> tuple[list[dict[str, Any]], list[nn.Module | None]]:
    """Every loss between inner states, layer by layer, with its projection; the names of their terms go into `names`."""
    matches: list[dict[str, Any]] = []
    projections: list[nn.Module | None] = []
    for spec in inner.specs:
        assert spec.name not in PREDICTION, "inner losses alone"
        feature, loss = MATCH[spec.name]
        for (teacher, student), pair in _layers(spec.name, inner.pairs):
            match = {"layer_T": teacher, "layer_S": student, "feature": feature, "loss": loss, "weight": spec.weight}
            matches.append(match)
            name = inner.projection_name(spec, pair, *inner.shapes)
            projections.append(None if name is None else inner.projections[name])
            places = ("-".join(map(str, place)) if isinstance(place, list) else str(place) for place in (student, teacher))
            names["_".join(["unweighted", feature, loss, *places])] = (spec.name, spec.weight)
    return matches, projections


def _layers(name: str, pairs: LayerPairs) -> list[tuple[tuple[Layer, Layer], tuple[int, int]]]:
    """The layers that TextBrewer matches, teacher first, and the recipe's pair of layers that each stands for.

    Of hidden states 0 is what the first layer sees, and layer n is n + 1.
    """
    if name == "attention_mse":
        return [(pair, pair) for pair in pairs]
    if name == "embedding_layer_mse":
        return [((0, 0), pairs[0])]
    if name == "nst":
        return [(([t + 1, t + 1], [s + 1, s + 1]), (t, s)) for t, s in pairs]
    if name == "fsp":
        return [(([t + 1, later_t + 1], [s + 1, later_s + 1]), (t, s)) for (t, s), (later_t, later_s) in pairwise(pairs)]
    return [((t + 1, s + 1), (t, s)) for t, s in pairs]


def _adaptor(task: str, compared: str | None, hard: bool) -> Adaptor:
    """What TextBrewer reads of a model's output.

    Args:
        task: of the recipe.
        compared: the loss between the two predictions, or None.
        hard: whether the loss on gold labels is wanted.
    """

    def adapt(features: Mapping[str, Tensor], output: tuple[Tensor, States | None]) -> dict[str, Any]:
        logits, states = output
        found: dict[str, Any] = {"inputs_mask": features["attention_mask"]}
        if states is not None:
            hidden = {layer + 1: state for layer, state in states.hidden_states.items()}
            found |= {"hidden": hidden | {0: states.embeddings}, "attention": states.attention_scores}
        if compared is not None:
            found["logits"] = logits
            if task == "tokens":
                found["logits_mask"] = token_rows(features)
            elif task == "spans" and compared == "logits_mse":
                found |= {"logits": logits.transpose(1, 2), "logits_mask": features["attention_mask"].bool()}
        if hard:
            found["losses"] = hard_label(logits, features, task)
        return found

    return adapt
