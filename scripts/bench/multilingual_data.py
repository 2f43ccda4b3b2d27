"""The text of the multilingual benchmark, out of the files of public data sets: nothing that is tested is in it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from distill.files import atomic_write

HELD_OUT = 0.3
"""Share of Tatoeba's English sentences, by hash, that translation retrieval is tested on."""

_TATOEBA, _NEWS, _STSB = (f"parallel-en-ko/{name}.tsv" for name in ("tatoeba-kor-eng", "news-park-dev", "stsb-korsts-train"))


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")


def _lines(path: Path) -> list[str]:
    return _text(path).split("\n")


def _tsv(path: Path, columns: tuple[int, int], *, header: bool = False) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_lines(path)):
        cells = line.split("\t")
        if not (header and number == 0) and len(cells) > max(columns):
            yield cells[columns[0]], cells[columns[1]]


def _csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(_text(path), newline="")))


def _folded(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def held_out(english: str) -> bool:
    """Whether an English sentence of Tatoeba belongs to the test."""
    return int.from_bytes(hashlib.sha256(_folded(english).encode()).digest()[:8], "big") < HELD_OUT * 2**64


def _german(data: Path) -> Iterator[tuple[str, str]]:
    """English and German sides of the STS benchmark, which share their row order."""
    rows = zip(_csv(data / "stsb/stsb-en-train.csv"), _csv(data / "stsb/stsb-de-train.csv.gz"), strict=True)
    for english, german in rows:
        yield from zip(english[:2], german[:2], strict=True)


def _korean(data: Path) -> Iterator[str]:
    """Korean text without translation: inference pairs and chat."""
    for first, second in _tsv(data / "klue/klue-nli-dev.tsv", (2, 3), header=True):
        yield from (first, second)
    for first, second in _tsv(data / "kornli/xnli.dev.ko.tsv", (0, 1), header=True):
        yield from (first, second)
    for row in _csv(data / "korean-chatbot/ChatbotData.csv")[1:]:
        yield from row[:2]


def _english(data: Path) -> Iterator[str]:
    """English text without translation: film reviews."""
    yield from (text for text, _ in _tsv(data / "sst2/train.tsv", (0, 1)))


def _write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    seen = dict.fromkeys((a.strip(), b.strip()) for a, b in pairs)
    kept = [f"{a}\t{b}\n" for a, b in seen if a and b and a != b and "\t" not in a + b]
    atomic_write(path, "".join(kept))


def write_data(data: Path, out: Path) -> dict[str, str]:
    """Write the files of the benchmark, the same ones whenever it is called.

    Args:
        data: the folder of data sets.
        out: where they are written.

    Returns:
        name -> path: en-ko, en-de, tatoeba-test (two columns, no header), english, korean and all (a sentence a line).
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {name: out / f"{name}.tsv" for name in ("en-ko", "en-de", "tatoeba-test")}
    files |= {name: out / f"{name}.txt" for name in ("english", "korean", "all")}
    tatoeba = list(_tsv(data / _TATOEBA, (0, 1)))
    tested = {_folded(side) for pair in tatoeba if held_out(pair[0]) for side in pair}

    def allowed(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        return (pair for pair in pairs if not {_folded(side) for side in pair} & tested)

    _write_pairs(files["tatoeba-test"], (pair for pair in tatoeba if held_out(pair[0])))
    _write_pairs(files["en-ko"], allowed([*_tsv(data / _STSB, (0, 1)), *tatoeba, *_tsv(data / _NEWS, (0, 1))]))
    _write_pairs(files["en-de"], allowed(_german(data)))
    texts = {"english": list(_english(data)), "korean": list(_korean(data))}
    sides = [side for name in ("en-ko", "en-de") for pair in _tsv(files[name], (0, 1)) for side in pair]
    texts["all"] = [*sides, *texts["english"], *texts["korean"]]
    for name, sentences in texts.items():
        kept = dict.fromkeys(" ".join(sentence.split()) for sentence in sentences)
        atomic_write(files[name], "".join(f"{text}\n" for text in kept if text and _folded(text) not in tested))
    return {name: str(path) for name, path in files.items()}
