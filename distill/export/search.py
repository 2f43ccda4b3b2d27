"""The preset `searched`: the quickest mix of precisions that stays inside a budget of quality.

1. Each group of nodes is turned alone into each of its forms, and what that moves in the outputs is measured (sensitivity).
2. From fp32 on, the turn that saves most time per harm comes next, until everything has its quickest form: a path.
3. The furthest point of the path that is inside the budget is found by bisection. Each point is judged as a whole.
4. Where `fast` or `faithful` as they are would be quicker, and are inside, they are taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from ..errors import UserError
from ..files import sha256_file
from ..progress import track
from .assemble import assemble, candidates, preset_choices
from .calibrate import ChannelRanges, Feeds, channel_ranges, product_inputs
from .costs import Costs, group_costs, total, weighed
from .groups import Group, find_groups
from .quantize import write_choices

Chosen = dict[str, str]
"""Name of a group -> its form."""
TINY = 1e-7
"""A harm below this is none: rounding."""


@dataclass(frozen=True)
class Budget:
    """How much may be lost, one of the two.

    Attributes:
        metric_drop: share of the fp32 file's dev metric.
        min_cosine: least mean cosine to the fp32 file's outputs.
    """

    metric_drop: float | None = None
    min_cosine: float | None = None

    @property
    def allowed(self) -> float:
        """The largest loss that is inside: of the metric, or of the cosine, 1 - cosine."""
        return self.metric_drop if self.metric_drop is not None else 1 - float(self.min_cosine or 0)

    @property
    def words(self) -> str:
        """The budget as a clause."""
        if self.metric_drop is not None:
            return f"at most {self.metric_drop:.3%} of the fp32 file's dev metric lost"
        return f"mean cosine to the fp32 file of at least {self.min_cosine:g} on dev text"

    @property
    def gate(self) -> str:
        """The budget as a rule of parity.json."""
        return f"metric_drop <= {self.metric_drop:g}" if self.metric_drop is not None else f"mean_cosine >= {self.min_cosine:g}"


MIN_COSINE, METRIC_DROP = 0.995, 0.005
"""The budgets where none is named: of a sentence encoder, of a task model with labelled dev rows."""
FLOOR = 0.99
"""What a budget of the metric also asks of the mean cosine to fp32: a dev set may forgive what other text does not."""
Search = Callable[[Path, Path], dict[str, Any]]
"""Makes a file from the fp32 one and returns the log of how."""


@dataclass(frozen=True)
class Judge:
    """Tells what a file loses.

    Attributes:
        outputs: what a session says of every judged row.
        nearness: mean cosine of two models' outputs, or what stands for it.
        metric: the dev metric of a session; None where there are no labels.
        rows: how many rows the metric, or without one the cosine, is of.
        few: how many rows tell a group's sensitivity.
        name: of the metric.
    """

    outputs: Callable[[Any, int | None], Sequence[Any]]
    nearness: Callable[[Sequence[Any], Sequence[Any]], float]
    rows: int
    metric: Callable[[Any], float] | None = None
    few: int = 48
    name: str = "mean_cosine"


def search(source: Path, target: Path, budget: Budget, judge: Judge, feeds: Feeds, *, timed: bool = True) -> dict[str, Any]:
    """Find the quickest mix inside a budget, and write it.

    Args:
        source: the fp32 .onnx file, self-contained.
        target: the file to write; whole or absent.
        budget: what may be lost.
        judge: tells what a file loses, on dev data.
        feeds: real inputs of the graph: ranges of activations.
        timed: False counts multiplications instead of timing them.

    Returns:
        The log: budget, groups with the costs and sensitivity of every form and what was chosen, the points that were judged,
        quality before and after, seconds. JSON values.
    """
    begin = time.perf_counter()
    fp32 = onnx.load(source)
    groups = find_groups(fp32)
    ranges = channel_ranges(fp32, product_inputs(fp32), feeds)
    costs, timing = group_costs(groups, timed=timed)
    harm = sensitivity(fp32, groups, judge, ranges)
    path = turns(groups, costs, harm)
    verdicts = _Verdicts(fp32, groups, judge, budget, ranges)
    furthest = last_inside(path, verdicts.inside)
    options = [("path", path[furthest])]
    presets = {name: _of_preset(fp32, groups, name) for name in ("fast", "faithful")}
    options += [(name, chosen) for name, chosen in presets.items() if total(costs, chosen) < total(costs, path[furthest])]
    taken, chosen = min(
        (option for option in options if option[0] == "path" or verdicts.inside(option[1])), key=lambda o: total(costs, o[1])
    )
    counts = write_choices(_copy(fp32), _nodes(groups, chosen), target, ranges, source=source.name, preset="searched")
    last = verdicts.of(chosen)
    milliseconds = {name: sum(costs[g.name][form[g.name]][0] for g in groups) for name, form in presets.items()}
    milliseconds |= {
        "fp32": sum(costs[g.name]["fp32"][0] for g in groups),
        "searched": sum(costs[g.name][chosen[g.name]][0] for g in groups),
    }
    return {
        "budget": {key: value for key, value in vars(budget).items() if value is not None},
        "words": budget.words,
        "gate": budget.gate,
        "metric": judge.name if budget.metric_drop is not None else "mean_cosine",
        "rows": judge.rows if budget.metric_drop is not None else len(verdicts.reference),
        "timing": timing,
        "milliseconds": {name: round(value, 6) for name, value in milliseconds.items()},
        "before": verdicts.before,
        "after": last["value"],
        "lost": last["lost"],
        "taken": taken,
        "counts": counts,
        "groups": [_told(group, costs, harm, chosen) for group in groups],
        "judged": verdicts.log,
        "sha256": sha256_file(target),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def check_budget(budget: Budget, rows: Sequence[Any]) -> None:
    """Refuse a budget that is none, and a search that nothing could judge."""
    given = [value for value in (budget.metric_drop, budget.min_cosine) if value is not None]
    if len(given) != 1 or not 0 <= given[0] <= 1 or budget.metric_drop == 1 or budget.min_cosine == 0:
        got = ", ".join(f"{name}={value}" for name, value in vars(budget).items() if value is not None) or "nothing"
        raise UserError("no such budget", where="budget", got=got, expected="metric_drop from 0 to 1, or min_cosine up to 1: one")
    if len(rows) < 2:
        raise UserError("a search needs rows to judge by", where="searched", got=f"{len(rows)} rows", expected="real text")


def search_of(budget: Budget, judge: Judge, feeds: Feeds) -> Search:
    """`search` with all but the files settled."""
    return lambda source, target: search(source, target, budget, judge, feeds)


def sensitivity(
    fp32: onnx.ModelProto, groups: Sequence[Group], judge: Judge, ranges: ChannelRanges
) -> dict[str, dict[str, float]]:
    """What each group's forms do to the outputs while all else stays in fp32: 1 - nearness; 0 for fp32."""
    reference = judge.outputs(_session(fp32), judge.few)
    found: dict[str, dict[str, float]] = {group.name: {"fp32": 0.0} for group in groups}
    steps = [(group, form) for group in groups for form in group.forms if form != "fp32"]
    for group, form in track(steps, total=len(steps), description="searching", unit="forms"):
        model = assemble(_copy(fp32), dict.fromkeys(group.nodes, form), ranges)
        nearness = judge.nearness(judge.outputs(_session(model), judge.few), reference)
        found[group.name][form] = max(1 - nearness, 0.0)
    return found


def turns(groups: Sequence[Group], costs: Costs, harm: Mapping[str, Mapping[str, float]]) -> list[Chosen]:
    """The path from all fp32 to all quickest: at every step the turn that saves most per harm. Decided by the tables alone.

    Args:
        groups: of the graph.
        costs: of every form.
        harm: sensitivity of every form.
    """
    state: Chosen = {group.name: "fp32" for group in groups}
    path = [dict(state)]
    while True:
        best: tuple[float, str, str] | None = None
        for group in groups:
            now = state[group.name]
            for form in group.forms:
                gain = weighed(costs[group.name][now]) - weighed(costs[group.name][form])
                if gain <= 0:
                    continue
                ratio = gain / (max(harm[group.name][form] - harm[group.name][now], 0.0) + TINY)
                if best is None or ratio > best[0]:
                    best = ratio, group.name, form
        if best is None:
            return path
        state[best[1]] = best[2]
        path.append(dict(state))


def last_inside(path: Sequence[Chosen], inside: Callable[[Chosen], bool]) -> int:
    """The furthest point of a path that is inside the budget, by bisection; the start, fp32, is inside by definition."""
    low, high = 0, len(path)
    if inside(path[-1]):
        return len(path) - 1
    high = len(path) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if inside(path[middle]) else (low, middle)
    return low


class _Verdicts:
    """Judges whole mixes, each once."""

    def __init__(
        self, fp32: onnx.ModelProto, groups: Sequence[Group], judge: Judge, budget: Budget, ranges: ChannelRanges
    ) -> None:
        self.fp32, self.groups, self.judge, self.budget, self.ranges = fp32, groups, judge, budget, ranges
        session = _session(fp32)
        self.reference = judge.outputs(session, None)
        self.before = 1.0 if budget.metric_drop is None else self._metric(session)
        self.log: list[dict[str, Any]] = []
        self.known: dict[tuple[str, ...], dict[str, Any]] = {}

    def inside(self, chosen: Chosen) -> bool:
        return bool(self.of(chosen)["inside"])

    def of(self, chosen: Chosen) -> dict[str, Any]:
        """{"value", "lost", "nearness", "inside", "turned"} of a mix."""
        key = tuple(chosen[group.name] for group in self.groups)
        if key not in self.known:
            session = _session(assemble(_copy(self.fp32), _nodes(self.groups, chosen), self.ranges))
            near = self.judge.nearness(self.judge.outputs(session, None), self.reference)
            value = near if self.budget.metric_drop is None else self._metric(session)
            lost = (self.before - value) / self.before if self.before > 0 else float(value < self.before)
            turned = sum(form != "fp32" for form in key)
            floor = FLOOR if self.budget.metric_drop is not None else 0.0
            inside = turned == 0 or (lost <= self.budget.allowed and near >= floor)
            self.known[key] = {"turned": turned, "value": value, "lost": lost, "nearness": near, "inside": inside}
            self.log.append(self.known[key])
        return self.known[key]

    def _metric(self, session: Any) -> float:
        assert self.judge.metric is not None, "a budget of the metric needs labels"
        return float(self.judge.metric(session))


def _of_preset(model: onnx.ModelProto, groups: Sequence[Group], preset: str) -> Chosen:
    """What a preset has each group in."""
    choices = preset_choices(model, preset, calibrated=True)
    wanted = {group.name: choices[group.nodes[0]] for group in groups}
    return {group.name: wanted[group.name] if wanted[group.name] in group.forms else group.forms[-1] for group in groups}


def _nodes(groups: Sequence[Group], chosen: Mapping[str, str]) -> dict[str, str]:
    return {node: chosen[group.name] for group in groups for node in group.nodes}


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    candidates(twin)
    return twin


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _told(group: Group, costs: Costs, harm: Mapping[str, Mapping[str, float]], chosen: Mapping[str, str]) -> dict[str, Any]:
    forms = {
        form: {
            "ms": round(costs[group.name][form][0], 5),
            "mb": round(costs[group.name][form][1], 3),
            "harm": float(f"{harm[group.name][form]:.3g}"),
        }
        for form in group.forms
    }
    return {"name": group.name, "kind": group.kind, "nodes": len(group.nodes), "chosen": chosen[group.name], "forms": forms}
