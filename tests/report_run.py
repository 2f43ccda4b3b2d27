"""A synthetic run folder: the files a real run leaves, with numbers that can be checked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

SPEEDS = {"teacher": 14.4, "student": 7.6, "fp32": 4.1, "fast": 1.6, "faithful": 2.1}
SIZES = {"teacher": 90.9, "student": 69.6, "fp32": 69.5, "fast": 17.5, "faithful": 20.25}
STS = {"teacher": 0.8203, "student": 0.8061, "fp32": 0.8061, "fast": 0.8012, "faithful": 0.8059}
AGREEMENT = {"student": 0.9571, "fp32": 0.9571, "fast": 0.9502, "faithful": 0.9569}
FILES = {"fp32": "model.onnx", "fast": "model_quantized.onnx", "faithful": "model_faithful.onnx"}
GATES = {
    "fp32": ("student", "max_abs <= 1e-4"),
    "fast": ("fp32", "mean_cosine >= 0.98 and every expected node quantized"),
    "faithful": ("fp32", "mean_cosine >= 0.999"),
}


def recipe(name: str) -> dict[str, Any]:
    sts = {
        "source": "mteb/stsbenchmark-sts",
        "columns": None,
        "split": "test",
        "subset": None,
        "revision": "abc123",
        "kind": "sts",
    }
    losses = [{"weight": 1.0, "name": "embedding_cosine"}, {"weight": 20.0, "name": "similarity_matrix"}]
    return {
        "name": name,
        "seed": 42,
        "task": "embedding",
        "teacher": {"model": "sentence-transformers/all-MiniLM-L6-v2", "prompt": None, "max_length": 128},
        "data": {"train": [{"source": "python-docs", "limit": 20000}], "evaluate": {"sts-test": sts}},
        "student": {"kind": "layers", "from": "teacher", "layers": 3, "projection": "drop"},
        "stages": [{"name": "main", "losses": losses, "epochs": 2.0}],
        "train": {"engine": "trainer", "select_by": "agreement_spearman"},
        "measure": {"batch": [1, 32], "sequence": [32], "threads": [1]},
    }


def quality() -> dict[str, Any]:
    tasks = {
        "agreement": {"kind": "agreement", "metric": "spearman", "n": 1000},
        "sts-test": {"kind": "sts", "metric": "spearman_cosine", "n": 1379},
    }
    models: dict[str, Any] = {name: {} for name in STS}
    for name, value in STS.items():
        models[name]["sts-test"] = {
            "value": value,
            "ci95": [round(value - 0.018, 4), round(value + 0.017, 4)],
            "n": 1379,
            "retained": value / STS["teacher"],
            "details": {"pearson_cosine": value + 0.005, "spearman_cosine": value},
        }
    for name, value in AGREEMENT.items():
        details = {"mean_cosine": value + 0.01, "spearman": value, "top10_overlap": value - 0.2}
        models[name]["agreement"] = {
            "value": value,
            "ci95": [value - 0.004, value + 0.004],
            "n": 1000,
            "retained": None,
            "details": details,
        }
    return {"schema_version": 1, "tasks": tasks, "models": models}


def parity() -> dict[str, Any]:
    numbers = {"fp32": (3.1e-7, 0.99999999), "fast": (0.041, 0.9931), "faithful": (0.0062, 0.99987)}
    models = {
        name: {
            "file": f"student/onnx/{FILES[name]}",
            "reference": GATES[name][0],
            "max_abs": numbers[name][0],
            "mean_cosine": numbers[name][1],
            "min_cosine": numbers[name][1] - 0.002,
            "label_agreement": None,
            "batch_invariance": 0.9991,
            "nodes": {"MatMulInteger": 18} if name == "fast" else {},
            "passed": True,
            "gate": GATES[name][1],
        }
        for name in FILES
    }
    return {"schema_version": 1, "sentences": 256, "models": models}


def measure() -> dict[str, Any]:
    variants = []
    for name, p50 in SPEEDS.items():
        rows = [
            {
                "batch": batch,
                "sequence": 32,
                "threads": 1,
                "p50_ms": p50 * batch * (0.8 if batch > 1 else 1),
                "p90_ms": p50 * batch * 1.1,
                "p99_ms": p50 * batch * 1.3 if p50 * batch < 10 else None,
                "cpu_ms": p50 * batch * 0.99,
                "n": 120 if p50 * batch < 10 else 30,
                "sentences_per_s": 1000 / p50,
                "noisy": name == "student" and batch == 32,
                "samples_ms": [p50 * batch] * 3,
            }
            for batch in (1, 32)
        ]
        role = name if name in ("teacher", "student") else "export"
        path = {"teacher": "all-MiniLM-L6-v2", "student": "student"}.get(name, f"student/onnx/{FILES.get(name)}")
        variants.append(
            {
                "name": name,
                "role": role,
                "format": "onnx" if role == "export" else "torch",
                "path": path,
                "file_mb": SIZES[name],
                "load_ms": 100 * p50,
                "peak_rss_mb": 400 + 10 * p50,
                "latency": rows,
            }
        )
    environment = {
        "cpu": "Example CPU 3000",
        "flags": ["avx2", "avx512_vnni"],
        "cores": 2,
        "memory_gb": 7.8,
        "os": "Linux 6.1",
        "python": "3.11.9",
        "load_before": 0.12,
        "load_after": 0.98,
        "container": True,
        "packages": {"torch": "2.13.0", "onnxruntime": "1.31.1"},
    }
    grid = {"batch": [1, 32], "sequence": [32], "threads": [1], "min_runs": 30, "min_seconds": 1.0}
    return {"schema_version": 1, "environment": environment, "grid": grid, "variants": variants}


def manifest(name: str) -> dict[str, Any]:
    facts: dict[str, dict[str, Any]] = {
        "teacher": {
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "dim": 384,
            "layers": 6,
            "max_length": 128,
            "normalizes": True,
            "prompt": None,
            "params": 22713216,
            "embedding_params": 11720448,
            "file_mb": 90.9,
        },
        "data": {"train": 19000, "dev": 1000, "read": 20100, "duplicates": 88, "removed_evaluation": 12, "bad_rows": 0},
        "signals": {"computed": 15000, "reused": 5000},
        "student": {
            "layers": [0, 2, 5],
            "source_layers": 6,
            "params": 17389824,
            "embedding_params": 11720448,
            "projection": "none",
            "dim": 384,
        },
        "training": {
            "peak_rss_mb": 1510.2,
            "stages": [
                {
                    "name": "main",
                    "steps": 594,
                    "epochs": 2.0,
                    "seconds": 151.3,
                    "precision": "fp32",
                    "best_step": 500,
                    "best_value": 0.9571,
                    "select_by": "agreement_spearman",
                    "stopped": None,
                }
            ],
        },
    }
    seconds = {
        "teacher": 2.5,
        "data": 14.0,
        "signals": 60.0,
        "student": 0.5,
        "training": 151.3,
        "onnx": 20.0,
        "parity": 3.0,
        "quality": 18.0,
        "measure": 40.7,
    }
    return {
        "schema_version": 1,
        "name": name,
        "seed": 42,
        "toolkit": "0.1.0",
        "created": "2026-11-21T10:00:00",
        "finished": "2026-11-21T10:05:12",
        "packages": {"numpy": "2.4.6"},
        "hardware": {"cores": 2},
        "stages": [
            {"name": stage, "seconds": value, "key": "0" * 16, "outputs": {}, "facts": facts.get(stage, {})}
            for stage, value in seconds.items()
        ],
    }


def log() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for step in range(10, 600, 10):
        cosine, matrix = 0.4 / (1 + step / 60), 0.15 / (1 + step / 90)
        losses = {"embedding_cosine": cosine, "similarity_matrix": matrix}
        lines.append(
            {
                "stage": "main",
                "step": step,
                "epoch": step / 297,
                "loss": cosine + matrix,
                "losses": losses,
                "learning_rate": 3e-4,
                "grad_norm": 1.0,
            }
        )
        if step % 50 == 0:
            lines.append({"stage": "main", "step": step, "dev": {"agreement_spearman": 0.9571 - ((step - 500) / 500) ** 2 * 0.1}})
    return lines


class Run:
    """A run folder and the values it was written from; change them and `write` again."""

    def __init__(self, folder: Path, name: str = "quickstart") -> None:
        self.folder = folder
        self.recipe, self.manifest, self.log = recipe(name), manifest(name), log()
        self.quality, self.parity, self.measure = quality(), parity(), measure()

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(self.recipe, sort_keys=False), "utf-8")
        for name in ("manifest", "quality", "parity", "measure"):
            (self.folder / f"{name}.json").write_text(json.dumps(getattr(self, name)), "utf-8")
        (self.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.log), "utf-8")
        return self.folder

    def facts(self, stage: str) -> dict[str, Any]:
        return next(entry["facts"] for entry in self.manifest["stages"] if entry["name"] == stage)

    def variant(self, name: str) -> dict[str, Any]:
        return next(entry for entry in self.measure["variants"] if entry["name"] == name)


def predict(run: Run, rows: int = 120, texts: list[str] | None = None) -> dict[str, dict[str, list[Any]]]:
    """Predictions of every model on sts-test and on dev text, and the values in quality.json that are made of them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    gold = rng.integers(0, 26, rows) / 5
    pairs = [(f"First sentence {row}" + " more" * (row % 9), f"Second sentence {row}") for row in range(rows)]
    if texts:
        pairs = [(texts[row % len(texts)], second) for row, (_, second) in enumerate(pairs)]
    noise = {"teacher": 0.4, "student": 0.6, "fp32": 0.6, "fast": 0.7, "faithful": 0.6}
    shared, own = rng.normal(size=rows), rng.normal(size=rows)
    found: dict[str, dict[str, list[Any]]] = {}
    for name, size in noise.items():
        cosine = np.tanh(gold / 2 - 1 + size * shared * 0.5 + (0 if name == "teacher" else size * own * 0.3))
        columns = {
            "sentence1": [first for first, _ in pairs],
            "sentence2": [second for _, second in pairs],
            "score": gold.tolist(),
            "cosine": cosine.tolist(),
        }
        found[name] = columns
        place = run.folder / "predictions" / "sts-test" / f"{name}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), place)
        value = float(spearmanr(cosine, gold).statistic)
        part = run.quality["models"][name]["sts-test"]
        base = value if name == "teacher" else run.quality["models"]["teacher"]["sts-test"]["value"]
        part |= {"retained": value / base, "value": value, "ci95": [value - 0.05, value + 0.05], "n": rows}
        run.quality["tasks"]["sts-test"]["n"] = rows
        if name != "teacher":
            place = run.folder / "predictions" / "agreement" / f"{name}.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            sentences = [first for first, _ in pairs]
            pq.write_table(pa.table({"sentence": sentences, "cosine_to_teacher": rng.uniform(0.4, 1, rows).tolist()}), place)
    return found
