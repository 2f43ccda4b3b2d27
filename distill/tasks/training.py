"""The training stage of a labelled run: what the teachers say, and the student that learns it."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from students.cost import count_parameters
from students.heads import HeadStudent, load_head_student, save_head_student
from teachers.heads import CLASSES
from teachers.pieces import same_pieces
from teachers.precision import Precision, keyed

from ..evaluate.outputs import unpadded
from ..evaluate.scoring import make_collator
from ..files import fingerprint
from ..measure.hardware import peak_rss_mb
from ..measure.size import file_mb
from ..processes import in_turn, leads, world
from ..progress import note
from ..recipe import BY_TOKEN, Recipe
from ..recipe_losses import COMPARING, STATES
from ..rundir import RunDir, versions
from ..train.inner import InnerTeacher
from ..train.layer_map import kept_layers
from ..train.stored import Said
from ..train.task_engine import train_task
from ..trimming import told_trimming
from .beside import Predictions, says_live
from .data import TaskData
from .features import cut_note, dev_scorer, features_of, labelled_rows, texts_of, train_features, trained_on
from .heads import Heads
from .logits import Later, teacher_logits
from .teacher import head_key


class Training:
    """One student and what it learns from.

    Args:
        recipe: as asked.
        folder: the run folder; its data stage is done.
        data: training and dev examples.
        heads: the teachers.
        teacher_key: `Heads.key`.
        student: untrained; its weights become those that were trained.
        precision: of the teachers' matrix products where their predictions are stored.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunDir,
        data: TaskData,
        heads: Heads,
        teacher_key: Mapping[str, Any],
        student: HeadStudent,
        precision: Precision,
    ) -> None:
        self.recipe, self.folder, self.data, self.precision = recipe, folder, data, precision
        self.heads, self.teacher_key, self.student = heads, dict(teacher_key), student

    @functools.cached_property
    def ids(self) -> list[Tensor | None]:
        """Each teacher's id of each of the student's, where they read the student's tokens; None where these are the same."""
        found = []
        for head, _ in self.heads.each():
            pieces = same_pieces(head.tokenizer, self.heads.start.tokenizer, pairs=self.data.pairs)
            assert pieces is not None, "checked before the first step"
            found.append(pieces.of_trimmed(self.student.ids))
        return found

    def go(self) -> Recipe:
        """Train the student, or load what an earlier run with the same inputs trained.

        Returns:
            The recipe with what the training chose by itself.
        """
        recipe, folder, student, start = self.recipe, self.folder, self.student, self.heads.start
        inputs = {
            "seed": recipe.seed,
            "task": recipe.task,
            "start": None if start is self.heads.teacher else head_key(start, None),
            "teacher": keyed(self.teacher_key, self.precision),
            "student": recipe.student.model_dump(mode="json", by_alias=True),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json"),
            "data": trained_on(folder),
            "stride": recipe.data.stride,
            **({"answer_unit": recipe.data.answer_unit} if recipe.task == "spans" else {}),
            "torch": versions().get("torch"),
        }
        place = folder.work / fingerprint(inputs)
        trained: list[bool] = []

        def work() -> dict[str, Any]:
            """Train, resuming what stands in `place`, and save the student."""
            if leads() and not place.exists():
                for old in folder.work.glob("*"):
                    if old.is_dir() and not old.name.startswith("teacher-"):
                        shutil.rmtree(old, ignore_errors=True)
                folder.log.unlink(missing_ok=True)
            facts = self._fit(place)
            if leads():
                save_head_student(student.model, student.tokenizer, folder.student, max_length=student.max_length)
            trained.append(True)
            return {**facts, "processes": world(), "layers": student.layers, "peak_rss_mb": peak_rss_mb()}

        facts = folder.stage("training", inputs, ["student!onnx!README.md", "log.jsonl"], work, everyone=True)
        chosen = {name: facts[name] for name in ("precision", "compile") if name in facts}
        resolved = recipe.resolved(train=chosen, teacher={"precision": self.precision})
        folder.write_recipe(resolved)
        if not trained:
            student.model, student.tokenizer = load_head_student(folder.student, CLASSES[recipe.task])
        folder.stage("student", {"training": folder.outputs("training")}, [], self._facts)
        return resolved

    def _fit(self, place: Path) -> dict[str, Any]:
        """Train the student through every stage of the recipe; `place` gets what a resume needs."""
        recipe, data, student, teacher = self.recipe, self.data, self.student, self.heads.teacher
        features = train_features(recipe, data, student)
        if told := cut_note(features, student.max_length):
            note(f"training: of {len(data.train):,} examples {told} (student.max_length)")
        dev = dev_scorer(recipe, data, student)
        names = {loss.name for stage in recipe.stages for loss in stage.losses}
        inner: InnerTeacher | None = None
        logits: Sequence[np.ndarray] | None = None
        dev_logits: Sequence[np.ndarray] | None = None
        if names & STATES:  # it runs beside the student, or its states are stored
            kept, size = kept_layers(recipe.student, student.layers), recipe.teacher.batch_size
            inner = InnerTeacher(teacher.model, self.ids[0], kept=kept, key=self.teacher_key, batch_size=size)
        says = Predictions(teacher.model, recipe.task, self.heads.order)
        limits = {"student": student.max_length, "teacher": teacher.max_length}
        if inner is not None and says_live(recipe, [features, dev.features], **limits, trimmed=student.ids is not None):
            inner.says = says.in_order
            note("training: the run of the teacher that gives its inner states gives its predictions too")
        elif recipe.train.store_states is None or inner is None or self.precision != "fp32":  # states are computed in fp32
            asking = functools.partial(self._signals, {})  # a row at a time the processes share the store
            logits, dev_logits = in_turn(asking) if recipe.task in BY_TOKEN else asking()
        elif names & COMPARING:  # one run of the teacher gives states and logits
            inner.said = said = Said(says.raw, lambda row, tokens: unpadded(row, tokens, recipe.task))
            asked = functools.cache(lambda: self._signals(said.rows))
            logits, dev_logits = Later(lambda: asked()[0] or []), Later(lambda: asked()[1] or [])
        return _engine(recipe)(
            recipe,
            student.model,
            features,
            make_collator(recipe.task, student.tokenizer),
            dev,
            work=place,
            log=self.folder.log,
            labelled=labelled_rows(features, data),
            logits=logits,
            dev_logits=dev_logits,
            inner=inner,
        )

    def _signals(self, said: Mapping[bytes, np.ndarray]) -> tuple[list[np.ndarray] | None, list[np.ndarray] | None]:
        """The teacher's logits of training and dev rows, where a stage compares with them.

        Where every token has logits the teacher reads the student's tokens; elsewhere each model has its own. What it has
        `said` while its inner states were stored it is not asked again.
        """
        recipe, data, student, several = self.recipe, self.data, self.student, self.heads.several
        if not any(loss.name in COMPARING for stage in recipe.stages for loss in stage.losses):
            return None, None
        by_token = recipe.task in BY_TOKEN
        asked = [(head, order, head_key(head, order)) for head, order in self.heads.each()]
        ids_of = self.ids if by_token else [None] * len(asked)
        hashes, found = trained_on(self.folder), []
        for name, part in (("train", data.train), ("dev", data.dev)):
            each = []
            for (head, order, key), ids in zip(asked, ids_of, strict=True):
                reader = student if by_token else head
                how: dict[str, Any] = {"stride": recipe.data.stride, "max_length": reader.max_length}
                how |= {} if ids is None else {"ids": fingerprint(ids.tolist())}
                content = {"sha256": hashes[f"data/{name}.parquet"], **how}
                each.append(
                    teacher_logits(
                        head,
                        key,
                        order,
                        recipe.task,
                        features_of(recipe, data, part, reader),
                        make_collator(recipe.task, reader.tokenizer),
                        content,
                        batch_size=recipe.teacher.batch_size,
                        precision=self.precision,
                        ids=ids,
                        said=said,
                    )
                )
            told = part if name == "train" else None  # labels have a say where the student learns, not where it is judged
            if several is None:
                found.append(each[0])
            elif name == "train" and _apart(recipe):
                found.append(several.apart(each))
            else:
                found.append(several.together(each, told))
        return found[0], found[1]

    def _facts(self) -> dict[str, Any]:
        student = self.student
        more: dict[str, Any] = {}
        if student.ids is not None:
            start = self.heads.start.tokenizer
            more["vocabulary"] = told_trimming(start, student.tokenizer, texts_of(self.data.dev))
        return {
            "layers": student.layers or None,
            "source_layers": student.source_layers or None,
            "projection": None,
            "kind": student.kind,
            "dim": getattr(student.model.config, "hidden_size", None),
            "from": self.recipe.student.start,
            "file_mb": file_mb(self.folder.student),
            **more,
            **count_parameters(student.model),
        }


def _engine(recipe: Recipe) -> Callable[..., dict[str, Any]]:
    """What trains a student; TextBrewer is loaded where it is asked for."""
    if recipe.train.engine == "textbrewer":
        from ..train.textbrewer import train_textbrewer

        return functools.partial(train_textbrewer, teachers=len(recipe.teacher.every) if _apart(recipe) else 1)
    return train_task


def _apart(recipe: Recipe) -> bool:
    """Whether the student is given what each of several teachers says, and not their mean."""
    return recipe.train.engine == "textbrewer" and recipe.teacher.alike
