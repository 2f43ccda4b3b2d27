"""What the pages hold, in order: a list of sections, drawn by html.py and markdown.py alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml

from .layers import layer_picture, layer_words
from .plots import curve, scatter, sizes
from .precision import search_tables
from .quality import quality_tables, slice_tables
from .read import LogLine
from .schema import Disagreements, Report
from .sections import Pairs, cost_facts, data_facts, environment_facts, model_facts, reproduce, usage
from .tables import Table, against_table, latency_table, loading_table, models_table, parity_table, training_table
from .words import describe, tell

WIDE, NARROW = 760, 360


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values; `short` ones have names of a word."""

    items: Pairs
    short: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture, once wide and once narrow, as SVG markup whose every text is escaped; Markdown leaves it out."""

    pictures: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Code:
    """Code under a heading of its own; `folded` hides it until it is asked for."""

    title: str
    language: str
    code: str
    folded: bool = False


@dataclass(frozen=True)
class Worst:
    """The examples of one set on which student and teacher disagree."""

    title: str
    words: str
    found: Disagreements


Block = Words | Facts | Figure | Code | Worst | Table


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: the anchor of the section in the page.
        title: its heading. A table of the same title has no heading of its own.
        blocks: what it holds; empty where nothing was recorded.
        pending: the stage of the run that gives the section its content.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    pending: str = ""


def contents(report: Report, log: Sequence[LogLine] = ()) -> list[Section]:
    """Every section of the report, in the language of the moment.

    Args:
        report: what to show.
        log: lines of log.jsonl, for the training curves.
    """
    return [found for make in SECTIONS if (found := make(report, log)) is not None]


def _figure(pictures: Sequence[str | None], caption: str, otherwise: str) -> Figure | Words:
    drawn = tuple(picture for picture in pictures if picture)
    return Figure(drawn, caption) if drawn else Words(otherwise)


def tradeoff_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Quality against latency, and what each model is."""
    caption = tell(
        "Further left is faster, higher is better. Bars are 95% intervals: of the quality by bootstrap, of the median latency by "
        "the order of its runs. The line joins the models that no other beats in both."
    )
    withheld = [model.name for model in report.models if model.note]
    if withheld:
        caption += " " + tell("Not drawn, for want of parity: {names}.", names=", ".join(withheld))
    otherwise = tell("Fewer than two models have both a quality and a latency, so there is nothing to draw.")
    drawn = _figure([scatter(report, width) for width in (WIDE, NARROW)], caption, otherwise)
    legend = Facts(tuple((model.name, describe(model)) for model in report.models), short=True)
    return Section("tradeoff", tell("Quality against latency"), (drawn, legend), pending="measure")


def models_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Every model in a row."""
    return Section("models", tell("Models"), (models_table(report),), pending="quality")


def parity_section(report: Report, log: Sequence[LogLine]) -> Section:
    """How close the exported files are to their reference."""
    return Section("parity", tell("Parity"), (parity_table(report),), pending="parity")


def precision_section(report: Report, log: Sequence[LogLine]) -> Section | None:
    """How the file of mixed precision was found."""
    tables = search_tables(report)
    return Section("precision", tell("Precision search"), tuple(tables), pending="parity") if tables else None


def quality_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Every metric, and the test against the teacher."""
    against = against_table(report)
    tables = [*([against] if against else []), *quality_tables(report)]
    blocks: tuple[Block, ...] = (Words(tell("Points of 100.")), *tables) if tables else ()
    return Section("quality", tell("Quality in detail"), blocks, pending="quality")


def slices_section(report: Report, log: Sequence[LogLine]) -> Section | None:
    """By length, by label, by language."""
    tables = slice_tables(report)
    if not tables:
        return None
    words = tell(
        "Each set in parts, in points of 100; the interval is that of the difference, paired. Parts of fewer than 10 examples "
        "have no numbers. Small parts have wide intervals: look at the interval before the number."
    )
    return Section("slices", tell("By length, label and language"), (Words(words), *tables), pending="quality")


def disagreements_section(report: Report, log: Sequence[LogLine]) -> Section | None:
    """The examples on which student and teacher part."""
    if not report.disagreements:
        return None
    blocks = [
        Worst(
            tell("Agreement with the teacher on held-out text") if found.task == "agreement" else found.task,
            _told(found),
            found,
        )
        for found in report.disagreements
    ]
    return Section("disagreements", tell("Where student and teacher disagree"), tuple(blocks), pending="quality")


def _told(found: Disagreements) -> str:
    """What the examples of a set are, and in which order."""
    if found.kind == "agreement":
        return tell(
            "The sentences whose vectors are furthest from the teacher's, of {n}; the number is their cosine. "
            "{count} are below 0.5.",
            n=f"{found.n:,}",
            count=f"{found.differing:,}",
        )
    if found.kind in ("sts", "regression"):
        return tell(
            "The examples that '{model}' puts furthest from where the teacher puts them in the order of all {n}.",
            model=found.model,
            n=f"{found.n:,}",
        )
    if found.kind in ("retrieval", "translation"):
        return tell(
            "The examples on which '{model}' finds less than the teacher: {count} of {n}, the worst first.",
            model=found.model,
            n=f"{found.n:,}",
            count=f"{found.differing:,}",
        )
    return tell(
        "'{model}' and the teacher differ on {count} of {n} examples; these are the worst.",
        model=found.model,
        n=f"{found.n:,}",
        count=f"{found.differing:,}",
    )


def latency_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Every timed row."""
    return Section("latency", tell("Latency"), (latency_table(report),), pending="measure")


def size_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Files and memory."""
    pictures = [sizes(report, width) for width in (WIDE, NARROW)]
    drawn = _figure(pictures, tell("Shorter is better."), tell("No size is known."))
    return Section("size", tell("Size and memory"), (drawn, loading_table(report)), pending="measure")


def model_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Teacher and student, and which layers belong together."""
    blocks: list[Block] = [Facts(model_facts(report))]
    pictures = tuple(picture for width in (WIDE, NARROW) if (picture := layer_picture(report, width)))
    if pictures:
        caption = tell(
            "Solid lines: weights that the student took over. Dashed lines: layers that it learns from. Pale: left out."
        )
        blocks.append(Figure(pictures, f"{caption} {layer_words(report)}."))
    return Section("student", tell("Teacher and student"), tuple(blocks), pending="student")


def data_section(report: Report, log: Sequence[LogLine]) -> Section:
    """What was read, dropped and kept."""
    return Section("data", tell("Data"), (Facts(data_facts(report)),), pending="data")


def training_section(report: Report, log: Sequence[LogLine]) -> Section:
    """The stages of training and their curves."""
    train = report.recipe.get("train")
    value = train.get("select_by") if isinstance(train, dict) else None
    chosen = [stage.select_by for stage in report.training.stages if stage.select_by]  # what was asked need not fit every stage
    select_by = chosen[-1] if chosen else value if isinstance(value, str) else None
    caption = tell(
        "First the dev metric that chooses the checkpoint, then every term of the loss with its weight. "
        "Dashed lines part the stages."
    )
    pictures = [curve(log, select_by, width) for width in (WIDE, NARROW)]
    drawn = _figure(pictures, caption, tell("No training steps were logged."))
    table: tuple[Block, ...] = (training_table(report),) if report.training.stages or report.going is None else ()
    return Section("training", tell("Training"), (*table, drawn), pending="training")


def cost_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Time and memory of the run."""
    return Section("cost", tell("Cost"), (Facts(cost_facts(report)),))


def environment_section(report: Report, log: Sequence[LogLine]) -> Section:
    """The machine and its packages."""
    return Section("environment", tell("Environment"), (Facts(environment_facts(report)),))


def usage_section(report: Report, log: Sequence[LogLine]) -> Section | None:
    """Code that loads the result."""
    if report.going is not None and report.headline.best is None:
        return None
    words = Words(tell("Paths are relative to the run folder, the one that holds this report."))
    code = [Code(title, language, text) for title, language, text in usage(report)]
    return Section("load", tell("How to load it"), (words, *code))


def again_section(report: Report, log: Sequence[LogLine]) -> Section:
    """Commands that make the run again, and its recipe."""
    words = Words(
        tell(
            "In the run folder: its recipe.yaml holds the seed and everything that the run chose by itself; manifest.json holds "
            "the versions and the hashes of what went in and came out."
        )
    )
    recipe = yaml.safe_dump(report.recipe, sort_keys=False, allow_unicode=True).rstrip()
    command = Code(tell("Commands"), "sh", reproduce(report))
    return Section(
        "again", tell("How to make it again"), (words, command, Code(tell("The resolved recipe"), "yaml", recipe, folded=True))
    )


SECTIONS: tuple[Callable[[Report, Sequence[LogLine]], Section | None], ...] = (
    tradeoff_section,
    models_section,
    parity_section,
    precision_section,
    quality_section,
    slices_section,
    disagreements_section,
    latency_section,
    size_section,
    model_section,
    data_section,
    training_section,
    cost_section,
    environment_section,
    usage_section,
    again_section,
)
"""The sections in the order of the page; each takes the report and the log, and may have nothing to say (None)."""
