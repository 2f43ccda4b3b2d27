"""The bench of labels in bf16, on a small model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import tiny

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench" / "label_precision.py"


def test_one_model_in_both_precisions(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # as the script itself finds its neighbours
    spec = importlib.util.spec_from_file_location("label_precision", SCRIPT)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = bench.compare(tiny.saved(tmp_path / "model"), tiny.SENTENCES[:40], rounds=2)
    assert 0.99 < found["cosine_lowest"] <= found["cosine_mean"] < 1
    assert 0 < found["largest_change_of_a_similarity"] < 0.05
    speed = found["times_as_fast"]
    assert 0 < speed["lowest"] <= speed["median"] <= speed["highest"]
    assert bench.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 3.0}
    assert (found["texts"], found["rounds"]) == (40, 2)
    assert found["sentences_per_cpu_second"].keys() == {"fp32", "bf16"}
