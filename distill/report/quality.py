"""Every metric of every task, and of labels and types of entity one by one."""

from __future__ import annotations

from .schema import Model, Quality, Report
from .tables import Table
from .words import detail, metric_words, points, whole

MOST_PARTS = 20


def quality_tables(report: Report) -> list[Table]:
    """One table per task with every metric that was computed."""
    tables = []
    for task in sorted({task for model in report.models for task in model.quality}, key=lambda name: (name == "agreement", name)):
        measured = [(model, model.quality[task]) for model in report.models if task in model.quality]
        metrics = list(dict.fromkeys(name for _, quality in measured for name in quality.details))
        rows = [(model.name, *(detail(quality.details.get(name)) for name in metrics)) for model, quality in measured]
        n = max(quality.n for _, quality in measured)
        title = "Agreement with the teacher on held-out text" if task == "agreement" else task
        if metrics:
            columns = ("Model", *(metric_words(name, measured[0][1].kind) for name in metrics))
            tables.append(Table(f"{title}, n = {whole(n)}", columns, tuple(rows), marked=report.headline.best))
        tables += _parts_table(report, title, measured)
    return tables


def _parts_table(report: Report, title: str, measured: list[tuple[Model, Quality]]) -> list[Table]:
    """F1 of each label or type of entity, and how often it occurs: those that occur most, `MOST_PARTS` at most."""
    parts = {name: part for _, quality in measured for name, part in quality.parts.items()}
    names = sorted(parts, key=lambda name: (-(parts[name].get("support") or 0), name))[:MOST_PARTS]
    if not names:
        return []
    models = [model.name for model, _ in measured]
    rows = [
        (
            name,
            whole(parts[name].get("support")),
            *(points(quality.parts.get(name, {}).get("f1")) for _, quality in measured),
        )
        for name in names
    ]
    left = len(parts) - len(names)
    notes = (f"{left} more that occur less often are not shown.",) if left else ()
    return [Table(f"{title}, F1 of each", ("Label", "Examples", *models), tuple(rows), notes)]
