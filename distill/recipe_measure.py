"""The parts `measure` and `report` of a recipe: what is timed and how often, and how the report speaks. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from .recipe_base import Schema


class MeasureSpec(Schema):
    """What is timed, and how often; every variant in a process of its own, all of them in turns.

    Attributes:
        batch, sequence, threads: every combination is timed; sequence in tokens.
        min_runs, min_seconds: both are met by every row of the grid.
        scenarios: single_stream (latency of the grid), offline (throughput), server (requests that come at random and queue).
        scope: model (token ids in), or end_to_end (text in, tokenization included).
        text: a file of your own sentences, one a line, timed beside the synthetic lengths.
        compiled: time torch models through torch.compile too.
        rates, loads: of the server scenario: requests a second, and shares of what each model can answer.
        server_seconds: of every load of every model.
        passes: sets of fresh processes; rounds: turns of every model in each of them.
        repeats: how often what came out noisy is measured again.
    """

    batch: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(1, 32), min_length=1)
    sequence: tuple[Annotated[int, Field(ge=4, le=8192)], ...] = Field(default=(32, 128), min_length=1)
    threads: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(default=(1,), min_length=1)
    min_runs: int = Field(default=30, ge=3)
    min_seconds: float = Field(default=1.0, ge=0)
    scenarios: tuple[Literal["single_stream", "offline", "server"], ...] = Field(default=("single_stream",), min_length=1)
    scope: Literal["model", "end_to_end"] = "model"
    text: str | None = Field(default=None, min_length=1)
    compiled: bool = False
    rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    loads: tuple[Annotated[float, Field(gt=0, le=2)], ...] = (0.5, 0.8)
    server_seconds: float = Field(default=12.0, gt=0, le=3600)
    passes: int = Field(default=2, ge=1, le=20)
    rounds: int = Field(default=5, ge=1, le=100)
    repeats: int = Field(default=1, ge=0, le=5)

    @field_validator("scenarios")
    @classmethod
    def _latency_first(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a scenario is named twice")
        if "single_stream" not in value:
            raise ValueError("scenarios must hold 'single_stream': the report compares its latency")
        return value

    @model_validator(mode="after")
    def _has_load(self) -> MeasureSpec:
        if "server" in self.scenarios and not self.rates and not self.loads:
            raise ValueError("the scenario server needs rates, or loads")
        return self


class ReportSpec(Schema):
    """How the report speaks and what it shows.

    Attributes:
        language: of report.html and report.md: English or Korean. report.json is English.
        examples: how many examples of each set are shown on which student and teacher disagree; 0 keeps every text out.
    """

    language: Literal["en", "ko"] = "en"
    examples: StrictInt = Field(default=20, ge=0, le=100)
