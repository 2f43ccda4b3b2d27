"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .contents import Block, Code, Facts, Section, Words, Worst, contents
from .model import localised
from .schema import Example, Report
from .sections import Pairs
from .status import status_lines
from .svg import printable
from .tables import Table
from .words import MISSING, known, speaking, tell, verdict


def to_markdown(report: Report, language: str | None = None) -> str:
    """The whole report as Markdown. Text from recipes, data and files is escaped.

    Args:
        report: what to show.
        language: en or ko; None: the recipe's.
    """
    with speaking(language or report.language):
        return printable(_document(localised(report)))


def _document(report: Report) -> str:
    blocks = [
        f"# {escape(tell('{name}: what the compression kept, and what it gained', name=report.name))}",
        *(f"> {escape(line)}" for line in status_lines(report)),
        *([f"**{escape(report.summary)}**"] if report.going is None else []),
        *([escape(verdict(report))] if report.going is None or report.gates else []),
        *(f"> {escape(tell('Note: {note}.', note=note))}" for note in report.headline.notes if report.going is None),
        *(line for section in contents(report) for line in _section(section)),
    ]
    return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> list[str]:
    """A heading and its blocks; a table of the heading's words is not named twice."""
    found = [f"## {escape(section.title)}"]
    if not section.blocks:
        found.append(known("Nothing was recorded."))
    for block in section.blocks:
        found += _block(block, section.title)
    return found


def _block(block: Block, title: str) -> list[str]:
    if isinstance(block, Table):
        return [table(block, level=0 if block.title == title else 3)]
    if isinstance(block, Words):
        return [escape(block.text)]
    if isinstance(block, Facts):
        return [] if block.short else [pairs(block.items)]
    if isinstance(block, Code):
        return [f"### {escape(block.title)}", fence(block.code, block.language)]
    if isinstance(block, Worst):
        lines = [_example(number, example) for number, example in enumerate(block.found.examples, start=1)]
        return [f"### {escape(block.title)}", escape(block.words), "\n".join(lines) or escape(tell("There is none."))]
    return []


def _example(number: int, example: Example) -> str:
    """One example as an item of a list."""
    told = [(tell("gold"), example.gold)] if example.gold is not None else []
    told += [(tell("teacher"), example.teacher or MISSING)] if example.teacher or example.gold is not None else []
    told.append((tell("student"), example.student or MISSING))
    texts = " / ".join(escape(text) for text in example.texts)
    return f"{number}. {texts}\n   - " + "; ".join(f"{escape(name)}: {escape(value)}" for name, value in told)


def table(part: Table, level: int = 2) -> str:
    """One table with its heading and notes; the marked row is bold. Level 0 has no heading."""
    heading = [f"{'#' * level} {escape(part.title)}", ""] if level else []
    if not part.rows:
        return "\n".join([*heading, known("Nothing was recorded.")]) + _notes(part.notes)
    rule = ["---" if number < part.text_columns else "---:" for number in range(len(part.columns))]
    rows = [_row(_bold(row) if row[0] == part.marked else map(escape, row)) for row in part.rows]
    return "\n".join([*heading, _row(map(escape, part.columns)), _row(rule), *rows]) + _notes(part.notes)


def pairs(items: Pairs) -> str:
    """Name and value as a list."""
    return "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in items) or known("Nothing was recorded.")


def fence(code: str, language: str) -> str:
    """A code block that its own content cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{code}\n{ticks}"


def escape(text: str) -> str:
    """Text on one line in which Markdown and HTML see nothing but text."""
    flat = " ".join(text.split())
    flat = re.sub(r"&(?=#|\w+;)", "&amp;", flat)
    flat = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", flat)
    return re.sub(r"([\\`*|\[\]~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", flat)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _bold(cells: Iterable[str]) -> list[str]:
    return [f"**{escape(cell)}**" for cell in cells]


def _notes(notes: Iterable[str]) -> str:
    return "".join(f"\n\n{escape(note)}" for note in notes)
