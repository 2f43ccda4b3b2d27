"""The model behind a search: an exported folder without torch, or, where that is asked for, sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import ModelError, UserError
from .files import expand, fingerprint, sha256_file
from .progress import track
from .runtime.encoder import Precision, load
from .runtime.precision import choose

Runtime = Literal["onnx", "torch"]
WINDOW = 1024
_OF_QUERIES, _OF_DOCUMENTS = ("query",), ("document", "passage", "corpus")


@dataclass(frozen=True)
class SearchModel:
    """A sentence encoder with what an index needs to know of it. Made by `open_model`.

    Attributes:
        name: the folder or hub id it was opened by.
        runtime: `onnx` or `torch`.
        precision: which ONNX file runs; `fp32` in torch.
        dim: width of its vectors.
        key: a hash of what decides a text's vector (weights, tokenizer, longest input), the prompt apart.
        prompts: its prompts by name.
        default_prompt: the one it takes where none is asked for; "" is none.
    """

    name: str
    runtime: Runtime
    precision: str
    dim: int
    key: str
    prompts: Mapping[str, str]
    default_prompt: str
    _encode: Callable[[Sequence[str], int, str], np.ndarray]

    def encode(self, texts: Sequence[str], *, prompt: str, batch_size: int = 32) -> np.ndarray:
        """Vectors of texts, float32 [n, dim], with literal text put before each."""
        parts = [texts[start : start + WINDOW] for start in range(0, len(texts), WINDOW)]
        shown = track(parts, total=len(parts), description="encoding", unit="windows") if len(parts) > 1 else parts
        vectors = [self._encode(part, batch_size, prompt) for part in shown]
        return np.concatenate(vectors) if vectors else np.zeros((0, self.dim), np.float32)

    def query_prompt(self, given: str | None) -> str:
        """The text before queries: `given` (a prompt's name or literal text), else the model's `query`, else its default."""
        return self._prompt(given, _OF_QUERIES)

    def document_prompt(self, given: str | None) -> str:
        """The text before documents: `given`, else the model's `document`, `passage` or `corpus`, else its default."""
        return self._prompt(given, _OF_DOCUMENTS)

    def _prompt(self, given: str | None, names: Sequence[str]) -> str:
        if given is not None:
            return self.prompts.get(given, given)
        # sentence-transformers saves empty prompts of these names for models that define none
        return next((self.prompts[name] for name in names if self.prompts.get(name)), self.default_prompt)


def open_model(
    name: str | Path, *, runtime: Runtime = "onnx", precision: Precision = "auto", threads: int | None = None
) -> SearchModel:
    """Open a sentence encoder for a search.

    Args:
        name: for `onnx` a folder made by `distill run` or `distill export`; for `torch` any hub id, folder or
            package:IMPORT_NAME.
        runtime: `onnx` needs no torch; `torch` runs sentence-transformers in fp32.
        precision: which ONNX file, see `distill.load`.
        threads: of onnxruntime.

    Raises:
        ModelError: the model cannot be loaded; for `onnx` also a folder that was not exported.
        UserError: no such runtime, or a precision for torch.
    """
    if runtime not in ("onnx", "torch"):
        raise UserError("no such runtime", where="runtime", got=runtime, expected="onnx or torch")
    if runtime == "torch":
        if precision not in ("auto", "fp32"):
            raise UserError("sentence-transformers runs in fp32 here", where="precision", got=precision, expected="fp32")
        return _in_torch(str(name))
    folder = expand(name)
    if not folder.is_dir() or (not (folder / "onnx").is_dir() and not (folder / "student").is_dir()):
        raise ModelError(
            "this is no exported folder",
            where=str(name),
            expected="a folder with ONNX files in onnx/, as `distill run` and `distill export` make it",
            hint="export the model, or let sentence-transformers run it: --torch, or runtime='torch'",
        )
    encoder = load(folder, precision=precision, threads=threads)
    _, file = choose(folder, encoder.precision)
    parts = {"model": sha256_file(file), "tokenizer": sha256_file(folder / "tokenizer.json"), "max_length": encoder.max_length}
    return SearchModel(
        name=str(name),
        runtime="onnx",
        precision=encoder.precision,
        dim=encoder.dim,
        key=fingerprint(parts),
        prompts=encoder.prompts,
        default_prompt=encoder.default_prompt,
        _encode=lambda texts, batch_size, prompt: encoder.encode(texts, batch_size, prompt=prompt),
    )


def _in_torch(name: str) -> SearchModel:
    from teachers.fingerprint import model_fingerprint
    from teachers.load import load_encoder

    model = load_encoder(name)
    dim = model.get_embedding_dimension()
    if dim is None:
        raise ModelError("this model does not tell the width of its vectors", where=name)

    def encode(texts: Sequence[str], batch_size: int, prompt: str) -> np.ndarray:
        found = model.encode(list(texts), batch_size=batch_size, prompt=prompt, show_progress_bar=False)
        return np.asarray(found, np.float32)

    return SearchModel(
        name=name,
        runtime="torch",
        precision="fp32",
        dim=int(dim),
        key=fingerprint({**model_fingerprint(model), "max_length": model.max_seq_length}),
        prompts={prompt: text for prompt, text in model.prompts.items() if text is not None},
        default_prompt=model.prompts.get(model.default_prompt_name or "") or "",
        _encode=encode,
    )
