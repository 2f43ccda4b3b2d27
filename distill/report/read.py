"""The files of a run folder, read and validated. What is missing or damaged is an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distill.errors import RunError
from distill.files import read_json

from .facts import DataFacts, Facts, FinetuneFacts, Part, SignalFacts, StudentFacts, TeacherFacts, TrainingFacts
from .schema import Latency, Parity, Quality, ShortVectors
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


class Variant(Part):
    """One variant of measure.json."""

    name: str
    role: Literal["teacher", "student", "export"]
    format: str
    path: str | None = None
    file_mb: float | None = None
    load_ms: float | None = None
    peak_rss_mb: float | None = None
    latency: tuple[Latency, ...] = ()


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


def read_run(run: Path) -> RunFiles:
    """Read every file that a report needs.

    Args:
        run: a run folder, as `distill run` leaves it.

    Returns:
        The validated contents of recipe.yaml, manifest.json, quality.json, parity.json, measure.json, log.jsonl.

    Raises:
        RunError: the folder or a file is missing, damaged or of another version.
    """
    if not run.is_dir():
        raise RunError("there is no run folder here", where=str(run), hint="name a folder that `distill run` made")
    manifest = _parse(Manifest, run / "manifest.json")
    for stage, kind in FACTS.items():
        try:
            manifest.facts(stage, kind)
        except ValidationError as error:
            raise _damaged(run / "manifest.json", error, f"stage '{stage}'") from error
    return RunFiles(
        run=run,
        recipe=read_recipe(run / "recipe.yaml"),
        manifest=manifest,
        quality=_parse(QualityFile, run / "quality.json"),
        parity=_parse(ParityFile, run / "parity.json"),
        measure=_parse(MeasureFile, run / "measure.json"),
        log=read_log(run / "log.jsonl"),
    )


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
        except (json.JSONDecodeError, ValidationError) as error:
            raise RunError(
                "this line is damaged",
                where=f"{path}, line {number}",
                got=text,
                expected='JSON like {"stage": "main", "step": 10, "loss": 0.1}',
                hint=AGAIN,
            ) from error
    return tuple(lines)


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
