"""TaskRun(recipe, folder).go() -> Report: data, teacher, student, training, then the proof; for models with a task head."""

from __future__ import annotations

from typing import Any

from students.heads import HeadStudent, build_head_student
from teachers.heads import head_options
from teachers.precision import Precision, resolve

from ..augmenting import run_key, run_mask
from ..data.augment.parts import Parts
from ..data.known_text import IN_A_ROW
from ..export.onnx import check_presets
from ..given import source_facts, source_key
from ..positions import shorter_words
from ..processes import first, leads
from ..progress import note
from ..proving import Proof
from ..recipe import Recipe, SourceSpec
from ..report.model import Report
from ..rundir import RunDir
from .check import check_student
from .data import TaskData, read_task_data, save_task_data
from .features import texts_of
from .heads import Heads
from .proof import TaskModel
from .teacher import reorder_head
from .training import Training
from .variants import add_variants, has_variants, restore_variants


class TaskRun:
    """One pass through the stages of a labelled run.

    Args:
        recipe: as asked; what training chooses by itself is added to it.
        folder: the run folder, opened.
    """

    def __init__(self, recipe: Recipe, folder: RunDir) -> None:
        self.recipe = recipe
        self.folder = folder
        self.precision: Precision = first(lambda: resolve(recipe.teacher.precision))

    def go(self) -> Report:
        """Every stage in order; see `distill.pipeline.run`."""
        recipe, folder = self.recipe, self.folder
        folder.write_recipe(recipe)
        check_presets(recipe.export.presets)
        data = self._data()
        heads = Heads(recipe, data.labels)
        student = self._build(data, heads)
        if told := shorter_words(recipe.student.max_length, student.max_length, heads.max_length):
            note(f"student: {told}")
        for head, _ in heads.each():
            check_student(recipe, head, heads.start, student, pairs=data.pairs)
        if recipe.teacher.finetune is not None:
            heads.train_teacher(folder, data)
            student = self._build(data, heads)  # of the teacher as it is now
        key = heads.key()
        folder.stage("teacher", {"teacher": key, "name": heads.name}, [], heads.facts)
        resolved = Training(recipe, folder, data, heads, key, student, self.precision).go()
        return Proof(resolved, folder, TaskModel(resolved, folder, heads, key, student, data)).go()

    def _data(self) -> TaskData:
        """Labelled examples for training, dev and evaluation, written to data/."""
        spec = self.recipe.data
        sources = [*spec.train, *spec.unlabelled, *spec.evaluate.values(), spec.dev]
        inputs: dict[str, Any] = {
            "data": spec.model_dump(mode="json"),
            "task": self.recipe.task,
            "files": {s.source: source_key(s.source) for s in sources if isinstance(s, SourceSpec)},
        }
        variants = has_variants(spec)
        mask = run_mask(self.recipe, None)
        if variants is not None:
            inputs["augment"] = run_key(self.recipe, mask)
        data = read_task_data(spec, self.recipe.task)
        made: list[TaskData] = []

        def work() -> dict[str, Any]:
            """Augment, save, and tell what was read, dropped and kept."""
            full, report = data, None
            if variants is not None:
                full, report = add_variants(data, variants, mask, self.recipe.seed, parts)
            if leads():
                save_task_data(full, self.folder.data, report)
            made.append(full)
            return {**full.counts, **source_facts(s.source for s in spec.train)}

        parts = Parts(self.folder.work / "augment")
        self.folder.stage("data", inputs, ["data"], work, everyone=variants is not None)
        if leads():
            parts.remove()
        if made:
            data = made[0]
        elif variants is not None:
            data = restore_variants(data, self.folder.data)
        more = f" ({data.labelled:,} with labels)" if data.labelled < len(data.train) else ""
        note(f"data: {len(data.train):,} examples to train on{more}, {len(data.dev):,} for dev")
        _tell_known(data)
        return data

    def _build(self, data: TaskData, heads: Heads) -> HeadStudent:
        """The untrained student."""
        recipe = self.recipe
        texts = texts_of(data.train) if recipe.student.vocabulary is not None else ()  # type: ignore[union-attr]
        student = build_head_student(
            recipe.student,  # type: ignore[arg-type]
            heads.start.model,
            heads.start.tokenizer,
            task=recipe.task,
            head=head_options(recipe.task, data.labels.names),  # type: ignore[arg-type]
            max_length=heads.max_length,
            texts=texts,
            pairs=data.pairs,
            seed=recipe.seed,
        )
        if student.kind == "layers" and data.labels.names:
            order = heads.start_order(data.labels)
            if order is not None:
                reorder_head(student.model, order, data.labels)
        return student


def _tell_known(data: TaskData) -> None:
    """Say so where held-out rows are known in part: one in a hundred or more, three at least."""
    told = {"dev": (data.counts["known_dev"], len(data.dev))}
    told["evaluation"] = data.counts["known_evaluation"], sum(map(len, data.evaluate.values()))
    for name, (known, rows) in told.items():
        if known >= max(3, rows / 100):
            note(
                f"note: {known:,} of {rows:,} {name} rows share {IN_A_ROW} words in a row with what is trained on: what is "
                "measured there flatters the student (leave such text out of data.train and data.unlabelled)"
            )
