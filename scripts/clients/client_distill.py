"""This project's own runtime, where numpy, onnxruntime and tokenizers alone are installed."""

import asking
import distill


def found(model, precision):
    """Vectors of one model, one text at a time and all at once."""
    encoder = distill.load(model["folder"], precision=precision)
    texts = model["inputs"]
    batch = encoder.encode(texts, batch_size=len(texts)).tolist()
    return {"single": [encoder.encode([text])[0].tolist() for text in texts], "batch": batch, "limits": {"max_length": encoder.max_length}}


def ask(job):
    """Every encoder, every file."""
    return [
        asking.tried(model, "distill.load", precision, lambda model=model, precision=precision: found(model, precision))
        for model in job["models"]
        for precision in ("fp32", "fast", "faithful")
        if model["kind"] == "embedding"
    ]


asking.main(ask, "onnxruntime", "numpy", "tokenizers")
