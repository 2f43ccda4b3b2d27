"""fastembed: a custom model whose own output is the vector, without pooling."""

from __future__ import annotations

import asking
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType


def found(model: asking.Found, format_: str) -> asking.Found:
    """Vectors of one model, one text at a time and all at once."""
    name = f"{model['name']}-{format_}"
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf=name),
        dim=model["dim"],
        model_file=f"onnx/{asking.FILES[format_]}",
        output_name="sentence_embedding",
    )
    encoder = TextEmbedding(name, specific_model_path=model["folder"], threads=1, cuda=False, local_files_only=True)
    texts = [model["prompt"] + text for text in model["inputs"]]
    single = [row.tolist() for row in encoder.embed(texts, batch_size=1)]
    return {"single": single, "batch": [row.tolist() for row in encoder.embed(texts, batch_size=len(texts))]}


def ask(job: asking.Found) -> list[asking.Found]:
    """Every encoder, every file."""
    return [
        asking.tried(model, "add_custom_model", format_, lambda model=model, format_=format_: found(model, format_))
        for model in job["models"]
        for format_ in asking.FILES
        if model["kind"] == "embedding"
    ]


if __name__ == "__main__":
    asking.main(ask, "fastembed", "onnxruntime", "tokenizers")
