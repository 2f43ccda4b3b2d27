"""Proof that an exported file says what the model says: the gate before any speed is reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from ..evaluate.agreement import row_cosines
from ..files import write_json
from ..progress import track
from ..runtime.encoder import Encoder, load
from ..runtime.precision import GATES
from ..runtime.session import OUTPUT, open_session
from .check_graph import check_graph
from .graph import graph_inputs, longest_input
from .long_inputs import Feed, Says, long_differences, long_feeds, long_passed
from .quantize import FILES, quantized_nodes
from .search_log import budget_gate, with_search
from .vectors import invariance

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_ABS = 1e-4
MEAN_COSINE = {
    "fast": 0.98,
    "faithful": 0.999,
    "portable": 0.999,
    "fp16": 0.9999,
    "searched": 0.0,  # its gate is its budget
}
PROBES = 256

_SUBJECTS = (
    "The server",
    "A young woman",
    "Seoul",
    "The report",
    "My old camera",
    "This algorithm",
    "고양이 한 마리가",
    "우리 회사는",
)
_VERBS = (
    "answers",
    "is looking at",
    "was founded near",
    "compares",
    "cannot read",
    "reminds us of",
    "보고 있다",
    "새로 만들었다",
)
_OBJECTS = (
    "three small files.",
    "the river at night?",
    "a better translation!",
    "12.5 % of all tests.",
    "창밖의 비를.",
    "검색 엔진을.",
)


def probe_sentences(count: int = PROBES) -> list[str]:
    """Sentences of varied length and script for parity where no text of the user's is at hand: the same ones every time.

    Args:
        count: how many; repeats of a pattern grow longer, so that padding is met.
    """
    made = []
    for i in range(count):
        parts = [_SUBJECTS[i % len(_SUBJECTS)], _VERBS[(i // 3) % len(_VERBS)], _OBJECTS[(i // 5) % len(_OBJECTS)]]
        made.append(" ".join(parts * (1 + i % 7)) + f" ({i})")
    return made


def check_parity(
    encoder: SentenceTransformer, folder: Path, presets: Sequence[str], sentences: Sequence[str], *, prefix: str = ""
) -> dict[str, Any]:
    """Compare each exported file with its reference on text.

    The fp32 file is compared with torch; the quantized ones with the fp32 file. Sentences go through one by one, so
    that no padding is involved; batch invariance is the lowest cosine between a sentence alone and the same sentence
    in a padded batch of 32.

    Args:
        encoder: the torch model that was exported.
        folder: what `students.load` and `distill.load` take; holds `onnx/`.
        presets: which files to check.
        sentences: real text, prompts not added.
        prefix: put before the files' paths in the result.

    Returns:
        The content of parity.json; `passed` per preset, which is also written beside the files as gates.json, so that
        `distill.load` passes over what failed. Gates: fp32 max abs difference <= 1e-4; `fast` mean cosine
        >= 0.98; `faithful` and `portable` mean cosine >= 0.999; `fp16` >= 0.9999; `searched` its budget, and `search` tells
        how. `graph` is what `check_graph` found in the file; `long_inputs` the largest difference on inputs of 300 and 1,000
        tokens (or as many as the model reads), which fp32 must pass as well.

    Raises:
        ModelError: a file is none that clients can load.
    """
    texts = list(sentences)
    torch_vectors = np.concatenate(
        [encoder.encode([text], convert_to_numpy=True, show_progress_bar=False) for text in texts]
    ).astype(np.float32)
    models: dict[str, Any] = {}
    reference = torch_vectors
    feeds = long_feeds(encoder.tokenizer, graph_inputs(encoder), probe_sentences(), longest_input(encoder))
    long_reference = _torch_says(encoder)
    ordered = sorted(presets, key=list(FILES).index)
    for name in track(ordered, total=len(ordered), description="proving", unit="files"):
        file = folder / "onnx" / FILES[name]
        graph = check_graph(file)
        runtime = load(folder, precision=_precision(name))
        runtime.allow_nan = True  # told in the result
        alone, batched = _alone(runtime, texts), runtime.encode(texts, batch_size=32)
        cosines = _cosines(alone, reference)
        max_abs = float(np.abs(alone - reference).max())
        mean, least = float(cosines.mean()), float(cosines.min())
        finite = all(np.isfinite(vectors).all() for vectors in (alone, batched, reference))
        fp32 = name == "fp32"
        says = session_says(file, (OUTPUT,))
        long = long_differences(says, long_reference, feeds, by_token=False)
        models[name] = {
            "file": f"{prefix}onnx/{FILES[name]}",
            "reference": "torch" if fp32 else "fp32",
            "max_abs": max_abs if finite else None,
            "mean_cosine": mean if finite else None,
            "min_cosine": least if finite else None,
            "label_agreement": None,
            "batch_invariance": float(_cosines(alone, batched).min()) if finite else None,
            "nodes": {} if fp32 else dict(quantized_nodes(onnx.load(file))),
            "graph": graph,
            "long_inputs": long,
            "gate": f"max_abs <= {MAX_ABS:g}" if fp32 else f"mean_cosine >= {MEAN_COSINE[name]:g}",
            "passed": finite and (max_abs <= MAX_ABS and long_passed(long, MAX_ABS) if fp32 else mean >= MEAN_COSINE[name]),
        }
        models[name] |= {"invariance": invariance(folder / "onnx" / FILES[name], texts, alone)}
        models[name] |= budget_gate(folder, name, models[name])
        if fp32:
            reference, long_reference = alone, says
    write_json(folder / "onnx" / GATES, {name: model["passed"] for name, model in models.items()})
    return with_search({"schema_version": 1, "sentences": len(texts), "models": models}, folder)


def session_says(file: Path, outputs: Sequence[str]) -> Says:
    """An exported file as a function of a batch."""
    session = open_session(file, outputs=outputs)
    return lambda feed: session.run(list(outputs), dict(feed))


def _torch_says(encoder: SentenceTransformer) -> Says:
    """The torch model as a function of a batch."""
    import torch

    def says(feed: Feed) -> list[np.ndarray]:
        features = {name: torch.from_numpy(value).to(encoder.device) for name, value in feed.items()}
        with torch.no_grad():
            return [encoder(features)["sentence_embedding"].float().cpu().numpy()]

    return says


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row to its counterpart, [n]. Zero and zero agree: a token table says that of a text it cannot read."""
    return np.where(first.any(1) | second.any(1), row_cosines(first, second), 1.0)


def _alone(runtime: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Each sentence in a batch of its own, [n, d]."""
    return np.concatenate([runtime.encode([text], batch_size=1) for text in texts])


def _precision(name: str) -> Any:
    """A preset's name as the literal type that `load` takes."""
    return name
