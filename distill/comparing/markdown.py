"""The comparison as GitHub-flavoured Markdown."""

from __future__ import annotations

from ..report.markdown import escape, table
from .schema import Comparison
from .tables import all_tables


def to_markdown(found: Comparison) -> str:
    """The whole comparison as Markdown. Text from recipes and files is escaped."""
    blocks = [
        f"# {escape(title(found))}",
        f"**{escape(found.advice.sentence)}**",
        *(f"- {'passed' if rule.passed else 'FAILED'}: {escape(rule.sentence)}" for rule in found.rules),
        *(f"> Note: {escape(note)}" for note in found.notes),
        *(table(part) for part in all_tables(found)),
    ]
    return "\n\n".join(blocks) + "\n"


def title(found: Comparison) -> str:
    """The runs by name, the first few of them."""
    names = [run.label for run in found.runs]
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return "Comparison of " + ", ".join(names[:4] if more else names) + more
