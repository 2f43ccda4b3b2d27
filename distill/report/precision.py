"""How the file of mixed precision was found: its budget, what each group of layers costs and harms, what was chosen."""

from __future__ import annotations

import re

from .schema import Report
from .search_facts import Group, SearchFacts
from .tables import Table
from .words import figure, known, percent, tell

FORMS = {
    "blocks": "8-bit blocks",
    "token": "int8, scale a token",
    "static": "int8, fixed scale",
    "rows": "8-bit rows",
    "dynamic": "8-bit LSTM",
}
"""What a group may become, in words."""


def search_tables(report: Report) -> list[Table]:
    """The table of the search: every group with its forms; none where there was no search."""
    found = report.search
    if not found.groups:
        return []
    rows = tuple(_row(group) for group in found.groups)
    columns = (
        tell("Group"),
        tell("Chosen"),
        tell("Nodes"),
        tell("ms in fp32"),
        tell("ms as chosen"),
        tell("Harm as chosen"),
        tell("Other forms: harm"),
    )
    return [Table(tell("Precision search"), columns, rows, tuple(search_notes(found)), text_columns=2)]


def search_notes(found: SearchFacts) -> list[str]:
    """The search in sentences."""
    told = [
        tell(
            "Budget: {budget}. Judged on {rows} dev rows, never on a test set.", budget=budget_words(found.words), rows=found.rows
        )
    ]
    if found.before is not None and found.after is not None and found.lost is not None:
        told.append(
            tell(
                "{metric}: {before} in fp32, {after} as chosen; lost {lost}.",
                metric=known(found.metric),
                before=f"{found.before:.4f}",
                after=f"{found.after:.4f}",
                lost=percent(found.lost),
            )
        )
    costs = ", ".join(f"{name} {figure(value)} ms" for name, value in found.milliseconds.items())
    if found.timing == "timed":
        told.append(tell("Products of one sentence of 32 tokens, timed on this machine: {costs}.", costs=costs))
    else:
        told.append(
            tell(
                "Products of one sentence of 32 tokens, counted in multiplications, since timing was of no use: {costs}.",
                costs=costs,
            )
        )
    told.append(
        tell(
            "Harm: 1 - mean cosine to fp32 when this group alone is turned. Turned in the order of time saved per harm; "
            "{count} mixes were judged as a whole, and the last one inside was taken.",
            count=len(found.judged),
        )
    )
    if found.taken in ("fast", "faithful"):
        told.append(tell("The file {name} as it is was quicker and inside: it was taken.", name=found.taken))
    return told


def budget_words(words: str) -> str:
    """The budget in the language of the moment, where it is one that this version writes."""
    if found := re.fullmatch(r"at most (\S+) of the fp32 file's dev metric lost", words):
        return tell("at most {share} of the fp32 file's dev metric lost", share=found[1])
    if found := re.fullmatch(r"mean cosine to the fp32 file of at least (\S+) on dev text", words):
        return tell("mean cosine to the fp32 file of at least {cosine} on dev text", cosine=found[1])
    return words


def _row(group: Group) -> tuple[str, ...]:
    chosen = group.forms.get(group.chosen)
    others = [(known(FORMS.get(name, name)), form) for name, form in group.forms.items() if name not in ("fp32", group.chosen)]
    base = group.forms.get("fp32")
    return (
        group.name,
        known(FORMS.get(group.chosen, group.chosen)),
        str(group.nodes),
        figure(base.ms) if base else "",
        figure(chosen.ms) if chosen else "",
        f"{chosen.harm:.1e}" if chosen else "",
        ", ".join(f"{name} {form.harm:.1e}" for name, form in others),
    )
