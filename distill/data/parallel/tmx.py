"""Translation memories (TMX), unit by unit, through Python's own XML parser (expat).

XML can hold more than text. A document type with declarations of its own (the way to entities that grow without bound or
fetch files and addresses) is refused before the parser sees the first of them; one that only names tmx14.dtd, as most tools
write it, is allowed and never looked up. Depth, tags and the part before <tmx> have limits, so that time and memory do too.
"""

from __future__ import annotations

import codecs
import re
import xml.parsers.expat
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from xml.parsers.expat import ExpatError

from ...errors import DataError
from ...files import expand
from ...recipe import ParallelSpec, SourceSpec
from ..languages import canonical, language_name, matches
from ..lines import byte_blocks, check_encoding
from ..sources import missing_file
from ..tables import MAX_FIELD_CHARS
from .rows import Item, Items, ParallelRow, too_long

MAX_DEPTH = 100
MAX_PROLOG_BYTES = 1 << 13
MAX_TAG_BYTES = 1 << 22
MAX_LANGUAGES_NAMED = 50
MAX_TAG_CHARS = 40
CODE = frozenset(("bpt", "ept", "it", "ph", "ut"))
"""Elements within a segment that hold a program's codes, not text."""
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)")
_EXPAT_READS = frozenset(("utf-8", "utf-16", "iso8859-1", "ascii"))


def tmx_rows(spec: ParallelSpec, counts: Counter[str]) -> Items:
    """A row for every translation unit that has both languages.

    A language is found by its tag, whatever its case, or else by a narrower one: `en` takes `en-US` where a unit has no
    `en`. Of several segments in one language the first counts. Inline elements leave their text alone: what `bpt`, `ept`,
    `it`, `ph` and `ut` hold is markup of the program that wrote the file.

    Args:
        spec: the source; `encoding` counts where it is not utf-8, the file's own declaration otherwise.
        counts: `missing_language` is raised by one for each unit without one of the languages.

    Raises:
        DataError: the file is missing, is no well-formed or no safe XML, is no TMX, or no unit has both languages.
    """
    path = expand(spec.source)
    if not path.is_file():
        raise missing_file(path, SourceSpec(source=spec.source))
    return _rows(_Reader(path, spec), counts)


def _rows(reader: _Reader, counts: Counter[str]) -> Items:
    both = False
    for item in reader.items():
        if item is None:
            counts["missing_language"] += 1
        both = both or item is not None
        yield item
    if reader.units and not both:
        raise reader.no_language()


class _Reader:
    """Feeds a file to the parser and collects the units that it finds."""

    def __init__(self, path: Path, spec: ParallelSpec) -> None:
        self.path, self.spec = path, spec
        self.units = 0
        self._found: deque[Item] = deque()
        self._languages: set[str] = set()
        self._seen = [False, False]
        self._depth = 0
        self._started = False
        self._muted = 0  # depth within an element of codes
        self._parts: list[str] | None = None  # of the segment that is read
        self._length = 0
        self._tag: str | None = None  # of the variant that is read
        self._sides: list[dict[bool, str]] | None = None  # of the unit: by whether the tag is the very one, each side's text
        self._long = False
        self._line = 0

    def items(self) -> Iterator[Item]:
        """Every unit: a row, what is wrong with it, or None where a language is missing."""
        blocks, encoding = self._blocks()
        parser = self._parser(encoding)
        fed = 0
        try:
            for block in blocks:
                for piece in self._pieces(block):
                    parser.Parse(piece, False)
                    fed += len(piece)
                    if not self._started and fed > MAX_PROLOG_BYTES:
                        raise self._refused(f"no element within the first {MAX_PROLOG_BYTES >> 10} KiB", "<tmx>")
                    if fed - parser.CurrentByteIndex > MAX_TAG_BYTES:
                        raise self._refused(f"one tag or comment of more than {MAX_TAG_BYTES >> 20} MiB", "text in segments")
                while self._found:
                    yield self._found.popleft()
            parser.Parse(b"", True)
        except ExpatError as error:
            raise DataError(
                f"this is no well-formed XML: {xml.parsers.expat.ErrorString(error.code)}",
                where=f"{self.path}, line {error.lineno}, column {error.offset + 1}",
                expected="a TMX file as a translation tool writes it",
                hint="check that the file is whole and in the encoding that its first line declares",
            ) from error
        yield from self._found

    def no_language(self) -> DataError:
        """The error for a file where no unit has both languages."""
        languages = self.spec.languages
        absent = [tag for tag, seen in zip(languages, self._seen, strict=True) if not seen]
        names = " and ".join(f"{tag} ({language_name(tag)})" for tag in absent or languages)
        return DataError(
            f"no unit of this file has {names}" if absent else f"no unit of this file has both {names}",
            where=str(self.path),
            got="languages in this file: " + (", ".join(sorted(self._languages)) or "none is named"),
            hint="set languages to two of these" if len(self._languages) > 1 else None,
        )

    def _blocks(self) -> tuple[Iterator[bytes], str | None]:
        """The file as bytes, and the encoding they have if it is not for the parser to find out."""
        blocks = byte_blocks(self.path)
        first = next(blocks, b"")
        declared = _DECLARED.match(first.removeprefix(codecs.BOM_UTF8))
        given = check_encoding(self.spec.encoding, self.path)
        name = given if given != "utf-8" else check_encoding(declared[1].decode(), self.path) if declared else "utf-8"
        if name in _EXPAT_READS and given == "utf-8":
            return _chain(first, blocks), None
        return self._recoded(_chain(first, blocks), name), "UTF-8"

    def _recoded(self, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        """The same text in UTF-8: the parser knows few encodings."""
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            for block in blocks:
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", True).encode()
        except UnicodeError as error:
            raise DataError(
                f"this file is not {encoding}",
                where=str(self.path),
                got=error,
                hint="set `encoding` to the one the file was written in",
            ) from error

    def _pieces(self, block: bytes) -> Iterator[bytes]:
        """A block whole; but until the first element one declaration at a time, so that none follows a refused one."""
        start = 0
        while not self._started and start < len(block):
            end = min((found for mark in (b">", b"[") if (found := block.find(mark, start)) >= 0), default=len(block) - 1) + 1
            yield block[start:end]
            start = end
        if start < len(block):
            yield block[start:]

    def _parser(self, encoding: str | None) -> xml.parsers.expat.XMLParserType:
        parser = xml.parsers.expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.SetParamEntityParsing(xml.parsers.expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = lambda *_: self._entity("<!ENTITY ...>")
        parser.ExternalEntityRefHandler = self._external
        parser.SkippedEntityHandler = lambda name, _: self._entity(f"&{name};")
        parser.StartElementHandler = lambda name, attributes: self._start(name, attributes, parser.CurrentLineNumber)
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        return parser

    def _doctype(self, name: str, system: str | None, public: str | None, declarations: bool) -> None:
        if declarations:
            raise self._refused("a document type with declarations of its own", "no <!DOCTYPE ... [...]>")

    def _external(self, context: str, base: str | None, system: str | None, public: str | None) -> int:
        raise self._refused("an external entity", "text in the file itself")

    def _entity(self, what: str) -> None:
        raise self._refused(what, "no entities but &amp; &lt; &gt; &quot; &apos; and &#...;")

    def _refused(self, got: str, expected: str) -> DataError:
        return DataError(
            "this XML is not read, to be safe",
            where=str(self.path),
            got=got,
            expected=expected,
            hint="export the file anew as TMX",
        )

    def _start(self, name: str, attributes: dict[str, str], line: int) -> None:
        name = name.rpartition(":")[2]
        self._depth += 1
        self._started = True
        if self._depth > MAX_DEPTH:
            raise self._refused(f"elements nested more than {MAX_DEPTH} deep", "a TMX file as a translation tool writes it")
        if self._depth == 1 and name != "tmx":
            raise DataError("this is no TMX file", where=str(self.path), got=f"<{name}>", expected="<tmx>")
        if self._parts is not None:
            self._muted += self._muted > 0 or name in CODE
        elif name == "tu":
            self._sides, self._long, self._line = [{}, {}], False, line
        elif name == "tuv" and self._sides is not None:
            self._tag = (attributes.get("xml:lang") or attributes.get("lang") or "")[:MAX_TAG_CHARS]
        elif name == "seg" and self._tag is not None:
            self._parts, self._length = [], 0

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        self._depth -= 1
        if self._muted:
            self._muted -= 1
        elif name == "seg" and self._parts is not None:
            self._variant("".join(self._parts))
            self._parts = None
        elif name == "tuv":
            self._tag = None
        elif name == "tu" and self._sides is not None:
            self._unit(self._sides)
            self._sides = None

    def _text(self, text: str) -> None:
        if self._parts is None or self._muted:
            return
        self._length += len(text)
        if self._length <= MAX_FIELD_CHARS:
            self._parts.append(text)

    def _variant(self, text: str) -> None:
        tag = self._tag or ""
        if tag and len(self._languages) < MAX_LANGUAGES_NAMED:
            self._languages.add(tag)
        for place, asked in enumerate(self.spec.languages):
            if self._sides is not None and matches(tag, asked):
                self._sides[place].setdefault(canonical(tag) == canonical(asked), text)
                self._long = self._long or self._length > MAX_FIELD_CHARS

    def _unit(self, sides: list[dict[bool, str]]) -> None:
        self.units += 1
        self._seen = [seen or bool(side) for seen, side in zip(self._seen, sides, strict=True)]
        where = f"{self.path}, row {self.units} (line {self._line})"
        if not all(sides):
            self._found.append(None)
        elif self._long:
            self._found.append(too_long(where))
        else:
            texts = [side.get(True, side.get(False, "")) for side in sides]
            self._found.append(ParallelRow(texts[0], texts[1], self.spec.languages, where))


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
