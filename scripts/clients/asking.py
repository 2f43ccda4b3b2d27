"""What the Python programs of clients share. It runs in their environments, so it needs the standard library alone."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Found = dict[str, Any]
"""A JSON object: the job, a model of it, or an answer."""

FILES = {
    "fp32": "model.onnx",
    "fast": "model_quantized.onnx",
    "faithful": "model_faithful.onnx",
    "portable": "model_portable.onnx",
}
"""Format -> its file in the folder `onnx`."""


def strips(encoder: Any, prompt: str) -> Found:
    """The known difference of releases of sentence-transformers that strip a text with its prompt, where the prompt is a word."""
    if not prompt or len(encoder.tokenize([prompt])["input_ids"][0]) == len(encoder.tokenizer(prompt)["input_ids"]):
        return {}
    return {"known": "it strips, so that a prompt before an empty text loses the space at its end"}


def main(ask: Callable[[Found], list[Found]], *packages: str) -> None:
    """Read the job of argv[1], ask, and write versions and answers to argv[2]."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    versions = {name: importlib.metadata.version(name) for name in packages}
    versions["python"] = sys.version.split()[0]
    Path(sys.argv[2]).write_text(json.dumps({"versions": versions, "answers": ask(job)}), "utf-8")


def answer(model: Found, way: str, format_: str, **found: Any) -> Found:
    """One answer: `single` and `batch` are flat vectors, `says` what a pipeline said of each input."""
    return {"model": model["name"], "way": way, "format": format_, **found}


def tried(model: Found, way: str, format_: str, ask: Callable[[], Found]) -> Found:
    """What `ask` found, or why it cannot be asked."""
    try:
        return answer(model, way, format_, **ask())
    except Exception as error:
        traceback.print_exc()
        return answer(model, way, format_, error=f"{type(error).__name__}: {error}"[:500])


@contextlib.contextmanager
def warnings_kept() -> Iterator[list[str]]:
    """The warnings and log records, from WARNING on, of what runs inside."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keep = Keep(logging.WARNING)
    names = [None, *logging.root.manager.loggerDict]
    loggers = [logging.getLogger(name) for name in names if name is None or not logging.getLogger(name).propagate]
    for logger in loggers:
        logger.addHandler(keep)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            yield said
    finally:
        said.extend(str(warning.message) for warning in caught)
        for logger in loggers:
            logger.removeHandler(keep)
