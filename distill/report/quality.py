"""Every metric of every task, of labels and types of entity one by one, of languages, and of smaller vectors."""

from __future__ import annotations

from collections.abc import Sequence

from .schema import Model, Quality, Report, Slice
from .tables import Table
from .words import (
    KINDS,
    MISSING,
    detail,
    known,
    metric_words,
    pair_words,
    percent,
    points,
    signed,
    signed_interval,
    tell,
    whole,
)

MOST_PARTS = 20


def quality_tables(report: Report) -> list[Table]:
    """What is true of each language pair; one table per task with every metric that was computed; smaller vectors."""
    tables = language_tables(report)
    for task in sorted({task for model in report.models for task in model.quality}, key=lambda name: (name == "agreement", name)):
        measured = [(model, model.quality[task]) for model in report.models if task in model.quality]
        metrics = list(dict.fromkeys(name for _, quality in measured for name in quality.details))
        rows = [(model.name, *(detail(quality.details.get(name)) for name in metrics)) for model, quality in measured]
        n = max(quality.n for _, quality in measured)
        languages = measured[0][1].languages
        named = f"{task} ({pair_words(languages)})" if languages else task
        title = tell("Agreement with the teacher on held-out text") if task == "agreement" else named
        if metrics:
            columns = (tell("Model"), *(metric_words(name, measured[0][1].kind) for name in metrics))
            tables.append(
                Table(tell("{title}, n = {n}", title=title, n=whole(n)), columns, tuple(rows), marked=report.headline.best)
            )
        tables += _parts_table(report, title, measured)
        tables += _vectors_table(report, title, measured)
    return tables


def language_tables(report: Report) -> list[Table]:
    """One table a kind of set, where the sets of a kind have two or more language pairs: a row a pair, and their mean."""
    tables = []
    for kind, title in KINDS.items():
        sets = {
            task: (quality.languages, quality.metric)
            for model in report.models
            for task, quality in model.quality.items()
            if quality.kind == kind and quality.languages
        }
        pairs: dict[tuple[str, str], list[str]] = {}
        for task, (languages, _) in sets.items():
            if languages is not None:
                pairs.setdefault(languages, []).append(task)
        if len(pairs) < 2:
            continue
        models = [model for model in report.models if any(task in model.quality for task in sets)]
        values = {
            pair: [_mean([model.quality[task].value if task in model.quality else None for task in tasks]) for model in models]
            for pair, tasks in pairs.items()
        }
        rows = [(pair_words(pair), ", ".join(pairs[pair]), *map(points, row)) for pair, row in values.items()]
        means = [_mean(list(column)) for column in zip(*values.values(), strict=True)]
        rows.append((tell("Mean of the languages"), MISSING, *map(points, means)))
        metric = metric_words(next(iter(sets.values()))[1], kind)
        columns = (tell("Languages"), tell("Sets"), *(model.name for model in models))
        tables.append(
            Table(tell("{title} by language, {metric}", title=known(title), metric=metric), columns, tuple(rows), text_columns=2)
        )
    return tables


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _vectors_table(report: Report, title: str, measured: list[tuple[Model, Quality]]) -> list[Table]:
    """What smaller vectors are worth, a row a form; none where only whole ones were judged."""
    rows = [
        (
            model.name,
            str(row.dim),
            tell("{precision}, rescored", precision=row.precision) if row.rescore else row.precision,
            whole(row.bytes_per_vector),
            points(row.value),
            percent(row.retained),
        )
        for model, quality in measured
        for row in quality.vectors
    ]
    if len(rows) <= len({row[0] for row in rows}):
        return []
    columns = (
        tell("Model"),
        tell("Dimensions"),
        tell("Numbers"),
        tell("Bytes a vector"),
        metric_words(measured[0][1].metric, "sts"),
        tell("Retained"),
    )
    notes = (
        tell(
            "Retained: of the teacher's whole float32 vectors. int8 takes its range from dev text; binary keeps signs; rescored: "
            "the first sentence keeps its full vector."
        ),
    )
    return [Table(tell("{title}, smaller vectors", title=title), columns, tuple(rows), notes)]


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
    notes = (tell("{n} more that occur less often are not shown.", n=left),) if left else ()
    return [Table(tell("{title}, F1 of each", title=title), (tell("Label"), tell("Examples"), *models), tuple(rows), notes)]


def slice_tables(report: Report) -> list[Table]:
    """Teacher and student on parts of every set: by length, by label, by language."""
    titles = {"length": tell("by length"), "label": tell("by label"), "language": tell("by language")}
    firsts = {"length": tell("Characters"), "label": tell("Label"), "language": tell("Language")}
    groups: dict[tuple[str, str], list[Slice]] = {}
    for part in report.slices:
        groups.setdefault((part.task, part.by), []).append(part)
    tables = []
    for (task, by), parts in groups.items():
        rows = [
            (
                part.name,
                whole(part.n),
                points(part.teacher),
                points(part.student),
                signed(None if part.student is None or part.teacher is None else part.student - part.teacher),
                signed_interval(part.difference_ci95) or MISSING,
            )
            for part in parts
        ]
        columns = (
            firsts.get(by, by),
            tell("Examples"),
            tell("Teacher"),
            parts[0].model,
            tell("Difference"),
            tell("95% interval"),
        )
        tables.append(Table(f"{task}, {titles.get(by, by)}", columns, tuple(rows)))
    return tables
