"""float16: a file that plain onnxruntime loads, half the size, with the inputs and outputs of fp32."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from distill.errors import DistillError
from distill.export import quantize as room
from distill.export.half import half_weights
from distill.export.quantize import quantize


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_plain_onnxruntime_loads_it(exported, tmp_path, family):
    source, target = exported(family).onnx(), tmp_path / "half.onnx"
    counts = quantize(source, target, "fp16")
    half, full = half_weights(onnx.load(target))
    assert (counts["float16"], full) == (half, 0)
    assert half > 0
    assert target.stat().st_size < 0.65 * source.stat().st_size
    ids = np.random.default_rng(0).integers(5, 200, (4, 12))
    mask = np.ones_like(ids)
    mask[1:, 7:] = 0
    sessions = [onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (source, target)]
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    names = [node.name for node in sessions[1].get_inputs()]
    assert names == [node.name for node in sessions[0].get_inputs()]
    assert {node.type for node in sessions[1].get_outputs()} == {"tensor(float)"}
    exact, found = (s.run(["sentence_embedding"], {name: feeds[name] for name in names})[0] for s in sessions)
    assert np.isfinite(found).all()
    assert (found * exact).sum(1).min() > 0.9999
    assert not [w for w in onnx.load(target, load_external_data=False).graph.initializer if w.external_data]


def test_the_same_file_gives_the_same_bytes(exported, tmp_path):
    for name in ("a", "b"):
        quantize(exported("bert").onnx(), tmp_path / name, "fp16")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_matrix_left_in_fp32_stops_the_export(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "to_half", lambda model: model)
    with pytest.raises(DistillError, match="left matrices in fp32"):
        quantize(exported("bert").onnx(), tmp_path / "half.onnx", "fp16")
    assert not (tmp_path / "half.onnx").exists()
