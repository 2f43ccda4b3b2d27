"""File sizes in decimal megabytes: what a model loads, not what lies beside it."""

from __future__ import annotations

import json

import pytest

from distill.errors import ModelError
from distill.measure.size import file_mb


def put(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_one_file(tmp_path):
    assert file_mb(put(tmp_path / "m.onnx", 2_345_678)) == 2.346


def test_a_folder_counts_its_modules_and_nothing_else(tmp_path):
    put(tmp_path / "model.safetensors", 3_000_000)
    put(tmp_path / "model.fp16.safetensors", 1_500_000)
    put(tmp_path / "2_Dense" / "model.safetensors", 500_000)
    put(tmp_path / "checkpoint-10" / "model.safetensors", 3_000_000)
    put(tmp_path / "onnx" / "model.onnx", 3_000_000)
    put(tmp_path / "pytorch_model.bin", 3_000_000)
    (tmp_path / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}]))
    assert file_mb(tmp_path) == 3.5


def test_shards_are_added(tmp_path):
    put(tmp_path / "model-00001-of-00002.safetensors", 2_000_000)
    put(tmp_path / "model-00002-of-00002.safetensors", 1_000_000)
    assert file_mb(tmp_path) == 3.0


def test_links_count_as_what_they_point_to(tmp_path):
    put(tmp_path / "blobs" / "abc", 4_000_000)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blobs/abc")
    assert file_mb(tmp_path / "snapshot") == 4.0


def test_nothing_to_measure(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        file_mb(tmp_path / "nothing")
    put(tmp_path / "pytorch_model.bin", 10)
    with pytest.raises(ModelError, match="no weights") as caught:
        file_mb(tmp_path)
    assert "pytorch_model.bin" in str(caught.value)
