"""run_task(recipe) -> Report: data, teacher, signals, student, training, then the proof; for models with a task head."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from students.cost import count_parameters
from students.heads import HeadStudent, build_head_student, load_head_student, save_head_student
from teachers.heads import CLASSES, HeadModel, head_options, load_head
from teachers.origin import card_fields
from teachers.precision import Precision, keyed, resolve

from ..augmenting import run_key, run_mask
from ..data.examples import UNLABELLED, LabelSet, SpanExamples
from ..evaluate.outputs import unpadded
from ..evaluate.scoring import Scorer, make_collator, make_features
from ..export.onnx import check_presets
from ..files import fingerprint, locate_model
from ..given import source_facts, source_key
from ..measure.hardware import peak_rss_mb
from ..measure.size import file_mb
from ..processes import first, in_turn, leads, world
from ..progress import note
from ..proving import Proof
from ..recipe import BY_TOKEN, Recipe, SourceSpec
from ..recipe_losses import COMPARING, STATES
from ..report.model import Report
from ..report.words import public_name
from ..rundir import RunDir, versions
from ..train.inner import InnerTeacher
from ..train.layer_map import kept_layers
from ..train.stored import Said
from ..train.task_engine import train_task
from .beside import Predictions, says_live
from .check import check_student
from .data import TaskData, read_task_data, save_task_data
from .logits import Later, teacher_logits
from .proof import TaskModel
from .several import Several, join_heads
from .teacher import check_trained, finetune, head_key, label_order, reorder_head
from .variants import add_variants, has_variants, restore_variants


class TaskRun:
    """One pass through the stages; each method is a stage.

    Args:
        recipe: as asked; the resolved one replaces it when training has chosen a precision.
        folder: the run folder, opened.
    """

    def __init__(self, recipe: Recipe, folder: RunDir) -> None:
        self.recipe = recipe
        self.folder = folder
        self.teacher_folder: Path | None = None
        self.precision: Precision = first(lambda: resolve(recipe.teacher.precision))
        self.several: Several | None = None

    def go(self) -> Report:
        """Every stage in order; see `distill.pipeline.run`."""
        recipe, folder = self.recipe, self.folder
        folder.write_recipe(recipe)
        check_presets(recipe.export.presets)
        data = self._data()
        self._load_teacher(data.labels)
        student = self._build(data)
        for head, _ in self._asked():
            check_student(recipe, head, self.start, student)
        if recipe.teacher.finetune is not None:
            self._finetune(data)
            student = self._build(data)  # of the teacher as it is now
        several = self.several
        self.teacher_key = head_key(self.teacher, self.order) if several is None else several.key()
        name = (several or self.teacher).name
        folder.stage("teacher", {"teacher": self.teacher_key, "name": name}, [], self._teacher_facts)
        self._train(data, student)
        subject = TaskModel(
            self.recipe, folder, self.teacher, self.teacher_key, self.order, self.teacher_folder, student, data, several
        )
        return Proof(self.recipe, folder, subject).go()

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
            full, report = data, None
            if variants is not None:
                full, report = add_variants(data, variants, mask, self.recipe.seed)
            save_task_data(full, self.folder.data, report)
            made.append(full)
            return {**full.counts, **source_facts(s.source for s in spec.train)}

        self.folder.stage("data", inputs, ["data"], work)
        if made:
            data = made[0]
        elif variants is not None:
            data = restore_variants(data, self.folder.data)
        more = f" ({data.labelled:,} with labels)" if data.labelled < len(data.train) else ""
        note(f"data: {len(data.train):,} examples to train on{more}, {len(data.dev):,} for dev")
        return data

    def _load_teacher(self, labels: LabelSet) -> None:
        """The teacher, its labels matched with the data's by name; and the model that the student starts from."""
        spec, recipe = self.recipe.teacher, self.recipe
        first, *others = (
            load_head(
                one.model,
                recipe.task,  # type: ignore[arg-type]
                labels=labels.names,
                max_length=one.max_length,
                revision=one.revision,
                seed=recipe.seed,
            )
            for one in spec.every
        )
        self.teacher = first
        if others:
            self.several = join_heads([first, *others], labels, recipe.data.labels, spec, recipe.task)
            note(f"teacher: {self.several.describe()}")
        if spec.finetune is None:
            check_trained(self.teacher)
        if self.several is not None:
            self.order = self.several.orders[0]
        else:
            self.order = None if self.teacher.untrained else label_order(self.teacher, labels, recipe.data.labels)
        if spec.finetune is not None and self.order is not None:
            reorder_head(self.teacher.model, self.order, labels)
            self.teacher.labels, self.order = labels.names, None
        name = recipe.student.start
        self.start = first
        if name != "teacher":
            self.start = load_head(name, recipe.task, labels=labels.names, seed=recipe.seed)  # type: ignore[arg-type]

    def _build(self, data: TaskData) -> HeadStudent:
        """The untrained student."""
        recipe = self.recipe
        texts = _texts(data) if recipe.student.vocabulary is not None else ()  # type: ignore[union-attr]
        student = build_head_student(
            recipe.student,  # type: ignore[arg-type]
            self.start.model,
            self.start.tokenizer,
            task=recipe.task,
            head=head_options(recipe.task, data.labels.names),  # type: ignore[arg-type]
            max_length=(self.several or self.teacher).max_length,
            texts=texts,
            pairs=data.pairs,
            seed=recipe.seed,
        )
        if student.kind == "layers" and data.labels.names:
            order = self.order if self.start is self.teacher else self._start_order(data.labels)
            if order is not None:
                reorder_head(student.model, order, data.labels)
        return student

    def _start_order(self, labels: LabelSet) -> np.ndarray | None:
        """The order of a start model's trained outputs; None for a head that was just made."""
        return None if self.start.untrained else label_order(self.start, labels, self.recipe.data.labels, who="start model")

    def _asked(self) -> list[tuple[HeadModel, np.ndarray | None]]:
        """Every teacher, with the order of its outputs."""
        if self.several is None:
            return [(self.teacher, self.order)]
        return list(zip(self.several.members, self.several.orders, strict=True))

    def _finetune(self, data: TaskData) -> None:
        """Train the teacher for the task, or load what an earlier run with the same inputs trained."""
        spec, recipe, folder = self.recipe.teacher.finetune, self.recipe, self.folder
        assert spec is not None, "called where the recipe asks for it"
        place = folder.path / "teacher"
        inputs = {
            "seed": recipe.seed,
            "teacher": head_key(self.teacher, None),
            "finetune": spec.model_dump(mode="json"),
            "train": {
                key: getattr(recipe.train, key) for key in ("precision", "weight_decay", "max_grad_norm", "evaluate_every")
            },
            "data": self._trained_on(),
            "torch": versions().get("torch"),
        }

        def work() -> dict[str, Any]:
            features = self._features(data, data.train, self.teacher)
            dev = Scorer(
                recipe.task, data.dev, self._features(data, data.dev, self.teacher), data.labels, recipe.data.answer_unit
            )
            collate = make_collator(recipe.task, self.teacher.tokenizer)
            labelled = self._labelled(features, data)
            facts = finetune(
                recipe,
                self.teacher,
                features,
                collate,
                dev,
                labelled,
                work=folder.work / f"teacher-{fingerprint(inputs)}",
                log=folder.work / "teacher.jsonl",
            )
            if leads():
                save_head_student(self.teacher.model, self.teacher.tokenizer, place, max_length=self.teacher.max_length)
            return facts

        facts = folder.stage("finetune", inputs, ["teacher"], work)
        self.teacher.model, self.teacher.tokenizer = load_head_student(place, CLASSES[recipe.task])
        self.teacher.untrained = False
        self.teacher_folder = place
        self.order = None
        best = facts["stages"][0]["best_value"]
        note(f"teacher: fine-tuned, dev {best:.4f}")

    def _features(self, data: TaskData, examples: Any, model: HeadModel | HeadStudent) -> Any:
        stride = self.recipe.data.stride
        return make_features(self.recipe.task, examples, model.tokenizer, model.max_length, labels=data.labels, stride=stride)

    def _train_features(self, data: TaskData, model: HeadStudent) -> Any:
        """Training examples as token ids; answers of unlabelled questions are not told."""
        features = self._features(data, data.train, model)
        if isinstance(data.train, SpanExamples):
            unlabelled = np.asarray(features.example_rows) >= data.labelled
            features.starts[unlabelled] = features.ends[unlabelled] = UNLABELLED
        return features

    def _labelled(self, features: Any, data: TaskData) -> int:
        """How many rows of features have labels; a question may have several windows."""
        if isinstance(data.train, SpanExamples):
            return int((np.asarray(features.example_rows) < data.labelled).sum())
        return data.labelled

    def _teacher_facts(self) -> dict[str, Any]:
        if self.several is not None:
            return self.several.facts()
        place = self.teacher_folder or Path(locate_model(self.recipe.teacher.model))
        config = self.teacher.model.config
        return {
            **(card_fields(place) if place.is_dir() else {}),
            "model": public_name(self.recipe.teacher.model),
            "layers": getattr(config, "num_hidden_layers", None),
            "dim": getattr(config, "hidden_size", None),
            "max_length": self.teacher.max_length,
            **count_parameters(self.teacher.model),
        }

    def _trained_on(self) -> dict[str, str]:
        """Hashes of the data files that decide the training: evaluation sets are not among them."""
        files = self.folder.outputs("data").items()
        return {name: digest for name, digest in files if Path(name).stem in ("train", "dev", "labels")}

    def _signals(
        self, data: TaskData, student: HeadStudent, said: Mapping[bytes, np.ndarray]
    ) -> tuple[list[np.ndarray] | None, list[np.ndarray] | None]:
        """The teacher's logits of training and dev rows, where a stage compares with them.

        Where every token has logits the teacher reads the student's tokens; elsewhere each model has its own. What it has
        `said` while its inner states were stored it is not asked again.
        """
        recipe = self.recipe
        if not any(loss.name in COMPARING for stage in recipe.stages for loss in stage.losses):
            return None, None
        by_token = recipe.task in BY_TOKEN
        ids = student.ids if by_token else None
        asked = [(head, order, head_key(head, order)) for head, order in self._asked()]
        found = []
        for name, part in (("train", data.train), ("dev", data.dev)):
            each = []
            for head, order, key in asked:
                reader = student if by_token else head
                how: dict[str, Any] = {"stride": recipe.data.stride, "max_length": reader.max_length}
                how |= {} if ids is None else {"ids": fingerprint(ids.tolist())}
                content = {"sha256": self._trained_on()[f"data/{name}.parquet"], **how}
                each.append(
                    teacher_logits(
                        head,
                        key,
                        order,
                        recipe.task,
                        self._features(data, part, reader),
                        make_collator(recipe.task, reader.tokenizer),
                        content,
                        batch_size=recipe.teacher.batch_size,
                        precision=self.precision,
                        ids=ids,
                        said=said,
                    )
                )
            told = part if name == "train" else None  # labels have a say where the student learns, not where it is judged
            if self.several is None:
                found.append(each[0])
            elif name == "train" and _apart(recipe):
                found.append(self.several.apart(each))
            else:
                found.append(self.several.together(each, told))
        return found[0], found[1]

    def _train(self, data: TaskData, student: HeadStudent) -> None:
        """Train the student, or load what an earlier run with the same inputs trained."""
        recipe, folder = self.recipe, self.folder
        inputs = {
            "seed": recipe.seed,
            "task": recipe.task,
            "start": None if self.start is self.teacher else head_key(self.start, None),
            "teacher": keyed(self.teacher_key, self.precision),
            "student": recipe.student.model_dump(mode="json", by_alias=True),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json"),
            "data": self._trained_on(),
            "stride": recipe.data.stride,
            "torch": versions().get("torch"),
        }
        place = folder.work / fingerprint(inputs)
        trained: list[bool] = []

        def work() -> dict[str, Any]:
            if leads() and not place.exists():
                for old in folder.work.glob("*"):
                    if old.is_dir() and not old.name.startswith("teacher-"):
                        shutil.rmtree(old, ignore_errors=True)
                folder.log.unlink(missing_ok=True)
            facts = self._fit(student, data, place)
            if leads():
                save_head_student(student.model, student.tokenizer, folder.student, max_length=student.max_length)
            trained.append(True)
            return {**facts, "processes": world(), "layers": student.layers, "peak_rss_mb": peak_rss_mb()}

        facts = folder.stage("training", inputs, ["student!onnx!README.md", "log.jsonl"], work)
        chosen = {name: facts[name] for name in ("precision", "compile") if name in facts}
        self.recipe = recipe.resolved(train=chosen, teacher={"precision": self.precision})
        folder.write_recipe(self.recipe)
        if not trained:
            student.model, student.tokenizer = load_head_student(folder.student, CLASSES[recipe.task])
        folder.stage("student", {"training": folder.outputs("training")}, [], lambda: self._student_facts(student))

    def _fit(self, student: HeadStudent, data: TaskData, place: Path) -> dict[str, Any]:
        """Train the student through every stage of the recipe."""
        recipe = self.recipe
        features = self._train_features(data, student)
        dev = Scorer(recipe.task, data.dev, self._features(data, data.dev, student), data.labels, recipe.data.answer_unit)
        names = {loss.name for stage in recipe.stages for loss in stage.losses}
        inner: InnerTeacher | None = None
        logits: Sequence[np.ndarray] | None = None
        dev_logits: Sequence[np.ndarray] | None = None
        if names & STATES:  # it runs beside the student, or its states are stored
            kept, size = kept_layers(recipe.student, student.layers), recipe.teacher.batch_size
            inner = InnerTeacher(self.teacher.model, student.ids, kept=kept, key=self.teacher_key, batch_size=size)
        says = Predictions(self.teacher.model, recipe.task, self.order)
        limits = {"student": student.max_length, "teacher": self.teacher.max_length}
        if inner is not None and says_live(recipe, [features, dev.features], **limits):
            inner.says = says.in_order
            note("training: the run of the teacher that gives its inner states gives its predictions too")
        elif recipe.train.store_states is None or inner is None:
            logits, dev_logits = in_turn(lambda: self._signals(data, student, {}))
        elif names & COMPARING:  # one run of the teacher gives states and logits
            inner.said = said = Said(says.raw, lambda row, tokens: unpadded(row, tokens, recipe.task))
            asked = functools.cache(lambda: self._signals(data, student, said.rows))
            logits, dev_logits = Later(lambda: asked()[0] or []), Later(lambda: asked()[1] or [])
        return _engine(recipe)(
            recipe,
            student.model,
            features,
            make_collator(recipe.task, student.tokenizer),
            dev,
            work=place,
            log=self.folder.log,
            labelled=self._labelled(features, data),
            logits=logits,
            dev_logits=dev_logits,
            inner=inner,
        )

    def _student_facts(self, student: HeadStudent) -> dict[str, Any]:
        return {
            "layers": student.layers or None,
            "source_layers": student.source_layers or None,
            "projection": None,
            "kind": student.kind,
            "dim": getattr(student.model.config, "hidden_size", None),
            "from": self.recipe.student.start,
            "file_mb": file_mb(self.folder.student),
            **student.facts,
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


def _texts(data: TaskData) -> list[str]:
    """Every training text, for a trimmed vocabulary."""
    if isinstance(data.train, SpanExamples):
        return [*data.train.questions, *dict.fromkeys(data.train.contexts)]
    return [*data.train.text, *(getattr(data.train, "text_pair", None) or [])]
