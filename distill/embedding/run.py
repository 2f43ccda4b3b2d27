"""EmbeddingRun(recipe, folder).go() -> Report: teacher, data, signals, training, then the proof; for sentence encoders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from students.cost import count_parameters
from teachers.ensemble import AnyTeacher, EnsembleTeacher, load_ensemble
from teachers.load import Teacher, as_teacher, load_encoder, load_teacher
from teachers.origin import card_fields
from teachers.precision import Precision, keyed, resolve
from teachers.spec import TeacherSpec

from ..augmenting import run_key, run_mask
from ..combining import several_facts, several_signals
from ..data.augment.parts import Parts
from ..data.augment.vocabulary import whole_words
from ..data.evaluation import EvaluationSet, set_values, sources_of_set
from ..data.prepare import PreparedData, prepare
from ..data.saved import load_prepared
from ..data.saved import save as save_prepared
from ..export.onnx import check_presets
from ..given import given_sentences, given_sets, given_teacher, source_facts, source_key
from ..locating import locate_model
from ..making import check_student, make_student
from ..mapped import Joined, give_back
from ..positions import shorter_words
from ..processes import first, leads, total
from ..progress import note
from ..proving import Encoder, Proof
from ..recipe import Recipe, SourceSpec
from ..recipe_augment import TextSpec, VocabularyMixSpec
from ..report.model import Report
from ..report.words import public_name
from ..rundir import RunDir
from ..signals import JoinedSignals, Signals, labelling
from ..teaching import prepared_teacher, start_model, train_teacher, tuned_teacher
from ..train.judges import check_selection
from .training import Models, StudentTraining

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from ..cluster import Cluster

TRAINED_ON = ("train", "dev", "start", "select-")
"""How the data files that decide the training begin."""


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
        """Every stage in order; see `distill.pipeline.run`."""
        data = self._prepared(teacher, train, evaluate)
        signals, start = self._signals(data), self._start_signals(data)
        training = StudentTraining(
            self.recipe,
            self.folder,
            Models(self.lead, self.teacher, self.teacher_key, self.start, self.start_key),
            self.precision,
            data=self._trained_on(),
            signals=self.signal_key,
        )
        student, self.recipe = training.go(data, signals, start)
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
        student = make_student(self.recipe, self.teacher, self.start)  # fails in the first second where they do not fit
        check_student(self.recipe, self.lead, self.start, student, loaded=headless)
        told = shorter_words(self.recipe.student.max_length, student.model.max_seq_length, self.teacher.max_length)
        if told and self.tuned is None:
            note(f"student: {told}")

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
            """Read, clean and split the text, and write it to data/."""
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
        check_selection(self.recipe, data)
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


def _removed(facts: Mapping[str, Any]) -> str:
    """Words for the sentences that were kept out because an evaluation set holds them."""
    count = facts.get("removed_evaluation", 0)
    return f"; {count:,} left out, since an evaluation set holds them" if count else ""
