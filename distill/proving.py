"""The second half of a run: what was trained is exported, proved, judged, measured and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from students.build import Student, save_student
from teachers.ensemble import AnyTeacher, EnsembleTeacher
from teachers.spec import TeacherSpec

from .data.prepare import PreparedData
from .errors import GateError
from .evaluate.suite import evaluate_models
from .export.onnx import write_presets
from .export.parity import check_parity
from .export.search import Budget
from .export.search_log import SEARCH
from .files import atomic_write, expand, read_json, sha256_file, write_json
from .locating import locate_model
from .measure.hardware import environment
from .measure.latency import measure_models
from .measure.variants import EXPORTS, Variant
from .processes import first, leads
from .recipe import Recipe
from .report.card import model_card
from .report.model import Report, build_report
from .rundir import RunDir, versions
from .runtime.precision import GATES
from .sealing import seal

PARITY_SENTENCES = 128
TOLD = ("max_abs", "mean_cosine", "label_agreement", "correlation")
"""What an error tells of a file that failed its gate."""


class Subject(Protocol):
    """A trained student and its teacher, as the stages of a proof need them.

    Attributes:
        teacher_key: what decides the teacher's outputs, as JSON values.
        judged_by: what else decides quality.json.
    """

    teacher_key: dict[str, Any]
    judged_by: dict[str, Any]

    def export(self) -> dict[str, dict[str, int]]:
        """Write every preset as a file of student/onnx/; preset -> quantized node counts."""

    def parity(self) -> dict[str, Any]:
        """The content of parity.json: each file against its reference, on dev text."""

    def quality(self) -> dict[str, Any]:
        """The content of quality.json: teacher, student and every exported file on every task; writes predictions/."""

    def teacher_variant(self) -> Variant:
        """The teacher as a folder to measure."""


class Encoder:
    """A sentence encoder to be proved.

    Args:
        recipe: the resolved recipe.
        folder: the run folder; its training stage is done.
        teacher: what the student is compared with.
        teacher_key: its fingerprint.
        student: as it was trained.
        data: dev sentences, which show `fast` the activations it will meet, and labelled sets.
        teacher_given: whether the teacher came as an object, so that no folder holds it.
        teacher_folder: the folder of a teacher that the run trained.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunDir,
        teacher: AnyTeacher,
        teacher_key: Mapping[str, Any],
        student: Student,
        data: PreparedData,
        *,
        teacher_given: bool,
        teacher_folder: Path | None = None,
    ) -> None:
        self.recipe, self.folder, self.teacher, self.student, self.data = recipe, folder, teacher, student, data
        self.teacher_key = dict(teacher_key)
        self.judged_by: dict[str, Any] = {"vectors": recipe.vectors.model_dump(mode="json")}
        self.teacher_given, self.teacher_folder = teacher_given, teacher_folder

    def export(self) -> dict[str, dict[str, int]]:
        """See `Subject`."""
        spec = self.recipe.export
        place, dev = self.folder.student, self.data.dev
        budget = None if spec.budget is None else Budget(**spec.budget.model_dump())
        texts = dev if "searched" not in spec.presets else dev[:PARITY_SENTENCES]
        return write_presets(self.student.model, place, spec.presets, spec.opset, texts, budget, self.data.select)

    def parity(self) -> dict[str, Any]:
        """See `Subject`."""
        texts = self.data.dev[:PARITY_SENTENCES]
        return check_parity(self.student.model, self.folder.student, self.recipe.export.presets, texts, prefix="student/")

    def quality(self) -> dict[str, Any]:
        """See `Subject`."""
        recipe, predictions, place = self.recipe, self.folder.path / "predictions", self.folder.student
        presets, vectors = recipe.export.presets, recipe.vectors
        return evaluate_models(self.teacher, self.student.model, place, presets, self.data, predictions, vectors)

    def teacher_variant(self) -> Variant:
        """See `Subject`; a teacher that came as an object is saved first."""
        if self.teacher_folder is not None:
            return Variant("teacher", "teacher", "torch", self.teacher_folder)
        if self.teacher_given and not isinstance(self.teacher, EnsembleTeacher):
            place = self.folder.work / "teacher"
            save_student(self.teacher.model, place)
            return Variant("teacher", "teacher", "torch", place)
        return named_teacher(self.recipe.teacher)


def named_teacher(spec: TeacherSpec) -> Variant:
    """The teacher that a recipe names, as a folder to measure; of several all, which are run one after the other."""
    first, *more = (Variant("teacher", "teacher", "torch", locate_model(one.model), revision=one.revision) for one in spec.every)
    return replace(first, more=tuple(more))


class Proof:
    """Takes a trained student to its report; each method is a stage.

    Args:
        recipe: the resolved recipe.
        folder: the run folder; its training stage is done.
        subject: student and teacher.
    """

    def __init__(self, recipe: Recipe, folder: RunDir, subject: Subject) -> None:
        self.recipe = recipe
        self.folder = folder
        self.subject = subject

    def go(self) -> Report:
        """Every stage in order.

        Raises:
            GateError: a file failed its parity gate; the report is written nevertheless.
        """
        if not leads():  # of several processes the first proves what all have trained
            first(lambda: None, "proof")
            return build_report(self.folder.path)
        self._export()
        parity = self._parity()
        self._quality()
        self._measure(parity)
        report = self._report(parity)
        first(lambda: None, "proof")
        return report

    def _export(self) -> None:
        """Every preset as an ONNX file in student/onnx/."""
        spec = self.recipe.export
        inputs = {
            "student": self.folder.outputs("training"),
            "export": spec.model_dump(mode="json"),
            "versions": versions(),
            "dev": self.folder.outputs("data").get("data/dev.parquet"),
        }
        searched = "searched" in spec.presets
        if searched:
            inputs["data"] = self.folder.outputs("data")  # dev sets that judge the search are among them
        files = [f"student/onnx/{file}" for file, preset in EXPORTS.items() if preset in spec.presets]
        files += [f"student/onnx/{SEARCH}"] if searched else []
        self.folder.stage("onnx", inputs, files, lambda: {"quantized": self.subject.export()})

    def _parity(self) -> dict[str, Any]:
        """parity.json: each file against its reference."""
        path = self.folder.path / "parity.json"

        def work() -> dict[str, Any]:
            found = self.subject.parity()
            write_json(path, found)
            return {"passed": {name: model["passed"] for name, model in found["models"].items()}}

        self.folder.stage("parity", self._proved(), ["parity.json", f"student/onnx/{GATES}"], work)
        found: dict[str, Any] = read_json(path)
        return found

    def _proved(self) -> dict[str, Any]:
        """What decides what is said of the exported files."""
        return {
            "versions": versions(),
            "onnx": self.folder.outputs("onnx"),
            "student": self.folder.outputs("training"),
            "data": self.folder.outputs("data"),
        }

    def _quality(self) -> None:
        """quality.json and predictions/: teacher, student and every exported file on every task."""

        def work() -> dict[str, Any]:
            found = self.subject.quality()
            write_json(self.folder.path / "quality.json", found)
            return {"tasks": list(found["tasks"])}

        inputs = {**self._proved(), "teacher": self.subject.teacher_key, **self.subject.judged_by}
        self.folder.stage("quality", inputs, ["quality.json", "predictions"], work)

    def _measure(self, parity: Mapping[str, Any]) -> None:
        """measure.json: no speed is measured for a file that failed its gate."""
        spec, folder = self.recipe.measure, self.folder
        passed = [name for name, model in parity["models"].items() if model["passed"]]
        files = {preset: folder.student / "onnx" / file for file, preset in EXPORTS.items()}

        def work() -> dict[str, Any]:
            variants = [
                self.subject.teacher_variant(),
                Variant("student", "student", "torch", folder.student),
                *(Variant(name, "export", "onnx", files[name], folder=folder.student, weights=files[name]) for name in passed),
            ]
            found = measure_models(variants, **dict(spec), root=folder.path)
            write_json(folder.path / "measure.json", found)
            facts = {"variants": [variant["name"] for variant in found["variants"]]}
            return {**facts, **({"noise": found["noise"]["words"]} if "noise" in found else {})}

        inputs = {
            "measure": spec.model_dump(mode="json"),
            "versions": versions(),
            "onnx": folder.outputs("onnx"),
            "passed": passed,
            "teacher": self.subject.teacher_key,
            "cpu": environment()["cpu"],
            "text": sha256_file(expand(spec.text)) if spec.text else None,
        }
        if self.recipe.teacher.others:
            inputs["teachers"] = len(self.recipe.teacher.every)
        folder.stage("measure", inputs, ["measure.json"], work)

    def _report(self, parity: Mapping[str, Any]) -> Report:
        """report.* and the model card; then the gates have the last word."""
        self.folder.finish(environment())
        report = build_report(self.folder.path)
        report.save(self.folder.path)
        atomic_write(self.folder.student / "README.md", model_card(self.folder.path))
        seal(self.folder.path)
        failed = [name for name, model in parity["models"].items() if not model["passed"]]
        if failed:
            worst = parity["models"][failed[0]]
            raise GateError(
                f"{', '.join(failed)} failed the parity gate; no speed is reported for it",
                where=str(self.folder.path),
                got=", ".join(f"{name} {worst[name]}" for name in TOLD if worst.get(name) is not None) or "NaN or infinity",
                expected=worst["gate"],
                hint="see parity.json; leave the preset out with export.presets=[fp32] if it is not needed",
            )
        return report
