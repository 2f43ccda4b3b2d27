"""Which models are worth looking at, and which of them to ship."""

from __future__ import annotations

from collections.abc import Sequence

from .schema import Candidate


def on_front(candidates: Sequence[Candidate]) -> list[bool]:
    """Whether each candidate is on the Pareto front: none other is at least as good and as fast, and better in one of both.

    Args:
        candidates: those without a quality or a latency are never on it.
    """
    return [
        _known(one) and not any(_beats(other, one) for other in candidates if other is not one and _known(other))
        for one in candidates
    ]


def choose(candidates: Sequence[Candidate], tolerance: float) -> Candidate | None:
    """The fastest of those whose quality is at most `tolerance` below the best one's; of equally fast ones the best.

    Args:
        candidates: those without a quality or a latency are passed over.
        tolerance: in the metric's own unit.
    """
    known = [one for one in candidates if _known(one)]
    if not known:
        return None
    best = max(_quality(one) for one in known)
    fitting = [one for one in known if best - _quality(one) <= tolerance + 1e-12]
    return min(fitting, key=lambda one: (one.p50_ms, -_quality(one), one.file_mb or 0.0, one.name))


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the best quality; of equal ones the faster."""
    known = [one for one in candidates if _known(one)]
    return max(known, key=lambda one: (_quality(one), -(one.p50_ms or 0.0)), default=None)


def _known(one: Candidate) -> bool:
    return one.quality is not None and one.p50_ms is not None


def _quality(one: Candidate) -> float:
    return one.quality if one.quality is not None else float("-inf")


def _beats(other: Candidate, one: Candidate) -> bool:
    better = _quality(other) - _quality(one)
    faster = (one.p50_ms or 0.0) - (other.p50_ms or 0.0)
    return better >= 0 and faster >= 0 and (better > 0 or faster > 0)
