"""The second half of a task run: what was trained is exported, proved, judged, measured and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from students.heads import HeadStudent
from teachers.heads import HeadModel

from ..data.examples import SpanExamples
from ..errors import DistillError
from ..evaluate.outputs import Predict, onnx_predict, run_over, torch_predict
from ..evaluate.scoring import METRICS, Examples, Scorer, agreement, make_collator, make_features
from ..evaluate.suite import defined, write_predictions
from ..export.head_parity import check_head_parity
from ..export.heads import write_head_presets
from ..export.smooth import BATCH, TEXTS
from ..files import atomic_folder, locate_model, write_json
from ..measure.variants import EXPORTS, Variant
from ..progress import track
from ..proving import Proof
from ..recipe import Recipe
from ..report.model import Report
from ..rundir import RunDir, versions
from ..runtime.precision import FILES
from ..runtime.session import open_session
from ..train.task import model_logits
from .data import TaskData

PARITY_ROWS = 512
"""One decision of so many may flip without failing the strictest gate."""


class TaskProof(Proof):
    """Takes a trained task student to its report; each method is a stage.

    Args:
        recipe: the resolved recipe.
        folder: the run folder; its training stage is done.
        teacher: what the student is compared with.
        teacher_key: what decides its outputs.
        order: for each label the teacher's output, or None.
        teacher_folder: where the teacher lies, for measuring; None: as the recipe names it.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunDir,
        teacher: HeadModel,
        teacher_key: Mapping[str, Any],
        order: np.ndarray | None,
        teacher_folder: Path | None,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.head = teacher
        self.teacher_key = dict(teacher_key)
        self.order = order
        self.teacher_folder = teacher_folder

    def run(self, student: HeadStudent, data: TaskData) -> Report:
        """Every stage in order.

        Raises:
            GateError: a file failed its parity gate; the report is written nevertheless.
        """
        self._export_heads(student, data)
        parity = self._head_parity(student, data)
        self._task_quality(student, data)
        self._measure(parity)
        return self._report(parity)

    def _export_heads(self, student: HeadStudent, data: TaskData) -> None:
        """Every preset as an ONNX file in student/onnx/; dev examples show `fast` the activations it will meet."""
        spec = self.recipe.export
        inputs = {
            "student": self.folder.outputs("training"),
            "export": spec.model_dump(mode="json"),
            "versions": versions(),
            "dev": self.folder.outputs("data").get("data/dev.parquet"),
        }

        def work() -> dict[str, Any]:
            some = self._features(student, data.dev.select(np.arange(min(TEXTS, len(data.dev)))), data)
            collate = make_collator(self.recipe.task, student.tokenizer)
            feeds = [
                {name: value.numpy() for name, value in collate([some[row] for row in rows]).items()}
                for rows in np.array_split(np.arange(len(some)), -(-len(some) // BATCH))
            ]
            folder, presets = self.folder.student, spec.presets
            return {"quantized": write_head_presets(student.model, student.tokenizer, folder, presets, spec.opset, feeds)}

        files = [f"student/onnx/{file}" for file, preset in EXPORTS.items() if preset in spec.presets]
        self.folder.stage("onnx", inputs, files, work)

    def _head_parity(self, student: HeadStudent, data: TaskData) -> dict[str, Any]:
        """parity.json: each file against its reference, on dev examples."""
        from ..files import read_json

        path = self.folder.path / "parity.json"
        task = self.recipe.task

        def work() -> dict[str, Any]:
            features = self._features(student, data.dev, data)
            keys = ("input_ids", "token_type_ids")
            items = [features[row] for row in range(min(PARITY_ROWS, len(features)))]
            rows = [{key: item[key].tolist() for key in keys if key in item} for item in items]
            presets = self.recipe.export.presets
            found = check_head_parity(
                student.model, student.tokenizer, self.folder.student, presets, rows, task, prefix="student/"
            )
            write_json(path, found)
            return {"passed": {name: model["passed"] for name, model in found["models"].items()}}

        self.folder.stage("parity", self._proved(), ["parity.json", "student/onnx/gates.json"], work)
        found: dict[str, Any] = read_json(path)
        return found

    def _features(self, student: HeadStudent, examples: Examples, data: TaskData) -> Any:
        """Examples as the student reads them."""
        spec, task = self.recipe.data, self.recipe.task
        return make_features(task, examples, student.tokenizer, student.max_length, labels=data.labels, stride=spec.stride)

    def _proved(self) -> dict[str, Any]:
        """What decides what is said of the exported files."""
        return {
            "versions": versions(),
            "onnx": self.folder.outputs("onnx"),
            "student": self.folder.outputs("training"),
            "data": self.folder.outputs("data"),
        }

    def _task_quality(self, student: HeadStudent, data: TaskData) -> None:
        """quality.json and predictions/: teacher, student and every exported file on every labelled set."""

        def work() -> dict[str, Any]:
            found = self._judge(student, data)
            write_json(self.folder.path / "quality.json", found)
            return {"tasks": list(found["tasks"])}

        inputs = {**self._proved(), "teacher": self.teacher_key, "unit": self.recipe.data.answer_unit}
        self.folder.stage("quality", inputs, ["quality.json", "predictions"], work)

    def _judge(self, student: HeadStudent, data: TaskData) -> dict[str, Any]:
        """The content of quality.json; writes predictions/."""
        task, labels, spec = self.recipe.task, data.labels, self.recipe.data
        sets = {"agreement": data.dev, **data.evaluate}
        sides: dict[str, tuple[Any, int]] = {
            "teacher": (self.head.tokenizer, self.head.max_length),
            "student": (student.tokenizer, student.max_length),
        }
        scorers = {
            (name, side): Scorer(
                task,
                part,
                make_features(task, part, tokenizer, length, labels=labels, stride=spec.stride),
                labels,
                spec.answer_unit,
            )
            for name, part in sets.items()
            for side, (tokenizer, length) in sides.items()
        }
        predicts = self._predicts(student)
        tasks = {name: {"kind": task, "metric": METRICS[task], "n": len(part)} for name, part in sets.items()}
        tasks["agreement"] = {"kind": "agreement", "metric": "agreement", "n": len(data.dev)}
        models: dict[str, dict[str, Any]] = {name: {} for name in predicts}
        steps = [(name, model) for name in sets for model in predicts]
        teacher: dict[str, list[Any]] = {}
        with atomic_folder(self.folder.path / "predictions") as out:
            for name, model in track(steps, total=len(steps), description="quality", unit="evaluations"):
                side = "teacher" if model == "teacher" else "student"
                scorer = scorers[name, side]
                outputs = run_over(predicts[model], scorer.features, make_collator(task, sides[side][0]))
                guesses = scorer.guess(outputs)
                teacher.setdefault(name, guesses)
                if name == "agreement":
                    if model != "teacher":
                        models[model][name] = defined({**agreement(task, guesses, teacher[name]), "retained": None})
                    continue
                found = scorer.score(outputs)
                shown = _shown(sets[name], guesses, found, labels.names, task)
                kept = {key: value for key, value in found.items() if key not in ("predictions", "scores")}
                base = found["value"] if model == "teacher" else models["teacher"][name]["value"] or 0.0
                kept["retained"] = found["value"] / base if base > 0 else None
                models[model][name] = defined(kept)
                write_predictions(out / name / f"{model}.parquet", shown)
        return {"schema_version": 1, "tasks": tasks, "models": models}

    def _predicts(self, student: HeadStudent) -> dict[str, Predict]:
        """Teacher, student and exported files as functions of a batch, all in the data's order of labels."""
        task, order = self.recipe.task, self.order

        def torch_model(model: Any) -> Predict:
            return torch_predict(lambda batch: model_logits(model.eval(), batch, task), next(model.parameters()).device)

        plain = torch_model(self.head.model)
        found: dict[str, Predict] = {
            "teacher": plain if order is None else lambda batch: plain(batch)[..., order],
            "student": torch_model(student.model),
        }
        for name in self.recipe.export.presets:
            session = open_session(self.folder.student / "onnx" / FILES[name], outputs=None)
            found[name] = onnx_predict(session, task)
        return found

    def _teacher_variant(self) -> Variant:
        """The teacher as a folder to measure."""
        if self.teacher_folder is not None:
            return Variant("teacher", "teacher", "torch", self.teacher_folder)
        spec = self.recipe.teacher
        return Variant("teacher", "teacher", "torch", locate_model(spec.model), revision=spec.revision)


def _shown(examples: Any, guesses: Sequence[Any], found: Mapping[str, Any], names: Sequence[str], task: str) -> dict[str, Any]:
    """Columns of a predictions file: one row per example, its label, the prediction and its score."""
    scores = np.asarray(found["scores"], dtype=np.float64)
    if task == "tokens":
        words = [" ".join(row) for row in examples.words]
        gold, guess = ([" ".join(names[tag] for tag in row) for row in side] for side in (examples.tags, guesses))
        return {"words": words, "label": gold, "prediction": guess, "score": scores}
    if isinstance(examples, SpanExamples):
        return {"id": examples.ids, "question": examples.questions, "prediction": list(guesses), "score": scores}
    columns: dict[str, Any] = {"text": examples.text}
    if examples.text_pair is not None:
        columns["text_pair"] = examples.text_pair
    if task == "classification":
        columns |= {"label": [names[label] for label in examples.labels], "prediction": [names[guess] for guess in guesses]}
    elif task == "multilabel":
        columns |= {"label": _chosen(examples.labels > 0.5, names), "prediction": _chosen(guesses, names)}
    elif task == "regression":
        columns |= {"label": examples.labels, "prediction": np.asarray(guesses, dtype=np.float64)}
    else:
        raise DistillError("no such task", got=task)
    return {**columns, "score": scores}


def _chosen(rows: Any, names: Sequence[str]) -> list[str]:
    """The names of the labels that each row has, joined."""
    return ["|".join(name for name, yes in zip(names, row, strict=True) if yes) for row in rows]
