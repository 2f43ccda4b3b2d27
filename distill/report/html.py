"""The report as one self-contained HTML page: no network, no script, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from distill.errors import MissingExtra

from .plots import curve, scatter
from .precision import search_tables
from .quality import quality_tables
from .read import LogLine
from .schema import Report
from .sections import cost_facts, data_facts, environment_facts, model_facts, reproduce, usage
from .tables import latency_table, loading_table, models_table, parity_table, training_table
from .words import describe, figure, kept, metric_words, percent, ratio, verdict

WIDE, NARROW = 760, 360


def to_html(report: Report, log: Sequence[LogLine] = ()) -> str:
    """The whole report as a page.

    Args:
        report: what to show.
        log: lines of log.jsonl, for the training curve.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra("train", "jinja2", "the HTML report") from error
    page = Environment(
        loader=PackageLoader("distill.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Pictures are built as XML trees, which escape every text: the only markup that passes unescaped.
    pictures = [scatter(report, width) for width in (WIDE, NARROW)]
    curves = [curve(log, _select_by(report), width) for width in (WIDE, NARROW)]
    return page.get_template("report.html").render(
        report=report,
        tiles=_tiles(report),
        verdict=verdict(report),
        scatter=[Markup(picture) for picture in pictures if picture],
        curve=[Markup(picture) for picture in curves if picture],
        withheld=[model.name for model in report.models if model.note],
        legend=[(model.name, describe(model)) for model in report.models],
        models=models_table(report),
        parity=parity_table(report),
        search=search_tables(report),
        quality=quality_tables(report),
        latency=latency_table(report),
        loading=loading_table(report),
        training=training_table(report),
        model_facts=model_facts(report),
        data_facts=data_facts(report),
        cost_facts=cost_facts(report),
        environment_facts=environment_facts(report),
        usage=usage(report),
        reproduce=reproduce(report),
        recipe=yaml.safe_dump(report.recipe, sort_keys=False, allow_unicode=True).rstrip(),
    )


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """The headline as (number, word, explanation)."""
    head, best = report.headline, report.model(report.headline.best)
    word = "agreement with the teacher" if head.task == "agreement" else "of the teacher's quality kept"
    where = f"{metric_words(head.metric, head.kind)}, {'held-out text' if head.task == 'agreement' else head.task}"
    teacher = report.model("teacher")
    sizes = f"{figure(teacher.file_mb)} MB → {figure(best.file_mb)} MB" if teacher and best else "not known"
    return [
        (percent(head.retained), word, where if kept(head) else "not known"),
        _versus(head.smaller, "smaller", "larger", sizes if head.smaller else "not known"),
        _versus(head.faster, "faster", "slower", "one sentence of 32 tokens, 1 thread" if head.faster else "not known"),
    ]


def _versus(value: float | None, more: str, less: str, explanation: str) -> tuple[str, str, str]:
    if value is not None and value < 0.995:
        return ratio(1 / value), less, explanation
    return ratio(value), more, explanation


def _select_by(report: Report) -> str | None:
    train = report.recipe.get("train")
    value = train.get("select_by") if isinstance(train, Mapping) else None
    return value if isinstance(value, str) else None
