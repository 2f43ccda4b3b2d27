"""The pictures of the report: quality against latency, how training went, and how large everything is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .headline import CELL
from .read import LogLine
from .schema import Latency, Model, Report
from .svg import Board, Box, Scale, place
from .tables import cell_words, grid_cells
from .words import MISSING, figure, metric_words, points, tell

SHAPES = {"teacher": "circle", "student": "square", "export": "diamond"}
Point = tuple[float, float]
LOWER_IS_BETTER = frozenset({"loss"})


def scatter(report: Report, width: int = 760) -> str | None:
    """Quality over latency, one mark per variant, with the 95% intervals of both, and the front of those none beats in both.

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
    spread = [end for _, row, _, _ in shown for end in (row.p50_ci95 or (row.p50_ms,))]
    lows, highs = [value[0] for _, _, _, value in shown], [value[1] for _, _, _, value in shown]
    room = max(max(highs) - min(lows), 0.002)
    x = Scale(min(spread) / 1.6, max(spread) * 1.6, left, right, log=True)
    y = Scale(min(lows) - 0.12 * room, max(highs) + 0.3 * room, bottom, top)
    words = "; ".join(
        tell("{name}: {quality} at {ms} ms", name=model.name, quality=points(value), ms=figure(row.p50_ms))
        for model, row, value, _ in shown
    )
    name, kind = f"scatter-{width}", metric_words(report.headline.metric, report.headline.kind)
    board = Board(width, 404, name=name, title=tell("Quality against latency"), description=words, css_class=_size(width))
    few = 6 if width > 500 else 4
    board.axes(x, y, [(tick, f"{tick:g}") for tick in x.ticks(few)], [(tick, f"{100 * tick:g}") for tick in y.ticks(5)])
    named = tell("agreement") if task == "agreement" else task
    board.text(0, 18, _shortened(tell("{metric}, {task} (points of 100)", metric=kind, task=named), width), "label")
    board.text(right, 397, tell("median ms, {cell}, log scale", cell=cell_words(cell)), "label", "end")
    edge = [(x(ms), y(value)) for ms, value in front([(row.p50_ms, value) for _, row, value, _ in shown])]
    board.path(edge, "front")
    taken: list[Box] = [box for ends in pairwise(edge) for box in _along(*ends)]
    for _, row, value, ends in shown:
        px = x(row.p50_ms)
        taken += [(px - 8, y(value) - 8, px + 8, y(value) + 8), (px - 3, y(ends[1]), px + 3, y(ends[0]))]
        if row.p50_ci95:
            taken.append((x(row.p50_ci95[0]), y(value) - 2, x(row.p50_ci95[1]), y(value) + 2))
    for model, row, value, ends in shown:
        px, py = x(row.p50_ms), y(value)
        css = f"{model.role}{' best' if model.name == report.headline.best else ''}"
        board.line(px, y(ends[0]), px, y(ends[1]), f"whisker {css}")
        if row.p50_ci95:
            board.line(x(row.p50_ci95[0]), py, x(row.p50_ci95[1]), py, f"across {css}")
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
    named = {"": dev[1]} if dev[1] else {}
    said = [
        tell("{name}: from {first} to {last}", name=title, first=figure(line[0][1]), last=figure(line[-1][1]))
        for title, line in [*((metric_words(dev[0]), line) for line in named.values()), *losses.items()]
    ]
    columns = 2 if width > 500 and len(losses) > 1 else 1
    top = 190 * len(named)
    height = top + (22 + 184 * -(-len(losses) // columns) if losses else 0) + 26
    board = Board(
        width, height, name=f"curve-{width}", title=tell("Training"), description="; ".join(said), css_class=_size(width)
    )
    if dev[1]:
        _panel(board, Scale(0, max(last, 1), left, right), 0, 0, metric_words(dev[0]), dev[1], starts, css="c0", best=dev[0])
    if losses:
        board.text(0, top + 18, tell("Loss terms, weighted"), "label")
    wide = (width - 16 * (columns - 1)) / columns
    for number, (name, line) in enumerate(losses.items()):
        start = (wide + 16) * (number % columns)
        x = Scale(0, max(last, 1), start + left, start + wide - 16)
        most = int((wide - 20) / 7.5)
        title = name if len(name) <= most else name[: most - 1] + "…"
        _panel(board, x, start, top + 22 + 184 * (number // columns), title, line, starts, css=f"c{number % 4}")
    board.text(right, height - 4, tell("optimizer steps"), "label", "end")
    return board.render()


def _panel(
    board: Board,
    x: Scale,
    left: float,
    top: float,
    title: str,
    line: list[Point],
    starts: list[int],
    *,
    css: str,
    best: str | None = None,
) -> None:
    """One plot: title above, a line, dashed lines where a stage starts, and a mark at the best point of a dev metric."""
    values = [value for _, value in line]
    low, high = min(values), max(values)
    log = low > 0 and high / low > 20
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.01
    low, high = (low / 1.2, high * 1.2) if log else (low - margin, high + margin)
    y = Scale(low, high, top + 152, top + 30, log)
    few = max(2, int((x.end - x.start) / 90))
    x_ticks = [(tick, f"{tick:,.0f}") for tick in x.ticks(few) if tick == int(tick)]
    board.axes(x, y, x_ticks, [(tick, figure(tick, 3)) for tick in y.ticks(4)])
    for start in starts:
        board.line(x(start), y.start, x(start), y.end, "stage")
    board.text(left, top + 18, title, f"label {css}" if best is None else "label")
    points_at = [(x(step), y(value)) for step, value in _binned(line)]
    if len(points_at) == 1:
        board.mark(*points_at[0], "circle", f"dot {css}", 3)
    board.path(points_at, f"line {css}")
    if best is not None:
        step, value = (min if best in LOWER_IS_BETTER else max)(line, key=lambda point: point[1])
        board.mark(x(step), y(value), "circle", "mark best", 5)
        board.text(x.end, top + 18, tell("best {value}", value=f"{value:.4f}"), "label strong", "end")


def sizes(report: Report, width: int = 760) -> str | None:
    """File size and peak memory of every variant, as bars from 0.

    Args:
        report: variants without a number have no bar.
        width: of the picture.

    Returns:
        SVG markup, or None where no size is known.
    """
    shown = [model for model in report.models if model.file_mb or model.peak_rss_mb]
    if not shown:
        return None
    groups = [
        (tell("File, MB"), [(model, model.file_mb) for model in shown]),
        (tell("Peak memory, MB"), [(model, model.peak_rss_mb) for model in shown]),
    ]
    groups = [(title, rows) for title, rows in groups if any(value for _, value in rows)]
    columns = 2 if width > 500 and len(groups) > 1 else 1
    wide = (width - 24 * (columns - 1)) / columns
    tall = 30 + 26 * len(shown)
    said = "; ".join(
        f"{title}: " + ", ".join(f"{model.name} {figure(value)}" for model, value in rows if value) for title, rows in groups
    )
    board = Board(
        width,
        tall * -(-len(groups) // columns),
        name=f"sizes-{width}",
        title=tell("Size and memory"),
        description=said,
        css_class=_size(width),
    )
    names = min(130.0, 12 + 7.6 * max(len(model.name) for model in shown))
    for number, (title, rows) in enumerate(groups):
        left, top = (wide + 24) * (number % columns), tall * (number // columns)
        board.text(left, top + 16, title, "label")
        most = max(value or 0 for _, value in rows)
        for row, (model, value) in enumerate(rows):
            middle = top + 40 + 26 * row
            css = f"{model.role}{' best' if model.name == report.headline.best else ''}"
            board.text(left, middle + 4, _shortened(model.name, int(names)), "label strong")
            if value:
                length = max(2.0, (wide - names - 64) * value / most)
                board.bar(left + names, middle - 8, length, 16, f"mark {css}")
                board.text(left + names + length + 8, middle + 4, figure(value), "label")
            else:
                board.text(left + names, middle + 4, MISSING, "label")
    return board.render()


def front(found: Sequence[Point]) -> list[Point]:
    """The (cost, value) pairs that none beats in both, from the cheapest on."""
    kept: list[Point] = []
    for cost, value in sorted(set(found), key=lambda point: (point[0], -point[1])):
        if not kept or value > kept[-1][1]:
            kept.append((cost, value))
    return kept


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


def _along(start: Point, end: Point, steps: int = 12) -> list[Box]:
    """Small boxes along a line, so that labels keep off it."""
    places = [tuple(a + (b - a) * step / steps for a, b in zip(start, end, strict=True)) for step in range(1, steps)]
    return [(px - 3, py - 2, px + 3, py + 2) for px, py in places]


def _size(width: int) -> str:
    return "wide" if width > 500 else "narrow"


def _shortened(words: str, width: int) -> str:
    most = int(width / 7)
    return words if len(words) <= most else words[: most - 1] + "…"
