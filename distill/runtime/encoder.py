"""`load` an exported folder and `encode` sentences, without torch."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from tokenizers import Encoding

from ..errors import DataError, ModelError, UserError
from .precision import choose
from .session import OUTPUT, open_session
from .text import TextInput

Embeddings = NDArray[np.float32]
Precision = Literal["auto", "fp32", "fast", "faithful", "fp16", "searched"]
BATCHES_PER_WINDOW = 64


class Encoder:
    """Sentences to vectors, on onnxruntime. Made by `load`. May be used from several threads at once.

    Attributes:
        precision: which file runs: fp32, fast or faithful.
        dim: width of the vectors.
        max_length: longest input in tokens; longer sentences are cut.
        prompts: the prompts that the model defines, by name.
        default_prompt: the text put before a sentence where no prompt is asked for; "" is none.
        truncated: how many sentences were cut so far.
    """

    def __init__(self, session: InferenceSession, text: TextInput, precision: str) -> None:
        self.precision = precision
        self.max_length = text.max_length
        self.prompts = dict(text.prompts)
        self.default_prompt = text.default_prompt
        self.truncated = 0
        self._session = session
        self._text = text
        self._names = [node.name for node in session.get_inputs()]
        self._lock = threading.Lock()
        self.dim = self._find_dim()

    def encode(self, sentences: Sequence[str], batch_size: int = 32, *, prompt: str | None = None) -> Embeddings:
        """Embed sentences. Batches are made of sentences of like length; the order of the rows is that of the input.

        With `fast`, a sentence's vector depends a little on the others of its batch: activations are scaled over the
        whole batch. `fp32` and `faithful` differ by rounding alone.

        Args:
            sentences: any number of texts, empty ones too.
            batch_size: sentences per run of the model.
            prompt: a prompt's name in `prompts`, or literal text, put before every sentence; None takes the model's
                default prompt, "" none at all.

        Returns:
            float32 [len(sentences), dim].

        Raises:
            UserError: `sentences` is one string, or holds something that is no string; `batch_size` is below 1.
            DataError: a sentence is not valid Unicode.
        """
        _check_batch_size(batch_size)
        return self._encode(_checked(sentences), batch_size, self._text.resolve_prompt(prompt))

    def encode_stream(self, sentences: Iterable[str], batch_size: int = 32, *, prompt: str | None = None) -> Iterator[Embeddings]:
        """Embed sentences as they come, in bounded memory.

        Args:
            sentences: any iterable of texts.
            batch_size, prompt: as in `encode`.

        Yields:
            float32 [n, dim] with n at most `batch_size * 64`, in the order of the input.

        Raises:
            UserError, DataError: as in `encode`, when the stream comes to that sentence.
        """
        _check_batch_size(batch_size)
        prefix = self._text.resolve_prompt(prompt)
        stream, first = iter(_no_text(sentences)), 0
        while window := list(islice(stream, batch_size * BATCHES_PER_WINDOW)):
            yield self._encode(_checked(window, first), batch_size, prefix)
            first += len(window)

    def _encode(self, texts: Sequence[str], batch_size: int, prefix: str) -> Embeddings:
        result = np.empty((len(texts), self.dim), np.float32)
        window = batch_size * BATCHES_PER_WINDOW
        for start in range(0, len(texts), window):
            encodings = self._text.tokenize([prefix + text for text in texts[start : start + window]])
            with self._lock:
                self.truncated += sum(1 for encoding in encodings if encoding.overflowing)
            # longest first: a batch that does not fit in memory fails at once and not after an hour
            order = sorted(range(len(encodings)), key=lambda row: -len(encodings[row].ids))
            for at in range(0, len(order), batch_size):
                rows = order[at : at + batch_size]
                result[[start + row for row in rows]] = self._run([encodings[row] for row in rows])
        return result

    def _run(self, encodings: Sequence[Encoding]) -> Embeddings:
        arrays = self._text.pad(encodings)
        (vectors,) = self._session.run([OUTPUT], {name: arrays[name] for name in self._names})
        return vectors

    def _find_dim(self) -> int:
        """From the graph's own output shape, or from one run where it does not tell."""
        shape = next(node.shape for node in self._session.get_outputs() if node.name == OUTPUT)
        if len(shape) == 2 and isinstance(shape[1], int):
            return shape[1]
        return int(self._run(self._text.tokenize(["a"])).shape[1])


def load(
    path: str | Path, precision: Precision = "auto", threads: int | None = None, providers: Sequence[str] | None = None
) -> Encoder:
    """Load an exported folder for inference. Needs numpy, onnxruntime and tokenizers; never torch.

    Args:
        path: the folder, as `distill run` (runs/NAME/student) or `distill export` makes it.
        precision: `fp32`, `fast` (int8, smallest and fastest), `faithful` (8-bit weights, nearly lossless), or `auto`:
            `fast` on a CPU with int8 dot products, else `faithful`, else `fp32`, among the files that are there.
        threads: the model runs on exactly so many threads, which sleep while idle; None: one per physical core,
            busy-waiting. The tokenizer has a pool of its own: RAYON_NUM_THREADS, or TOKENIZERS_PARALLELISM=false.
        providers: onnxruntime execution providers, best first; None: the CPU.

    Returns:
        The encoder; `encoder.precision` tells which file it runs.

    Raises:
        ModelError: the folder, a file of it or the precision is missing, or a file is damaged or unsafe.
        UserError: `threads` is below 1.

    Example:
        >>> encoder = load("runs/quickstart/student")
        >>> encoder.encode(["A man is eating.", "Someone has lunch."]).shape
        (2, 384)
    """
    folder = Path(path).expanduser()
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
    return Encoder(open_session(file, threads, providers), TextInput(folder), name)


def _check_batch_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError("batch_size must be a whole number from 1", where="batch_size", got=repr(batch_size))


def _no_text(sentences: Iterable[str]) -> Iterable[str]:
    """One string would be read letter by letter: refuse it."""
    if isinstance(sentences, (str, bytes)):
        raise UserError(
            "one string is given where a list of sentences is needed",
            where="sentences",
            got=sentences,
            hint="write encode([text])",
        )
    return sentences


def _checked(sentences: Sequence[str], first: int = 0) -> list[str]:
    """The sentences as a list of valid texts; `first` is the number of the first one, for the error."""
    texts = list(_no_text(sentences))
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError("this sentence is no text", where=f"sentence {first + row}", got=repr(text), expected="a str")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                "this sentence is not valid Unicode",
                where=f"sentence {first + row}",
                got=ascii(text),
                expected="text without lone surrogates",
                hint="decode the file with the right encoding",
            ) from error
    return texts
