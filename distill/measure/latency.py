"""Time models side by side on one machine: a process each, one thread budget for torch and onnxruntime, turns in blocks.

A machine's speed drifts: other work comes and goes, the clock rises and falls. So all models are in memory together and take
turns (`rounds`), a ratio is taken between neighbouring blocks (`intervals`), and what looks disturbed is measured again (`rows`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import MissingExtra, UserError
from ..files import write_json
from ..progress import Ticks, note
from ..runtime.text import TextInput
from ..scratch import scratch
from .cases import Case, Scenario, Scope, as_texts, read_texts, synthetic_cases, text_cases, text_facts
from .energy import EnergyMeter
from .hardware import available_cores, environment, load_average
from .inputs import SEED, InputFacts, read_facts
from .models import compiler_missing
from .outside import machine_time
from .plan import Plan
from .results import Results, verdict
from .rounds import Collected, Pass, Task, all_cores, steps
from .rows import Machine
from .size import file_mb
from .tasks import task_class
from .variants import Variant, find_variants, with_compiled

__all__ = ["Variant", "find_variants", "measure_models"]

SCOPE = "token ids to sentence embedding: pooling and normalisation included, tokenisation not; full-length input, no padding"
TASK_SCOPE = "token ids to logits: tokenisation not included; full-length input, no padding"
END_SCOPE = "text to sentence embedding: tokenisation, pooling and normalisation included"
END_TASK_SCOPE = "text to logits: tokenisation included"
BUSY_LOAD = 1.5


def measure_models(
    variants: Sequence[Variant],
    *,
    batch: Sequence[int] = (1, 32),
    sequence: Sequence[int] = (32, 128),
    threads: Sequence[int] = (1,),
    min_runs: int = 30,
    min_seconds: float = 1.0,
    scenarios: Sequence[Scenario] = ("single_stream",),
    scope: Scope = "model",
    text: str | Path | None = None,
    compiled: bool = False,
    rates: Sequence[float] = (),
    loads: Sequence[float] = (0.5, 0.8),
    server_seconds: float = 12.0,
    passes: int = 2,
    rounds: int = 5,
    repeats: int = 1,
    progress: bool = True,
    root: Path | None = None,
) -> dict[str, Any]:
    """Measure latency, throughput, load time, peak memory and file size.

    Args:
        variants: the models, each in one format. The first one is what the others are compared with.
        batch, sequence, threads: every combination is timed; sequence in tokens. A sequence that is longer than a
            model's position table is left out for that model and listed under `skipped`.
        min_runs, min_seconds: both are met by every row of the grid, over all its blocks (20,000 runs a block at most).
        scenarios: single_stream: the grid, and `text` a sentence at a time; offline: throughput over `text`, or over synthetic
            lengths up to each of `sequence`; server: requests that come at random, and queue.
        scope: model: token ids in; end_to_end: text in, tokenization included.
        text: UTF-8 file, a sentence a line, of which at most 1,000 are used.
        compiled: time every torch model through `torch.compile` too.
        rates, loads: of the server scenario: requests a second, and shares of what each model can answer.
        server_seconds: of every load of every model.
        passes: sets of fresh processes; rounds: turns of every model in each pass. Where `min_seconds` is 0 (a trial) one
            pass of no more rounds than `min_runs`, and no repeat.
        repeats: how often cells that came out noisy are measured again.
        progress: show progress on stderr.
        root: paths in the result are relative to this folder, by default the working directory.

    Returns:
        The content of measure.json, see docs/measuring.md.

    Raises:
        UserError: no variant, two of one name, or a number out of range.
        DataError: the text cannot be read or is empty.
        ModelError: a model is not there; or none of them can be loaded.
        MissingExtra: a torch model is to be measured where torch is not installed.
        DistillError: every measuring process died. Where some live on, the error of each other is in its `error`.
    """
    plan = Plan(
        batch=tuple(batch),
        sequence=tuple(sequence),
        threads=tuple(threads),
        min_runs=min_runs,
        min_seconds=min_seconds,
        scenarios=tuple(scenarios),
        scope=scope,
        text=None if text is None else Path(text),
        rates=tuple(rates),
        loads=tuple(loads),
        server_seconds=server_seconds,
        passes=passes,
        rounds=rounds,
        repeats=repeats,
    ).settled()
    _check(variants)
    return _Measurement(with_compiled(variants) if compiled else list(variants), plan, progress).run(root or Path.cwd())


class _Measurement:
    """Everything that one call measures."""

    def __init__(self, variants: Sequence[Variant], plan: Plan, progress: bool) -> None:
        self.variants, self.plan, self.progress = variants, plan, progress
        self.facts = {variant.name: _facts(variant) for variant in variants}
        self.sizes = {
            variant.name: round(sum(file_mb(one.weights or one.location()) for one in variant.every), 3) for variant in variants
        }
        self.found = {variant.name: Collected() for variant in variants}
        self.unavailable: dict[str, str] = {}
        self.meter = EnergyMeter()
        self.text: dict[str, Any] | None = None
        self.texts: list[str] = []
        self.cases = self._make_cases()
        self.machine = Machine(available_cores(), all_cores(), (load_average() or 0) > BUSY_LOAD * (os.cpu_count() or 1))
        self.results = Results(plan, self.cases, self.found, {}, self.machine)
        reason = compiler_missing() if any(variant.compiled for variant in variants) else None
        if reason:
            self.unavailable = {variant.name: reason for variant in variants if variant.compiled}
            self._say(f"measuring: {', '.join(self.unavailable)}: left out, {reason}")

    def run(self, root: Path) -> dict[str, Any]:
        """Measure, and tell everything as JSON."""
        machine, before = environment(), machine_time()
        if self.machine.cores < max(self.plan.threads):
            self._say(f"measuring: there are {self.machine.cores} cores; rows of more threads are marked")
        with scratch("measure") as place:
            texts = place / "texts.json"
            write_json(texts, self.texts)
            for count in self.plan.threads:
                self._threads(count, texts, place / "compiled")
        errors = [found.error for found in self.found.values() if found.error is not None]
        if errors and self.results.hopeless():
            raise errors[0]
        for error in errors:
            self._say(f"measuring goes on without one model: {error}")
        after = machine_time()
        stolen = None if before is None or after is None else (after.steal - before.steal) / max(after.wall - before.wall, 1e-9)
        rows = {variant.name: self.results.rows(variant.name, compiled=variant.compiled) for variant in self.variants}
        judged = verdict(rows, max(self.results.attempts.values(), default=1))
        if not judged["comparable"]:
            self._say(f"measuring: {judged['words']}")
        return {
            "schema_version": 1,
            "environment": {
                **machine,
                "load_after": load_average(),
                "steal_cores": None if stolen is None else round(stolen, 4),
                "energy": self.meter.words,
            },
            "grid": self._grid(),
            "text": self.text,
            "noise": judged,
            "variants": [self._variant(variant, rows[variant.name], root) for variant in self.variants],
        }

    def _threads(self, count: int, texts: Path, cache: Path) -> None:
        """Every pass at one number of threads; noisy cases again."""
        wanted = list(self.cases)
        for attempt in range(self.plan.repeats + 1):
            if attempt > 0:
                wanted = self._noisy_cases(count, wanted)
                if not wanted:
                    return
                self._say(
                    f"measuring again, {attempt} of {self.plan.repeats} times at most: disturbed, or too wide an interval, at "
                    + ", ".join(case.key for case in wanted)
                )
            tasks = [self._task(variant, wanted, texts) for variant in self.variants if variant.name not in self.unavailable]
            for case in wanted:
                self.results.attempts[case.key, count] = attempt + 1
            total = self.plan.passes * steps(tasks, self.plan)
            ticks = Ticks(total, "measuring" if attempt == 0 else "measuring again") if self.progress and total else None
            tick: Callable[[], None] = ticks.tick if ticks else lambda: None
            try:
                for passing in range(self.plan.passes):
                    Pass(tasks, self.plan, count, attempt, passing, self.meter, cache, tick).run()
            finally:
                if ticks:
                    ticks.close()

    def _task(self, variant: Variant, cases: Sequence[Case], texts: Path) -> Task:
        facts = self.facts[variant.name]
        fitting = tuple(case for case in cases if not _too_long(case, facts))
        spec = {
            "format": variant.format,
            **_inputs_of(variant),
            "more": [_inputs_of(one) for one in variant.more],
            "compiled": variant.compiled,
            "dynamic": any(len(case.groups) > 1 for case in fitting),
            "scope": self.plan.scope,
            "texts": str(texts),
        }
        return Task(variant.name, spec, fitting, self.found[variant.name])

    def _make_cases(self) -> list[Case]:
        """What is run, and the texts for it."""
        plan, first = self.plan, self.variants[0]
        cases: list[Case] = []
        if plan.text is not None:
            self.texts = read_texts(plan.text)
            source = TextInput(first.home())
            lengths = [len(row.ids) for row in source.tokenize([source.resolve_prompt(None) + text for text in self.texts])]
            cut = sum(1 for row in source.tokenize(self.texts) if row.overflowing)
            self.text = text_facts(plan.text, self.texts, lengths, cut)
            cases = text_cases(plan.scenarios, plan.batch, lengths)
        cases = synthetic_cases(plan.scenarios, plan.batch, plan.sequence, text_given=plan.text is not None) + cases
        if plan.scope == "end_to_end":
            for variant in self.variants:  # longer text would be cut
                facts, limit = self.facts[variant.name], min(TextInput(one.home()).max_length for one in variant.every)
                self.facts[variant.name] = replace(facts, longest=min(limit, facts.longest or limit))
            cases, made = as_texts(cases, TextInput(first.home()), len(self.texts), str(first.path))
            self.texts = [*self.texts, *made]
        return cases

    def _noisy_cases(self, count: int, cases: Sequence[Case]) -> list[Case]:
        """The cases in which any model's row cannot be compared, for a reason that may pass."""
        hopeful = Machine(max(self.machine.cores, count), self.machine.all_cores)
        return [
            case
            for case in cases
            if case.scenario != "server"
            and any(row["noisy"] for name in self.found if (row := self.results.row(name, case, count, hopeful)) is not None)
        ]

    def _grid(self) -> dict[str, Any]:
        plan = self.plan
        server = {"rates": list(plan.rates), "loads": list(plan.loads), "server_seconds": plan.server_seconds}
        return {
            "batch": list(plan.batch),
            "sequence": list(plan.sequence),
            "threads": list(plan.threads),
            "min_runs": plan.min_runs,
            "min_seconds": plan.min_seconds,
            "passes": plan.passes,
            "rounds": plan.rounds,
            "repeats": plan.repeats,
            "order": "turns in short blocks, drawn order and then backwards, fresh processes in each pass",
            "input_seed": SEED,
            "precision": "torch in fp32, default attention kernel; onnxruntime and OpenMP with idle threads asleep",
            "scope": scope_words(self.variants, plan.scope),
            "scope_name": plan.scope,
            "scenarios": list(plan.scenarios),
            "reference": self.variants[0].name,
            **(server if "server" in plan.scenarios else {}),
        }

    def _variant(self, variant: Variant, rows: dict[str, list[dict[str, Any]]], root: Path) -> dict[str, Any]:
        found = self.found[variant.name]
        peak = max(found.peak_rss_mb) if found.peak_rss_mb else None
        error = self.unavailable.get(variant.name) or (None if found.error is None else str(found.error))
        first = [value for (_, count), values in found.first_ms.items() if count == self.plan.threads[0] for value in values[:1]]
        return {
            "name": variant.name,
            "role": variant.role,
            "format": variant.format,
            "compiled": variant.compiled,
            "path": variant.shown_path(root),
            "models": len(variant.every),
            "file_mb": self.sizes[variant.name],
            "load_ms": round(min(found.load_ms), 2) if found.load_ms else None,
            "start_ms": round(min(found.start_ms), 2) if found.start_ms else None,
            "first_ms": round(first[0], 3) if first else None,
            "peak_rss_mb": peak,
            "peak_over_base_mb": round(peak - min(found.base_mb), 1) if peak is not None and found.base_mb else None,
            "threads_seen": [{"threads": count, **seen} for count, seen in found.checks.items() if seen is not None],
            "idle_cores": round(found.idle[0] / found.idle[1], 4) if found.idle[1] > 0 else None,
            **rows,
            "error": error,
            "unavailable": variant.name in self.unavailable,
            "skipped": self._skipped(variant.name),
        }

    def _skipped(self, name: str) -> list[dict[str, Any]]:
        """The cells that a model cannot take, each with the reason."""
        facts = self.facts[name]
        reason = f"the model takes {facts.longest} tokens at most"
        cells = {(case.batch, case.sequence): case for case in self.cases if _too_long(case, facts)}
        rows = [
            {"batch": batch, "sequence": sequence, "threads": count, "reason": reason}
            for count in self.plan.threads
            for batch, sequence in cells
        ]
        if rows:
            lengths = ", ".join(sorted({str(row["sequence"]) for row in rows}))
            self._say(f"measuring: {name} has no rows for sequence {lengths}: {reason}")
        return rows

    def _say(self, text: str) -> None:
        if self.progress:
            note(text)


def scope_words(variants: Sequence[Variant], scope: Scope = "model") -> str:
    """What is timed, in words; each kind of model is told where there are both."""
    words = (SCOPE, TASK_SCOPE) if scope == "model" else (END_SCOPE, END_TASK_SCOPE)
    tasks = {task_class(variant.home()) is not None for variant in variants}
    return "; ".join(text for kind, text in zip((False, True), words, strict=True) if kind in tasks)


def _facts(variant: Variant) -> InputFacts:
    """What a variant takes; of several models the longest input that all of them take."""
    each = [read_facts(one.home()) for one in variant.every]
    return replace(each[0], longest=min((one.longest for one in each if one.longest is not None), default=None))


def _inputs_of(variant: Variant) -> dict[str, Any]:
    """Where one model lies, and what token ids it takes, for the process that runs it."""
    facts = read_facts(variant.home())
    place = {"path": str(variant.location()), "home": str(variant.home())}
    return {**place, "vocabulary": facts.vocabulary, "special": facts.special}


def _too_long(case: Case, facts: InputFacts) -> bool:
    return facts.longest is not None and case.sequence is not None and case.sequence > facts.longest


def _check(variants: Sequence[Variant]) -> None:
    """Refuse what cannot be measured before the first process starts."""
    names = [variant.name for variant in variants]
    if not variants:
        raise UserError("no model is given", where="measure", expected="at least one variant")
    if len(set(names)) != len(names):
        raise UserError("two models have one name", where="measure", got=", ".join(names), expected="a name for each")
    if any(variant.format == "torch" for variant in variants) and importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtra("train", "sentence_transformers", "measuring a torch model")
