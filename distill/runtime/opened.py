"""An exported folder, opened: its graph, its tokenizer, and what kind of model it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import ModelError
from .engine import Engine
from .precision import choose
from .session import OUTPUT
from .text import TextInput

Precision = Literal["auto", "fp32", "fast", "faithful", "portable", "fp16", "searched"]
Kind = Literal["encoder", "classifier", "pairs", "tokens", "answers"]
NAMES: dict[Kind, str] = {
    "encoder": "a sentence encoder",
    "classifier": "a classifier of texts",
    "pairs": "a classifier of pairs of texts",
    "tokens": "a classifier of tokens",
    "answers": "a reader that finds answers",
}
"""Every kind of model, in words."""


@dataclass
class Opened:
    """What every kind of model is made of.

    Attributes:
        folder: the exported folder.
        precision: which of its files runs.
        engine: runs that file.
        text: its tokenizer and config.json.
        kind: what it is.
        width: numbers a text: dimensions of a vector, classes of a classifier, tags of a token; 1 for answers.
    """

    folder: Path
    precision: str
    engine: Engine
    text: TextInput
    kind: Kind
    width: int


def open_folder(
    path: str | Path, precision: str = "auto", threads: int | None = None, providers: Sequence[str] | None = None
) -> Opened:
    """Open an exported folder, see what it is, and try it on two tokens.

    Args:
        path: the folder, as `distill run` (runs/NAME/student) or `distill export` makes it.
        precision: a preset, or `auto`.
        threads, providers: as in `open_session`.

    Raises:
        ModelError: the folder, a file of it or the precision is missing; a file is damaged, unsafe, or no model of ours;
            tokenizer and model do not belong together.
        UserError: `threads` is below 1.
    """
    folder = _place(path)
    if not folder.is_dir():
        raise ModelError(
            "no such folder" if not folder.exists() else "a file is given where a folder is needed",
            where=str(path),
            expected="a folder made by `distill run` or `distill export`",
            hint=f"try {folder.parent.parent}" if folder.suffix == ".onnx" else None,
        )
    if not (folder / "onnx").is_dir() and (folder / "student" / "onnx").is_dir():
        raise ModelError("this is a run folder", where=str(path), expected="its student", hint=f"load {Path(path) / 'student'}")
    name, file = choose(folder, precision, providers)
    engine = Engine(file, threads, providers)
    text = TextInput(folder)
    return Opened(folder, name, engine, text, *_look(engine, text, file))


def require_kind(opened: Opened, wanted: Sequence[Kind], call: str) -> None:
    """Refuse a model of another kind than a class is for.

    Args:
        opened: the model.
        wanted: kinds that fit; the first names the class.
        call: how it was asked for.

    Raises:
        ModelError: it is of another kind.
    """
    if opened.kind not in wanted:
        command = "encode" if opened.kind == "encoder" else "predict"
        raise ModelError(
            f"this model is {NAMES[opened.kind]}, not {NAMES[wanted[0]]}",
            where=str(opened.folder),
            got=f"output {', '.join(opened.engine.outputs)}",
            expected=f"{NAMES[wanted[0]]}, for {call}",
            hint=f"`distill {command}`; from Python distill.load loads every kind, each with the methods that fit it",
        )


def _place(path: str | Path) -> Path:
    """A path with `~` written out; as it stands where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _look(engine: Engine, text: TextInput, file: Path) -> tuple[Kind, int]:
    """Kind and width of a model, by what it says of two rows of two tokens; the tokenizer's largest id is among them."""
    largest = text.largest_id()
    ids = np.full((2, 2), largest, np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    try:
        found = engine.run({name: feeds[name] for name in engine.inputs})
    except ModelError as error:
        raise ModelError(
            "this model cannot read what its tokenizer gives",
            where=str(file),
            got=f"token {largest} of {text.folder / 'tokenizer.json'}: {error.got}",
            expected="a tokenizer whose tokens all stand in the embedding table",
            hint="put the tokenizer of this model into the folder, or export it again",
        ) from error
    shapes = [part.shape for part in found]
    if engine.outputs == (OUTPUT,):
        kind: Kind = "encoder"
        fits = len(shapes[0]) == 2
    elif len(found) == 2:
        kind, fits = "answers", shapes == [(2, 2), (2, 2)]
    elif len(shapes[0]) == 3:
        kind, fits = "tokens", shapes[0][:2] == (2, 2)
    else:
        kind, fits = "pairs" if _reads_pairs(text.config) else "classifier", len(shapes[0]) == 2
    if not fits or shapes[0][0] != 2 or shapes[0][-1] < 1:
        raise ModelError(
            "the outputs of this model have an unexpected shape",
            where=str(file),
            got="; ".join(f"{name} {list(shape)}" for name, shape in zip(engine.outputs, shapes, strict=True)),
            expected=f"of {NAMES[kind]}, for 2 texts of 2 tokens, the first number a 2",
            hint="export the model again",
        )
    return kind, 1 if kind == "answers" else shapes[0][-1]


def _reads_pairs(config: dict[str, Any]) -> bool:
    """Whether config.json says that the model is for pairs alone: a siamese BiLSTM, or a CrossEncoder."""
    return bool(config.get("siamese")) or "sbert_ce_default_activation_function" in config or "sentence_transformers" in config
