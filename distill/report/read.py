"""The files of a run folder, read and validated. What is missing or damaged is an error that names the file."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distill.errors import RunError, nearest
from distill.files import read_json

from .facts import DataFacts, Facts, FinetuneFacts, Part, SignalFacts, StudentFacts, TeacherFacts, TrainingFacts
from .samples import Row, median_interval
from .schema import Latency, Parity, Problem, Quality, ShortVectors
from .search_facts import SearchFacts
from .words import LABELLED

AGAIN = "delete it and run the same command again"
FACTS: dict[str, type[Facts]] = {
    "teacher": TeacherFacts,
    "data": DataFacts,
    "signals": SignalFacts,
    "student": StudentFacts,
    "training": TrainingFacts,
    "finetune": FinetuneFacts,
}
P = TypeVar("P", bound=BaseModel)
F = TypeVar("F", bound=Facts)


class Stage(Part):
    """One entry of manifest.json."""

    name: str
    seconds: float = 0.0
    facts: dict[str, Any] = Field(default_factory=dict)


class Manifest(Part):
    """manifest.json: what ran, with which packages, on what machine."""

    schema_version: Literal[1]
    name: str
    seed: int | None = None
    toolkit: str | None = None
    created: str | None = None
    finished: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    stages: tuple[Stage, ...]

    def facts(self, stage: str, kind: type[F]) -> F:
        """What `stage` noted about itself, as `kind`; empty where the stage noted nothing."""
        return kind.model_validate(next((entry.facts for entry in self.stages if entry.name == stage), {}))


class Task(Part):
    """One task of quality.json."""

    kind: str
    metric: str
    n: int | None = None
    languages: tuple[str, str] | None = None


class ModelQuality(Part):
    """One model on one task, as quality.json holds it; the metric's name stands with the task."""

    value: float | None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    retained: float | None = None
    details: dict[str, float | dict[str, dict[str, float | None]] | None] = Field(default_factory=dict)
    vectors: tuple[ShortVectors, ...] = ()


class QualityFile(Part):
    """quality.json."""

    schema_version: Literal[1]
    tasks: dict[str, Task]
    models: dict[str, dict[str, ModelQuality]]

    def of(self, model: str, recipe_task: str = "embedding") -> dict[str, Quality]:
        """Every task that `model` was measured on, in the order of the tasks; `recipe_task` tells what agreement is of."""
        found = self.models.get(model, {})
        return {
            name: Quality(
                metric=task.metric,
                value=found[name].value,
                ci95=found[name].ci95,
                n=found[name].n or task.n or 0,
                retained=found[name].retained,
                details={key: part for key, part in found[name].details.items() if not isinstance(part, dict)},
                kind=recipe_task if task.kind == "agreement" and recipe_task in LABELLED else task.kind,
                parts=next((part for part in found[name].details.values() if isinstance(part, dict)), {}),
                languages=task.languages,
                vectors=found[name].vectors,
            )
            for name, task in self.tasks.items()
            if name in found
        }


class ParityFile(Part):
    """parity.json."""

    schema_version: Literal[1]
    sentences: int | None = None
    models: dict[str, Parity]
    search: SearchFacts = SearchFacts()


class TimedRow(Latency):
    """One row of measure.json, with its samples."""

    samples_ms: tuple[float, ...] = ()

    def told(self) -> Latency:
        """The row as the report holds it: the samples made into the interval of their median."""
        values = self.model_dump(exclude={"samples_ms"})
        return Latency(**values | {"p50_ci95": median_interval(self.samples_ms)})


class Variant(Part):
    """One variant of measure.json."""

    name: str
    role: Literal["teacher", "student", "export"]
    format: str
    path: str | None = None
    models: int = 1
    file_mb: float | None = None
    load_ms: float | None = None
    peak_rss_mb: float | None = None
    latency: tuple[TimedRow, ...] = ()


class MeasureFile(Part):
    """measure.json."""

    schema_version: Literal[1]
    environment: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    variants: tuple[Variant, ...]


class LogLine(BaseModel):
    """One line of log.jsonl: a training step (loss) or an evaluation (dev). Lost numbers (NaN) are allowed here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str = "main"
    step: int
    epoch: float | None = None
    loss: float | None = None
    losses: dict[str, float | None] = Field(default_factory=dict)
    dev: dict[str, float | None] = Field(default_factory=dict)


@dataclass(frozen=True)
class RunFiles:
    """Everything the report is made from."""

    run: Path
    recipe: dict[str, Any]
    manifest: Manifest
    quality: QualityFile
    parity: ParityFile
    measure: MeasureFile
    log: tuple[LogLine, ...]
    problems: tuple[Problem, ...] = ()


def check_run(run: Path) -> None:
    """Refuse a path at which no run is.

    Raises:
        RunError: nothing is there, a file is, or a folder without a manifest.
    """
    if os.path.isfile(run / "manifest.json"):
        return
    expected = "a folder that `distill run` made, such as runs/quickstart"
    if os.path.isdir(run):
        hint = "name the run folder, the one that holds manifest.json"
        raise RunError("this folder holds no run", where=str(run), expected=expected, hint=hint)
    try:
        names = [name for name in os.listdir(run.parent) if os.path.isfile(run.parent / name / "manifest.json")]
    except OSError:  # nothing to look at, or nobody may
        names = []
    message = "a file is given where a run folder is needed" if os.path.exists(run) else "there is no run folder here"
    raise RunError(message, where=str(run), expected=expected, hint=nearest(run.name, names))


def read_run(run: Path, *, lenient: bool = False, through: Collection[str] | None = None) -> RunFiles:
    """Read every file that a report needs.

    Args:
        run: a run folder, as `distill run` leaves it.
        lenient: quality.json, parity.json, measure.json, log.jsonl and facts of stages that are missing or damaged are taken
            as empty and told under `problems`; what a run that is not finished has not written yet is no problem.
        through: the stages whose files count; None: all.

    Returns:
        The validated contents of recipe.yaml, manifest.json, quality.json, parity.json, measure.json, log.jsonl.

    Raises:
        RunError: the folder or a file is missing, damaged or of another version; if lenient, the folder, manifest.json or
            recipe.yaml is.
    """
    check_run(run)
    manifest, problems = _parse(Manifest, run / "manifest.json"), list[Problem]()
    if through is not None:
        entries = tuple(entry for entry in manifest.stages if entry.name in through)
        manifest = manifest.model_copy(update={"stages": entries, "finished": None})
    wrong = _wrong_facts(manifest, run / "manifest.json")
    if wrong and not lenient:
        raise next(iter(wrong.values()))
    if wrong:
        stages = tuple(entry.model_copy(update={"facts": {}}) if entry.name in wrong else entry for entry in manifest.stages)
        manifest = manifest.model_copy(update={"stages": stages})
        problems += [Problem(file="manifest.json", what="damaged", place=name) for name in wrong]

    def part(kind: type[P], name: str, empty: P) -> P:
        """One file; if lenient, `empty` where it cannot be read."""
        if through is not None and name.partition(".")[0] not in through:
            return empty
        try:
            return _parse(kind, run / name)
        except RunError as error:
            there = (run / name).exists()
            if not lenient:
                raise
            if there or manifest.finished is not None:
                problems.append(Problem(file=name, what="damaged" if there else "missing", place=_place(error)))
            return empty

    quality = part(QualityFile, "quality.json", QualityFile(schema_version=1, tasks={}, models={}))
    parity = part(ParityFile, "parity.json", ParityFile(schema_version=1, models={}))
    measure = part(MeasureFile, "measure.json", MeasureFile(schema_version=1, variants=()))
    if lenient:
        log, found = read_log_leniently(run / "log.jsonl")
        problems += [item for item in found if item.what != "missing" or manifest.finished is not None]
    else:
        log = read_log(run / "log.jsonl")
    recipe = read_recipe(run / "recipe.yaml")
    return RunFiles(run, recipe, manifest, quality, parity, measure, log, tuple(problems))


def _wrong_facts(manifest: Manifest, path: Path) -> dict[str, RunError]:
    """Stages whose facts are not what they should be."""
    found: dict[str, RunError] = {}
    for stage, kind in FACTS.items():
        try:
            manifest.facts(stage, kind)
        except ValidationError as error:
            found[stage] = _damaged(path, error, f"stage '{stage}'")
    return found


def _place(error: RunError) -> str | None:
    """Where a file is damaged, out of the error's own words."""
    return error.message.partition("damaged at ")[2] or None


def read_recipe(path: Path) -> dict[str, Any]:
    """The resolved recipe as plain values. Aliases are refused: a small file could grow without bound.

    Raises:
        RunError: missing, not YAML, not a mapping of plain JSON values, or with aliases.
    """
    text = _text(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise RunError("this recipe holds YAML aliases", where=str(path), expected="every value written out", hint=AGAIN)
        recipe = yaml.safe_load(text)
        json.dumps(recipe, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RunError("this file is damaged", where=str(path), got=error, expected="YAML of plain values", hint=AGAIN) from error
    if not isinstance(recipe, Mapping) or not isinstance(recipe.get("name"), str):
        raise RunError("this file is damaged", where=str(path), expected="a recipe: a mapping with a name", hint=AGAIN)
    return dict(recipe)


def read_log(path: Path) -> tuple[LogLine, ...]:
    """Every line of a training log, in order. After a resume a step may stand twice.

    Raises:
        RunError: missing, or a line is not what it should be; the line is named.
    """
    lines = []
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            lines.append(LogLine.model_validate(json.loads(text)))
        except (json.JSONDecodeError, ValidationError, RecursionError) as error:
            raise RunError(
                "this line is damaged",
                where=f"{path}, line {number}",
                got=text,
                expected='JSON like {"stage": "main", "step": 10, "loss": 0.1}',
                hint=AGAIN,
            ) from error
    return tuple(lines)


def read_log_leniently(path: Path) -> tuple[tuple[LogLine, ...], tuple[Problem, ...]]:
    """The lines of a training log that are whole, and what is wrong with it: a run that is cut off tears its last line."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return (), (Problem(file=path.name, what="missing"),)
    lines, wrong = list[LogLine](), list[int]()
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            if line.strip():
                lines.append(LogLine.model_validate(json.loads(line)))
        except (ValueError, RecursionError):  # pydantic's and json's errors among them
            wrong.append(number)
    told = ", ".join(map(str, wrong[:5])) + (" …" if len(wrong) > 5 else "")
    return tuple(lines), (Problem(file=path.name, what="damaged", place=told),) if wrong else ()


def read_samples(path: Path, *, without: Collection[str] = ()) -> list[Row]:
    """Every timed run of measure.json, but those of some models; none where the file is missing or damaged."""
    try:
        measure = _parse(MeasureFile, path)
    except RunError:
        return []
    return [
        (variant.name, row.batch, row.sequence, row.threads, number, sample)
        for variant in measure.variants
        if variant.name not in without
        for row in variant.latency
        for number, sample in enumerate(row.samples_ms, start=1)
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise RunError("this file is missing", where=str(path), hint="run the command that makes it again") from error
    except UnicodeDecodeError as error:
        raise RunError("this file is damaged", where=str(path), got=error, expected="UTF-8 text", hint=AGAIN) from error


def _parse(kind: type[P], path: Path) -> P:
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        raise _damaged(path, error) from error
    except RecursionError as error:
        raise RunError("this file is damaged", where=str(path), got=error, expected="JSON", hint=AGAIN) from error


def _damaged(path: Path, error: ValidationError, inside: str | None = None) -> RunError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "the whole file"
    return RunError(
        f"this file is damaged at {place}" + (f" of {inside}" if inside else ""),
        where=str(path),
        got=first["input"],
        expected=first["msg"],
        hint=AGAIN,
    )
