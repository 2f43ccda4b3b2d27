"""Each family is exported once, for all workers of a test run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny
from sentence_transformers import SentenceTransformer

PRESETS = ("fp32", "fast", "faithful", "portable")


class Exported(NamedTuple):
    """A model in torch, and the folder that it was exported to."""

    model: SentenceTransformer
    folder: Path

    def onnx(self, preset: str = "fp32") -> Path:
        from distill.export.quantize import FILES

        return self.folder / "onnx" / FILES[preset]


def build(family: str) -> SentenceTransformer:
    """The small model that is exported for `family`: the same weights every time. Bert has a bridge behind the pooling."""
    layers = 2 if family in ("bert", "modernbert", "albert") else 1  # local after global attention, shared weights
    return tiny.sentence_transformer(family, layers=layers, dim=24 if family == "bert" else None)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """exported(family) -> Exported, every preset; made at the first call."""
    from distill.export.onnx import write_presets
    from distill.export.parity import check_parity, probe_sentences
    from distill.files import atomic_folder, lock, write_json
    from students.build import save_student

    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "exported"
    models: dict[str, SentenceTransformer] = {}

    def get(family: str) -> Exported:
        model = models.setdefault(family, build(family))
        with lock(root / f"{family}.lock", "a test's export", wait=True):
            if not (root / family).exists():
                with atomic_folder(root / family) as folder:
                    save_student(model, folder)
                    write_presets(model, folder, PRESETS, 20, probe_sentences())
                    write_json(folder / "parity.json", check_parity(model, folder, PRESETS, probe_sentences(48)))
        return Exported(model, root / family)

    return get


class Headed(NamedTuple):
    """A task model in torch with its tokenizer, and the folder that it was exported to."""

    model: Any
    tokenizer: Any
    folder: Path
    task: str

    def onnx(self, preset: str = "fp32") -> Path:
        from distill.export.quantize import FILES

        return self.folder / "onnx" / FILES[preset]


def build_head(family: str, task: str, labels: int = 3) -> tuple[Any, Any]:
    """A small random task model and its tokenizer. Its head is large, so that its decisions are clear ones."""
    import torch
    import transformers

    words = tiny.tokenizer("bert" if family == "bilstm" else family)
    if family == "bilstm":
        from students.bilstm import BiLSTMConfig, build_bilstm

        sizes = {"embedding_dim": 24, "hidden_size": 16, "classifier_size": 20, "skip_token_ids": [2, 3]}
        config = BiLSTMConfig(
            len(words), siamese=True, num_labels=1 if task == "regression" else labels, pad_token_id=0, sep_token_id=3, **sizes
        )
        return build_bilstm(config, seed=3), words
    kind = {"tokens": "TokenClassification", "spans": "QuestionAnswering"}.get(task, "SequenceClassification")
    config = tiny._config(family, 1, 32, 4, 64, len(words))
    config.num_labels = {"spans": 2, "regression": 1}.get(task, labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = getattr(transformers, f"AutoModelFor{kind}").from_config(config).eval()
        model.get_input_embeddings().weight.data *= 8
    return model, words


@pytest.fixture(scope="session")
def task_model():
    """task_model(family, task, labels) -> a small random task model and its tokenizer."""
    return build_head


@pytest.fixture(scope="session")
def headed(tmp_path_factory):
    """headed(family, task) -> Headed, every preset; made at the first call."""
    from distill.export.heads import write_head_presets
    from distill.files import atomic_folder, lock

    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "headed"

    def get(family: str, task: str = "classification") -> Headed:
        name = f"{family}-{task}"
        model, words = build_head(family, task)
        with lock(root / f"{name}.lock", "a test's export", wait=True):
            if not (root / name).exists():
                with atomic_folder(root / name) as folder:
                    model.save_pretrained(folder)
                    words.save_pretrained(folder)
                    write_head_presets(model, words, folder, PRESETS)
        return Headed(model, words, root / name, task)

    return get
