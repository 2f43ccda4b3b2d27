"""One system, one process: teach a small encoder the stored vectors of a teacher, tell how long it took and how close it came.

    python embed_distill_worker.py '{"system": "distill", "folder": ..., "epochs": 3, "batch": 32, "threads": 2, "seed": 0, ...}'

The folder holds student/ (for sentence-transformers), texts.json and vectors.npy. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from distill.measure.hardware import peak_rss_mb

RATE = 5e-4
DEV = 64
"""Sentences that this project's trainer judges its student by once an epoch; its time counts."""


def of_distill(job: dict[str, Any], model: SentenceTransformer, texts: list[str], vectors: np.ndarray) -> float:
    """This project's trainer: tokenized once, batches of like length."""
    from distill.recipe import Recipe, normalise
    from distill.train.engine import TrainingData, train_student
    from students.build import Student

    stage = {"losses": ["embedding_mse"], "epochs": job["epochs"], "batch_size": job["batch"], "learning_rate": RATE}
    settings = {"precision": "fp32", "patience": None, "evaluate_every": 1.0, "weight_decay": 0, "dropout": None}
    recipe = Recipe.model_validate(
        normalise(
            {
                "name": "bench",
                "teacher": "unused",
                "data": {"train": "unused.txt"},
                "student": {"layers": len(model[0].auto_model.encoder.layer)},
                "seed": job["seed"],
                "stages": [stage],
                "train": settings,
            }
        )
    )
    student = Student(model, None, list(range(recipe.student.layers)), recipe.student.layers, "none")  # type: ignore[union-attr]
    data = TrainingData(texts, texts[:DEV], lambda rows: vectors[rows], vectors[:DEV])
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        train_student(recipe, student, data, teacher_normalizes=False, work=Path(folder) / "work", log=Path(folder) / "log.jsonl")
        return time.perf_counter() - begin


def of_sentence_transformers(job: dict[str, Any], model: SentenceTransformer, texts: list[str], vectors: np.ndarray) -> float:
    """SentenceTransformerTrainer with MSELoss, the vectors as labels, as its documentation has it."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MSELoss

    rows = Dataset.from_dict({"sentence": texts, "label": vectors.tolist()})
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        steps = -(-len(texts) // job["batch"]) * job["epochs"]
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=job["epochs"],
            per_device_train_batch_size=job["batch"],
            learning_rate=RATE,
            warmup_steps=-(-steps // 10),
            save_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
            seed=job["seed"],
            use_cpu=True,
        )
        SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=MSELoss(model)).train()
        return time.perf_counter() - begin


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    folder = Path(job["folder"])
    texts = json.loads((folder / "texts.json").read_text("utf-8"))
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    model = SentenceTransformer(str(folder / "student"), device="cpu")
    count = job["rows"]
    run = of_distill if job["system"] == "distill" else of_sentence_transformers
    before = peak_rss_mb()
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = run(job, model, texts[:count], vectors[:count])
    peak = peak_rss_mb()
    unseen = model.eval().encode(texts[count:], batch_size=32, show_progress_bar=False)
    found = {
        "seconds": round(seconds, 3),
        "sentences_per_second": round(count * job["epochs"] / seconds, 2),
        "peak_rss_mb": peak,
        "peak_rss_before_training_mb": before,
        "dev_mse": round(float(((unseen - vectors[count:]) ** 2).mean()), 6),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
