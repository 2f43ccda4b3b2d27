"""The comparison as one self-contained HTML page: no network, no script, every text escaped."""

from __future__ import annotations

from ..errors import MissingExtra
from .markdown import title
from .plot import COLOURS, scatter
from .schema import Comparison
from .tables import all_tables

WIDE, NARROW = 760, 360


def to_html(found: Comparison) -> str:
    """The whole comparison as a page.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra("train", "jinja2", "the HTML page of a comparison") from error
    page = Environment(
        loader=PackageLoader("distill.comparing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Pictures are built as XML trees, which escape every text: the only markup that passes unescaped.
    pictures = [scatter(found, width) for width in (WIDE, NARROW)]
    runs = list(dict.fromkeys(one.run for one in found.candidates))
    return page.get_template("compare.html").render(
        found=found,
        title=title(found),
        pictures=[Markup(picture) for picture in pictures if picture],
        legend=[(name, f"c{number % COLOURS}") for number, name in enumerate(runs)],
        tables=all_tables(found),
    )
