"""sentence-transformers on PyTorch: SentenceTransformer(folder).encode(texts)."""

import asking

with asking.warnings_kept() as kept:
    from sentence_transformers import SentenceTransformer


def ask(model):
    """Vectors of one model, one text at a time and all at once."""
    with asking.warnings_kept() as said:
        encoder = SentenceTransformer(model["folder"], device="cpu")
        tokenizer = encoder.tokenizer
    texts = model["inputs"]
    limits = {"max_seq_length": encoder.max_seq_length, "model_max_length": getattr(tokenizer, "model_max_length", None)}
    if limits["model_max_length"] is None:  # a static model has a tokenizer of the tokenizers library
        limits = {"truncation": tokenizer.truncation["max_length"]}
    return asking.answer(
        model,
        "encode",
        "torch",
        single=encoder.encode(texts, batch_size=1).tolist(),
        batch=encoder.encode(texts, batch_size=len(texts)).tolist(),
        limits=limits,
        warnings=said,
    )


asking.main(lambda job: [ask(model) for model in job["models"] if model["kind"] == "embedding"], "sentence-transformers", "transformers", "torch")
