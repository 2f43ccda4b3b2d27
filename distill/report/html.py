"""The report as one self-contained HTML page: no network, no script, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence

from distill.errors import MissingExtra

from .contents import Block, Code, Facts, Figure, Words, Worst, contents
from .model import localised
from .read import LogLine
from .schema import Report
from .status import status_lines
from .svg import printable
from .tables import Table
from .words import MISSING, figure, kept, known, metric_words, percent, ratio, speaking, spoken, tell, verdict

REFRESH_SECONDS = 20
"""A page of a run that is going on is read again so often."""
KINDS: dict[type, str] = {Table: "table", Words: "words", Facts: "facts", Figure: "figure", Code: "code", Worst: "worst"}


def to_html(report: Report, log: Sequence[LogLine] = (), language: str | None = None) -> str:
    """The whole report as a page.

    Args:
        report: what to show.
        log: lines of log.jsonl, for the training curves.
        language: en or ko; None: the recipe's.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    with speaking(language or report.language):
        return printable(_page(localised(report), log))


def _page(report: Report, log: Sequence[LogLine]) -> str:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra("train", "jinja2", "the HTML report") from error
    page = Environment(
        loader=PackageLoader("distill.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page.globals.update(tell=tell, known=known, kind=_kind, missing=MISSING)
    # Pictures are built as XML trees, which escape every text: the only markup that passes unescaped.
    page.filters["picture"] = Markup
    head = report.headline
    told = report.going is None or any(value is not None for value in (head.retained, head.smaller, head.faster))
    return page.get_template("report.html").render(
        report=report,
        language=spoken(),
        status=status_lines(report),
        refresh=REFRESH_SECONDS if report.going is not None and report.going.live else None,
        told=told,
        pending=_pending(report),
        tiles=_tiles(report) if told else [],
        verdict=verdict(report),
        sections=contents(report, log),
    )


def _kind(block: Block) -> str:
    return KINDS[type(block)]


def _pending(report: Report) -> set[str]:
    """Stages to come of a run that is not finished: their sections say so where they are empty."""
    return set() if report.going is None else set(report.going.left)


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """The headline as (number, word, explanation)."""
    head, best = report.headline, report.model(report.headline.best)
    agrees = head.task == "agreement"
    word = tell("agreement with the teacher") if agrees else tell("of the teacher's quality kept")
    where = f"{metric_words(head.metric, head.kind)}, {tell('held-out text') if agrees else head.task}"
    quality = best.quality.get(head.task) if best else None
    if quality is not None and quality.retained_ci95 is not None:
        low, high = quality.retained_ci95
        where += " " + tell("(95% interval {low} to {high})", low=f"{100 * low:.1f}", high=percent(high))
    teacher = report.model("teacher")
    sizes = f"{figure(teacher.file_mb)} MB → {figure(best.file_mb)} MB" if teacher and best else ""
    unknown = tell("not known")
    cell = tell("one sentence of 32 tokens, 1 thread")
    return [
        (percent(head.retained), word, where if kept(head) else unknown),
        _versus(head.smaller, tell("smaller"), tell("larger"), sizes if head.smaller else unknown),
        _versus(head.faster, tell("faster"), tell("slower"), cell if head.faster else unknown),
    ]


def _versus(value: float | None, more: str, less: str, explanation: str) -> tuple[str, str, str]:
    if value is not None and value < 0.995:
        return ratio(1 / value), less, explanation
    return ratio(value), more, explanation
