"""Run folders with predictions, for tests of comparisons: their quality is what the predictions give."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distill.evaluate.ranks import spearman

ROWS = 400


def _report_runs():
    """`Run` of the report's tests: the files of a run folder."""
    path = Path(__file__).resolve().parent / "distill" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_runs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Run


class PredictedRun(_report_runs()):
    """A run folder with predictions of every model on the set sts-test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rng = np.random.default_rng(0)
        self.scores = np.round(rng.uniform(0, 5, ROWS), 1)
        shared = rng.normal(size=ROWS)
        self.cosines: dict[str, np.ndarray] = {
            name: self.scores / 5 + 0.12 * shared + noise * rng.normal(size=ROWS)
            for name, noise in (("teacher", 0.01), ("student", 0.05), ("fp32", 0.05), ("fast", 0.06), ("faithful", 0.05))
        }
        self.samples(1.0)

    def samples(self, factor: float) -> None:
        """Raw times of every row, `factor` times what they were."""
        rng = np.random.default_rng(1)
        for variant in self.measure["variants"]:
            for row in variant["latency"]:
                times = row["p50_ms"] * factor * rng.lognormal(0, 0.05, 60)
                row.update(p50_ms=float(np.median(times)), samples_ms=[round(float(value), 4) for value in times], noisy=False)

    def worse(self, noise: float, seed: int = 3) -> None:
        """Every model's similarities with noise on top."""
        rng = np.random.default_rng(seed)
        self.cosines = {name: values + noise * rng.normal(size=ROWS) for name, values in self.cosines.items()}

    def write(self) -> Path:
        for name, cosine in self.cosines.items():
            value = spearman(cosine, self.scores)
            entry = self.quality["models"][name]["sts-test"]
            entry.update(value=value, ci95=[value - 0.02, value + 0.02], n=len(cosine))
        folder = super().write()
        for name, cosine in self.cosines.items():
            write_predictions(folder, "sts-test", name, self.rows(cosine))
        return folder

    def rows(self, cosine: np.ndarray) -> dict[str, Any]:
        numbers = range(len(cosine))
        first, second = ([f"{side} {number}" for number in numbers] for side in ("first", "second"))
        return {"sentence1": first, "sentence2": second, "score": self.scores, "cosine": cosine}


def write_predictions(folder: Path, task: str, model: str, columns: dict[str, Any]) -> Path:
    """predictions/<task>/<model>.parquet."""
    path = folder / "predictions" / task / f"{model}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def change(folder: Path, file: str, edit) -> None:
    """Edit a JSON file of a run in place."""
    value = json.loads((folder / file).read_text("utf-8"))
    edit(value)
    (folder / file).write_text(json.dumps(value), "utf-8")


def same_as_itself(run: Path, scratch: Path) -> dict[str, str]:
    """Compares a real run with its copy: its predictions give the quality that it noted, and nothing differs.

    Returns:
        Evaluation set -> the metric that was compared, of the sets that can be.
    """
    import distill

    copy = shutil.copytree(run, scratch / "copy", ignore=shutil.ignore_patterns("student", "teacher", "data"))
    found = distill.compare_runs([run, copy], model="student", max_quality_drop=0.0)
    assert found.passed, found.rules
    compared = [row for row in found.quality if row.note is None]
    assert all((row.difference, row.ci95) == (0.0, (0.0, 0.0)) for row in compared)
    return {row.task: row.metric for row in compared}
