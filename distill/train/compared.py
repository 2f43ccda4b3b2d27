"""Which layers and states of two encoders the losses of a stage compare, and whether they can be."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from teachers.capture import Capture, EncoderShape, Wanted, encoder_of, shape_of

from ..losses.attention import attention_kl, attention_mse
from ..recipe import LossSpec
from ..recipe_losses import MAPPED, STATES, CKDLayer, CKDWord, MiniLMv2
from ..recipe_match import Match
from ..recipe_stages import StageSpec
from .fit import check_fit
from .layer_map import LayerPairs, resolve_layer_map
from .matches import check_matches, wanted_of

ON_SCORES = {"attention_mse": attention_mse, "attention_kl": attention_kl}
"""Losses between raw scores."""


def check_states(
    stage: StageSpec, teacher: EncoderShape, student: EncoderShape, *, kept: Sequence[int] | None, where: str
) -> LayerPairs:
    """Refuse losses between inner states, or a layer map, that two encoders cannot have.

    Args:
        stage: of the recipe.
        teacher, student: the encoders' sizes.
        kept: the teacher's layers that the student was cut from, 0-based; None for a student that was not.
        where: recipe path of the stage, for errors.

    Returns:
        The pairs of layers of the map; none where every loss has layers of its own.

    Raises:
        UserError: what does not fit.
    """
    matches = [loss for loss in stage.losses if isinstance(loss, Match)]
    if matches:
        check_matches(matches, teacher, student)
        return ()
    mapped = any(loss.name in MAPPED for loss in stage.losses)
    pairs = (
        resolve_layer_map(stage.layer_map, teacher.layers, student.layers, kept=kept, where=f"{where}.layer_map")
        if mapped
        else ()
    )
    check_fit(stage.losses, teacher, student, pairs, where=f"{where}.losses")
    return pairs


def check_models(stage: StageSpec, teacher: nn.Module, student: nn.Module, *, kept: Sequence[int] | None, where: str) -> None:
    """`check_states` of two models, which are then listened to once, for what the losses compare, and left as they were.

    Args:
        stage: of the recipe.
        teacher, student: models with a transformers encoder inside.
        kept, where: as in `check_states`.

    Raises:
        UserError: what does not fit.
        ModelError: a family does not give what a loss compares.
    """
    ours, theirs = shape_of(encoder_of(student)), shape_of(encoder_of(teacher))
    pairs = check_states(stage, theirs, ours, kept=kept, where=where)
    specs = [loss for loss in stage.losses if loss.name in STATES]
    for model, wanted in zip((student, teacher), wanted_states(specs, pairs, ours, theirs), strict=True):
        Capture(model, wanted).close()


def matched_layers(specs: Sequence[LossSpec], pairs: LayerPairs, teacher: EncoderShape, student: EncoderShape) -> LayerPairs:
    """Every pair of layers that losses compare: those of the map, and the two that MiniLM's losses are between.

    Args:
        specs: losses between inner states.
        pairs: of the map.
        teacher, student: the encoders' sizes.
    """
    last = student.layers - 1
    own = {(teacher_layer(spec, teacher), last) for spec in specs if isinstance(spec, MiniLMv2)}
    own |= {(teacher.layers - 1, last) for spec in specs if spec.name == "minilm_v1"}
    return (*pairs, *sorted(own - set(pairs)))


def wanted_states(
    specs: Sequence[LossSpec], pairs: LayerPairs, ours: EncoderShape, theirs: EncoderShape
) -> tuple[Wanted, Wanted]:
    """What has to be captured of the student and of the teacher."""
    found = [Wanted(), Wanted()]
    for spec in specs:
        if isinstance(spec, Match):
            found = [have | more for have, more in zip(found, wanted_of(spec), strict=True)]
            continue
        for side, shape in enumerate((ours, theirs)):
            layers = frozenset(pair[1 - side] for pair in pairs)
            last = frozenset({shape.layers - 1})
            if spec.name in ON_SCORES:
                found[side] |= Wanted(attention_scores=layers)
            elif spec.name == "minilm_v1":
                found[side] |= Wanted(attention_scores=last, qkv=last)
            elif isinstance(spec, MiniLMv2):
                found[side] |= Wanted(qkv=last if side == 0 else frozenset({teacher_layer(spec, theirs)}))
            elif spec.name == "embedding_layer_mse":
                found[side] |= Wanted(embeddings=True)
            else:
                found[side] |= Wanted(embeddings=isinstance(spec, CKDWord | CKDLayer), hidden_states=layers)
    return found[0], found[1]


def teacher_layer(spec: MiniLMv2, theirs: EncoderShape) -> int:
    """The teacher's layer that MiniLM v2 takes relations of, 0-based."""
    return theirs.layers - 1 if spec.teacher_layer is None else spec.teacher_layer
