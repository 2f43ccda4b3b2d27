"""A sentence that says which student to ship, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..report.schema import Quality
from ..report.words import figure, metric_words, points, ratio
from .front import best_of, choose
from .schema import Advice, Candidate, PairedScore

Between = Callable[[Candidate, Candidate, str], PairedScore]


def advise(
    candidates: Sequence[Candidate], tolerance: float, task: str | None, measured: Quality | None, between: Between
) -> Advice:
    """The fastest file whose quality is at most `tolerance` below the best of all.

    Args:
        candidates: every file that met its gate.
        tolerance: in the metric's own unit.
        task: the evaluation set.
        measured: of the set: its metric and kind.
        between: the paired difference of two candidates on a set.
    """
    chosen, best = choose(candidates, tolerance), best_of(candidates)
    if chosen is None or best is None or task is None or measured is None:
        why = "no file has both a quality and a latency that can be compared"
        return Advice(tolerance=tolerance, sentence=f"No file can be advised: {why}.")
    metric = f"{metric_words(measured.metric, measured.kind)} on {task}"
    told = f"Ship the file '{chosen.model}' of {chosen.run}: {points(chosen.quality)} points ({metric}), {_costs(chosen)}"
    if chosen.name == best.name:
        rest = "; no file that was compared is better on this set."
    else:
        rest = f"; {_against(chosen, best, between(chosen, best, task))}."
    return Advice(run=chosen.run, model=chosen.model, tolerance=tolerance, sentence=told + rest)


def _costs(one: Candidate) -> str:
    size = f" and {figure(one.file_mb)} MB" if one.file_mb else ""
    return f"{figure(one.p50_ms)} ms{size}"


def _against(chosen: Candidate, best: Candidate, pair: PairedScore) -> str:
    """What is given up against the best file, and what is gained."""
    given_up = (best.quality or 0.0) - (chosen.quality or 0.0)
    drop = f"{100 * given_up:.2f} points below the best, '{best.model}' of {best.run}"
    same_number = pair.difference is not None and abs(pair.difference + given_up) < 1e-6
    if same_number and pair.ci95 is not None:
        drop += f" (95% interval {-100 * pair.ci95[1]:.2f} to {-100 * pair.ci95[0]:.2f})"
    faster = (best.p50_ms or 0.0) / (chosen.p50_ms or 1.0)
    return f"{drop}, and {ratio(faster)} as fast" if faster >= 1.05 else f"{drop}, and as fast"
