"""How the file of mixed precision was found: its budget, what each group of layers costs and harms, what was chosen."""

from __future__ import annotations

from .schema import Report
from .search_facts import Group, SearchFacts
from .tables import Table
from .words import figure, percent

FORMS = {
    "fp32": "fp32",
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
    columns = ("Group", "Chosen", "Nodes", "ms fp32", "ms chosen", "Harm chosen", "Other forms: harm")
    return [Table("Precision search", columns, rows, tuple(search_notes(found)), text_columns=2)]


def search_notes(found: SearchFacts) -> list[str]:
    """The search in sentences."""
    how = "timed on this machine" if found.timing == "timed" else "counted in multiplications, since timing was of no use"
    told = [f"Budget: {found.words}. Judged on {found.rows} dev rows, never on a test set."]
    if found.before is not None and found.after is not None and found.lost is not None:
        told.append(f"{found.metric}: {found.before:.4f} in fp32, {found.after:.4f} as chosen; lost {percent(found.lost)}.")
    costs = ", ".join(f"{name} {figure(value)} ms" for name, value in found.milliseconds.items())
    told.append(f"Products of one sentence of 32 tokens, {how}: {costs}.")
    told.append(
        "Harm: 1 - mean cosine to fp32 when this group alone is turned. Turned in the order of time saved per harm; "
        f"{len(found.judged)} mixes were judged as a whole, the last one inside was taken"
        + (f" ({found.taken} as it is)" if found.taken in ("fast", "faithful") else "")
        + (f"; {found.seconds:.0f} s." if found.seconds is not None else ".")
    )
    return told


def _row(group: Group) -> tuple[str, ...]:
    chosen = group.forms.get(group.chosen)
    others = [
        f"{FORMS.get(name, name)} {form.harm:.1e}" for name, form in group.forms.items() if name not in ("fp32", group.chosen)
    ]
    base = group.forms.get("fp32")
    return (
        group.name,
        FORMS.get(group.chosen, group.chosen),
        str(group.nodes),
        figure(base.ms) if base else "",
        figure(chosen.ms) if chosen else "",
        f"{chosen.harm:.1e}" if chosen else "",
        ", ".join(others),
    )
