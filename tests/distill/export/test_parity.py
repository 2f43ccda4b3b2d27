"""The gate: good files pass, damaged ones do not, whatever the damage."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import tiny
from onnx import numpy_helper

from distill.errors import ModelError
from distill.export import parity
from distill.export.parity import check_parity, probe_sentences

TEXTS = tiny.SENTENCES[:40]


@pytest.fixture
def copy(exported, tmp_path):
    """The exported bert, in a folder that may be damaged."""
    found = exported("bert")
    shutil.copytree(found.folder, tmp_path / "copy")
    return found.model, tmp_path / "copy"


def change_weight(path, change):
    """Apply `change` to the largest float weight of an ONNX file."""
    model = onnx.load(path)
    floats = [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]
    weight = max(floats, key=lambda w: int(np.prod(w.dims)))
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight).copy()), weight.name))
    onnx.save(model, path)


def test_good_files_pass_and_the_numbers_are_those_of_the_vectors(copy):
    model, folder = copy
    found = check_parity(model, folder, ["faithful", "fp32", "fast"], TEXTS, prefix="student/")
    assert (found["schema_version"], found["sentences"], list(found["models"])) == (1, 40, ["fp32", "fast", "faithful"])
    fp32, fast, faithful = found["models"].values()
    assert all(row["passed"] for row in found["models"].values())
    assert (fp32["file"], fp32["reference"], fp32["gate"]) == ("student/onnx/model.onnx", "torch", "max_abs <= 0.0001")
    assert (fast["file"], fast["reference"], fast["gate"]) == ("student/onnx/model_quantized.onnx", "fp32", "mean_cosine >= 0.98")
    assert faithful["gate"] == "mean_cosine >= 0.999"
    assert fast["nodes"] == {"MatMul": 13, "Gather": 3} == faithful["nodes"]
    assert fp32["nodes"] == {}
    assert fp32["max_abs"] < 1e-5 < min(faithful["max_abs"], fast["max_abs"])
    assert max(fast["mean_cosine"], faithful["mean_cosine"]) < fp32["mean_cosine"] == pytest.approx(1, abs=1e-6)
    assert fast["min_cosine"] <= fast["mean_cosine"]
    for row in found["models"].values():
        assert [row["batch_invariance"], *row["invariance"].values()] == pytest.approx([1] * 4, abs=1e-5)
    json.dumps(found, allow_nan=False)


def test_the_gates_lie_beside_the_files_and_auto_obeys_them(copy, monkeypatch):
    import distill
    from distill.runtime import precision

    monkeypatch.setattr(precision, "has_int8_dot_product", lambda: True)
    model, folder = copy
    gates = folder / "onnx" / "gates.json"
    gates.unlink()
    check_parity(model, folder, ["fast", "fp32"], TEXTS[:8])
    assert json.loads(gates.read_text("utf-8")) == {"fp32": True, "fast": True}
    assert distill.load(folder).precision == "fast"
    monkeypatch.setitem(parity.MEAN_COSINE, "fast", 1.1)
    check_parity(model, folder, ["fast", "fp32"], TEXTS[:8])
    assert json.loads(gates.read_text("utf-8")) == {"fp32": True, "fast": False}
    assert distill.load(folder).precision == "faithful"


def test_the_cosines_are_those_of_plain_numpy(copy):
    import distill

    model, folder = copy
    found = check_parity(model, folder, ["fp32", "fast"], TEXTS)["models"]["fast"]
    runs = [distill.load(folder, precision=name) for name in ("fp32", "fast")]
    ours, theirs = (np.concatenate([run.encode([text]) for text in TEXTS]).astype(float) for run in runs)
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert (found["mean_cosine"], found["min_cosine"]) == pytest.approx((cosines.mean(), cosines.min()), abs=1e-6)
    assert found["max_abs"] == pytest.approx(np.abs(ours - theirs).max(), abs=1e-7)


def test_one_wrong_weight_fails_fp32(copy):
    """A thousandth off in every entry of one table: no eye would see it."""
    model, folder = copy
    change_weight(folder / "onnx" / "model.onnx", lambda w: w * (1 + 1e-3 * np.sign(w)) + 1e-2)
    found = check_parity(model, folder, ["fp32"], TEXTS)["models"]["fp32"]
    assert found["passed"] is False
    assert found["max_abs"] > 1e-4
    assert found["mean_cosine"] > 0.9


def test_a_ruined_table_fails_each_quantized_file(copy):
    model, folder = copy
    for preset, file in (("fast", "model_quantized.onnx"), ("faithful", "model_faithful.onnx")):
        graph = onnx.load(folder / "onnx" / file)
        table = max(
            (w for w in graph.graph.initializer if w.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)),
            key=lambda w: int(np.prod(w.dims)),
        )
        values = numpy_helper.to_array(table)
        table.CopyFrom(numpy_helper.from_array(np.roll(values, 7, axis=0).copy(), table.name))
        onnx.save(graph, folder / "onnx" / file)
        found = check_parity(model, folder, ["fp32", preset], TEXTS)["models"]
        assert found["fp32"]["passed"] is True
        assert found[preset]["passed"] is False
        assert found[preset]["mean_cosine"] < 0.98


def test_outputs_that_are_not_numbers_fail_and_are_null(copy):
    model, folder = copy
    change_weight(folder / "onnx" / "model.onnx", lambda w: w * np.float32("nan"))
    found = check_parity(model, folder, ["fp32"], TEXTS[:5])["models"]["fp32"]
    assert found["passed"] is False
    assert (found["max_abs"], found["mean_cosine"], found["min_cosine"], found["batch_invariance"]) == (None,) * 4
    json.dumps(found, allow_nan=False)


def test_a_reference_that_is_not_a_number_fails_what_is_compared_with_it(copy):
    model, folder = copy
    change_weight(folder / "onnx" / "model.onnx", lambda w: w * np.float32("nan"))
    found = check_parity(model, folder, ["fp32", "faithful"], TEXTS[:5])
    assert [row["passed"] for row in found["models"].values()] == [False, False]
    json.dumps(found, allow_nan=False)


def test_another_model_fails(copy):
    _, folder = copy
    found = check_parity(tiny.sentence_transformer("bert", layers=2, dim=24, seed=5), folder, ["fp32"], TEXTS[:5])
    assert found["models"]["fp32"]["passed"] is False


def test_a_cut_off_file_is_named(copy):
    model, folder = copy
    path = folder / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelError, match=r"model\.onnx"):
        check_parity(model, folder, ["fp32"], TEXTS[:2])


def test_probe_sentences_are_many_different_and_always_the_same():
    texts = probe_sentences()
    assert len(set(texts)) == 256
    assert texts[:100] == probe_sentences(100)
    assert any(text.isascii() for text in texts)
    assert any("가" <= letter <= "힣" for text in texts for letter in text)
    lengths = [len(text.split()) for text in texts]
    assert max(lengths) > 5 * min(lengths)
