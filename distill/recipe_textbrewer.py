"""`losses_from: FILE`: the losses of a stage from a TextBrewer DistillationConfig in JSON. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from .errors import DistillError, UserError, nearest
from .files import expand
from .recipe_base import Schema
from .recipe_check_names import placed
from .recipe_errors import expected_of
from .recipe_match import Matched

MAX_BYTES = 1_000_000

Schedule = Literal["linear_decay", "linear_growth"] | None


class DistillationConfig(Schema):
    """TextBrewer's class of this name: its arguments, and the values it has where the file says nothing.

    Attributes:
        temperature_scheduler: None, "constant", [flsw, beta, gamma] or [cwsm, beta]; the numbers may be a mapping.
        is_caching_logits: of no consequence here: a teacher's logits are always kept.
    """

    temperature: float = Field(default=4, gt=0, le=100)
    temperature_scheduler: Any = None
    hard_label_weight: float = Field(default=0, ge=0)
    hard_label_weight_scheduler: Schedule = None
    kd_loss_type: Literal["ce", "mse"] = "ce"
    kd_loss_weight: float = Field(default=1, ge=0)
    kd_loss_weight_scheduler: Schedule = None
    probability_shift: bool = False
    intermediate_matches: tuple[Matched, ...] | None = None
    is_caching_logits: bool = False

    @field_validator("hard_label_weight_scheduler", "kd_loss_weight_scheduler", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @field_validator("temperature_scheduler", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> dict[str, Any]:
        """As the keys of a loss of a recipe."""
        if value in (None, "none", "constant"):
            return {}
        name, *numbers = value if isinstance(value, list) and value else [value]
        known = {"flsw": ("beta", "gamma"), "cwsm": ("beta",)}
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"no temperature scheduler of TextBrewer is called {name!r}: none, constant, flsw, cwsm")
        keys = known[name]
        if len(numbers) == 1 and isinstance(numbers[0], dict):
            given = numbers[0]
        else:
            given = dict(zip(keys, numbers, strict=True)) if len(numbers) == len(keys) else {}
        if set(given) != set(keys) or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in given.values()):
            raise ValueError(f"{name} takes {' and '.join(keys)}: {json.dumps([name, *([1] * len(keys))])}, got {value!r}")
        return {"temperature_schedule": name, **given}


def read_losses(tree: dict[str, Any]) -> list[DistillError]:
    """Put the losses of every `losses_from` of a recipe's stages in its place.

    Args:
        tree: the recipe, its short spellings made long; changed in place.

    Returns:
        One error for each mistake, with recipe path, file and key.
    """
    problems: list[DistillError] = []
    stages = tree.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else []):
        if not isinstance(stage, dict) or stage.get("losses_from") is None:
            continue
        file, losses = stage.pop("losses_from"), stage.get("losses")
        where = f"stages.{number}.losses_from"
        try:
            if losses is not None:
                raise UserError(
                    "this stage has losses of its own", expected="losses, or losses_from", hint=f"stages.{number}.losses=null"
                )
            stage["losses"] = losses_of(file, str(tree.get("task", "embedding")))
            stage.setdefault("convention", "textbrewer")
        except ConfigErrors as found:
            problems += [placed(problem, where) for problem in found.problems]
        except DistillError as problem:
            problems.append(placed(problem, where))
    return problems


def losses_of(file: Any, task: str) -> list[dict[str, Any]]:
    """The entries of a stage's `losses` that a DistillationConfig means.

    Args:
        file: JSON, as TextBrewer's `DistillationConfig.from_json_file` takes it.
        task: of the recipe.

    Returns:
        Entries for a stage of `convention: textbrewer`: what stands between predictions, and a `match` for each of its
        intermediate matches.

    Raises:
        UserError: no such file, no JSON, or a setting that the task has not.
        ConfigErrors: names or values that are wrong, all at once.
    """
    values = _parsed(file)
    try:
        config = DistillationConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigErrors([_problem(item, str(file), values) for item in error.errors(include_url=False)]) from error
    losses = [*_between_predictions(config, str(file), task)]
    for number, match in enumerate(config.intermediate_matches or ()):
        origin = f"{Path(str(file)).name}: intermediate_matches.{number}"
        losses.append({"name": "match", **match.model_dump(mode="json", exclude_none=True), "origin": origin})
    if not losses:
        raise UserError(
            "this configuration has no loss: every weight is 0 and nothing is matched",
            where=str(file),
            expected="kd_loss_weight or hard_label_weight above 0, or intermediate_matches",
        )
    return losses


class ConfigErrors(UserError):
    """Several mistakes in one configuration.

    Args:
        problems: every mistake found.
    """

    def __init__(self, problems: list[DistillError]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def _between_predictions(config: DistillationConfig, file: str, task: str) -> list[dict[str, Any]]:
    """The losses on predictions that a configuration has."""
    losses: list[dict[str, Any]] = []
    schedule = {"weight_schedule": config.kd_loss_weight_scheduler or "constant"}
    if config.kd_loss_weight > 0 or config.kd_loss_weight_scheduler:
        _fits_task(config, file, task)
        loss = {"name": "soft_cross_entropy" if config.kd_loss_type == "ce" else "logits_mse", "weight": config.kd_loss_weight}
        losses.append(loss | schedule | {"temperature": config.temperature, "probability_shift": config.probability_shift})
        losses[0] |= config.temperature_scheduler or {}
    if config.hard_label_weight > 0 or config.hard_label_weight_scheduler:
        if task == "embedding":
            raise UserError("a task without labels has no such loss", where=f"{file}: hard_label_weight", expected="0")
        schedule = {"weight_schedule": config.hard_label_weight_scheduler or "constant"}
        losses.append({"name": "hard_label", "weight": config.hard_label_weight} | schedule)
    return losses


def _fits_task(config: DistillationConfig, file: str, task: str) -> None:
    """Refuse what the predictions of a task cannot have.

    Raises:
        UserError: the first such setting.
    """
    if task == "embedding":
        raise UserError(
            "a task without predictions has no such loss",
            where=f"{file}: kd_loss_weight",
            got=config.kd_loss_weight,
            expected="0: between sentence vectors there are embedding_cosine and its like, beside these",
        )
    if config.kd_loss_type == "ce" and task in ("regression", "multilabel"):
        raise UserError(f"the task {task} has no distribution over classes", where=f"{file}: kd_loss_type", expected="mse")
    if config.kd_loss_type == "mse" and config.temperature_scheduler:
        raise UserError(
            "temperatures of each row go with ce alone",
            where=f"{file}: temperature_scheduler",
            got=config.temperature_scheduler["temperature_schedule"],
            expected="none, or kd_loss_type ce",
        )


def _parsed(file: Any) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        UserError: it cannot be read, is no JSON, or names a key twice.
    """
    if not isinstance(file, str) or not file:
        raise UserError("this is no file", got=file, expected="a DistillationConfig of TextBrewer in JSON")
    try:
        with open(expand(file), "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise UserError("this is too long for a configuration", where=file, expected=f"at most {MAX_BYTES:,} bytes")
        values = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except OSError as error:
        raise UserError("this file cannot be read", where=file, got=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise UserError("this is not JSON as TextBrewer reads it", where=file, got=str(error)) from error
    if not isinstance(values, dict):
        raise UserError("a DistillationConfig is a mapping", where=file, got=values)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping; a key that stands there twice is refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _problem(error: Mapping[str, Any], file: str, values: Mapping[str, Any]) -> DistillError:
    """A pydantic error as ours: file, key, what was right."""
    kind, path, got = error["type"], error["loc"], error.get("input")
    where = f"{file}: {'.'.join(map(str, path))}" if path else file
    if kind == "extra_forbidden":
        keys = Matched.model_fields if path[0] == "intermediate_matches" else DistillationConfig.model_fields
        hint = nearest(str(path[-1]), keys)
        return UserError("TextBrewer has no such setting", where=where, got=path[-1], hint=hint, expected=", ".join(keys))
    if kind == "missing":
        return UserError("this setting is missing", where=where)
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        hint = nearest(str(got), choices)
        return UserError("TextBrewer has no such preset", where=where, got=got, expected=", ".join(choices), hint=hint)
    if kind == "value_error":
        return UserError(str(error["ctx"]["error"]), where=where)
    return UserError("this value does not fit", where=where, got=repr(got), expected=expected_of(error))
