"""transformers on PyTorch: the auto classes, and the pipelines of every task."""

from __future__ import annotations

from typing import Any

import asking
import torch
import transformers
from transformers import AutoTokenizer, pipeline

CLASSES = {
    "embedding": "AutoModel",
    "classification": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
}


def flat(kind: str, found: Any, mask: Any) -> list[Any]:
    """Logits of the real tokens, one flat list an input."""
    if kind == "classification":
        return found.logits.tolist()
    parts = [found.logits] if kind == "tokens" else [found.start_logits, found.end_logits]
    return [torch.cat([part[at][mask[at].bool()].flatten() for part in parts]).tolist() for at in range(len(mask))]


def pooled(states: Any, mask: Any) -> Any:
    """The mean of the real tokens' states, of length 1."""
    mask = mask.unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def direct(model: asking.Found) -> asking.Found:
    """The auto class on what the tokenizer gives."""
    with asking.warnings_kept() as said:
        tokenizer = AutoTokenizer.from_pretrained(model["folder"])
        network = getattr(transformers, CLASSES[model["kind"]]).from_pretrained(model["folder"]).eval()

    def run(rows: list[Any]) -> list[Any]:
        first = [row[0] if model["kind"] == "spans" else model["prompt"] + row for row in rows]
        second = [row[1] for row in rows] if model["kind"] == "spans" else None
        batch = tokenizer(first, second, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            found = network(**batch)
        if model["kind"] == "embedding":
            return pooled(found.last_hidden_state, batch["attention_mask"]).tolist()
        return flat(model["kind"], found, batch["attention_mask"])

    single = [run([row])[0] for row in model["inputs"]]
    limits = {"model_max_length": tokenizer.model_max_length}
    return {"single": single, "batch": run(model["inputs"]), "limits": limits, "warnings": said}


def extracted(model: asking.Found) -> asking.Found:
    """The pipeline feature-extraction, then mean and normalisation."""
    extract = pipeline("feature-extraction", model["folder"], device="cpu")
    rows = []
    for text in model["inputs"]:
        states = torch.tensor(extract(model["prompt"] + text, truncation=True))
        rows.append(pooled(states, torch.ones(states.shape[:2]))[0].tolist())
    return {"single": rows}


def says(model: asking.Found) -> asking.Found:
    """What the pipeline of the task says of each input."""
    if model["kind"] == "classification":
        classify = pipeline("text-classification", model["folder"], device="cpu", top_k=None)
        found = [{row["label"]: row["score"] for row in classify([text], truncation=True)[0]} for text in model["asked"]]
        return {"says": [[row[label] for label in model["labels"]] for row in found]}
    if model["kind"] == "tokens":
        tag = pipeline("token-classification", model["folder"], device="cpu")
        return {"says": [[[row["entity"], float(row["score"])] for row in tag(text)] if text else [] for text in model["asked"]]}
    if transformers.__version__ >= "5":
        return {"cannot": "transformers 5 has no question-answering pipeline; the auto class works"}
    answer = pipeline("question-answering", model["folder"], device="cpu")
    found = [answer(question=question, context=context, align_to_words=False) for question, context in model["asked"]]
    return {"says": [[row["answer"], row["score"]] for row in found]}


def ask(job: asking.Found) -> list[asking.Found]:
    """Every model that transformers' own classes read whole: not one with a projection after them, nor a static one."""
    answers = []
    for model in job["models"]:
        if model["kind"] != "embedding":
            name = {"classification": "text-classification", "tokens": "token-classification", "spans": "question-answering"}
            answers.append(asking.tried(model, CLASSES[model["kind"]], "torch", lambda model=model: direct(model)))
            answers.append(asking.tried(model, f"pipeline {name[model['kind']]}", "torch", lambda model=model: says(model)))
        elif model["pooled"]:
            answers.append(asking.tried(model, "AutoModel, mean, normalised", "torch", lambda model=model: direct(model)))
            answers.append(asking.tried(model, "pipeline feature-extraction", "torch", lambda model=model: extracted(model)))
    return answers


if __name__ == "__main__":
    asking.main(ask, "transformers", "tokenizers", "torch")
