"""From the files of a run folder to a `Report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .facts import DataFacts, FinetuneFacts, SignalFacts, StudentFacts, TeacherFacts, TrainingFacts
from .headline import headline
from .read import RunFiles, Variant, read_run
from .schema import Cost, Gate, Model, Parity, Report, StageTime
from .words import public_name, public_names

__all__ = ["Report", "build_report"]

ORDER = ("teacher", "student", "fp32", "fast", "faithful", "searched", "fp16")


def build_report(run: Path) -> Report:
    """Gather the files of a run into one report. Reads files alone: the same files give the same report.

    A model that failed its parity gate, or was made from one that did, or was never checked, gets no speed.

    Args:
        run: a run folder with recipe.yaml, manifest.json, quality.json, parity.json, measure.json, log.jsonl.

    Raises:
        RunError: a file is missing or damaged.
    """
    files = read_run(Path(run))
    manifest = files.manifest
    teacher = manifest.facts("teacher", TeacherFacts)
    student = manifest.facts("student", StudentFacts)
    signals = manifest.facts("signals", SignalFacts)
    training = manifest.facts("training", TrainingFacts)
    models = tuple(_model(name, files, teacher, student) for name in _names(files))
    return Report(
        name=manifest.name,
        seed=manifest.seed,
        created=manifest.created,
        toolkit=manifest.toolkit,
        headline=headline(models, files.recipe),
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
    )


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
        path=path or (public_name(teacher.model) if teacher.model and variant.role == "teacher" else None),
        params=facts.params,
        embedding_params=facts.embedding_params,
        file_mb=variant.file_mb or (None if variant.role == "export" else facts.file_mb),
        quality=files.quality.of(name, str(files.recipe.get("task") or "embedding")),
        latency=() if note else variant.latency,
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
        return "its parity was not checked, so it gets no speed"
    if not parity[name].passed:
        return f"failed its parity gate ({parity[name].gate or 'no gate noted'}), so it gets no speed"
    reference = parity[name].reference
    if reference in parity and reference not in (*seen, name) and _doubt(reference, parity, (*seen, name)):
        return f"its reference '{reference}' failed the parity gate, so it gets no speed"
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
