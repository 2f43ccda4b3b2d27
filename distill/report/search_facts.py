"""What a precision search found, as parity.json holds it under `search`."""

from __future__ import annotations

from pydantic import Field

from .facts import Part


class Form(Part):
    """One form of one group. `harm`: 1 - mean cosine to fp32 when this group alone has it."""

    ms: float
    mb: float
    harm: float


class Group(Part):
    """Nodes that were decided together."""

    name: str
    kind: str
    nodes: int
    chosen: str
    forms: dict[str, Form]


class Judged(Part):
    """A mix that was judged as a whole."""

    turned: int
    value: float
    lost: float
    nearness: float
    inside: bool


class SearchFacts(Part):
    """`search` of parity.json; empty where there was no search."""

    words: str = ""
    metric: str = ""
    rows: int = 0
    timing: str = ""
    milliseconds: dict[str, float] = Field(default={})
    before: float | None = None
    after: float | None = None
    lost: float | None = None
    taken: str = ""
    groups: tuple[Group, ...] = ()
    judged: tuple[Judged, ...] = ()
    seconds: float | None = None
