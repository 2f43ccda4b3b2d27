"""The two pictures of the report: quality against latency, and how training went."""

from __future__ import annotations

from collections.abc import Sequence

from .headline import CELL
from .read import LogLine
from .schema import Latency, Model, Report
from .svg import Board, Box, Scale, place
from .tables import cell_words, grid_cells
from .words import figure, metric_words, points

SHAPES = {"teacher": "circle", "student": "square", "export": "diamond"}
Point = tuple[float, float]


def scatter(report: Report, width: int = 760) -> str | None:
    """Quality over latency, one mark per variant, with the 95% interval of its quality.

    Args:
        report: only variants with both numbers are drawn.
        width: of the picture; text keeps its size, so a narrow picture suits a phone.

    Returns:
        SVG markup, or None where fewer than two variants can be drawn.
    """
    cells, task = grid_cells(report), report.headline.task
    cell = CELL if CELL in cells or not cells else cells[0]
    shown = [found for model in report.models if (found := _drawable(model, cell, task))]
    if len(shown) < 2:
        return None
    left, right, top, bottom = 52, width - 16, 44, 352
    spread = [row.p50_ms for _, row, _, _ in shown]
    lows, highs = [value[0] for _, _, _, value in shown], [value[1] for _, _, _, value in shown]
    room = max(max(highs) - min(lows), 0.002)
    x = Scale(min(spread) / 1.6, max(spread) * 1.6, left, right, log=True)
    y = Scale(min(lows) - 0.12 * room, max(highs) + 0.3 * room, bottom, top)
    words = "; ".join(f"{model.name}: {points(value)} at {figure(row.p50_ms)} ms" for model, row, value, _ in shown)
    name, kind = f"scatter-{width}", metric_words(report.headline.metric)
    board = Board(width, 404, name=name, title="Quality against latency", description=words, css_class=_size(width))
    few = 6 if width > 500 else 4
    board.axes(x, y, [(tick, f"{tick:g}") for tick in x.ticks(few)], [(tick, f"{100 * tick:g}") for tick in y.ticks(5)])
    board.text(0, 18, _shortened(f"{kind}, {'agreement' if task == 'agreement' else task} (points of 100)", width), "label")
    board.text(right, 397, f"median ms, {cell_words(cell)}, log scale", "label", "end")
    taken: list[Box] = []
    for _, row, value, ends in shown:
        px = x(row.p50_ms)
        taken += [(px - 8, y(value) - 8, px + 8, y(value) + 8), (px - 3, y(ends[1]), px + 3, y(ends[0]))]
    for model, row, value, ends in shown:
        px, py = x(row.p50_ms), y(value)
        css = f"{model.role}{' best' if model.name == report.headline.best else ''}"
        board.line(px, y(ends[0]), px, y(ends[1]), f"whisker {css}")
        board.mark(px, py, SHAPES[model.role], f"mark {css}", 7 if "best" in css else 6)
        taken.append(
            _label(board, model, row, value, (px, py, y(ends[1]), y(ends[0])), taken, (left, 24, right + 14, bottom - 2))
        )
    return board.render()


def curve(log: Sequence[LogLine], select_by: str | None, width: int = 760) -> str | None:
    """The dev metric and every loss term over the steps of all stages.

    Args:
        log: lines of log.jsonl; where a step stands twice (after a resume) the later line counts.
        select_by: the dev metric that chose the checkpoint; the first one found where the log lacks it.
        width: of the picture.

    Returns:
        SVG markup, or None where nothing was logged.
    """
    dev, losses, starts = _series(log, select_by)
    if not dev[1] and not losses:
        return None
    last = max(step for series in (dev[1], *losses.values()) for step, _ in series)
    left, right = 52, width - 16
    x = Scale(0, max(last, 1), left, right)
    parts = ([(metric_words(dev[0]), {"": dev[1]})] if dev[1] else []) + ([("Loss terms, weighted", losses)] if losses else [])
    height = 30 + 190 * len(parts)
    said = [f"{title}: from {figure(line[0][1])} to {figure(line[-1][1])}" for title, lines in parts for line in lines.values()]
    name = f"curve-{width}"
    board = Board(width, height, name=name, title="Training", description="; ".join(said), css_class=_size(width))
    for number, (title, lines) in enumerate(parts):
        _panel(board, x, 190 * number, title, lines, starts, best=number == 0 and bool(dev[1]))
    board.text(right, height - 4, "optimizer steps", "label", "end")
    return board.render()


def _panel(board: Board, x: Scale, top: float, title: str, lines: dict[str, list[Point]], starts: list[int], best: bool) -> None:
    """One plot: title above, lines by name, dashed lines where a stage starts, and a mark at the best point."""
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    log, wide = low > 0 and high / low > 20, board.width > 500
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.01
    low, high = (low / 1.2, high * 1.2) if log else (low - margin, high + margin)
    y = Scale(low, high, top + 158, top + 34, log)
    x_ticks = [(tick, f"{tick:,.0f}") for tick in x.ticks(6 if wide else 4) if tick == int(tick)]
    board.axes(x, y, x_ticks, [(tick, figure(tick, 3)) for tick in y.ticks(4)])
    for start in starts:
        board.line(x(start), y.start, x(start), y.end, "stage")
    board.text(0, top + 18, title, "label")
    right, level = x.end, top + (18 if wide else 46)
    for number, (name, line) in reversed(list(enumerate(lines.items()))):
        board.path([(x(step), y(value)) for step, value in _binned(line)], f"line c{number % 4}")
        if name:
            board.text(right, level, name, f"label c{number % 4}", "end")
            right, level = (right - 7.4 * len(name) - 16, level) if wide else (right, level + 16)
    if best:
        step, value = max(lines[""], key=lambda point: point[1])
        board.mark(x(step), y(value), "circle", "mark best", 5)
        board.text(x.end, top + 18, f"best {value:.4f}", "label strong", "end")


def _series(log: Sequence[LogLine], select_by: str | None) -> tuple[tuple[str, list[Point]], dict[str, list[Point]], list[int]]:
    """(metric, dev points), loss name -> points, first steps of the later stages; steps count on from stage to stage."""
    offsets: dict[str, int] = {}
    end = 0
    for line in log:
        if line.stage not in offsets:
            offsets[line.stage] = end
        end = max(end, offsets[line.stage] + line.step)
    metrics = list(dict.fromkeys(name for line in log for name in line.dev))
    metric = select_by if select_by in metrics else next(iter(metrics), "")
    dev: dict[float, float | None] = {}
    losses: dict[str, dict[float, float | None]] = {}
    for line in log:
        step = offsets[line.stage] + line.step
        if metric in line.dev:
            dev[step] = line.dev[metric]
        terms = line.losses or ({"loss": line.loss} if line.loss is not None else {})
        for name, value in terms.items():
            losses.setdefault(name, {})[step] = value
    found = {name: points for name, values in losses.items() if (points := _finite(values))}
    return (metric, _finite(dev)), found, [start for start in offsets.values() if start > 0]


def _finite(values: dict[float, float | None]) -> list[Point]:
    return sorted((step, value) for step, value in values.items() if value is not None and abs(value) < float("inf"))


def _binned(line: list[Point], most: int = 120) -> list[Point]:
    """At most `most` points: means of neighbours."""
    size = -(-len(line) // most)
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(sum(step for step, _ in group) / len(group), sum(value for _, value in group) / len(group)) for group in groups]


def _drawable(model: Model, cell: tuple[int, int, int], task: str) -> tuple[Model, Latency, float, tuple[float, float]] | None:
    row = next((row for row in model.latency if (row.batch, row.sequence, row.threads) == cell), None)
    quality = model.quality.get(task)
    if row is None or row.p50_ms <= 0 or quality is None or quality.value is None:
        return None
    return model, row, quality.value, quality.ci95 or (quality.value, quality.value)


def _label(
    board: Board, model: Model, row: Latency, value: float, at: tuple[float, float, float, float], taken: list[Box], inside: Box
) -> Box:
    """Name and numbers beside, above or below a mark, where there is room."""
    x, y, high, low = at
    detail = f"{points(value)}, {figure(row.p50_ms)} ms" if board.width > 500 else ""
    wide = max(7.8 * len(model.name), 6.6 * len(detail))
    spots = [("start", x + 13, y - 4), ("end", x - 13, y - 4)] if detail else []
    spots += [("middle", x, high - (22 + 34 * step if detail else 7 + 17 * step)) for step in range(3)] + [
        ("middle", x, low + 18)
    ]
    lefts = {"start": 0.0, "middle": -wide / 2, "end": -wide}
    boxes = [(px + lefts[anchor], py - 13, px + lefts[anchor] + wide, py + (19 if detail else 3)) for anchor, px, py in spots]
    index = place(boxes, taken, inside)
    anchor, px, py = spots[index]
    board.text(px, py, model.name, "label strong", anchor)
    if detail:
        board.text(px, py + 15, detail, "label", anchor)
    return boxes[index]


def _size(width: int) -> str:
    return "wide" if width > 500 else "narrow"


def _shortened(words: str, width: int) -> str:
    most = int(width / 7)
    return words if len(words) <= most else words[: most - 1] + "…"
