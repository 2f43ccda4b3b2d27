"""run(recipe) -> Report: teacher, data, signals, student, training, onnx, parity, quality, measure, report, in this order."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from students.build import FIT_SENTENCES, Student, save_student
from students.cost import count_parameters
from students.load import load as load_student
from students.search import SENTENCES, search_layers
from students.spec import LayersSpec
from teachers.ensemble import AnyTeacher, EnsembleTeacher, load_ensemble
from teachers.load import Teacher, as_teacher, load_encoder, load_teacher
from teachers.origin import card_fields
from teachers.precision import Precision, keyed, resolve
from teachers.remote import check_url, signals_url
from teachers.spec import TeacherSpec

from .augmenting import run_key, run_mask
from .combining import several_facts, several_signals
from .data.augment.parts import Parts
from .data.augment.vocabulary import whole_words
from .data.evaluation import EvaluationSet, set_values, sources_of_set
from .data.prepare import PreparedData, prepare
from .data.saved import load_prepared
from .data.saved import save as save_prepared
from .errors import UserError
from .evaluate.suite import select_metric
from .export.onnx import check_presets
from .files import fingerprint, locate_model, lock, remembered
from .given import given_sentences, given_sets, given_teacher, source_facts, source_key, split_objects
from .live import live_page
from .making import check_student, make_student, running_teacher
from .mapped import Joined, Prompted, give_back
from .measure.hardware import peak_rss_mb
from .measure.size import file_mb
from .processes import check_launch, first, launched, leads, together, total, world
from .progress import note, track
from .proving import Encoder, Proof
from .recipe import Recipe, SourceSpec
from .recipe_augment import TextSpec, VocabularyMixSpec
from .recipe_check import check_recipe
from .recipe_load import Overrides, RecipeLike, load_recipe
from .report.model import Report
from .report.words import public_name
from .rundir import RunDir, versions
from .scratch import check_scratch
from .sharing import run_dir
from .signals import JoinedSignals, Rows, Signals, labelling
from .tasks.run import TaskRun
from .teaching import prepared_teacher, start_model, train_teacher, tuned_teacher
from .train.engine import TrainingData, train_student

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from .cluster import Cluster

TRAINED_ON = ("train", "dev", "start", "select-")
"""How the data files that decide the training begin."""


def run(
    recipe: RecipeLike,
    overrides: Overrides = (),
    *,
    out: Path | str | None = None,
    force: bool = False,
    teacher: SentenceTransformer | Teacher | None = None,
    train: Iterable[str] | None = None,
    evaluate: Mapping[str, EvaluationSet] | None = None,
) -> Report:
    """Distil, export, prove, measure and report: the whole of a recipe.

    Args:
        recipe: shipped name, YAML file, mapping or `Recipe`.
        overrides: `{"student.layers": 2}` or `["student.layers=2"]`; `teacher.model` may be a loaded model there, and
            `data.train` a `datasets.Dataset`.
        out: run folder; None: `runs/<name>`.
        force: replace what a changed recipe touches in a run folder that is there already.
        teacher: a loaded model instead of `teacher.model`; `teacher.prompt` holds for it too.
        train: sentences, or a `datasets.Dataset`, instead of `data.train`.
        evaluate: evaluation sets by name, instead of `data.evaluate`.

    Returns:
        The report, which is also on disk as report.json, report.md and report.html.

    Raises:
        UserError: the recipe, the data or the models do not fit, or not the number of processes that a launcher started;
            nothing has been trained then.
        GateError: an exported file failed its parity gate (the report is written nevertheless), or training collapsed.
    """
    overrides, objects = split_objects(overrides)
    teacher, train = objects.get("teacher.model", teacher), objects.get("data.train", train)
    asked = load_recipe(recipe, overrides)
    if teacher is not None and asked.teacher.others:
        raise UserError(
            "several teachers are named in the recipe, not given as objects",
            where="teacher",
            got=f"an object, and teacher.others of {len(asked.teacher.others)}",
            expected="one or the other",
            hint="save the model, and name its folder as teacher.model",
        )
    given = {"teacher": teacher is not None, "train": train is not None, "evaluate": evaluate is not None}
    with opened(asked, out, given, force=force) as (asked, folder), contextlib.ExitStack() as held:
        if asked.task != "embedding":
            _only_names(given)
        if leads():
            held.enter_context(live_page(folder))
        if asked.task != "embedding":
            return TaskRun(asked, folder).go()
        return EmbeddingRun(asked, folder, given).go(teacher, train, evaluate)


@contextlib.contextmanager
def opened(recipe: Recipe, out: Path | str | None, given: Mapping[str, bool], *, force: bool) -> Iterator[tuple[Recipe, RunDir]]:
    """Check a recipe and open its run folder, for the processes of this launch; the recipe comes back as it will be run."""
    launch = launched()
    check_launch(recipe, launch)
    for line in check_recipe(recipe, given=[name for name, is_given in given.items() if is_given]):
        note(f"note: {line}")
    url = signals_url()
    if url is not None:
        check_url(url)
    check_scratch()
    target = Path(out) if out is not None else Path("runs") / recipe.name
    with together(launch), contextlib.ExitStack() as held:
        folder = run_dir(target)
        folder.refuse_foreign()  # before the lock: nothing is written where nothing of ours belongs
        if leads():
            held.enter_context(lock(target / ".lock", "this run folder", wait=False))
        yield folder.open(recipe, force=force), folder


def _only_names(given: Mapping[str, bool]) -> None:
    """Labelled tasks take their inputs by name alone."""
    objects = [name for name, is_given in given.items() if is_given]
    if objects:
        raise UserError(
            "labelled tasks take models and data by name, not as objects",
            where=", ".join(objects),
            hint="save the model or the data set, and name the folder or the file in the recipe",
        )


class EmbeddingRun:
    """One pass through the stages; each method is a stage.

    Args:
        recipe: as asked; the resolved one replaces it when training has chosen a precision.
        folder: the run folder, opened.
        given: which inputs came as objects; they are part of the stages' keys through their content.
        cluster: labels instead of this process.
    """

    def __init__(self, recipe: Recipe, folder: RunDir, given: Mapping[str, bool], cluster: Cluster | None = None) -> None:
        self.recipe = recipe
        self.folder = folder
        self.given = dict.fromkeys(("teacher", "train", "evaluate"), False) | dict(given)
        self.cluster = cluster
        self.precision: Precision = first(lambda: resolve(recipe.teacher.precision))
        self.tuned: Path | None = None
        self.signal_key: dict[str, Any] = {}

    def go(
        self,
        teacher: SentenceTransformer | Teacher | None,
        train: Iterable[str] | None,
        evaluate: Mapping[str, EvaluationSet] | None,
    ) -> Report:
        """Every stage in order; see `run`."""
        data = self._prepared(teacher, train, evaluate)
        student = self._train(data, self._signals(data), self._start_signals(data))
        subject = Encoder(
            self.recipe,
            self.folder,
            self.teacher,
            self.teacher_key,
            student,
            data,
            teacher_given=self.given["teacher"],
            teacher_folder=self.tuned,
        )
        return Proof(self.recipe, self.folder, subject).go()

    def label(self) -> tuple[int, int]:
        """The stages up to the signals; see `distill.labelling`. Returns how many sentences were labelled, and were there."""
        data = self._prepared(None, None, None)
        counts = [found.counts() for found in (self._signals(data), self._start_signals(data)) if found is not None]
        computed = total(sum(new for new, _ in counts))
        return computed, sum(new + reused for new, reused in counts) - computed

    def _prepared(
        self,
        teacher: SentenceTransformer | Teacher | None,
        train: Iterable[str] | None,
        evaluate: Mapping[str, EvaluationSet] | None,
    ) -> PreparedData:
        """Models and data, before anything is learned from them."""
        recipe, folder = self.recipe, self.folder
        folder.write_recipe(recipe)
        check_presets(recipe.export.presets)
        self.lead = given_teacher(teacher, recipe.teacher) if teacher is not None else load_teacher(recipe.teacher.every[0])
        if recipe.teacher.finetune is not None:
            self.lead = prepared_teacher(recipe, self.lead)
        self.teacher: AnyTeacher = load_ensemble(recipe.teacher, self.lead) if recipe.teacher.others else self.lead
        self._load_start()
        if recipe.teacher.finetune is not None:
            self._finetune(evaluate)
        folder.stage("teacher", {"teacher": self.teacher_key, "name": self.teacher.name}, [], self._teacher_facts)
        return self._data(train, evaluate)

    def _finetune(self, evaluate: Mapping[str, EvaluationSet] | None) -> None:
        """Train the teacher first, or take the one that an earlier run with the same inputs trained."""
        train_teacher(self.recipe, self.folder, self.lead, None if evaluate is None else given_sets(evaluate))
        self.teacher = self.lead = tuned_teacher(self.recipe, self.folder, self.lead)
        self.tuned = self.folder.path / "teacher"
        self._load_start()

    def _load_start(self) -> None:
        """The model that the student is cut from; teacher, start and recipe fit each other."""
        name = self.recipe.student.start
        self.teacher_key = self.teacher.fingerprint()
        self.start = start_model(self.lead) if name == "teacher" else load_encoder(name)
        self.start_key = self.lead.fingerprint() if name == "teacher" else Teacher(self.start, name).fingerprint()
        headless = self.given["teacher"] or self.recipe.teacher.finetune is not None
        check_student(self.recipe, self.lead, self.start, self._build(), loaded=headless)

    def _build(self, layers: tuple[int, ...] | None = None, texts: Sequence[str] = (), *, distil: bool = False) -> Student:
        """The untrained student: fails in the first second where teacher, start model and recipe do not fit."""
        return make_student(self.recipe, self.teacher, self.start, layers=layers, texts=texts, distil=distil)

    def _teacher_facts(self) -> dict[str, Any]:
        if isinstance(self.teacher, EnsembleTeacher):
            return several_facts(self.teacher)
        config = self.teacher.model[0].auto_model.config
        place = Path(locate_model(self.recipe.teacher.model)) if not self.given["teacher"] else None
        return {
            **(card_fields(place) if place is not None and place.is_dir() else {}),
            **({"path": self.tuned.name} if self.tuned is not None else {}),
            "model": public_name(self.teacher.name),
            "dim": self.teacher.dim,
            "layers": getattr(config, "num_hidden_layers", None),
            "max_length": self.teacher.max_length,
            "normalizes": self.teacher.normalizes,
            "prompt": self.teacher.prompt,
            **count_parameters(self.teacher.model),
        }

    def _data(self, train: Iterable[str] | None, evaluate: Mapping[str, EvaluationSet] | None) -> PreparedData:
        """Sentences for training and dev, labelled sets, written to data/."""
        spec = self.recipe.data
        given: dict[str, Any] = {}
        if train is not None:
            train = given_sentences(train)
            given["train"] = train
        if evaluate is not None:
            evaluate = given_sets(evaluate)
            given["evaluate"] = {name: set_values(rows) for name, rows in evaluate.items()}
        pairs = [name for pair in spec.parallel for name in (pair.source, pair.target) if name is not None]
        sets = [*spec.evaluate.values(), *spec.selecting.values()]
        sources = [*([] if train is not None else spec.train), *spec.start, spec.dev]
        sources += [source for rows in sets for source in sources_of_set(rows).values()]
        named = [source.source for source in sources if isinstance(source, SourceSpec)]
        readers = {"teacher": self.lead.tokenizer}
        if isinstance(self.teacher, EnsembleTeacher):
            readers |= {f"teacher {other.name}": other.tokenizer for other in self.teacher.members[1:]}
        mask = run_mask(self.recipe, {**readers, "student": self.start.tokenizer})
        inputs = {
            "data": spec.model_dump(mode="json"),
            "files": {name: source_key(name) for name in [*named, *pairs]},
            "augment": run_key(self.recipe, mask, self.teacher_key),
            "given": given,
        }

        def work() -> dict[str, Any]:
            words = whole_words(self.lead.tokenizer) if isinstance(spec.augment, VocabularyMixSpec) else ()
            made = prepare(spec, train=train, evaluate=evaluate, words=words, mask=mask, seed=self.recipe.seed, parts=parts)
            if leads():
                save_prepared(made, self.folder.data)
            counts = made.counts
            del made
            give_back()
            names = [*(["given sentences"] if train is not None else [s.source for s in spec.train]), *pairs]
            return {**counts, **source_facts(names)}

        parts = Parts(self.folder.work / "augment")
        facts = self.folder.stage("data", inputs, ["data"], work, everyone=isinstance(spec.augment, TextSpec))
        if leads():
            parts.remove()
        data = load_prepared(self.folder.data)  # what was just made too: it is then on disk, and memory is free for the rest
        give_back()
        note(f"data: {len(data.train):,} sentences to train on, {len(data.dev):,} for dev" + _removed(facts))
        return data

    def _signals(self, data: PreparedData) -> Signals | JoinedSignals:
        """What the teacher says of each text, once, from the cache where it is there."""
        spec = self.recipe.teacher.model_copy(update={"finetune": None, "precision": self.precision})
        if self.tuned is not None:
            spec = spec.model_copy(update={"model": str(self.tuned.resolve()), "revision": None, "prompt": self.teacher.prompt})
        crowd = None if self.cluster is None else self.cluster.teacher
        if isinstance(self.teacher, EnsembleTeacher):
            joined, key = several_signals(self.recipe, self.folder, self.teacher, data, self._trained_on(), self.precision, crowd)
            self.teacher_key, self.signal_key = self.teacher.fingerprint(), key  # with the axes that were found
            return joined
        found, work = labelling(
            self.teacher,
            self.teacher_key,
            data.train_goals,
            data.dev_goals,
            name="the teacher",
            batch_size=spec.batch_size,
            precision=self.precision,
            crowd=None if crowd is None else crowd(spec, self.teacher_key),
        )
        inputs = {"teacher": keyed(self.teacher_key, self.precision), "data": self._trained_on()}
        facts = self.folder.stage("signals", inputs, [], work, everyone=True)
        self.signal_key = {name: facts[name] for name in ("train_sha256", "dev_sha256")}
        return found

    def _start_signals(self, data: PreparedData) -> Signals | None:
        """What the start model says, where a stage trains toward it."""
        if all(stage.toward == "teacher" for stage in self.recipe.stages):
            return None
        name = self.recipe.student.start
        size = self.recipe.teacher.batch_size
        start, spec = as_teacher(self.start, name), TeacherSpec(model=name, batch_size=size, precision=self.precision)
        found, work = labelling(
            start,
            self.start_key,
            Joined(data.train, data.start),
            data.dev,
            name="the start model",
            batch_size=size,
            precision=self.precision,
            crowd=self.cluster.teacher(spec, self.start_key) if self.cluster is not None else None,
        )
        inputs = {"start": keyed(self.start_key, self.precision), "data": self._trained_on()}
        self.folder.stage("start signals", inputs, [], work, everyone=True)
        return found

    def _trained_on(self) -> dict[str, str]:
        """Hashes of the data files that decide the training: labelled test sets are not among them."""
        return {name: digest for name, digest in self.folder.outputs("data").items() if Path(name).name.startswith(TRAINED_ON)}

    def _train(self, data: PreparedData, signals: Signals | JoinedSignals, start: Signals | None) -> Student:
        """Train, or load what an earlier run with the same inputs trained."""
        recipe, folder = self.recipe, self.folder
        inputs = {
            "seed": recipe.seed,
            "start": self.start_key,
            "teacher": {
                "dim": self.teacher.dim,
                "normalizes": self.teacher.normalizes,
                "prompt": self.teacher.prompt,
                "max_length": self.teacher.max_length,
            },
            "student": recipe.student.model_dump(mode="json", by_alias=True),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json"),
            "data": self._trained_on(),
            "language_temperature": recipe.data.language_temperature,
            "signals": self.signal_key,
            "torch": versions().get("torch"),
        }
        prompt = self.teacher.prompt
        trained: list[Student] = []
        place = folder.work / fingerprint(inputs)

        def work() -> dict[str, Any]:
            if leads() and not place.exists():  # what another training left, its log lines too, is no part of this one
                shutil.rmtree(folder.work, ignore_errors=True)
                folder.log.unlink(missing_ok=True)
            texts = Prompted(prompt, data.train)
            dev = [prompt + text for text in data.dev]
            pairs = data.translations
            if pairs is not None:
                pairs = replace(pairs, dev_goals=[prompt + text for text in pairs.dev_goals])
            toward_start = None
            if start is not None:
                more = Joined(texts, Prompted(prompt, data.start))
                toward_start = TrainingData(more, dev, start.train.gather, start.dev_vectors())
            student = self._cut(texts, signals.train, place)
            metric = select_metric(student.model, data.select) if data.select else None
            facts = train_student(
                recipe,
                student,
                TrainingData(texts, dev, signals.train.gather, signals.dev_vectors(), metric, pairs),
                teacher_normalizes=self.teacher.normalizes,
                work=place,
                log=folder.log,
                start=toward_start,
                start_normalizes=as_teacher(self.start).normalizes,
                before_teacher=lambda: _fit_bridge(student, texts, signals.train),
                inner=running_teacher(recipe, self.lead, self.start, student, self.teacher_key),
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
        self.recipe = recipe.resolved(train=chosen, teacher={"precision": self.precision})
        folder.write_recipe(self.recipe)
        student = trained[0] if trained else self._build(tuple(facts["layers"]) or None)
        if not trained:
            student.model = load_student(folder.student)
        folder.stage("student", {"training": folder.outputs("training")}, [], lambda: self._student_facts(student))
        return student

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
            found, value = search_layers(self.start, wanted, texts[:count], rows.gather(np.arange(count)), track=_searching)
            note(f"student: layers {', '.join(map(str, found))} agree best with the teacher before training ({value:.3f})")
            return [int(layer) for layer in found]

        return self._build(tuple(first(lambda: remembered(place / "layers.json", search))), texts)

    def _student_facts(self, student: Student) -> dict[str, Any]:
        return {
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


def _removed(facts: Mapping[str, Any]) -> str:
    """Words for the sentences that were kept out because an evaluation set holds them."""
    count = facts.get("removed_evaluation", 0)
    return f"; {count:,} left out, since an evaluation set holds them" if count else ""
