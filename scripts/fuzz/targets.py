"""What is fuzzed: functions that read bytes of anybody's. Each ends in a value or an error of ours, or it has a bug."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill.data.parallel.read import read_parallel
from distill.data.sources import read_sentences
from distill.errors import DistillError
from distill.modelfolder import check_model_files
from distill.recipe import ParallelSpec, SourceSpec
from distill.recipe_load import load_recipe
from distill.runtime.selfcontained import require_self_contained
from distill.runtime.text import TextInput

ROOT = Path(__file__).resolve().parent.parent.parent
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")
CONFIGS = ("config.json", "modules.json", "sentence_bert_config.json", "model.safetensors", "model.safetensors.index.json")
WORDS = ("tokenizer.json", "tokenizer_config.json", "config.json", "config_sentence_transformers.json")


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """An error of ours is a right answer."""
    with contextlib.suppress(DistillError), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def emptied() -> Iterator[Path]:
    """An empty folder, which is the working folder too."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        os.chdir(place)
        try:
            yield Path(place)
        finally:
            os.chdir(before)


def recipe(data: bytes) -> None:
    """A recipe file; what stands behind a NUL are overrides, one a line."""
    text, _, more = data.partition(b"\0")
    with emptied(), refused():
        Path("a.yaml").write_bytes(text)
        load_recipe("a.yaml", more.decode("utf-8", "replace").splitlines())


def table(data: bytes) -> None:
    """Sentences in a file; the first byte chooses the format."""
    name = "a" + SUFFIXES[(data[0] if data else 0) % len(SUFFIXES)]
    with emptied(), refused():
        Path(name).write_bytes(data[1:])
        list(read_sentences(SourceSpec(source=name), on_bad_row="error", counts=Counter()))


def translations(data: bytes) -> None:
    """TMX, PO or a table of translations; the first byte chooses."""
    name = "a" + (".tmx", ".po", ".tsv")[(data[0] if data else 0) % 3]
    with emptied(), refused():
        Path(name).write_bytes(data[1:])
        list(read_parallel(ParallelSpec(source=name, languages=("en", "de")), on_bad_row="error", counts=Counter()))


def config(data: bytes) -> None:
    """A file of a model folder; the first byte chooses which, the others are sound."""
    name = CONFIGS[(data[0] if data else 0) % len(CONFIGS)]
    with emptied() as place, refused():
        (place / "config.json").write_text('{"model_type": "bert"}')
        (place / "sub").mkdir()
        (place / name).write_bytes(data[1:])
        check_model_files(place, "m")


def words(data: bytes) -> None:
    """A file of an exported folder's tokenizer, and a few texts through it; the first byte chooses the file."""
    name = WORDS[(data[0] if data else 0) % len(WORDS)]
    with emptied() as place, refused():
        for file, value in SOUND.items():
            (place / file).write_text(value)
        (place / name).write_bytes(data[1:])
        reader = TextInput(place)
        reader.pad(reader.tokenize(["a cat", "", "사과 \U0001f600", "a" * 50]))


def onnx(data: bytes) -> None:
    """An ONNX file."""
    with emptied() as place, refused():
        (place / "a.onnx").write_bytes(data)
        require_self_contained(place / "a.onnx")


def _bag() -> Any:
    """The hand-made model of the tests."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    return importlib.import_module("bag")


def _sound() -> dict[str, str]:
    """The files of a good exported folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = _bag().folder(Path(place) / "m", files=())
        return {name: (folder / name).read_text() for name in WORDS}


SOUND = _sound()
TARGETS: dict[str, Callable[[bytes], None]] = {
    "recipe": recipe,
    "table": table,
    "translations": translations,
    "config": config,
    "words": words,
    "onnx": onnx,
}


def seeds(target: str) -> list[bytes]:
    """A few sound inputs, to begin with."""
    if target == "recipe":
        shipped = sorted((ROOT / "distill" / "recipes").glob("*.yaml"))
        return [file.read_bytes() + b"\0student.layers=2\ntrain.epochs=3" for file in shipped]
    if target == "table":
        return [
            b"\0one\ntwo\n",
            b'\1text,more\n"a ""b""",c\n',
            b"\2text\tmore\na\tb\n",
            b'\3{"text": "a \\u00e9"}\n{"text": "b"}\n',
        ]
    if target == "translations":
        unit = '<tu><tuv xml:lang="en"><seg>One.</seg></tuv><tuv xml:lang="de"><seg>Eins.</seg></tuv></tu>'
        tmx = f'<?xml version="1.0" encoding="UTF-8"?><tmx version="1.4"><header/><body>{unit}</body></tmx>'
        po = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n'
        return [b"\0" + tmx.encode(), b"\1" + po.encode(), b"\2en\tde\na\tb\n"]
    if target == "config":
        rows = [{"idx": 0, "name": "0", "path": "sub", "type": "sentence_transformers.models.Transformer"}]
        head = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        whole = len(head).to_bytes(8, "little") + head + bytes(4)
        values = [{"model_type": "bert", "hidden_size": 8}, rows, {"max_seq_length": 8, "model_args": {"dtype": "float32"}}]
        made = [bytes([place]) + json.dumps(value).encode() for place, value in enumerate(values)]
        return [*made, b"\3" + whole, b'\4{"weight_map": {"a": "x.safetensors"}}']
    if target == "words":
        return [bytes([place]) + SOUND[name].encode() for place, name in enumerate(WORDS)]
    return [_bag().graph().SerializeToString()]
