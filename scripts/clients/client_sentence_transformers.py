"""sentence-transformers on PyTorch: SentenceTransformer(folder).encode(texts)."""

from __future__ import annotations

import asking
from sentence_transformers import SentenceTransformer


def found(model: asking.Found) -> asking.Found:
    """Vectors of one model, one text at a time and all at once."""
    with asking.warnings_kept() as said:
        encoder = SentenceTransformer(model["folder"], device="cpu")
        tokenizer = encoder.tokenizer
    said = [line for line in said if not line.startswith("Default prompt name is set")]  # 5.x tells of every default prompt
    texts = model["inputs"]
    limits = {"max_seq_length": encoder.max_seq_length, "model_max_length": getattr(tokenizer, "model_max_length", None)}
    if limits["model_max_length"] is None:  # a static model has a tokenizer of the tokenizers library
        limits = {"truncation": tokenizer.truncation["max_length"]}
    single = encoder.encode(texts, batch_size=1).tolist()
    known = asking.strips(encoder, model["prompt"])
    batch = encoder.encode(texts, batch_size=len(texts)).tolist()
    return {"single": single, "batch": batch, "limits": limits, "warnings": said, **known}


def ask(job: asking.Found) -> list[asking.Found]:
    """Every encoder."""
    encoders = [model for model in job["models"] if model["kind"] == "embedding"]
    return [asking.tried(model, "SentenceTransformer", "torch", lambda model=model: found(model)) for model in encoders]


if __name__ == "__main__":
    asking.main(ask, "sentence-transformers", "transformers", "torch")
