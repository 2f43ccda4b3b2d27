"""`load`: an exported folder, whatever it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .answers import QuestionAnswerer
from .classifier import Classifier
from .encoder import Encoder
from .model import Model
from .opened import Kind, Precision, open_folder
from .pairs import CrossPair
from .tagger import TokenClassifier

CLASSES: dict[Kind, type[Model]] = {
    "encoder": Encoder,
    "classifier": Classifier,
    "pairs": CrossPair,
    "tokens": TokenClassifier,
    "answers": QuestionAnswerer,
}


def load(
    path: str | Path, precision: Precision = "auto", threads: int | None = None, providers: Sequence[str] | None = None
) -> Any:
    """Load an exported folder for inference. Needs numpy, onnxruntime and tokenizers; never torch.

    Args:
        path: the folder, as `distill run` (runs/NAME/student) or `distill export` makes it.
        precision: `fp32`, `fast` (int8, smallest and fastest), `faithful` (8-bit weights, nearly lossless), another preset
            whose file is there, or `auto`: the one that suits this CPU among the files that are there and passed their gates.
        threads: the model runs on exactly so many threads, which sleep while idle; None: one per physical core,
            busy-waiting. The tokenizer has a pool of its own: RAYON_NUM_THREADS, or TOKENIZERS_PARALLELISM=false.
        providers: onnxruntime execution providers, best first; None: the CPU.

    Returns:
        By the graph's outputs and config.json: an `Encoder` (encode), a `Classifier` (predict), a `CrossPair` (predict,
        score, rank), a `TokenClassifier` (predict) or a `QuestionAnswerer` (predict, ask). Each class has a `load` of its own
        that refuses other kinds. `model.precision` tells which file runs.

    Raises:
        ModelError: the folder, a file of it or the precision is missing; a file is damaged or unsafe, or the tokenizer does
            not belong to the model.
        UserError: `threads` is below 1.

    Example:
        >>> encoder = load("runs/quickstart/student")
        >>> encoder.encode(["A man is eating.", "Someone has lunch."]).shape
        (2, 384)
    """
    opened = open_folder(path, precision, threads, providers)
    return CLASSES[opened.kind](opened)
