"""The picture of a comparison: quality against latency, every file a mark with its intervals, and the front as a line."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.svg import Board, Box, Scale, place
from ..report.tables import cell_words
from ..report.words import figure, metric_words, points
from .schema import Candidate, Comparison

COLOURS = 6
"""Classes of marks in the page's style sheet; runs beyond take them again."""
LABELLED_MOST = 14


def scatter(found: Comparison, width: int = 760) -> str | None:
    """Quality over latency of every file that met its gate.

    Args:
        found: the comparison.
        width: of the picture; text keeps its size, so a narrow picture suits a phone.

    Returns:
        SVG markup, or None where fewer than two files have both numbers.
    """
    shown = [one for one in found.candidates if one.quality is not None and one.p50_ms]
    if len(shown) < 2 or found.cell is None:
        return None
    left, right, top, bottom = 52, width - 16, 44, 372
    spread = [end for one in shown for end in _across(one)]
    heights = [end for one in shown for end in _ends(one)]
    room = max(max(heights) - min(heights), 0.002)
    x = Scale(min(spread) / 1.4, max(spread) * 1.5, left, right, log=True)
    y = Scale(min(heights) - 0.12 * room, max(heights) + 0.2 * room, bottom, top)
    words = "; ".join(f"{one.name}: {points(one.quality)} at {figure(one.p50_ms)} ms" for one in shown)
    size, name = "wide" if width > 500 else "narrow", f"compare-{width}"
    board = Board(width, 424, name=name, title="Quality against latency", description=words, css_class=size)
    ticks = [(tick, f"{tick:g}") for tick in x.ticks(6 if width > 500 else 4)]
    board.axes(x, y, ticks, [(tick, f"{100 * tick:g}") for tick in y.ticks(5)])
    title = f"{metric_words(found.metric or '', found.kind)}, {found.task} (points of 100)"
    most = int(width / 7)
    board.text(0, 18, title if len(title) <= most else title[: most - 1] + "…", "label")
    board.text(right, 417, f"median ms, {cell_words(found.cell)}, log scale", "label", "end")
    front = sorted((one for one in shown if one.front), key=lambda one: one.p50_ms or 0.0)
    board.path([(x(one.p50_ms or 0.0), y(one.quality or 0.0)) for one in front], "front")
    runs = list(dict.fromkeys(one.run for one in found.candidates))
    taken: list[Box] = []
    for one in shown:
        taken += _draw(board, x, y, one, f"c{runs.index(one.run) % COLOURS}", one.name == _advised(found))
    _name(board, x, y, shown, taken, (left, 24, right + 14, bottom - 2))
    return board.render()


def _draw(board: Board, x: Scale, y: Scale, one: Candidate, colour: str, advised: bool) -> list[Box]:
    """A mark with its two intervals; the boxes that they take."""
    px, py = x(one.p50_ms or 0.0), y(one.quality or 0.0)
    low, high = (y(end) for end in _ends(one))
    near, far = (x(end) for end in _across(one))
    board.line(px, low, px, high, f"whisker {colour}")
    board.line(near, py, far, py, f"whisker {colour}")
    board.mark(px, py, "circle" if one.front else "square", f"mark {colour}{' advised' if advised else ''}", 7 if advised else 5)
    return [(px - 7, py - 7, px + 7, py + 7), (px - 3, high, px + 3, low)]


def _name(board: Board, x: Scale, y: Scale, shown: Sequence[Candidate], taken: list[Box], inside: Box) -> None:
    """Names beside marks, where there is room."""
    for one in _named(shown, board.width > 500):
        words = one.name if len(one.name) <= 28 else one.name[:27] + "…"
        wide = 7.2 * len(words)
        px, py = x(one.p50_ms or 0.0), y(one.quality or 0.0)
        high, low = y(_ends(one)[1]), y(_ends(one)[0])
        spots = [("start", px + 11, py - 5), ("end", px - 11, py - 5), ("start", px + 11, py + 16), ("end", px - 11, py + 16)]
        spots += [("middle", px, high - 6), ("middle", px, low + 16)]
        lefts = {"start": 0.0, "middle": -wide / 2, "end": -wide}
        boxes = [(at + lefts[anchor], to - 12, at + lefts[anchor] + wide, to + 4) for anchor, at, to in spots]
        index = place(boxes, taken, inside)
        anchor, at, to = spots[index]
        board.text(at, to, words, "label strong" if one.front else "label", anchor)
        taken.append(boxes[index])


def _named(shown: Sequence[Candidate], wide: bool) -> list[Candidate]:
    """The marks that get a name: the front and the files that stand for their runs; of a narrow picture the ends of the front."""
    front = sorted((one for one in shown if one.front), key=lambda one: one.p50_ms or 0.0)
    if not wide:
        return front if len(front) < 3 else [front[0], front[-1]]
    return [*front, *(one for one in shown if one.stands_for_run and not one.front)][:LABELLED_MOST]


def _advised(found: Comparison) -> str | None:
    return f"{found.advice.run} {found.advice.model}" if found.advice.run else None


def _ends(one: Candidate) -> tuple[float, float]:
    value = one.quality or 0.0
    return one.ci95 or (value, value)


def _across(one: Candidate) -> tuple[float, float]:
    """Ends of the latency's interval, which a bootstrap may put beside the median by a hair."""
    value = one.p50_ms or 0.0
    low, high = one.p50_ci95 or (value, value)
    return min(low, value), max(high, value)
