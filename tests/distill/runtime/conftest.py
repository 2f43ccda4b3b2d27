"""Exported folders of every task, made once: small real models with random weights."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import pytest
import tiny


class Headed(NamedTuple):
    model: Any
    tokenizer: Any
    folder: Any


SHAPE = {"layers": 2, "positions": 64}
CLASSES = {
    "classification": ("AutoModelForSequenceClassification", tiny.LABELS),
    "regression": ("AutoModelForSequenceClassification", ("score",)),
    "tokens": ("AutoModelForTokenClassification", ("O", "B-PER", "I-PER", "B-WHERE", "I-WHERE")),
    "spans": ("AutoModelForQuestionAnswering", ("0", "1")),
}


@pytest.fixture(scope="session")
def headed(tmp_path_factory):
    """headed(task) -> torch model, tokenizer, exported folder (fp32); `pairs` is a siamese BiLSTM."""
    import torch

    from distill.export.heads import write_head_presets
    from students.heads import save_head_student

    @functools.cache
    def make(task):
        folder = tmp_path_factory.mktemp(task)
        model, words = bilstm() if task == "pairs" else transformer(task, folder / "start")
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "classifier" in name or "qa_outputs" in name:  # decisions that differ from row to row
                    weight *= 30
            if task == "classification":
                some = words(tiny.ENGLISH[:30], padding=True, return_tensors="pt")
                model.classifier.bias -= model(**some).logits.mean(0)
        save_head_student(model, words, folder / "student", max_length=48)
        write_head_presets(model, words, folder / "student", ("fp32",))
        return Headed(model, words, folder / "student")

    return make


def transformer(task, start):
    import transformers

    kind, labels = CLASSES[task]
    tiny.write_classifier(start, labels, auto_class=kind, **SHAPE)
    model = getattr(transformers, kind).from_pretrained(start).eval()
    if task == "regression":
        model.config.problem_type = "regression"
    return model, transformers.AutoTokenizer.from_pretrained(start)


def bilstm():
    from students.bilstm import BiLSTMConfig, build_bilstm

    words = tiny.tokenizer("bert", 48)
    labels = {"id2label": {0: "other", 1: "same"}, "label2id": {"other": 0, "same": 1}, "num_labels": 2}
    special = {"pad_token_id": words.pad_token_id, "cls_token_id": words.cls_token_id, "sep_token_id": words.sep_token_id}
    config = BiLSTMConfig(
        len(words),
        embedding_dim=16,
        hidden_size=12,
        siamese=True,
        problem_type="single_label_classification",
        **labels,
        **special,
    )
    return build_bilstm(config, seed=3), words
