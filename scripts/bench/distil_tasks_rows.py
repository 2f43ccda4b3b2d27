"""What `distil_tasks.py` runs: its rows, its data sets, and how their teachers are trained."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.files import atomic_write

CUT3 = {"kind": "layers", "from": "teacher", "layers": 3}
TINY = {"kind": "tiny", "size": "4x312"}
HARD = {"name": "hard_label"}
SOFT = {"name": "soft_cross_entropy", "temperature": 2.0}
INNER = ["attention_mse", "hidden_mse", "embedding_layer_mse"]


def stage(losses: Sequence[Any], epochs: float, rate: float = 1e-4, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "losses": list(losses), "epochs": epochs, "batch_size": 32, "learning_rate": rate, **more}


def two_stages(inner: Sequence[Any], prediction: Sequence[Any], rate: float = 1e-4, **more: Any) -> list[dict[str, Any]]:
    return [stage(inner, 2, rate, "inner", **more), stage(prediction, 3, rate, "prediction")]


MINILM6 = {"kind": "layers", "from": "MODELS/minilm", "layers": 6, "vocabulary": {}}
BILSTM = {"kind": "bilstm", "dim": 300, "hidden": 150}
E5_CUT = {"kind": "layers", "from": "teacher", "layers": 4, "vocabulary": {}}
LSTM_PLAIN = [stage([HARD], 8, 1e-3)]
LSTM_KD = [stage(["logits_mse"], 8, 1e-3)]
ABLATIONS = {
    "attention": ["hidden_mse", "embedding_layer_mse"],
    "hidden": ["attention_mse", "embedding_layer_mse"],
    "embedding": ["attention_mse", "hidden_mse"],
}

TASKS = {"sst2": "classification", "nsmc": "classification", "wnut": "tokens", "korquad": "spans"}
FINETUNE = {
    "minilm": {"epochs": 4, "batch_size": 32, "learning_rate": 2e-4},
    "mpnet": {"epochs": 1, "batch_size": 32, "learning_rate": 3e-5},
    "e5": {"epochs": 2, "batch_size": 32, "learning_rate": 5e-5},
}
FINETUNE_LONGER = {("wnut", "minilm"): 8, ("korquad", "e5"): 3}
PLAIN = [stage([HARD], 3)]
BOTH = [stage([SOFT, {**HARD, "weight": 0.5}], 3)]


def rows() -> dict[str, dict[str, Any]]:
    """Every row: its data set, teacher, student and stages.

    Rows with `unlabelled` also learn what the teacher says of 20,000 phrases.
    """
    return {**_english(), **_others(), **_ablations()}


def _english() -> dict[str, dict[str, Any]]:
    """SST-2, procedure by procedure."""
    return {
        # SST-2, MiniLM's layers 0, 2 and 5 under a fine-tuned MiniLM
        "sst2-cut3-labels": {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": PLAIN},
        "sst2-cut3-kd": {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": BOTH},
        "sst2-cut3-tinybert": {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": two_stages(INNER, [SOFT])},
        # SST-2, at most a fifth of mpnet's parameters; the tokenizers differ, so predictions alone teach
        "sst2-minilm6-labels": {"set": "sst2", "teacher": "mpnet", "student": MINILM6, "stages": PLAIN},
        "sst2-minilm6-kd": {"set": "sst2", "teacher": "mpnet", "student": MINILM6, "stages": BOTH},
        "sst2-minilm6-kdphrases": {"set": "sst2", "teacher": "mpnet", "student": MINILM6, "stages": BOTH, "unlabelled": True},
        "sst2-bilstm-labels": {"set": "sst2", "teacher": "mpnet", "student": BILSTM, "stages": LSTM_PLAIN},
        "sst2-bilstm-kd": {"set": "sst2", "teacher": "mpnet", "student": BILSTM, "stages": LSTM_KD, "unlabelled": True},
        # the other procedures
        "sst2-cut3-pkd": {
            "set": "sst2",
            "teacher": "minilm",
            "student": CUT3,
            "stages": [
                stage([{**HARD, "weight": 0.5}, {**SOFT, "weight": 0.5}, {"name": "pkd", "weight": 0.5}], 3, layer_map="skip")
            ],
        },
        "sst2-cut3-ckd": {
            "set": "sst2",
            "teacher": "minilm",
            "student": CUT3,
            "stages": [stage([SOFT, {"name": "ckd_word", "pair": 5.0, "triple": 10.0}, "ckd_layer"], 3)],
        },
        "sst2-cut3-minilm2": {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": two_stages(["minilm_v2"], [SOFT])},
        "sst2-cut3-distilbert": {
            "set": "sst2",
            "teacher": "minilm",
            "student": CUT3,
            "stages": [stage([{**SOFT, "weight": 2.5}, HARD, "hidden_cosine"], 3, layer_map="last")],
        },
        "sst2-4x312-labels": {"set": "sst2", "teacher": "minilm", "student": TINY, "stages": [stage([HARD], 5, 3e-4)]},
        "sst2-4x312-tinybert": {"set": "sst2", "teacher": "minilm", "student": TINY, "stages": two_stages(INNER, [SOFT], 3e-4)},
        "sst2-4x312-trimmed": {
            "set": "sst2",
            "teacher": "minilm",
            "student": {**TINY, "vocabulary": {"size": 10000}},
            "stages": two_stages(INNER, [SOFT], 3e-4),
        },
    }


def _others() -> dict[str, dict[str, Any]]:
    """Korean reviews, entities, and answers."""
    return {
        # NSMC under multilingual e5, whose vocabulary is trimmed to the corpus
        "nsmc-cut4-labels": {"set": "nsmc", "teacher": "e5", "student": E5_CUT, "stages": PLAIN},
        "nsmc-cut4-kd": {"set": "nsmc", "teacher": "e5", "student": E5_CUT, "stages": BOTH},
        "nsmc-cut4-tinybert": {"set": "nsmc", "teacher": "e5", "student": E5_CUT, "stages": two_stages(INNER, [SOFT])},
        "nsmc-bilstm-labels": {"set": "nsmc", "teacher": "e5", "student": BILSTM, "stages": LSTM_PLAIN},
        "nsmc-bilstm-kd": {"set": "nsmc", "teacher": "e5", "student": BILSTM, "stages": LSTM_KD},
        # entities and answers
        "wnut-cut3-labels": {"set": "wnut", "teacher": "minilm", "student": CUT3, "stages": [stage([HARD], 6, 1e-4)]},
        "wnut-cut3-tinybert": {
            "set": "wnut",
            "teacher": "minilm",
            "student": CUT3,
            "stages": [
                stage(INNER, 2, 1e-4, "inner"),
                stage([{"name": "kl_divergence", "temperature": 2}, HARD], 5, 1e-4, "prediction"),
            ],
        },
        "korquad-cut6-tinybert": {
            "set": "korquad",
            "teacher": "e5",
            "student": {**E5_CUT, "layers": 6},
            "stages": [
                stage(INNER, 1, 1e-4, "inner"),
                stage([{"name": "kl_divergence", "temperature": 2}, HARD], 2, 1e-4, "prediction"),
            ],
        },
    }


def _ablations() -> dict[str, dict[str, Any]]:
    """`sst2-cut3-tinybert` without one of its losses; in place of the teacher's predictions it has gold labels."""
    found = {
        f"sst2-cut3-without-{name}": {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": two_stages(inner, [SOFT])}
        for name, inner in ABLATIONS.items()
    }
    hard = {"set": "sst2", "teacher": "minilm", "student": CUT3, "stages": two_stages(INNER, [HARD])}
    return {**found, "sst2-cut3-without-prediction": hard}


def sources(data: Path, work: Path) -> dict[str, dict[str, Any]]:
    """Overrides that name each data set; splits that are ours are written below `work`."""
    sst2 = {"columns": [0, 1], "header": False}
    nsmc = _split_nsmc(data / "nsmc" / "train_sample.txt.gz", work)
    korquad = _split_korquad(data / "korquad" / "KorQuAD_v1.0_dev.json.gz", work)
    return {
        "sst2": {
            "data.train": {"source": str(data / "sst2" / "train.tsv"), **sst2},
            "data.evaluate": {"test": {"source": str(data / "sst2" / "dev.tsv"), **sst2}},
        },
        "nsmc": {
            "data.train": {"source": str(nsmc[0]), "columns": ["document", "label"]},
            "data.evaluate": {"test": {"source": str(nsmc[1]), "columns": ["document", "label"]}},
        },
        "wnut": {
            "data.train": str(data / "wnut17" / "wnut17train.conll"),
            "data.evaluate": {"test": str(data / "wnut17" / "emerging.dev.conll")},
        },
        "korquad": {
            "data.train": str(korquad[0]),
            "data.evaluate": {"test": str(korquad[1])},
            "data.answer_unit": "character",
            "teacher.max_length": 256,
        },
    }


def _split_nsmc(path: Path, work: Path) -> tuple[Path, Path]:
    """The first 10,000 rows for training, the next 5,000 for the test; rows without text are left out."""
    parts = work / "nsmc-train.tsv", work / "nsmc-test.tsv"
    if not all(part.exists() for part in parts):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            head, *lines = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        kept = [line for line in lines if len(line) == 3 and line[1].strip()]
        for part, chosen in zip(parts, (kept[:10_000], kept[10_000:15_000]), strict=True):
            atomic_write(part, "".join("\t".join(line) + "\n" for line in [head, *chosen]))
    return parts


def _split_korquad(path: Path, work: Path) -> tuple[Path, Path]:
    """Whole articles: about 3,000 questions for training, about 1,000 others for the test."""
    parts = work / "korquad-train.json", work / "korquad-test.json"
    if not all(part.exists() for part in parts):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            whole = json.load(stream)
        count, chosen = 0, ([], [])
        for article in whole["data"]:
            size = sum(len(paragraph["qas"]) for paragraph in article["paragraphs"])
            if count < 4000:
                chosen[0 if count < 3000 else 1].append(article)
            count += size
        for part, articles in zip(parts, chosen, strict=True):
            atomic_write(part, json.dumps({"version": whole.get("version"), "data": articles}, ensure_ascii=False))
    return parts
