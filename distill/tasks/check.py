"""Everything that teacher, student and losses of a task run need of each other, asked before the first step."""

from __future__ import annotations

from students.heads import HeadStudent
from teachers.heads import HeadModel
from teachers.pieces import reads_types, same_pieces

from ..data.features import takes_token_types
from ..errors import ModelError
from ..positions import position_limit
from ..recipe import BY_TOKEN, Recipe
from ..recipe_losses import COMPARING, STATES
from ..recipe_stages import StageSpec
from ..train.compared import check_models
from ..train.layer_map import kept_layers
from ..train.textbrewer_guards import check_stage


def check_student(recipe: Recipe, teacher: HeadModel, start: HeadModel, student: HeadStudent, *, pairs: bool) -> None:
    """Refuse a loss or a layer map that these models cannot have.

    Args:
        recipe: names the losses.
        teacher, start: the teacher, and the model that the student is made of.
        student: untrained.
        pairs: whether the data's rows are pairs of texts.

    Raises:
        UserError: what does not fit; what would is named.
    """
    for number, stage in enumerate(recipe.stages):
        where = f"stages.{number}"
        losses = {loss.name for loss in stage.losses}
        inner = sorted(losses & STATES)
        token_task = recipe.task in BY_TOKEN
        by_token = inner or (sorted(losses & COMPARING) if token_task else [])
        if by_token:
            _check_tokens(by_token[0], teacher, start, student, pairs, where)
        if inner:
            _check_layers(inner[0], stage, teacher, student, kept_layers(recipe.student, student.layers), where)
        if recipe.train.engine == "textbrewer":
            check_stage(stage, student.kind, recipe.task, where=where, train=recipe.train)


def _check_tokens(loss: str, teacher: HeadModel, start: HeadModel, student: HeadStudent, pairs: bool, where: str) -> None:
    """A loss that compares token by token needs the same pieces, and a teacher that can read as much as the student."""
    if same_pieces(teacher.tokenizer, start.tokenizer, pairs=pairs) is None:
        raise ModelError(
            f"the loss {loss} compares token by token, and teacher and student cut text into different tokens",
            where=f"{where}.losses",
            got=f"teacher {teacher.name}, start model {start.name}",
            expected="tokenizers that cut texts into the same pieces" + (", pairs of texts too" if pairs else ""),
            hint="start the student from the teacher, or keep to losses on the predictions of whole texts (logits_mse, "
            "kl_divergence, hard_label)",
        )
    untold = pairs and takes_token_types(teacher.tokenizer) and not takes_token_types(start.tokenizer)
    if untold and reads_types(teacher.model):
        raise ModelError(
            f"the loss {loss} lets the teacher read the student's tokens, and those do not say which of two texts each is of",
            where=f"{where}.losses",
            got=f"teacher {teacher.name}, whose inputs have token_type_ids, start model {start.name}, whose have none",
            hint="start the student from a model with token_type_ids, such as the teacher, or keep to losses on the predictions "
            "of whole texts (logits_mse, kl_divergence, hard_label)",
        )
    limit = position_limit(teacher.model.base_model)
    if limit is not None and student.max_length > limit:
        raise ModelError(
            f"the loss {loss} lets the teacher read what the student reads, which is longer than it can",
            where="student.max_length",
            got=student.max_length,
            expected=f"at most {limit}, the teacher's positions",
        )


def _check_layers(
    loss: str, stage: StageSpec, teacher: HeadModel, student: HeadStudent, kept: list[int] | None, where: str
) -> None:
    """Losses between inner states need layers on both sides, a map between them, and sizes that fit."""
    if student.kind == "bilstm":
        raise ModelError(
            f"the loss {loss} compares inner states, which a BiLSTM has none of",
            where=f"{where}.losses",
            hint="use logits_mse, kl_divergence or hard_label",
        )
    check_models(stage, teacher.model, student.model, kept=kept, where=where)
