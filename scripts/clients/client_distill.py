"""This project's own runtime, where numpy, onnxruntime and tokenizers alone are installed."""

from __future__ import annotations

import asking

import distill


def found(model: asking.Found, precision: str) -> asking.Found:
    """Vectors of one model, one text at a time and all at once."""
    encoder = distill.load(model["folder"], precision=precision)
    texts = model["inputs"]
    batch = encoder.encode(texts, batch_size=len(texts)).tolist()
    return {
        "single": [encoder.encode([text])[0].tolist() for text in texts],
        "batch": batch,
        "limits": {"max_length": encoder.max_length},
    }


def ask(job: asking.Found) -> list[asking.Found]:
    """Every encoder, every file."""
    return [
        asking.tried(model, "distill.load", precision, lambda model=model, precision=precision: found(model, precision))
        for model in job["models"]
        for precision in asking.FILES
        if model["kind"] == "embedding"
    ]


if __name__ == "__main__":
    asking.main(ask, "onnxruntime", "numpy", "tokenizers")
