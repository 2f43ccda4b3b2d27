"""What there is to measure at a path."""

from __future__ import annotations

import bag
import pytest

from distill.errors import ModelError
from distill.measure.variants import Variant, find_variants, with_compiled


def names(variants):
    return [(variant.name, variant.role, variant.format) for variant in variants]


def test_a_model_folder_and_its_run_folder(tmp_path):
    student = bag.folder(tmp_path / "run" / "student")
    (student / "onnx" / "model_other.onnx").write_bytes(b"x")
    exports = [(name, "export", "onnx") for name in ("fp32", "fast", "faithful", "model_other")]
    assert names(find_variants(student)) == exports
    (student / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert names(find_variants(student)) == [("student", "student", "torch"), *exports]
    assert find_variants(tmp_path / "run") == find_variants(student)
    assert names(find_variants(student, role="teacher", exports=False)) == [("teacher", "teacher", "torch")]


def test_one_file(tmp_path):
    file = bag.folder(tmp_path / "m") / "onnx" / "model_quantized.onnx"
    assert names(find_variants(file)) == [("fast", "export", "onnx")]
    assert find_variants(file)[0].home() == (tmp_path / "m").resolve()


def test_nothing_is_there(tmp_path):
    with pytest.raises(ModelError, match="nothing to measure"):
        find_variants(tmp_path)
    with pytest.raises(ModelError, match="no such ONNX file"):
        find_variants(tmp_path / "m.onnx")
    for wrong in (tmp_path / "absent", "somebody/never-downloaded", "../x"):
        with pytest.raises(ModelError):
            find_variants(wrong)[0].location()


def test_paths_in_a_report_are_relative_or_just_a_name(tmp_path):
    file = bag.folder(tmp_path / "run" / "student") / "onnx" / "model.onnx"
    variant = Variant("fp32", "export", "onnx", file)
    assert variant.shown_path(tmp_path / "run") == "student/onnx/model.onnx"
    assert variant.shown_path(tmp_path / "elsewhere") == "model.onnx"
    assert Variant("teacher", "teacher", "torch", "owner/name").shown_path(tmp_path) == "owner/name"


def test_a_file_that_failed_its_gate_gets_no_speed(tmp_path, capsys):
    student = bag.folder(tmp_path / "student")
    (student / "onnx" / "gates.json").write_text('{"fp32": true, "fast": false, "faithful": true}')
    assert [name for name, *_ in names(find_variants(student))] == ["fp32", "faithful"]
    assert "model_quantized.onnx failed the parity gate" in capsys.readouterr().err
    with pytest.raises(ModelError, match="failed its parity gate"):
        find_variants(student / "onnx" / "model_quantized.onnx")
    assert names(find_variants(student / "onnx" / "model.onnx")) == [("fp32", "export", "onnx")]


def test_torch_models_and_their_compiled_twins(tmp_path):
    torch, onnx = Variant("teacher", "teacher", "torch", "x"), Variant("fp32", "export", "onnx", "x.onnx")
    made = with_compiled([torch, onnx])
    assert [(variant.name, variant.compiled) for variant in made] == [
        ("teacher", False),
        ("teacher compiled", True),
        ("fp32", False),
    ]
