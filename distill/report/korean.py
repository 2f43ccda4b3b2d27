"""The Korean of the report: English text -> Korean text, with the same `{names}`.

A value may end in any letter, so no particle that depends on it (은/는, 이/가, 을/를) follows one.
"""

from __future__ import annotations

from .korean_names import NAMES
from .korean_sentences import SENTENCES
from .schema import Headline

KOREAN = NAMES | SENTENCES


def clauses(who: str, headline: Headline, metric: str, share: str) -> str:
    """The headline in sentences.

    Args:
        who: the subject with its particle.
        headline: its numbers.
        metric: the metric's name.
        share: what is kept, as a percentage.
    """
    kept = None
    if headline.retained is not None and headline.task == "agreement":
        kept = f"교사 모델과 {share} 일치합니다({metric}, 따로 떼어 둔 텍스트)."
    elif headline.retained is not None:
        kept = f"교사 모델 품질의 {share}를 유지합니다({metric}, {headline.task})."
    size = _times(headline.smaller, ("작", "큽"))
    speed = _times(headline.faster, ("빠릅", "느립"))
    stems = {"작": "작고", "큽": "크고"}
    ends = {"작": "작습니다", "큽": "큽니다", "빠릅": "빠릅니다", "느립": "느립니다"}
    if size and speed:
        gained = f"크기는 {size[0]}배 {stems[size[1]]}, 속도는 {speed[0]}배 {ends[speed[1]]}."
    elif size:
        gained = f"크기는 {size[0]}배 {ends[size[1]]}."
    elif speed:
        gained = f"속도는 {speed[0]}배 {ends[speed[1]]}."
    else:
        gained = ""
    if kept is None and not gained:
        return f"{who} 통과 기준을 만족했지만, 교사 모델과 비교할 수 있는 값이 없습니다."
    if kept is None:
        return f"{who} 교사 모델보다 {gained}"
    return f"{who} {kept}" + (f" 교사 모델보다 {gained}" if gained else "")


def _times(value: float | None, ways: tuple[str, str]) -> tuple[str, str] | None:
    """How many times, and which way: the first for more, the second for less."""
    if not value:
        return None
    return (f"{value:.1f}", ways[0]) if value >= 0.995 else (f"{1 / value:.1f}", ways[1])
