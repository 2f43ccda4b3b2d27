"""The training stage of a run of embeddings: the student, cut as it begins, and what it learns."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from students.build import FIT_SENTENCES, Student, save_student
from students.cost import count_parameters
from students.load import load as load_student
from students.search import SENTENCES, search_layers
from students.spec import LayersSpec
from teachers.ensemble import AnyTeacher
from teachers.load import Teacher, as_teacher
from teachers.precision import Precision

from ..data.saved import PreparedData, Translations
from ..evaluate.suite import select_metric
from ..files import fingerprint, remembered
from ..making import make_student, running_teacher
from ..mapped import Joined, Prompted
from ..measure.hardware import peak_rss_mb
from ..measure.size import file_mb
from ..processes import first, leads, world
from ..progress import note, track
from ..recipe import Recipe
from ..rundir import RunDir, versions
from ..signals import JoinedSignals, Rows, Signals
from ..train.engine import TrainingData, chosen_by, train_student
from ..trimming import told_trimming

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Models:
    """The trained models of a run.

    Attributes:
        lead: the first teacher, the one that runs where inner states are compared.
        teacher: all of them.
        teacher_key: fingerprint of these.
        start: what the student is cut from.
        start_key: its fingerprint.
    """

    lead: Teacher
    teacher: AnyTeacher
    teacher_key: dict[str, Any]
    start: SentenceTransformer
    start_key: dict[str, Any]


class StudentTraining:
    """One student and what it learns from.

    Args:
        recipe: as asked.
        folder: the run folder; its stages up to the signals are done.
        models: teachers and start model.
        precision: of the teachers' matrix products where they have labelled.
        data: hashes of the files of data that decide the training.
        signals: hashes of what the teachers said.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunDir,
        models: Models,
        precision: Precision,
        *,
        data: Mapping[str, str],
        signals: Mapping[str, Any],
    ) -> None:
        self.recipe, self.folder, self.models = recipe, folder, models
        self.precision, self.data, self.signals = precision, data, signals

    def go(self, data: PreparedData, signals: Signals | JoinedSignals, start: Signals | None) -> tuple[Student, Recipe]:
        """Train, or load what an earlier run with the same inputs trained.

        Args:
            data: sentences to train on, and those for dev.
            signals: what the teacher says of them.
            start: what the start model says of them, where a stage trains toward it.

        Returns:
            The student, and the recipe with what training chose.

        Raises:
            GateError: the loss is not finite, or the student collapsed.
        """
        recipe, folder, models = self.recipe, self.folder, self.models
        inputs = self._inputs()
        prompt = models.teacher.prompt
        trained: list[Student] = []
        place = folder.work / fingerprint(inputs)

        def work() -> dict[str, Any]:
            if leads() and not place.exists():  # what another training left, its log lines too, is no part of this one
                shutil.rmtree(folder.work, ignore_errors=True)
                folder.log.unlink(missing_ok=True)
            texts, dev = Prompted(prompt, data.train), [prompt + text for text in data.dev]
            toward_start = None
            if start is not None:
                more = Joined(texts, Prompted(prompt, data.start))
                toward_start = TrainingData(more, dev, start.train.gather, start.dev_vectors())
            student = self._cut(texts, signals.train, place)
            metric = select_metric(student.model, data.select) if data.select else None
            facts = train_student(
                recipe,
                student,
                TrainingData(texts, dev, signals.train.gather, signals.dev_vectors(), metric, self._pairs(data)),
                teacher_normalizes=models.teacher.normalizes,
                work=place,
                log=folder.log,
                start=toward_start,
                start_normalizes=as_teacher(models.start).normalizes,
                before_teacher=lambda: _fit_bridge(student, texts, signals.train),
                inner=running_teacher(recipe, models.lead, models.start, student, models.teacher_key),
            )
            if leads():
                save_student(student.model, folder.student)
            trained.append(student)
            return {
                **facts,
                "processes": world(),
                "layers": student.layers,
                "peak_rss_mb": peak_rss_mb(),
            }

        facts = folder.stage("training", inputs, ["student!onnx!README.md", "log.jsonl"], work, everyone=True)
        chosen = {name: facts[name] for name in ("precision", "compile") if name in facts}
        resolved = recipe.resolved(train=chosen, teacher={"precision": self.precision})
        folder.write_recipe(resolved)
        student = trained[0] if trained else self._build(tuple(facts["layers"]) or None)
        if not trained:
            student.model = load_student(folder.student)
        folder.stage("student", {"training": folder.outputs("training")}, [], lambda: self._student_facts(student, data.dev))
        return student, resolved

    def _inputs(self) -> dict[str, Any]:
        """What decides the weights."""
        recipe, models = self.recipe, self.models
        chosen = [chosen_by(recipe, stage) for stage in recipe.stages]
        return {
            **({"chosen_by": chosen} if "loss" in chosen else {}),
            "seed": recipe.seed,
            "start": models.start_key,
            "teacher": {
                "dim": models.teacher.dim,
                "normalizes": models.teacher.normalizes,
                "prompt": models.teacher.prompt,
                "max_length": models.teacher.max_length,
            },
            "student": recipe.student.model_dump(mode="json", by_alias=True),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json"),
            "data": self.data,
            "language_temperature": recipe.data.language_temperature,
            "signals": self.signals,
            "torch": versions().get("torch"),
        }

    def _pairs(self, data: PreparedData) -> Translations | None:
        """The translations as the teacher reads them."""
        pairs = data.translations
        return (
            None if pairs is None else replace(pairs, dev_goals=[self.models.teacher.prompt + text for text in pairs.dev_goals])
        )

    def _cut(self, texts: Sequence[str], rows: Rows, place: Path) -> Student:
        """The student as training begins: the layers that agree best with the teacher, where the recipe leaves the choice.

        The choice is kept in `place`, so that a resumed training loads its weights into the same layers.
        """
        spec = self.recipe.student
        if not isinstance(spec, LayersSpec) or not isinstance(spec.layers, int) or spec.choose == "spread":
            return self._build(None, texts, distil=True)
        wanted = spec.layers

        def search() -> list[int]:
            count = min(SENTENCES, len(texts))
            found, value = search_layers(
                self.models.start, wanted, texts[:count], rows.gather(np.arange(count)), track=_searching
            )
            note(f"student: layers {', '.join(map(str, found))} agree best with the teacher before training ({value:.3f})")
            return [int(layer) for layer in found]

        return self._build(tuple(first(lambda: remembered(place / "layers.json", search))), texts)

    def _build(self, layers: tuple[int, ...] | None, texts: Sequence[str] = (), *, distil: bool = False) -> Student:
        """The untrained student."""
        return make_student(self.recipe, self.models.teacher, self.models.start, layers=layers, texts=texts, distil=distil)

    def _student_facts(self, student: Student, dev: Sequence[str]) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if getattr(self.recipe.student, "vocabulary", None) is not None:
            more["vocabulary"] = told_trimming(self.models.start.tokenizer, student.model.tokenizer, dev)
        return {
            **more,
            "kind": self.recipe.student.kind,
            "layers": student.layers or None,
            "source_layers": student.source_layers or None,
            "projection": student.projection,
            "dim": student.dim,
            "from": self.recipe.student.start,
            "file_mb": file_mb(self.folder.student),
            **count_parameters(student.model),
        }


def _fit_bridge(student: Student, texts: Sequence[str], rows: Rows) -> None:
    """Put the bridge, if there is one, at the least-squares solution on sentences from everywhere in the data: all languages."""
    some = np.unique(np.linspace(0, len(texts) - 1, FIT_SENTENCES).astype(np.int64))
    started = student.start_bridge([texts[row] for row in some], rows.gather(some))
    if started is not None:
        note(f"student: the bridge starts at a mean cosine of {started:.3f} to the teacher (least squares)")


def _searching(choices: Iterable[list[int]]) -> Iterator[list[int]]:
    """A progress bar over choices of layers."""
    options = list(choices)
    return track(options, total=len(options), description="choosing layers", unit="choices")
