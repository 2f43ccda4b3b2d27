"""A small SVG drawing board: axes, ticks, marks, labels. Built as an XML tree, so that every text is escaped.

Colours come from CSS classes of the page, which lets one picture serve light, dark and print.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from values to pixels.

    Attributes:
        low, high: ends of the values; above 0 where `log`.
        start, end: pixels of those ends.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the scale, at most about `count`, at least one."""
        return log_ticks(self.low, self.high, count) if self.log else linear_ticks(self.low, self.high, count)


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high]."""
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round values inside [low, high], evenly spread on a log axis; linear ones where the range is narrow."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if 3 <= len(found) <= count + 1:
            return found
    return found[:: math.ceil(len(found) / count)] if len(found) > count else linear_ticks(low, high, count)


class Board:
    """One picture.

    Args:
        width, height: of the picture, in its own units.
        name: prefix of the ids in it; unique on the page.
        title: short name for screen readers.
        description: the picture's content in words, for screen readers.
        css_class: class of the picture.
    """

    def __init__(self, width: float, height: float, *, name: str, title: str, description: str, css_class: str = "") -> None:
        self.width, self.height = width, height
        self.root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {width:g} {height:g}",
                "role": "img",
                "class": f"picture {css_class}".strip(),
                "aria-labelledby": f"{name}-title {name}-desc",
            },
        )
        ElementTree.SubElement(self.root, "title", {"id": f"{name}-title"}).text = title
        ElementTree.SubElement(self.root, "desc", {"id": f"{name}-desc"}).text = printable(description)

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self._add("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A line through points."""
        if points:
            steps = " ".join(f"{'M' if index == 0 else 'L'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))
            self._add("path", css, d=steps)

    def text(self, x: float, y: float, words: str, css: str, anchor: str = "start") -> None:
        """Text with its baseline at `y`."""
        element = self._add("text", css, x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = printable(words)

    def mark(self, x: float, y: float, shape: str, css: str, size: float = 6) -> None:
        """A point: `circle`, `square` or `diamond`."""
        if shape == "circle":
            self._add("circle", css, cx=x, cy=y, r=size)
        elif shape == "square":
            self._add("rect", css, x=x - size * 0.9, y=y - size * 0.9, width=size * 1.8, height=size * 1.8, rx=1.5)
        else:
            reach = size * 1.25
            self._add(
                "path",
                css,
                d=f"M{x:.1f} {y - reach:.1f} L{x + reach:.1f} {y:.1f} L{x:.1f} {y + reach:.1f} L{x - reach:.1f} {y:.1f} Z",
            )

    def bar(self, x: float, y: float, width: float, height: float, css: str) -> None:
        """A filled rectangle from its upper left corner on."""
        self._add("rect", css, x=x, y=y, width=width, height=height, rx=2)

    def axes(self, x: Scale, y: Scale, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> None:
        """A ground line, horizontal guides and tick labels; ticks are (value, words)."""
        for value, words in y_ticks:
            self.line(x.start, y(value), x.end, y(value), "guide")
            self.text(x.start - 8, y(value) + 4, words, "tick", "end")
        for value, words in x_ticks:
            self.line(x(value), y.start, x(value), y.start + 5, "axis")
            self.text(x(value), y.start + 19, words, "tick", "middle")
        self.line(x.start, y.start, x.end, y.start, "axis")

    def render(self) -> str:
        """The picture as markup."""
        return ElementTree.tostring(self.root, encoding="unicode")

    def _add(self, tag: str, css: str, **attributes: float | str) -> ElementTree.Element:
        values = {key: f"{value:.1f}" if isinstance(value, (int, float)) else value for key, value in attributes.items()}
        return ElementTree.SubElement(self.root, tag, {"class": css, **values})


def printable(text: str) -> str:
    """Text with every character that neither XML nor HTML may hold replaced by U+FFFD."""
    return UNPRINTABLE.sub("\ufffd", text)


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) share area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def place(options: Sequence[Box], taken: Sequence[Box], inside: Box) -> int:
    """Index of the first option that is free and inside; else of the one that hits least."""

    def cost(box: Box) -> int:
        outside = box[0] < inside[0] or box[1] < inside[1] or box[2] > inside[2] or box[3] > inside[3]
        return sum(overlap(box, other) for other in taken) + 100 * outside

    return min(range(len(options)), key=lambda index: (cost(options[index]), index))
