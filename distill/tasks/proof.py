"""A trained task student and its teacher, as the second half of a run exports, proves, judges and measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from students.heads import HeadStudent
from teachers.device import at_work
from teachers.heads import HeadModel

from ..data.examples import SpanExamples
from ..errors import DistillError
from ..evaluate.outputs import Predict, onnx_predict, run_over, torch_predict
from ..evaluate.scoring import METRICS, Examples, Scorer, agreement, make_collator
from ..evaluate.suite import defined, write_predictions
from ..export.head_parity import check_head_parity, encode_row
from ..export.heads import write_head_presets
from ..export.judges import head_judge
from ..export.search import METRIC_DROP, Budget, Judge
from ..export.smooth import BATCH, TEXTS
from ..files import atomic_folder
from ..measure.variants import Variant
from ..progress import note, track
from ..proving import named_teacher
from ..recipe import Recipe
from ..rundir import RunDir
from ..runtime.precision import FILES
from ..runtime.session import open_session
from ..train.task import model_logits
from .data import TaskData
from .features import cut_note, features_of
from .heads import Heads

NOT_TOLD = ("predictions", "scores", "counts")
"""What is said of each example: it goes into predictions/, not into quality.json."""
PARITY_ROWS = 512
"""One decision of so many may flip without failing the strictest gate."""


class TaskModel:
    """A model with a task head to be proved: a `distill.proving.Subject`.

    Args:
        recipe: the resolved recipe.
        folder: the run folder; its training stage is done.
        heads: the teachers that the student is compared with.
        teacher_key: `Heads.key`.
        student: as it was trained.
        data: dev examples and labelled sets.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunDir,
        heads: Heads,
        teacher_key: Mapping[str, Any],
        student: HeadStudent,
        data: TaskData,
    ) -> None:
        self.recipe, self.folder, self.heads, self.student, self.data = recipe, folder, heads, student, data
        self.teacher_key = dict(teacher_key)
        self.judged_by: dict[str, Any] = {"unit": recipe.data.answer_unit}

    @cached_property
    def dev(self) -> Any:
        """Dev examples as the student reads them."""
        return features_of(self.recipe, self.data, self.data.dev, self.student)

    def export(self) -> dict[str, dict[str, int]]:
        """See `Subject`; dev examples show `fast` the activations it will meet."""
        spec, student = self.recipe.export, self.student
        first = self.data.dev.select(np.arange(min(TEXTS, len(self.data.dev))))
        some = features_of(self.recipe, self.data, first, student)
        collate = make_collator(self.recipe.task, student.tokenizer)
        feeds = [
            {name: value.numpy() for name, value in collate([some[row] for row in rows]).items()}
            for rows in np.array_split(np.arange(len(some)), -(-len(some) // BATCH))
        ]
        budget = Budget(metric_drop=METRIC_DROP) if spec.budget is None else Budget(**spec.budget.model_dump())
        judge = self._judge() if "searched" in spec.presets else None
        place = self.folder.student
        return write_head_presets(student.model, student.tokenizer, place, spec.presets, spec.opset, feeds, budget, judge)

    def _judge(self) -> Judge:
        """Judges a mix of precisions by the dev metric, and by what is said of the rows that parity looks at."""
        task, tokenizer = self.recipe.task, self.student.tokenizer
        scorer, collate = self._scorer("agreement", self.data.dev, self.student), make_collator(task, tokenizer)

        def metric(session: Any) -> float:
            return float(scorer.score(run_over(onnx_predict(session, task), scorer.features, collate), rounds=2)["value"])

        features = [encode_row(row, tokenizer, self.student.model, task) for row in self._parity_rows()]
        return head_judge(tokenizer, features, task, metric, len(self.data.dev), METRICS[task])

    def parity(self) -> dict[str, Any]:
        """See `Subject`."""
        student, rows = self.student, self._parity_rows()
        presets, task = self.recipe.export.presets, self.recipe.task
        return check_head_parity(student.model, student.tokenizer, self.folder.student, presets, rows, task, prefix="student/")

    def _parity_rows(self) -> list[dict[str, list[int]]]:
        """The first dev rows as token ids."""
        items = [self.dev[row] for row in range(min(PARITY_ROWS, len(self.dev)))]
        return [{key: item[key].tolist() for key in ("input_ids", "token_type_ids") if key in item} for item in items]

    def teacher_variant(self) -> Variant:
        """See `Subject`."""
        if self.heads.folder is not None:
            return Variant("teacher", "teacher", "torch", self.heads.folder)
        return named_teacher(self.recipe.teacher)

    def _scorer(self, name: str, examples: Examples, model: HeadModel | HeadStudent) -> Scorer:
        """Judges one of the two models on a set; the student's dev examples are tokenised already."""
        known = name == "agreement" and model is self.student
        features = self.dev if known else features_of(self.recipe, self.data, examples, model)
        if model is self.student and (told := cut_note(features, model.max_length)):
            note(f"quality: of {len(examples):,} examples of {name} {told} (student.max_length)")
        return Scorer(self.recipe.task, examples, features, self.data.labels, self.recipe.data.answer_unit)

    def quality(self) -> dict[str, Any]:
        """See `Subject`."""
        with at_work(self.heads.teacher.model), at_work(self.student.model):
            return self._judged(self._predicts())

    def _judged(self, predicts: Mapping[str, Predict]) -> dict[str, Any]:
        """What teacher, student and files score on every set."""
        data, task, labels, several = self.data, self.recipe.task, self.data.labels, self.heads.several
        sets: dict[str, Examples] = {"agreement": data.dev, **data.evaluate}
        sides: dict[str, HeadModel | HeadStudent] = {"teacher": self.heads.teacher, "student": self.student}
        scorers = {(name, side): self._scorer(name, part, sides[side]) for name, part in sets.items() for side in sides}
        tasks = {name: {"kind": task, "metric": METRICS[task], "n": len(part)} for name, part in sets.items()}
        tasks["agreement"] = {"kind": "agreement", "metric": "agreement", "n": len(data.dev)}
        models: dict[str, dict[str, Any]] = {name: {} for name in predicts}
        steps = [(name, model) for name in sets for model in predicts]
        teacher: dict[str, list[Any]] = {}
        with atomic_folder(self.folder.path / "predictions") as out:
            for name, model in track(steps, total=len(steps), description="quality", unit="evaluations"):
                side = "teacher" if model == "teacher" else "student"
                scorer = scorers[name, side]
                if side == "teacher" and several is not None:
                    outputs = several.outputs(sets[name], labels, self.recipe.data.stride)
                else:
                    outputs = run_over(predicts[model], scorer.features, make_collator(task, sides[side].tokenizer))
                guesses = scorer.guess(outputs)
                teacher.setdefault(name, guesses)
                found = scorer.score(outputs)
                shown = _shown(sets[name], guesses, found, labels.names, task, outputs)
                write_predictions(out / name / f"{model}.parquet", shown)
                if name == "agreement":
                    if model != "teacher":
                        models[model][name] = defined({**agreement(task, guesses, teacher[name]), "retained": None})
                    continue
                kept = {key: value for key, value in found.items() if key not in NOT_TOLD}
                base = found["value"] if model == "teacher" else models["teacher"][name]["value"] or 0.0
                kept["retained"] = found["value"] / base if base > 0 else None
                models[model][name] = defined(kept)
        return {"schema_version": 1, "tasks": tasks, "models": models}

    def _predicts(self) -> dict[str, Predict]:
        """Teacher, student and exported files as functions of a batch, all in the data's order of labels."""
        task, order = self.recipe.task, self.heads.order

        def torch_model(model: Any) -> Predict:
            return torch_predict(lambda batch: model_logits(model.eval(), batch, task), next(model.parameters()).device)

        plain = torch_model(self.heads.teacher.model)
        found: dict[str, Predict] = {
            "teacher": plain if order is None else lambda batch: plain(batch)[..., order],
            "student": torch_model(self.student.model),
        }
        for name in self.recipe.export.presets:
            session = open_session(self.folder.student / "onnx" / FILES[name], outputs=None)
            found[name] = onnx_predict(session, task)
        return found


def _shown(
    examples: Any,
    guesses: Sequence[Any],
    found: Mapping[str, Any],
    names: Sequence[str],
    task: str,
    outputs: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Columns of a predictions file: one row per example, its label, the prediction and its score.

    Tags and several labels come with the counts that F1 is made of (`right`, `guessed`, `wanted`), a single label with the
    probability that the model gives it (`confidence`), an answer with the right ones and the length of its text.
    """
    scores = np.asarray(found["scores"], dtype=np.float64)
    counted = {}
    if "counts" in found:
        counts = np.asarray(found["counts"], dtype=np.int32)
        counted = {name: counts[:, place] for place, name in enumerate(("right", "guessed", "wanted"))}
    if task == "tokens":
        words = [" ".join(row) for row in examples.words]
        gold, guess = ([" ".join(names[tag] for tag in row) for row in side] for side in (examples.tags, guesses))
        return {"words": words, "label": gold, "prediction": guess, **counted, "score": scores}
    if isinstance(examples, SpanExamples):
        return {
            "id": examples.ids,
            "question": examples.questions,
            "answers": [[text for text, _ in answers] for answers in examples.answers],
            "context_chars": np.array([len(context) for context in examples.contexts], dtype=np.int32),
            "prediction": list(guesses),
            "score": scores,
        }
    columns: dict[str, Any] = {"text": examples.text}
    if examples.text_pair is not None:
        columns["text_pair"] = examples.text_pair
    if task == "classification":
        columns |= {"label": [names[label] for label in examples.labels], "prediction": [names[guess] for guess in guesses]}
        columns["confidence"] = _confidence(outputs)
    elif task == "multilabel":
        columns |= {"label": _chosen(examples.labels > 0.5, names), "prediction": _chosen(guesses, names)}
    elif task == "regression":
        columns |= {"label": examples.labels, "prediction": np.asarray(guesses, dtype=np.float64)}
    else:
        raise DistillError("no such task", got=task)
    return {**columns, **counted, "score": scores}


def _confidence(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The probability of the likeliest label of each example, float32 [n]; nan where a logit is no number."""
    logits = np.stack(list(outputs)).astype(np.float64)
    return (1 / np.exp(logits - logits.max(1, keepdims=True)).sum(1)).astype(np.float32)


def _chosen(rows: Any, names: Sequence[str]) -> list[str]:
    """The names of the labels that each row has, joined."""
    return ["|".join(name for name, yes in zip(names, row, strict=True) if yes) for row in rows]
