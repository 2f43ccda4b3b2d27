"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from .precision import search_tables
from .quality import quality_tables
from .schema import Report
from .sections import Pairs, cost_facts, data_facts, environment_facts, model_facts, reproduce, usage
from .tables import Table, latency_table, loading_table, models_table, parity_table, training_table
from .words import verdict


def to_markdown(report: Report) -> str:
    """The whole report as Markdown. Text from recipes and files is escaped."""
    blocks = [
        f"# {escape(report.name)}: what the compression kept, and what it gained",
        f"**{escape(report.summary)}**",
        escape(verdict(report)),
        *(f"> Note: {escape(note)}." for note in report.headline.notes),
        table(models_table(report)),
        table(parity_table(report)),
        *map(table, search_tables(report)),
        "## Quality in detail\n\nPoints of 100.",
        *(table(part, level=3) for part in quality_tables(report)),
        table(latency_table(report)),
        table(loading_table(report)),
        "## Teacher and student\n\n" + pairs(model_facts(report)),
        "## Data\n\n" + pairs(data_facts(report)),
        table(training_table(report)),
        "## Cost\n\n" + pairs(cost_facts(report)),
        "## Environment\n\n" + pairs(environment_facts(report)),
        "## How to load it\n\nPaths are relative to the run folder, the one that holds this report.",
        *(f"### {title}\n\n{fence(code, language)}" for title, language, code in usage(report)),
        "## How to make it again\n\n" + fence(reproduce(report), "sh"),
        "## The resolved recipe\n\n" + fence(yaml.safe_dump(report.recipe, sort_keys=False, allow_unicode=True).rstrip(), "yaml"),
    ]
    return "\n\n".join(blocks) + "\n"


def table(part: Table, level: int = 2) -> str:
    """One table with its heading and notes; the marked row is bold."""
    heading = f"{'#' * level} {escape(part.title)}"
    if not part.rows:
        return f"{heading}\n\nNothing was recorded.{_notes(part.notes)}"
    rule = ["---" if number < part.text_columns else "---:" for number in range(len(part.columns))]
    rows = [_row(_bold(row) if row[0] == part.marked else map(escape, row)) for row in part.rows]
    return "\n".join([heading, "", _row(map(escape, part.columns)), _row(rule), *rows]) + _notes(part.notes)


def pairs(items: Pairs) -> str:
    """Name and value as a list."""
    return "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in items) or "Nothing was recorded."


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
