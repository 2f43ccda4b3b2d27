"""Which layers of the teacher became layers of the student, and which it learned from: drawn, and in words."""

from __future__ import annotations

from collections.abc import Sequence

from .schema import Report
from .svg import Board
from .words import tell

Pair = tuple[int, int]
"""(layer of the model it comes from, layer of the student), 0-based."""


def layer_links(report: Report) -> tuple[list[Pair], list[tuple[str, list[Pair]]]]:
    """Layers whose weights the student took over, and for each stage the layers that it learned from.

    Layers that the run left out, or that no stage compares, have no link.
    """
    layers, source = report.student.layers or [], report.student.source_layers
    copied = [(theirs, ours) for ours, theirs in enumerate(layers) if source is not None and 0 <= theirs < source]
    learned = [(stage.name, [pair for pair in stage.layer_map or () if min(pair) >= 0]) for stage in report.training.stages]
    return copied, [(name, pairs) for name, pairs in learned if pairs]


def layer_picture(report: Report, width: int = 760) -> str | None:
    """Both models as rows of layers (columns where the picture is narrow), with lines between layers that belong together.

    Returns:
        SVG markup, or None where no layer of the student belongs to one of the other model's.
    """
    copied, learned = layer_links(report)
    if copied and _start(report) != tell("teacher"):
        learned = []  # those are layers of another model
    links = [*copied, *(pair for _, pairs in learned for pair in pairs)]
    if not links:
        return None
    above = max([report.student.source_layers or 0, report.teacher.layers or 0 if learned else 0, *(a + 1 for a, _ in links)])
    below = max([len(report.student.layers or ()), *(b + 1 for _, b in links)])
    if max(above, below) > 200:
        return None
    wide = width > 500
    size = min(56.0, (width - 110) / max(above, below)) if wide else 24.0
    inset = (width - 110 - size * max(above, below)) / 2 if wide else 0.0
    height = 190.0 if wide else 40 + size * max(above, below)
    board = Board(
        width,
        height,
        name=f"layers-{width}",
        title=tell("Layers of teacher and student"),
        description=layer_words(report),
        css_class="wide" if wide else "narrow",
    )

    def at(side: int, number: int) -> tuple[float, float]:
        """The middle of a box: side 0 is the teacher's."""
        count = (above, below)[side]
        start = (max(above, below) - count) / 2 * size
        along = start + size * (number + 0.5)
        return (100 + inset + along, (34, 150)[side]) if wide else ((90, width - 90)[side], 36 + along)

    groups = [("copied", copied), *((f"learned c{place % 4}", pairs) for place, (_, pairs) in enumerate(learned))]
    across, down = (0.0, 16.0) if wide else (size, 0.0)
    for number, (css, pairs) in enumerate(groups):
        aside = 6.0 * number if copied else 6.0 * (number - 1)  # lines of several groups lie beside each other
        for a, b in pairs:
            (x1, y1), (x2, y2) = at(0, a), at(1, b)
            x, y = (aside, 0.0) if wide else (0.0, min(aside, size / 2 - 2))
            board.line(x1 + across + x, y1 + down + y, x2 - across + x, y2 - down + y, css)
    own = str(_start(report))
    for side, (title, count, used) in enumerate(
        [(own, above, {a for a, _ in links}), (tell("student"), below, {b for _, b in links})]
    ):
        x, y = at(side, 0)
        if wide:
            board.text(0, y + 4, title, "label strong")
        else:
            board.text(x, 18, title, "label strong", "middle")
        for number in range(count):
            x, y = at(side, number)
            broad, tall = (size - 4, 28.0) if wide else (size * 2, size - 4)
            css = f"{('teacher', 'student')[side]}{'' if number in used else ' unused'}"
            board.bar(x - broad / 2, y - tall / 2, broad, tall, f"layer {css}")
            if broad >= 18:
                board.text(x, y + 4, str(number), "layer-number" + ("" if number in used else " unused"), "middle")
    return board.render()


def layer_words(report: Report) -> str:
    """The picture in words."""
    copied, learned = layer_links(report)
    told = []
    if copied:
        told.append(tell("weights copied, layer to layer (from 0): {pairs}", pairs=_pairs(copied)))
    told += [
        tell("stage '{stage}' learns, layer from layer: {pairs}", stage=name, pairs=_pairs(pairs)) for name, pairs in learned
    ]
    return "; ".join(told)


def _pairs(pairs: Sequence[Pair]) -> str:
    return ", ".join(f"{a} → {b}" for a, b in pairs)


def _start(report: Report) -> str:
    """The model above: the teacher, or the one that the student was cut from."""
    part = report.recipe.get("student")
    start = part.get("from") if isinstance(part, dict) else None
    return tell("teacher") if start in (None, "teacher") else tell("start model")
