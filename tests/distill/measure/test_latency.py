"""Whole measurements, in real processes."""

from __future__ import annotations

import json

import bag
import pytest
import tiny

from distill.errors import DataError, MissingExtra, ModelError, UserError
from distill.measure import latency
from distill.measure.latency import Variant, measure_models
from distill.measure.size import file_mb

TRIAL = {"batch": (1,), "sequence": (4,), "min_runs": 3, "min_seconds": 0.0, "progress": False}


def onnx_variant(folder, name="fp32"):
    return Variant(name, "export", "onnx", folder / "onnx" / bag.FILES[name])


@pytest.fixture
def folder(tmp_path):
    return bag.folder(tmp_path / "student")


def test_two_models_on_a_grid(tmp_path, folder):
    variants = [onnx_variant(folder, "fp32"), onnx_variant(folder, "fast")]
    result = measure_models(
        variants, batch=(1, 3), sequence=(4, 8), min_runs=5, min_seconds=0.02, repeats=0, progress=False, root=tmp_path
    )
    json.dumps(result, allow_nan=False)
    assert result["schema_version"] == 1
    assert (result["grid"]["passes"], result["grid"]["rounds"]) == (2, 5)
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
            assert row["n"] == len(row["samples_ms"]) == sum(row["block_runs"]) >= 10  # one in each of 5 rounds of 2 passes
            assert len(row["block_places"]) == row["blocks"] == 10
            assert row["p50_ci95"][0] <= row["p50_ms"] <= row["p50_ci95"][1]
            assert 0 < row["p50_ms"] <= row["p90_ms"]
            assert row["sentences_per_s"] == pytest.approx(row["batch"] / row["p50_ms"] * 1000, rel=1e-2)
            assert row["noisy"] == bool(row["noise"])
            assert (row["ratio"] is None) == (variant["name"] == "fp32")
        assert variant["error"] is None
        assert variant["peak_over_base_mb"] > 0
        assert variant["start_ms"] > variant["load_ms"]
        (seen,) = variant["threads_seen"]
        assert seen["running_most"] == 1
        assert seen["kept"]
        assert variant["idle_cores"] < 0.2
    ratio = result["variants"][1]["latency"][0]["ratio"]
    assert ratio["to"] == "fp32"
    assert ratio["blocks"] == 10
    assert ratio["ci95"][0] <= ratio["value"] <= ratio["ci95"][1]


def test_every_scenario_on_text_with_tokenization(tmp_path, folder):
    text = tmp_path / "mine.txt"
    text.write_text("a cat sat on the mat\n\n" + "dog ran\n" * 8 + "the cat\n", "utf-8")
    result = measure_models(
        [onnx_variant(folder, "fp32"), onnx_variant(folder, "fast")],
        batch=(1, 2),
        sequence=(8,),
        min_seconds=0.01,
        repeats=0,
        passes=1,
        scenarios=("single_stream", "offline", "server"),
        scope="end_to_end",
        text=text,
        rates=(20.0,),
        loads=(),
        server_seconds=1.5,
        progress=False,
    )
    json.dumps(result, allow_nan=False)
    assert "mat" not in json.dumps(result["text"])
    assert result["text"]["sentences"] == 10
    assert result["text"]["tokens"]["histogram"] == {"1-8": 10}
    assert "tokenisation, pooling" in result["grid"]["scope"]
    for variant in result["variants"]:
        assert [(row["batch"], row["sequence"]) for row in variant["latency"]] == [(1, 8), (2, 8)]
        (single,) = variant["text"]
        assert single["sequence"] is None
        assert single["n"] >= 10
        assert [row["batch"] for row in variant["offline"]] == [1, 2]
        assert all(row["sentences"] >= 10 and row["tokens_per_s"] > row["sentences_per_s"] for row in variant["offline"])
        (served,) = variant["server"]
        assert served["rate_per_s"] == 20
        assert served["n"] == len(served["queue_ms"]) > 5
        assert served["load"] is None


def test_a_torch_model(tmp_path):
    """One thread, the whole sentence-transformer; a teacher of another family beside an ONNX file would run the same way."""
    model = tiny.saved(tmp_path / "teacher", "mpnet", layers=1, dim=8)
    result = measure_models([Variant("teacher", "teacher", "torch", model)], **TRIAL)
    (variant,) = result["variants"]
    assert (result["grid"]["passes"], result["grid"]["rounds"]) == (1, 3)
    assert variant["latency"][0]["n"] == 3
    assert variant["file_mb"] > 0
    assert 0 < variant["load_ms"] < 3000


def test_several_models_as_one(tmp_path):
    """A teacher that is two models of other vocabularies and longest inputs: bytes are summed, one process runs both."""
    first, second = tiny.saved(tmp_path / "a", "mpnet", layers=1, dim=8), tmp_path / "b"
    tiny.write_classifier(second, ("x", "y"), layers=1, positions=32)
    both = Variant("teacher", "teacher", "torch", first, more=(Variant("b", "teacher", "torch", second),))
    (variant,) = measure_models([both], **{**TRIAL, "sequence": (4, 40)}, root=tmp_path)["variants"]
    assert (variant["models"], variant["path"]) == (2, "a + b")
    assert variant["file_mb"] == pytest.approx(file_mb(first) + file_mb(second))
    assert [row["sequence"] for row in variant["latency"]] == [4]
    assert variant["skipped"][0]["reason"] == "the model takes 32 tokens at most"


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


def test_a_worker_that_dies_is_told_and_the_others_go_on(folder):
    (folder / "onnx" / "model.onnx").write_bytes(b"garbage")
    result = measure_models([onnx_variant(folder), onnx_variant(folder, "fast")], **TRIAL)
    broken, well = result["variants"]
    assert "ONNX" in broken["error"]
    assert (broken["latency"], broken["load_ms"]) == ([], None)
    assert well["error"] is None
    assert well["latency"][0]["n"] == 3
    assert well["latency"][0]["ratio"] is None  # there is nothing to compare with


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
        {"rounds": 0},
        {"repeats": -1},
        {"scenarios": ()},
        {"scenarios": ("offline", "offline")},
        {"scenarios": ("online",)},
        {"scope": "everything"},
        {"scenarios": ("server",), "loads": ()},
        {"scenarios": ("server",), "rates": (0.0,)},
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


def test_without_a_compiler_the_compiled_model_is_left_out_and_told(monkeypatch, tmp_path, folder):
    """The pair is named in the result, so that nobody wonders where it went."""
    monkeypatch.setattr(latency, "compiler_missing", lambda: "no compiler here")
    model = tiny.saved(tmp_path / "teacher", "bert", layers=1, dim=8)
    pair = measure_models([Variant("teacher", "teacher", "torch", model)], **TRIAL, compiled=True)["variants"]
    assert [(item["name"], item["compiled"], item["unavailable"]) for item in pair] == [
        ("teacher", False, False),
        ("teacher compiled", True, True),
    ]
    assert pair[1]["error"] == "no compiler here"
    assert pair[1]["latency"] == []


@pytest.mark.parametrize(("content", "word"), [(b"", "empty"), (b" \n\t\n", "empty"), (b"\xff\xfe", "UTF-8"), (None, "read")])
def test_text_that_cannot_be_used(tmp_path, folder, content, word):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=word):
        measure_models([onnx_variant(folder)], **TRIAL, text=path)


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(latency.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[train\]"):
        measure_models([Variant("x", "teacher", "torch", tmp_path)], **TRIAL)
