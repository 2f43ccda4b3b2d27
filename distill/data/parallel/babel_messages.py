"""The part of PO files that Babel does: a message's lines to its texts, and messages to a file. Imported when needed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any

from babel.core import parse_locale
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, PoFileParser, write_po

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The date in the header of a file, so that the same rows give the same file."""


class _One(Catalog):
    """Takes a message as it is parsed: a whole catalogue would merge messages and needs to know the plural forms."""

    def __init__(self, forms: int) -> None:
        super().__init__()
        self._forms = forms
        self.found: list[Message] = []

    @property
    def num_plurals(self) -> int:
        return self._forms

    def __setitem__(self, id: Any, message: Message) -> None:
        self.found.append(message)


def parse_message(lines: list[str]) -> tuple[Message, bool]:
    """The message that some lines of a PO file hold, and whether it is obsolete.

    Raises:
        ValueError: they hold none, or not one alone.
    """
    catalog = _One(forms=sum("msgstr" in line[:10] for line in lines))
    try:
        PoFileParser(catalog, abort_invalid=True).parse(lines)
    except (PoFileError, IndexError) as error:
        reason = str(error).rpartition(" on ")[0] if isinstance(error, PoFileError) else "its lines are in no order"
        raise ValueError(reason) from error
    obsolete = list(catalog.obsolete.values())
    if len(catalog.found) + len(obsolete) != 1:
        raise ValueError("it has no msgid" if not catalog.found else "it is more than one")
    return (*obsolete, *catalog.found)[0], bool(obsolete)


def write_messages(stream: IO[bytes], rows: Iterable[tuple[str, str]], language: str) -> None:
    """Write texts and their translations as a PO file. A text that comes again gets a msgctxt with how often it came."""
    catalog = Catalog(locale=_locale(language), creation_date=EPOCH, revision_date=EPOCH, fuzzy=False)
    times: dict[str, int] = {}
    for source, translation in rows:
        times[source] = times.get(source, 0) + 1
        again = times[source]
        catalog.add(source, translation, context=str(again) if again > 1 else None)
    write_po(stream, catalog, width=0)


def _locale(language: str) -> str:
    """A language tag as Babel writes it, without what Babel cannot."""
    name = language.replace("-", "_")
    try:
        parse_locale(name)
    except ValueError:
        return name.partition("_")[0]
    return name
