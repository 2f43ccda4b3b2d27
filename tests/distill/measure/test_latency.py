"""Whole measurements, in real processes."""

from __future__ import annotations

import json
import subprocess

import bag
import pytest
import tiny

from distill.errors import DistillError, MissingExtra, ModelError, UserError
from distill.measure import latency
from distill.measure.latency import Variant, measure_models

TRIAL = {"batch": (1,), "sequence": (4,), "min_runs": 3, "min_seconds": 0.0, "progress": False}


def onnx_variant(folder, name="fp32"):
    return Variant(name, "export", "onnx", folder / "onnx" / bag.FILES[name])


@pytest.fixture
def folder(tmp_path):
    return bag.folder(tmp_path / "student")


def test_two_models_on_a_grid(tmp_path, folder):
    variants = [onnx_variant(folder, "fp32"), onnx_variant(folder, "fast")]
    result = measure_models(
        variants, batch=(1, 3), sequence=(4, 8), threads=(1,), min_runs=5, min_seconds=0.02, progress=False, root=tmp_path
    )
    json.dumps(result, allow_nan=False)
    assert result["schema_version"] == 1
    assert result["grid"]["passes"] == 2
    assert {"load_before", "load_after", "cpu", "packages"} <= result["environment"].keys()
    assert [variant["name"] for variant in result["variants"]] == ["fp32", "fast"]
    for variant in result["variants"]:
        cells = {(row["batch"], row["sequence"], row["threads"]) for row in variant["latency"]}
        assert cells == {(b, s, t) for b in (1, 3) for s in (4, 8) for t in (1,)}
        assert len(variant["latency"]) == 4
        assert variant["path"] == f"student/onnx/{bag.FILES[variant['name']]}"
        assert variant["file_mb"] == round((folder / "onnx" / bag.FILES[variant["name"]]).stat().st_size / 1e6, 3)
        assert 0 < variant["load_ms"] < 5000
        assert 10 < variant["peak_rss_mb"] < 400  # no torch in that process
        assert variant["skipped"] == []
        for row in variant["latency"]:
            assert row["n"] == len(row["samples_ms"]) >= 6  # 3 in each of 2 passes
            assert 0 < row["p50_ms"] <= row["p90_ms"]
            assert row["sentences_per_s"] == pytest.approx(row["batch"] / row["p50_ms"] * 1000, rel=1e-2)
            assert isinstance(row["noisy"], bool)


def test_the_second_pass_runs_backwards_and_pools(monkeypatch, folder):
    order = []

    def fake(variant, threads, cells, facts, runs):
        order.append((variant.name, runs["min_runs"], runs["min_seconds"]))
        rows = [{"wall_ms": [float(len(order))] * 5, "cpu_ms": 5.0 * len(order)} for _ in cells]
        return {"load_ms": 10.0 * len(order), "peak_rss_mb": 100.0 * len(order), "busy": False, "rows": rows}

    monkeypatch.setattr(latency, "_in_fresh_process", fake)
    variants = [onnx_variant(folder, name) for name in ("fp32", "fast", "faithful")]
    result = measure_models(variants, batch=(1,), sequence=(4,), min_runs=9, min_seconds=3.0, progress=False)
    assert [name for name, *_ in order] == ["fp32", "fast", "faithful", "faithful", "fast", "fp32"]
    assert {(runs, seconds) for _, runs, seconds in order} == {(5, 1.5)}
    first = result["variants"][0]
    assert first["latency"][0]["samples_ms"] == [1.0] * 5 + [6.0] * 5
    assert first["latency"][0]["p50_ms"] == 3.5
    assert first["latency"][0]["cpu_ms"] == 3.5
    assert first["latency"][0]["noisy"]  # the passes disagree
    assert (first["load_ms"], first["peak_rss_mb"]) == (10.0, 600.0)


def test_a_torch_model(tmp_path):
    """One thread, the whole sentence-transformer; a teacher of another family beside an ONNX file would run the same way."""
    model = tiny.saved(tmp_path / "teacher", "mpnet", layers=1, dim=8)
    result = measure_models([Variant("teacher", "teacher", "torch", model)], **TRIAL)
    (variant,) = result["variants"]
    assert result["grid"]["passes"] == 1
    assert variant["latency"][0]["n"] == 3
    assert variant["file_mb"] > 0
    assert 0 < variant["load_ms"] < 3000


def test_a_sequence_that_a_model_cannot_take_is_left_out_and_told(folder):
    result = measure_models([onnx_variant(folder)], **{**TRIAL, "sequence": (4, 65)})
    (variant,) = result["variants"]
    assert [row["sequence"] for row in variant["latency"]] == [4]
    assert variant["skipped"] == [{"batch": 1, "sequence": 65, "threads": 1, "reason": "the model takes 64 tokens at most"}]
    (variant,) = measure_models([onnx_variant(folder)], **{**TRIAL, "sequence": (65,)})["variants"]
    assert (variant["latency"], variant["load_ms"], variant["peak_rss_mb"]) == ([], None, None)


def test_a_damaged_file_is_the_users_error(folder):
    (folder / "onnx" / "model.onnx").write_bytes(b"garbage")
    with pytest.raises(ModelError, match="cannot be measured") as caught:
        measure_models([onnx_variant(folder)], **TRIAL)
    assert "ONNX" in str(caught.value)


def test_a_worker_that_dies_tells_its_last_words(monkeypatch, folder):
    def fake(command, **options):
        return subprocess.CompletedProcess(command, -9, "", "one\ntwo\nthree\nfour\n")

    monkeypatch.setattr(latency.subprocess, "run", fake)
    with pytest.raises(DistillError, match=r"words: two \| three \| four") as caught:
        measure_models([onnx_variant(folder)], **TRIAL)
    assert caught.value.exit_code == 3
    assert "out of memory" in str(caught.value)


def test_a_worker_gets_its_thread_budget_and_no_module_of_the_user(monkeypatch, folder, tmp_path):
    """A numpy.py in the working directory must not be imported; the budget must reach OpenMP before it starts."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    seen, real = {}, subprocess.run

    def spy(command, **options):
        seen.update(options["env"], cwd=options["cwd"])
        return real(command, **options)

    monkeypatch.setattr(latency.subprocess, "run", spy)
    measure_models([onnx_variant(folder)], **{**TRIAL, "threads": (2,)})
    assert {seen[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"2"}
    assert seen["HF_HUB_OFFLINE"] == "1"
    assert seen["cwd"] != str(tmp_path)


def test_more_threads_than_cores_is_marked(monkeypatch, folder):
    monkeypatch.setattr(latency, "available_cores", lambda: 1)
    (variant,) = measure_models([onnx_variant(folder)], **{**TRIAL, "threads": (1, 2)})["variants"]
    assert [row["threads"] for row in variant["latency"]] == [1, 2]
    assert variant["latency"][1]["noisy"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": ()},
        {"batch": (0,)},
        {"sequence": (4, 4)},
        {"threads": (-1,)},
        {"min_runs": 0},
        {"min_seconds": float("nan")},
        {"min_seconds": float("inf")},
        {"passes": 0},
    ],
)
def test_grids_that_cannot_be_measured(folder, wrong):
    with pytest.raises(UserError):
        measure_models([onnx_variant(folder)], **{**TRIAL, **wrong})


def test_models_that_cannot_be_told_apart_or_are_not_there(folder, tmp_path):
    with pytest.raises(UserError, match="no model"):
        measure_models([], **TRIAL)
    with pytest.raises(UserError, match="one name"):
        measure_models([onnx_variant(folder), onnx_variant(folder)], **TRIAL)
    with pytest.raises(ModelError, match="no such ONNX file"):
        measure_models([Variant("x", "export", "onnx", tmp_path / "absent.onnx")], **TRIAL)
    with pytest.raises(ModelError, match="not on this machine"):
        measure_models([Variant("x", "teacher", "torch", "somebody/never-downloaded")], **TRIAL)


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(latency.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[train\]"):
        measure_models([Variant("x", "teacher", "torch", tmp_path)], **TRIAL)
