"""The student of an embedding run: made as the recipe says, and checked against its teacher before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sentence_transformers import SentenceTransformer

from students.build import Student, build_student
from students.spec import BiLSTMSpec, StaticSpec
from students.static import build_static
from students.vocabulary import trim
from teachers.capture import encoder_of
from teachers.ensemble import AnyTeacher
from teachers.heads import load_masked_lm
from teachers.load import Teacher
from teachers.pieces import same_pieces

from .errors import ModelError, UserError
from .progress import track
from .recipe import Recipe
from .recipe_losses import MASKED_LM, STATES
from .train.compared import check_models
from .train.inner import InnerTeacher
from .train.layer_map import kept_layers


def make_student(
    recipe: Recipe,
    teacher: AnyTeacher,
    start: SentenceTransformer,
    *,
    layers: tuple[int, ...] | None = None,
    texts: Sequence[str] = (),
    distil: bool = False,
) -> Student:
    """The untrained student of a recipe.

    Args:
        recipe: says what kind, and how large.
        teacher: what it learns from.
        start: the model it is cut from, or whose family it is of.
        layers: which layers to keep, where the recipe leaves that to a search.
        texts: training text that its vocabulary is trimmed to, where the recipe asks for that.
        distil: whether a static student's table is made of what the teacher says of each piece, which takes a while.

    Raises:
        ModelError: teacher, start model and recipe do not fit.
    """
    spec = recipe.student
    length = teacher.max_length or 512
    if isinstance(spec, StaticSpec):
        assert isinstance(teacher, Teacher), "the recipe allows no static student of several teachers"
        return build_static(
            teacher.model,
            teacher_dim=teacher.dim,
            teacher_normalizes=teacher.normalizes,
            teacher_prompt=teacher.prompt,
            max_length=length if spec.max_length is None else spec.max_length,
            dim=spec.dim,
            projection=spec.projection,
            sif=spec.sif,
            distil=distil,
            track=_labelling,
        )
    assert not isinstance(spec, BiLSTMSpec), "the recipe allows no BiLSTM here"
    trimmed = None
    if spec.vocabulary is not None and texts:
        words = spec.vocabulary
        prompts = [teacher.prompt] if teacher.prompt else []
        trimmed = trim(
            start.tokenizer, texts, size=words.size, languages=words.languages, min_count=words.min_count, keep=prompts
        )
    return build_student(
        spec if layers is None else spec.model_copy(update={"layers": layers}),
        start,
        teacher_dim=teacher.dim,
        teacher_normalizes=teacher.normalizes,
        teacher_prompt=teacher.prompt,
        max_length=length,
        seed=recipe.seed,
        trimmed=trimmed,
    )


def check_student(recipe: Recipe, teacher: Teacher, start: SentenceTransformer, student: Student, *, loaded: bool) -> None:
    """Everything that losses need of teacher and student, before the first step.

    Args:
        recipe: names the losses.
        teacher, start, student: as in `make_student`.
        loaded: whether the teacher came as an object, so that no folder holds its other heads.

    Raises:
        ModelError: they cannot be compared token by token.
        UserError: a loss that does not fit; what would is named.
    """
    static = recipe.student.kind == "static"
    for number, stage in enumerate(recipe.stages):
        if stage.matryoshka and stage.matryoshka[0] >= student.dim:
            raise UserError(
                "the student's vectors cannot be shortened to so many dimensions",
                where=f"stages.{number}.matryoshka",
                got=stage.matryoshka[0],
                expected=f"less than {student.dim}, their width",
            )
        wanted = [loss for loss in stage.losses if loss.name in STATES | MASKED_LM]
        if not wanted:
            continue
        where = f"stages.{number}.losses"
        masked = any(loss.name in MASKED_LM for loss in wanted)
        pieces = None if static else same_pieces(teacher.tokenizer, start.tokenizer)
        if pieces is None or (masked and pieces.ids is not None):
            raise ModelError(
                f"the loss {wanted[0].name} compares token by token, and these two models cannot be compared so",
                where=where,
                got="a static student" if static else "different tokenizers",
                expected=("one tokenizer" if masked else "tokenizers that cut texts into the same pieces")
                + ", and a student with layers",
                hint="start the student from the teacher, or use losses between sentence vectors (embedding_cosine, ...)",
            )
        kept = kept_layers(recipe.student, student.layers)
        check_models(stage, teacher.model, student.model, kept=kept, where=f"stages.{number}")
        if loaded and masked:
            raise ModelError(
                "the masked-LM head of a teacher is read from its folder",
                where=where,
                got="a teacher that was loaded or trained before the run",
            )
    _check_masked(recipe, teacher, start, student)


def _check_masked(recipe: Recipe, teacher: Teacher, start: SentenceTransformer, student: Student) -> None:
    """Put the teacher's masked-LM head over the student once, where a stage will: it tells what does not fit."""
    stages = [stage for stage in recipe.stages if any(loss.name in MASKED_LM for loss in stage.losses)]
    running = running_teacher(recipe, teacher, start, student) if stages else None
    if running is not None:
        for stage in stages:
            running.masked(student.model, stage, recipe.seed)


def running_teacher(
    recipe: Recipe, teacher: Teacher, start: SentenceTransformer, student: Student, key: dict[str, Any] | None = None
) -> InnerTeacher | None:
    """The teacher as losses between inner states or on masked tokens need it; None where there are none.

    `key` is the teacher's fingerprint, which is needed where its states are stored.
    """
    asked = {loss.name for stage in recipe.stages for loss in stage.losses}
    if not asked & (STATES | MASKED_LM):
        return None
    head = load_masked_lm(recipe.teacher.model, revision=recipe.teacher.revision) if asked & MASKED_LM else None
    encoder, kept = encoder_of(teacher.model if head is None else head), kept_layers(recipe.student, student.layers)
    pieces = same_pieces(teacher.tokenizer, start.tokenizer)
    assert pieces is not None, "checked before the first step"
    return InnerTeacher(encoder, pieces.of_trimmed(student.ids), head, start.tokenizer, kept, key, recipe.teacher.batch_size)


def _labelling(batches: Iterable[int]) -> Iterator[int]:
    """A progress bar over batches of the vocabulary."""
    steps = list(batches)
    return track(steps, total=len(steps), description="labelling the vocabulary", unit="batches")
