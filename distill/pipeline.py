"""run(recipe) -> Report: teacher, data, signals, student, training, onnx, parity, quality, measure, report, in this order."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from students.build import FIT_SENTENCES, Student, build_student, save_student
from students.cost import count_parameters
from students.load import load as load_student
from students.search import SENTENCES, search_layers
from teachers.load import Teacher, as_teacher, load_encoder, load_teacher
from teachers.origin import card_fields
from teachers.store import EmbeddingStore, StoredRows

from .data.augment.vocabulary import whole_words
from .data.prepare import PreparedData, prepare
from .data.saved import load_prepared
from .data.saved import save as save_prepared
from .errors import GateError, ModelError
from .evaluate.suite import evaluate_models, select_metric
from .export.onnx import check_presets, write_presets
from .export.parity import check_parity
from .files import atomic_write, cache_dir, fingerprint, locate_model, lock, read_json, sha256_file, write_json
from .measure.hardware import environment
from .measure.latency import measure_models
from .measure.size import file_mb
from .measure.variants import EXPORTS, Variant
from .progress import note, track
from .recipe import Recipe, SourceSpec
from .recipe_check import check_recipe
from .recipe_load import Overrides, RecipeLike, load_recipe
from .report.card import model_card
from .report.model import Report, build_report
from .report.words import public_name
from .rundir import RunDir, versions
from .train.engine import TrainingData, train_student

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from .data.sources import ScoredPairs

PARITY_SENTENCES = 128


def run(
    recipe: RecipeLike,
    overrides: Overrides = (),
    *,
    out: Path | str | None = None,
    force: bool = False,
    teacher: SentenceTransformer | Teacher | None = None,
    train: Iterable[str] | None = None,
    evaluate: Mapping[str, ScoredPairs] | None = None,
) -> Report:
    """Distil, export, prove, measure and report: the whole of a recipe.

    Args:
        recipe: shipped name, YAML file, mapping or `Recipe`.
        overrides: `{"student.layers": 2}` or `["student.layers=2"]`.
        out: run folder; None: `runs/<name>`.
        force: replace what a changed recipe touches in a run folder that is there already.
        teacher: a loaded model instead of `teacher.model`; `teacher.prompt` holds for it too.
        train: sentences, or a `datasets.Dataset`, instead of `data.train`.
        evaluate: labelled pairs by name, instead of `data.evaluate`.

    Returns:
        The report, which is also on disk as report.json, report.md and report.html.

    Raises:
        UserError: the recipe, the data or the models do not fit; nothing has been trained then.
        GateError: an exported file failed its parity gate (the report is written nevertheless), or training collapsed.
    """
    asked = load_recipe(recipe, overrides)
    if teacher is None and train is None:
        for line in check_recipe(asked):
            note(f"note: {line}")
    target = Path(out) if out is not None else Path("runs") / asked.name
    folder = RunDir(target)
    given = {"teacher": teacher is not None, "train": train is not None, "evaluate": evaluate is not None}
    folder.refuse_foreign()  # before the lock: nothing is written where nothing of ours belongs
    with lock(target / ".lock", "this run folder", wait=False):
        folder.open(asked, force=force)
        return _Run(asked, folder, given).go(teacher, train, evaluate)


@dataclass(frozen=True)
class Signals:
    """What one model says of the training and of the dev sentences."""

    train: StoredRows
    dev: StoredRows

    def dev_vectors(self) -> np.ndarray:
        """Of all dev sentences, float32 [n, d]."""
        return self.dev.gather(np.arange(len(self.dev)))


class _Run:
    """One pass through the stages; each method is a stage.

    Args:
        recipe: as asked; the resolved one replaces it when training has chosen a precision.
        folder: the run folder, opened.
        given: which inputs came as objects; they are part of the stages' keys through their content.
    """

    def __init__(self, recipe: Recipe, folder: RunDir, given: Mapping[str, bool]) -> None:
        self.recipe = recipe
        self.folder = folder
        self.given = dict(given)
        self.started = time.perf_counter()

    def go(
        self,
        teacher: SentenceTransformer | Teacher | None,
        train: Iterable[str] | None,
        evaluate: Mapping[str, ScoredPairs] | None,
    ) -> Report:
        """Every stage in order; see `run`."""
        recipe, folder = self.recipe, self.folder
        folder.write_recipe(recipe)
        check_presets(recipe.export.presets)
        self.teacher = self._given_teacher(teacher) if teacher is not None else load_teacher(recipe.teacher)
        self.teacher_key = self.teacher.fingerprint()
        self._load_start()
        self._build()
        folder.stage("teacher", {"teacher": self.teacher_key}, [], self._teacher_facts)
        data = self._data(train, evaluate)
        student = self._train(data, self._signals(data), self._start_signals(data))
        self._export(student)
        parity = self._parity(student, data)
        self._quality(student, data)
        self._measure(parity)
        return self._report(parity)

    def _given_teacher(self, model: SentenceTransformer | Teacher) -> Teacher:
        """A teacher that came as an object, with the prompt of the recipe if that names one."""
        spec, teacher = self.recipe.teacher, as_teacher(model)
        if spec.max_length not in (None, teacher.max_length):
            raise ModelError(
                "a model that is loaded has its own longest input",
                where="teacher.max_length",
                got=spec.max_length,
                expected=f"{teacher.max_length}, or null",
                hint="set max_seq_length of the model",
            )
        return teacher if spec.prompt is None else Teacher(teacher.model, teacher.name, spec.prompt)

    def _load_start(self) -> None:
        """The model that the student is cut from."""
        name = self.recipe.student.from_
        self.start = self.teacher.model if name == "teacher" else load_encoder(name)
        self.start_key = self.teacher_key if name == "teacher" else Teacher(self.start, name).fingerprint()

    def _build(self, layers: tuple[int, ...] | None = None) -> Student:
        """The untrained student: fails in the first second where teacher, start model and recipe do not fit.

        Args:
            layers: which layers to keep, where the recipe leaves that to a search.
        """
        spec = self.recipe.student
        return build_student(
            spec if layers is None else spec.model_copy(update={"layers": layers}),
            self.start,
            teacher_dim=self.teacher.dim,
            teacher_normalizes=self.teacher.normalizes,
            teacher_prompt=self.teacher.prompt,
            max_length=self.teacher.max_length or 512,
            seed=self.recipe.seed,
        )

    def _teacher_facts(self) -> dict[str, Any]:
        config = self.teacher.model[0].auto_model.config
        place = Path(locate_model(self.recipe.teacher.model)) if not self.given["teacher"] else None
        return {
            **(card_fields(place) if place is not None and place.is_dir() else {}),
            "model": public_name(self.teacher.name),
            "dim": self.teacher.dim,
            "layers": getattr(config, "num_hidden_layers", None),
            "max_length": self.teacher.max_length,
            "normalizes": self.teacher.normalizes,
            "prompt": self.teacher.prompt,
            **count_parameters(self.teacher.model),
        }

    def _data(self, train: Iterable[str] | None, evaluate: Mapping[str, ScoredPairs] | None) -> PreparedData:
        """Sentences for training and dev, labelled sets, written to data/."""
        spec = self.recipe.data
        given: dict[str, Any] = {}
        if train is not None:
            train = _texts(train)
            given["train"] = train
        if evaluate is not None:
            given["evaluate"] = {
                name: [list(rows.sentences1), list(rows.sentences2), rows.scores.tolist()] for name, rows in evaluate.items()
            }
        sources = [*([] if train is not None else spec.train), *spec.evaluate.values(), spec.dev, spec.select]
        inputs = {
            "data": spec.model_dump(mode="json"),
            "files": {s.source: _source_key(s.source) for s in sources if isinstance(s, SourceSpec)},
            "augment": {"teacher": self.teacher_key, "seed": self.recipe.seed} if spec.augment else None,
            "given": given,
        }
        made: list[PreparedData] = []

        def work() -> dict[str, Any]:
            words = whole_words(self.teacher.tokenizer) if spec.augment else ()
            made.append(prepare(spec, train=train, evaluate=evaluate, words=words, seed=self.recipe.seed))
            save_prepared(made[0], self.folder.data)
            names = ["given sentences"] if train is not None else [s.source for s in spec.train]
            return {**made[0].counts, "sources": [Path(name).name if Path(name).is_absolute() else name for name in names]}

        facts = self.folder.stage("data", inputs, ["data"], work)
        data = made[0] if made else load_prepared(self.folder.data)
        note(f"data: {len(data.train):,} sentences to train on, {len(data.dev):,} for dev" + _removed(facts))
        return data

    def _signals(self, data: PreparedData) -> Signals:
        """What the teacher says of each text, once, from the cache where it is there."""
        found, facts = self._label("signals", self.teacher, self.teacher_key, data)
        self.signal_key = {name: facts[name] for name in ("train_sha256", "dev_sha256")}
        return found

    def _start_signals(self, data: PreparedData) -> Signals | None:
        """What the start model says, where a stage trains toward it."""
        if all(stage.toward == "teacher" for stage in self.recipe.stages):
            return None
        name = self.recipe.student.from_
        return self._label("start signals", as_teacher(self.start, name), self.start_key, data)[0]

    def _label(self, stage: str, teacher: Teacher, key: dict[str, Any], data: PreparedData) -> tuple[Signals, dict[str, Any]]:
        """Embeddings of the training and dev sentences by one model, and the facts of that stage."""
        name = "the teacher" if stage == "signals" else "the start model"
        store = EmbeddingStore(cache_dir(), key, teacher.dim)
        found: list[StoredRows] = []

        def work() -> dict[str, Any]:
            size = self.recipe.teacher.batch_size
            for texts in (data.train, data.dev):
                found.append(store.label(texts, lambda batch: teacher.embed(batch, batch_size=size), progress=track))
            computed, reused = sum(rows.new_sentences for rows in found), sum(rows.reused for rows in found)
            note(f"signals: {computed:,} sentences through {name}, {reused:,} from the cache")
            return {"computed": computed, "reused": reused, "train_sha256": found[0].sha256(), "dev_sha256": found[1].sha256()}

        inputs = {"teacher": key, "data": self.folder.outputs("data")}
        facts = self.folder.stage(stage, inputs, [], work)
        if not found:
            again = work()
            same = all(again[name] == facts[name] for name in ("train_sha256", "dev_sha256"))
            if not same:
                note(f"{stage}: the cache was rebuilt and differs in the last bits; training runs again")
            facts = again
        return Signals(found[0], found[1]), facts

    def _train(self, data: PreparedData, signals: Signals, start: Signals | None) -> Student:
        """Train, or load what an earlier run with the same inputs trained."""
        recipe, folder = self.recipe, self.folder
        inputs = {
            "seed": recipe.seed,
            "start": self.start_key,
            "teacher": {"dim": self.teacher.dim, "normalizes": self.teacher.normalizes, "prompt": self.teacher.prompt},
            "student": recipe.student.model_dump(mode="json", by_alias=True),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json"),
            "data": folder.outputs("data"),
            "signals": self.signal_key,
            "torch": versions().get("torch"),
        }
        prompt = self.teacher.prompt
        trained: list[Student] = []
        place = folder.work / fingerprint(inputs)

        def work() -> dict[str, Any]:
            if not place.exists():  # what another training left, its log lines too, is no part of this one
                shutil.rmtree(folder.work, ignore_errors=True)
                folder.log.unlink(missing_ok=True)
            texts = [prompt + text for text in data.train]
            dev = [prompt + text for text in data.dev]
            student = self._cut(texts, signals.train)
            metric = select_metric(student.model, data.select) if data.select is not None else None
            facts = train_student(
                recipe,
                student,
                TrainingData(texts, dev, signals.train.gather, signals.dev_vectors(), metric),
                teacher_normalizes=self.teacher.normalizes,
                work=place,
                log=folder.log,
                start=None if start is None else TrainingData(texts, dev, start.train.gather, start.dev_vectors()),
                start_normalizes=as_teacher(self.start).normalizes,
                before_teacher=lambda: _fit_bridge(student, texts, signals.train),
            )
            save_student(student.model, folder.student)
            trained.append(student)
            return {
                **facts,
                "layers": student.layers,
                "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }

        facts = folder.stage("training", inputs, ["student!onnx!README.md", "log.jsonl"], work)
        self.recipe = recipe.with_values(train={**recipe.train.model_dump(mode="json"), "precision": facts["precision"]})
        folder.write_recipe(self.recipe)
        student = trained[0] if trained else self._build(tuple(facts["layers"]))
        if not trained:
            student.model = load_student(folder.student)
        folder.stage("student", {"training": folder.outputs("training")}, [], lambda: self._student_facts(student))
        return student

    def _cut(self, texts: Sequence[str], rows: StoredRows) -> Student:
        """The student as training begins: the layers that agree best with the teacher, where the recipe leaves the choice."""
        spec, layers = self.recipe.student, None
        if isinstance(spec.layers, int) and spec.choose == "agreement":
            count = min(SENTENCES, len(texts))
            found, value = search_layers(self.start, spec.layers, texts[:count], rows.gather(np.arange(count)), track=_searching)
            layers = tuple(found)
            note(f"student: layers {', '.join(map(str, found))} agree best with the teacher before training ({value:.3f})")
        return self._build(layers)

    def _student_facts(self, student: Student) -> dict[str, Any]:
        return {
            "layers": student.layers,
            "source_layers": student.source_layers,
            "projection": student.projection,
            "dim": student.dim,
            "from": self.recipe.student.from_,
            "file_mb": file_mb(self.folder.student),
            **count_parameters(student.model),
        }

    def _export(self, student: Student) -> None:
        """Every preset as an ONNX file in student/onnx/."""
        spec = self.recipe.export
        inputs = {"student": self.folder.outputs("training"), "export": spec.model_dump(mode="json")}

        def work() -> dict[str, Any]:
            return {"quantized": write_presets(student.model, self.folder.student, spec.presets, spec.opset)}

        files = [f"student/onnx/{file}" for file, preset in EXPORTS.items() if preset in spec.presets]
        self.folder.stage("onnx", inputs, files, work)

    def _parity(self, student: Student, data: PreparedData) -> dict[str, Any]:
        """parity.json: each file against its reference, on dev sentences."""
        path = self.folder.path / "parity.json"

        def work() -> dict[str, Any]:
            presets = self.recipe.export.presets
            found = check_parity(student.model, self.folder.student, presets, data.dev[:PARITY_SENTENCES], prefix="student/")
            write_json(path, found)
            return {"passed": {name: model["passed"] for name, model in found["models"].items()}}

        inputs = {
            "onnx": self.folder.outputs("onnx"),
            "student": self.folder.outputs("training"),
            "data": self.folder.outputs("data"),
        }
        self.folder.stage("parity", inputs, ["parity.json"], work)
        found: dict[str, Any] = read_json(path)
        return found

    def _quality(self, student: Student, data: PreparedData) -> None:
        """quality.json and predictions/: teacher, student and every exported file on every task."""

        def work() -> dict[str, Any]:
            found = evaluate_models(
                self.teacher,
                student.model,
                self.folder.student,
                self.recipe.export.presets,
                data,
                self.folder.path / "predictions",
            )
            write_json(self.folder.path / "quality.json", found)
            return {"tasks": list(found["tasks"])}

        inputs = {
            "onnx": self.folder.outputs("onnx"),
            "student": self.folder.outputs("training"),
            "data": self.folder.outputs("data"),
            "teacher": self.teacher_key,
        }
        self.folder.stage("quality", inputs, ["quality.json", "predictions"], work)

    def _measure(self, parity: Mapping[str, Any]) -> None:
        """measure.json: no speed is measured for a file that failed its gate."""
        spec, folder = self.recipe.measure, self.folder
        passed = [name for name, model in parity["models"].items() if model["passed"]]
        files = {preset: folder.student / "onnx" / file for file, preset in EXPORTS.items()}

        def work() -> dict[str, Any]:
            variants = [
                self._teacher_variant(),
                Variant("student", "student", "torch", folder.student, weights=folder.student / "model.safetensors"),
                *(Variant(name, "export", "onnx", files[name], folder=folder.student, weights=files[name]) for name in passed),
            ]
            found = measure_models(
                variants,
                batch=spec.batch,
                sequence=spec.sequence,
                threads=spec.threads,
                min_runs=spec.min_runs,
                min_seconds=spec.min_seconds,
                root=folder.path,
            )
            write_json(folder.path / "measure.json", found)
            return {"variants": [variant["name"] for variant in found["variants"]]}

        inputs = {
            "measure": spec.model_dump(mode="json"),
            "onnx": folder.outputs("onnx"),
            "passed": passed,
            "teacher": self.teacher_key,
            "cpu": environment()["cpu"],
        }
        folder.stage("measure", inputs, ["measure.json"], work)

    def _teacher_variant(self) -> Variant:
        """The teacher as a folder to measure; one that came as an object is saved first."""
        if self.given["teacher"]:
            place = self.folder.work / "teacher"
            save_student(self.teacher.model, place)
            return Variant("teacher", "teacher", "torch", place)
        spec = self.recipe.teacher
        return Variant("teacher", "teacher", "torch", locate_model(spec.model), revision=spec.revision)

    def _report(self, parity: Mapping[str, Any]) -> Report:
        """report.* and the model card; then the gates have the last word."""
        self.folder.finish(environment())
        report = build_report(self.folder.path)
        report.save(self.folder.path)
        atomic_write(self.folder.student / "README.md", model_card(self.folder.path))
        failed = [name for name, model in parity["models"].items() if not model["passed"]]
        if failed:
            worst = parity["models"][failed[0]]
            raise GateError(
                f"{', '.join(failed)} failed the parity gate; no speed is reported for it",
                where=str(self.folder.path),
                got=f"max_abs {worst['max_abs']}, mean_cosine {worst['mean_cosine']}",
                expected=worst["gate"],
                hint="see parity.json; leave the preset out with export.presets=[fp32] if it is not needed",
            )
        return report


def _fit_bridge(student: Student, texts: Sequence[str], rows: StoredRows) -> None:
    """Put the bridge, if there is one, at the least-squares solution."""
    some = texts[:FIT_SENTENCES]
    started = student.start_bridge(some, rows.gather(np.arange(len(some))))
    if started is not None:
        note(f"student: the bridge starts at a mean cosine of {started:.3f} to the teacher (least squares)")


def _searching(choices: Iterable[list[int]]) -> Iterator[list[int]]:
    """A progress bar over choices of layers."""
    options = list(choices)
    return track(options, total=len(options), description="choosing layers", unit="choices")


def _texts(train: Iterable[str]) -> list[str]:
    """The sentences of an iterable or of a dataset's only text column."""
    features = getattr(train, "features", None)
    if features is None:
        return list(train)
    columns = [name for name, feature in features.items() if getattr(feature, "dtype", None) in ("string", "large_string")]
    if len(columns) != 1:
        raise ModelError(
            "cannot tell which column holds the sentences",
            where="train",
            got=columns or list(features),
            expected="a dataset with one text column",
            hint="pass dataset['column'] instead of the dataset",
        )
    return list(train[columns[0]])  # type: ignore[index]


def _source_key(source: str) -> str:
    """What decides a source's content: a file's hash; the versions that python-docs reads; else its name."""
    path = Path(source).expanduser()
    if path.is_file():
        return sha256_file(path)
    if source == "python-docs":
        from .data.python_docs import content_key

        return content_key()
    return source


def _removed(facts: Mapping[str, Any]) -> str:
    """Words for the sentences that were kept out because an evaluation set holds them."""
    count = facts.get("removed_evaluation", 0)
    return f"; {count:,} left out, since an evaluation set holds them" if count else ""
