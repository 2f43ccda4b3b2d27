"""The limits of a comparison, as gates: how much worse and how much slower a run may be than the baseline.

What decides is the estimate: the drop on the stored predictions, the ratio of the medians. It is fair to both sides: a run that
is unchanged and one that is twice the limit worse lie equally far from the limit. The bound of the interval, which can be asked
for, lets a run pass only where it is shown to be within the limit, so that a small evaluation set fails it.
"""

from __future__ import annotations

import math
import re
from typing import Literal

from ..errors import UserError
from ..report.words import figure, metric_words, whole
from .schema import Interval, PairedScore, Ratio, Rule, RunSummary

Decide = Literal["estimate", "bound"]
Kind = Literal["max_quality_drop", "max_latency_increase"]


def read_share(text: str | float, option: str) -> float:
    """`10%` or `0.1` as 0.1.

    Raises:
        UserError: it is neither, is below 0, or is 1 or more without a percent sign.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(%?)\s*", str(text))
    value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    if match is None or not math.isfinite(value) or (not match[2] and value >= 1):
        hint = f"{text}%" if match and not match[2] else None
        raise UserError("this is no share", where=option, got=text, expected="such as 10% or 0.1", hint=hint)
    return value


def check_drop(value: float, option: str) -> float:
    """A drop of quality in the metric's own unit.

    Raises:
        UserError: it is no number from 0 up to 1.
    """
    if not math.isfinite(value) or not 0 <= value < 1:
        raise UserError(
            "this is no drop in the metric's own unit", where=option, got=value, expected="from 0 up to 1: 0.01 is a point of 100"
        )
    return value


def quality_rule(run: RunSummary, found: PairedScore | None, kind: str, task: str, limit: float, decide: Decide) -> Rule:
    """Whether a run is at most `limit` worse than the baseline on one set."""
    if run.model is None or found is None or found.difference is None:
        why = run.reason or (found.note if found is not None else None) or "there is nothing to compare"
        return _unknown("max_quality_drop", run, limit, decide, why)
    drop = 0.0 - found.difference
    ends = (0.0 - found.ci95[1], 0.0 - found.ci95[0]) if found.ci95 is not None else None
    moved = f"fell by {_unit(drop)}" if drop > 0 else f"rose by {_unit(-drop)}" if drop < 0 else "did not change"
    interval = f", 95% interval of the drop {_unit(ends[0])} to {_unit(ends[1])}" if ends is not None else ""
    words = f"{metric_words(found.metric, kind)} on {task} {moved} (n = {whole(found.n)}{interval})"
    return _decided("max_quality_drop", run, limit, decide, drop, ends, words, f"{limit:g}")


def latency_rule(run: RunSummary, found: Ratio | None, limit: float, decide: Decide) -> Rule:
    """Whether a run is at most `limit` slower than the baseline, as a share of the baseline's median."""
    if run.model is None or found is None or found.latency is None:
        return _unknown("max_latency_increase", run, limit, decide, run.reason or "it was not timed where the baseline was")
    more = found.latency - 1
    ends = (found.ci95[0] - 1, found.ci95[1] - 1) if found.ci95 is not None else None
    interval = f", 95% interval {_percent(ends[0])} to {_percent(ends[1])}" if ends is not None else ""
    noisy = ", measured on a disturbed machine" if found.noisy else ""
    words = f"the median latency changed by {_percent(more)}{interval}{noisy}"
    return _decided("max_latency_increase", run, limit, decide, more, ends, words, f"{100 * limit:g} %")


def _unknown(rule: Kind, run: RunSummary, limit: float, decide: Decide, why: str) -> Rule:
    """A limit that cannot be judged is not met."""
    return Rule(rule=rule, run=run.label, limit=limit, passed=False, decided_by=decide, sentence=f"{run.label}: {why}")


def _decided(
    rule: Kind, run: RunSummary, limit: float, decide: Decide, value: float, ends: Interval | None, words: str, allowed: str
) -> Rule:
    """A limit that was judged; `words` tell what was found and `allowed` the limit as a person writes it."""
    passed, settled = _judge(value, ends, limit, decide)
    return Rule(
        rule=rule,
        run=run.label,
        limit=limit,
        value=value,
        ci95=ends,
        decided_by=decide,
        passed=passed,
        settled=settled,
        sentence=f"{run.label}: {words}; {_verdict(passed, settled, allowed, decide)}",
    )


def _judge(value: float, ends: Interval | None, limit: float, decide: Decide) -> tuple[bool, bool]:
    """(passed, settled). A limit that is met to the last bits of a float is met."""
    slack = 1e-9
    within = value <= limit + slack
    if ends is None:
        return (within and decide == "estimate"), False
    settled = (ends[1] <= limit + slack) if within else (ends[0] > limit + slack)
    return (within if decide == "estimate" else ends[1] <= limit + slack), settled


def _verdict(passed: bool, settled: bool, limit: str, decide: Decide) -> str:
    words = f"within the {limit} allowed" if passed else f"more than the {limit} allowed"
    if decide == "bound" and not passed and not settled:
        return f"not shown to be within the {limit} allowed"
    return words if settled else f"{words}, but the interval reaches across the limit"


def _unit(value: float) -> str:
    """A difference in the metric's own unit."""
    return "0" if value == 0 else f"{value:.4f}" if abs(value) < 1 else figure(value)


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"
