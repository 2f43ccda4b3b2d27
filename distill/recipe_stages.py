"""The parts `stages` and `train` of a recipe: what a stage of training minimises, and how all are trained. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from .recipe_base import Schema
from .recipe_convention import stage_problem
from .recipe_losses import RELATIONAL, LossSpec

LayerMap = Literal["kept", "uniform", "top", "bottom", "skip", "last"]


class StageSpec(Schema):
    """One stage of training.

    Attributes:
        name: shown in logs; unique in the recipe.
        losses: what is minimised: the weighted sum. `losses_from: FILE` in their place reads a DistillationConfig of
            TextBrewer (docs/textbrewer.md).
        convention: whose definitions the losses have where the two differ: this toolkit's, or TextBrewer's.
        epochs: passes over the data; may be a fraction.
        max_steps: stop after this many optimizer steps, whatever `epochs` says.
        batch_size: sentences per step, those of all processes together.
        batch_tokens: tokens per step and process, padding counted: batches of like length hold as many sentences as that
            allows, `batch_size` of them at most. None: every batch has `batch_size`.
        warmup: share of the steps in which the rate rises.
        schedule: how the rate falls afterwards.
        layer_map: which teacher layer each student layer learns from, for losses between inner states: `kept` (the
            one it was copied from), `uniform` (the last layer of each of the teacher's equal blocks), `top`, `bottom`, `skip`
            (PKD's: every k-th, the last left out), `last` (the last layers alone), or pairs of 0-based numbers [teacher,
            student]. None is `kept` for a student that was cut from its teacher, else `uniform`.
        data: the rows trained on: `train` (with `data.unlabelled`, if there is any) or `labelled` alone.
        matryoshka: shorter vectors to train besides the full one, in dimensions: relational losses (similarity_matrix,
            pair_order) are the mean over all of these lengths.
        toward: whose embeddings the stage trains toward. `start` is the uncut model that the student was cut from: a
            student with a bridge first becomes a good small copy of it, and is mapped to the teacher afterwards.
    """

    name: str = Field(default="main", max_length=60, pattern=r"^[^\s./\\\x00-\x1f][^/\\\x00-\x1f]*$")
    losses: tuple[LossSpec, ...] = Field(min_length=1)
    convention: Literal["distill", "textbrewer"] = "distill"
    layer_map: LayerMap | Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] | None = None
    epochs: float = Field(default=2, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=2)
    batch_tokens: int | None = Field(default=None, ge=16)
    learning_rate: float = Field(default=3e-4, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    data: Literal["train", "labelled"] = "train"
    toward: Literal["teacher", "start"] = "teacher"
    matryoshka: tuple[Annotated[int, Field(ge=4)], ...] = ()

    @model_validator(mode="after")
    def _of_one_convention(self) -> StageSpec:
        problem = stage_problem(self.losses, self.convention)
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _nested(self) -> StageSpec:
        if list(self.matryoshka) != sorted(set(self.matryoshka), reverse=True):
            raise ValueError(f"matryoshka lists dimensions from large to small, each once, got {list(self.matryoshka)}")
        if self.matryoshka and not any(loss.name in RELATIONAL for loss in self.losses):
            raise ValueError(
                f"matryoshka needs one of the losses {', '.join(sorted(RELATIONAL))}: they alone compare shorter vectors"
            )
        return self


class TrainSpec(Schema):
    """How every stage is trained.

    Attributes:
        engine: `trainer` is transformers.Trainer; `textbrewer` runs TextBrewer's distillers on the losses that both
            define, without resume or mixed precision.
        precision: numbers inside the student's matrix products; `auto` times a step of each and keeps the faster.
        compile: run the layers of the student, and of a teacher beside it, through torch.compile; `auto` tries whether that pays
            for its own time over the stage. Off by default.
        select_by: dev metric that chooses the checkpoint to keep. `sts_spearman` is the mean over the sts sets of
            `data.select`; `translation_accuracy` how many dev sentences of `data.parallel` (or, where there are any, of the
            translation sets in `data.select`) find their translation, mean over languages and both ways. `task_metric`
            (accuracy, F1, ...) is the default of labelled tasks. `loss` is the dev loss; a stage without a loss on the student's
            vectors or predictions is chosen by it in place of agreement or task metric, since they say nothing yet.
        store_states: what losses between inner states need of the teacher is computed once per row of tokens and kept in the
            cache in these numbers, unpadded, so that no step runs the teacher; the size is told, and checked against the
            disk, before. fp16 takes half the space and rounds to 11 bits. None runs the teacher beside the student.
        evaluate_every: in epochs if below or equal to 1, else in steps.
        patience: stop after this many evaluations without a better one; None never stops early.
        gradient_accumulation: batches per optimizer step.
        max_grad_norm: longer gradients are scaled down to this length; None leaves them as they are.
        dropout: of the student while it trains; None keeps the model's own. A student that copies a fixed function has
            no labels to overfit, so none is the default.
        report_to: trackers that transformers knows (tensorboard, wandb, ...).
    """

    engine: Literal["trainer", "textbrewer"] = "trainer"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto"] | StrictBool = False
    select_by: Literal[
        "agreement_spearman", "agreement_cosine", "sts_spearman", "translation_accuracy", "task_metric", "loss"
    ] = "agreement_spearman"
    store_states: Literal["fp32", "fp16"] | None = None
    evaluate_every: float = Field(default=0.25, gt=0)
    patience: int | None = Field(default=4, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    dropout: float | None = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    report_to: tuple[str, ...] = ()
