"""From the files of a run folder to a `Report`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .disagreements import MOST
from .facts import DataFacts, FinetuneFacts, SignalFacts, StudentFacts, TeacherFacts, TrainingFacts
from .findings import Findings, Value, find
from .headline import headline
from .read import RunFiles, Variant, read_run
from .schema import Cost, Gate, Going, Model, Parity, Report, StageTime
from .words import public_name, public_names, spoken, tell

__all__ = ["Report", "build_report"]

ORDER = ("teacher", "student", "fp32", "fast", "faithful", "searched", "portable", "fp16")


STAGES = ("teacher", "data", "signals", "training", "student", "onnx", "parity", "quality", "measure")
"""The stages of every run, in order; a task with a head has no stage of signals, and some runs have more."""


def build_report(run: Path, *, lenient: bool = False, through: Sequence[str] | None = None) -> Report:
    """Gather the files of a run into one report. Reads files alone: the same files give the same report.

    A model that failed its parity gate, or was made from one that did, or was never checked, gets no speed. The report is in
    English whatever the recipe's language: pages are translated when they are written.

    Args:
        run: a run folder with recipe.yaml, manifest.json, quality.json, parity.json, measure.json, log.jsonl, and
            predictions/ where there are any.
        lenient: report what is there: files that are missing or damaged are told under `problems`.
        through: stages that the run which writes these files has been through, while it is going on; what an earlier run left
            of later stages is not told. None: nobody writes.

    Raises:
        RunError: a file is missing or damaged; if lenient, manifest.json or recipe.yaml is.
    """
    files = read_run(Path(run), lenient=lenient, through=through)
    manifest = files.manifest
    teacher = manifest.facts("teacher", TeacherFacts)
    student = manifest.facts("student", StudentFacts)
    signals = manifest.facts("signals", SignalFacts)
    training = manifest.facts("training", TrainingFacts)
    models = tuple(_model(name, files, teacher, student) for name in _names(files))
    head = headline(models, files.recipe)
    found = find(files.run, _values(models), _compared(head.best, models), _examples(files.recipe))
    models = tuple(_with_tests(model, found) for model in models)
    return Report(
        name=manifest.name,
        seed=manifest.seed,
        created=manifest.created,
        toolkit=manifest.toolkit,
        headline=head,
        gates=tuple(_gate(name, files.parity.models[name]) for name in _sorted(set(files.parity.models))),
        models=models,
        cost=_cost(files, signals, training),
        stages=tuple(StageTime(name=stage.name, seconds=stage.seconds) for stage in manifest.stages),
        teacher=teacher,
        data=manifest.facts("data", DataFacts),
        signals=signals,
        student=student,
        training=training,
        finetune=manifest.facts("finetune", FinetuneFacts),
        search=files.parity.search,
        environment=_environment(files),
        recipe=public_names(files.recipe),
        slices=found.slices,
        disagreements=found.disagreements,
        problems=files.problems + found.problems,
        going=_going(files, through is not None),
    )


def _values(models: Sequence[Model]) -> list[Value]:
    """What quality.json says, as `find` takes it."""
    return [(task, quality.kind, model.name, quality.value) for model in models for task, quality in model.quality.items()]


def _compared(best: str | None, models: Sequence[Model]) -> str | None:
    """Whose examples are shown: the best file's, else the student's."""
    names = [model.name for model in models if model.quality and model.role != "teacher"]
    return next((name for name in (best, "student", *names) if name in names), None)


def _examples(recipe: dict[str, Any]) -> int:
    """How many disagreements of each task the recipe wants to see."""
    part = recipe.get("report")
    count = part.get("examples", MOST) if isinstance(part, dict) else MOST
    return count if isinstance(count, int) else MOST


def _with_tests(model: Model, found: Findings) -> Model:
    """The model with the intervals and tests that its predictions give."""
    quality = dict(model.quality)
    for task, part in model.quality.items():
        if (model.name, task) in found.kept:
            kept, against = found.kept[model.name, task]
            quality[task] = part.model_copy(update={"retained_ci95": kept, "against_teacher": against})
    return model.model_copy(update={"quality": quality})


def _going(files: RunFiles, live: bool) -> Going | None:
    """What is done and left of a run that is not finished."""
    manifest = files.manifest
    if manifest.finished is not None:
        return None
    done = tuple(stage.name for stage in manifest.stages)
    embedding = files.recipe.get("task", "embedding") == "embedding"
    left = [name for name in STAGES if name not in done and (embedding or name != "signals")]
    updated = datetime.now(UTC).isoformat(timespec="seconds") if live else None
    return Going(done=done, left=(*left, "report"), updated=updated, live=live)


def localised(report: Report) -> Report:
    """The report with its notes in the language of the moment; report.json has them in English."""
    if spoken() == "en":
        return report
    parity = {model.name: model.parity for model in report.models if model.parity is not None}
    models = tuple(
        model.model_copy(update={"note": _doubt(model.name, parity)}) if model.note is not None else model
        for model in report.models
    )
    notes = headline(models, report.recipe).notes
    return report.model_copy(update={"models": models, "headline": report.headline.model_copy(update={"notes": notes})})


def _sorted(names: set[str]) -> list[str]:
    known = [name for name in ORDER if name in names]
    return known + sorted(names - set(ORDER))


def _names(files: RunFiles) -> list[str]:
    measured = {variant.name for variant in files.measure.variants}
    return _sorted(measured | set(files.quality.models) | set(files.parity.models))


def _model(name: str, files: RunFiles, teacher: TeacherFacts, student: StudentFacts) -> Model:
    variant = next((item for item in files.measure.variants if item.name == name), None) or _unmeasured(name)
    parity = files.parity.models.get(name)
    facts = teacher if variant.role == "teacher" else student
    note = _doubt(name, files.parity.models) if variant.role == "export" else None
    path = parity.file if parity and parity.file else variant.path
    return Model(
        name=name,
        role=variant.role,
        format=variant.format,
        models=variant.models,
        path=path or (public_name(teacher.model) if teacher.model and variant.role == "teacher" else None),
        params=facts.params,
        embedding_params=facts.embedding_params,
        file_mb=variant.file_mb or (None if variant.role == "export" else facts.file_mb),
        quality=files.quality.of(name, str(files.recipe.get("task") or "embedding")),
        latency=() if note else tuple(row.told() for row in variant.latency),
        load_ms=None if note else variant.load_ms,
        peak_rss_mb=variant.peak_rss_mb,
        parity=parity,
        note=note,
    )


def _unmeasured(name: str) -> Variant:
    """A model that was evaluated or checked and never timed."""
    if name == "teacher":
        return Variant(name=name, role="teacher", format="torch")
    return (
        Variant(name=name, role="student", format="torch")
        if name == "student"
        else Variant(name=name, role="export", format="onnx")
    )


def _doubt(name: str, parity: dict[str, Parity], seen: tuple[str, ...] = ()) -> str | None:
    """Why the numbers of an exported file cannot be trusted, or None: it and what it was compared with passed."""
    if name not in parity:
        return tell("its parity was not checked, so it gets no speed")
    if not parity[name].passed:
        gate = parity[name].gate or tell("no gate noted")
        return tell("failed its parity gate ({gate}), so it gets no speed", gate=gate)
    reference = parity[name].reference
    if reference in parity and reference not in (*seen, name) and _doubt(reference, parity, (*seen, name)):
        return tell("its reference '{name}' failed the parity gate, so it gets no speed", name=reference)
    return None


def _gate(name: str, parity: Parity) -> Gate:
    value = getattr(parity, parity.gate.split(" ")[0], None) if parity.gate else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Gate(model=name, rule=parity.gate, value=value if number else None, passed=parity.passed)


def _cost(files: RunFiles, signals: SignalFacts, training: TrainingFacts) -> Cost:
    seconds = {stage.name: stage.seconds for stage in files.manifest.stages}
    counted = [count for count in (signals.computed, signals.reused) if count is not None]
    return Cost(
        teacher_sentences=sum(counted) if counted else None,
        train_seconds=seconds.get("training"),
        total_seconds=round(sum(seconds.values()), 3) if seconds else None,
        peak_rss_mb=training.peak_rss_mb,
    )


def _environment(files: RunFiles) -> dict[str, Any]:
    """Where the timings were taken; the manifest fills what the measurement did not note."""
    merged = {**files.manifest.hardware, **files.measure.environment}
    packages = {**files.manifest.packages, **(files.measure.environment.get("packages") or {})}
    return {**merged, "threads": files.measure.grid.get("threads", [1]), "packages": dict(sorted(packages.items()))}
