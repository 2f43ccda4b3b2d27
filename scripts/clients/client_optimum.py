"""optimum's classes for ONNX, and sentence-transformers' own ONNX backend, which stands on them."""

from __future__ import annotations

from typing import Any

import asking
import optimum.onnxruntime as optimum
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, pipeline

CLASSES = {
    "embedding": "ORTModelForFeatureExtraction",
    "classification": "ORTModelForSequenceClassification",
    "tokens": "ORTModelForTokenClassification",
    "spans": "ORTModelForQuestionAnswering",
}


def network_of(model: asking.Found, file: str, name: str) -> Any:
    return getattr(optimum, name).from_pretrained(model["folder"], subfolder="onnx", file_name=file)


def direct(model: asking.Found, file: str, name: str) -> asking.Found:
    """A class of optimum on what the tokenizer gives."""
    tokenizer = AutoTokenizer.from_pretrained(model["folder"])
    network = network_of(model, file, name)

    def run(rows: list[Any]) -> list[Any]:
        first = [row[0] if model["kind"] == "spans" else model["prompt"] + row for row in rows]
        second = [row[1] for row in rows] if model["kind"] == "spans" else None
        batch = tokenizer(first, second, padding=True, truncation=True, return_tensors="pt")
        found, mask = network(**batch), batch["attention_mask"]
        if name == "ORTModelForCustomTasks":
            return found["sentence_embedding"].tolist()
        if model["kind"] == "embedding":
            weight = mask.unsqueeze(-1)
            mean = (found.last_hidden_state * weight).sum(1) / weight.sum(1)
            return torch.nn.functional.normalize(mean, dim=-1).tolist()
        if model["kind"] == "classification":
            return found.logits.tolist()
        parts = [found.logits] if model["kind"] == "tokens" else [found.start_logits, found.end_logits]
        return [torch.cat([part[at][mask[at].bool()].flatten() for part in parts]).tolist() for at in range(len(mask))]

    return {"single": [run([row])[0] for row in model["inputs"]], "batch": run(model["inputs"])}


def encoded(model: asking.Found, file: str) -> asking.Found:
    """SentenceTransformer(folder, backend="onnx")."""
    options = {"file_name": f"onnx/{file}", "provider": "CPUExecutionProvider"}
    encoder = SentenceTransformer(model["folder"], backend="onnx", device="cpu", model_kwargs=options)
    texts = model["inputs"]
    single = encoder.encode(texts, batch_size=1).tolist()
    known = asking.strips(encoder, model["prompt"])
    if any(type(module).__name__ == "Dense" for module in encoder):
        known = {"known": "it projects in PyTorch, by weights that the file has in 8 bits"}
    return {"single": single, "batch": encoder.encode(texts, batch_size=len(texts)).tolist(), **known}


def classified(model: asking.Found, file: str) -> asking.Found:
    """A pipeline of transformers over a class of optimum."""
    network = network_of(model, file, CLASSES["classification"])
    classify = pipeline("text-classification", network, tokenizer=AutoTokenizer.from_pretrained(model["folder"]), top_k=None)
    found = [{row["label"]: row["score"] for row in classify([text], truncation=True)[0]} for text in model["asked"]]
    return {"says": [[row[label] for label in model["labels"]] for row in found]}


def ask(job: asking.Found) -> list[asking.Found]:
    """Every model but a static one, which neither transformers nor optimum knows."""
    answers = []
    for model in job["models"]:
        for format_, file in asking.FILES.items():
            ways = {}
            if model["kind"] == "embedding" and model["torch"]:
                ways['SentenceTransformer(backend="onnx")'] = lambda: encoded(model, file)  # noqa: B023
                ways["ORTModelForCustomTasks"] = lambda: direct(model, file, "ORTModelForCustomTasks")  # noqa: B023
            if model["kind"] != "embedding" or model["pooled"]:
                name = CLASSES[model["kind"]]
                ways[name] = lambda name=name: direct(model, file, name)  # noqa: B023
            if model["kind"] == "classification":
                ways["pipeline text-classification"] = lambda: classified(model, file)  # noqa: B023
            answers += [asking.tried(model, way, format_, found) for way, found in ways.items()]
    return answers


if __name__ == "__main__":
    asking.main(ask, "optimum-onnx", "optimum", "sentence-transformers", "transformers", "onnxruntime", "torch")
