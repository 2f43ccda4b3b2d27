"""Which file `auto` takes, and what is said where a file is missing."""

from __future__ import annotations

import json

import bag
import numpy as np
import pytest

from distill.errors import ModelError
from distill.runtime import precision
from distill.runtime.encoder import load

ALL = ("fp32", "fast", "faithful")


@pytest.mark.parametrize(
    ("dot_product", "files", "chosen"),
    [
        (True, ALL, "fast"),
        (True, ("fp32", "faithful"), "faithful"),
        (True, ("fp32",), "fp32"),
        (False, ALL, "faithful"),
        (False, ("fp32", "fast"), "fp32"),
        (False, ("fast",), "fast"),
    ],
)
def test_auto(tmp_path, monkeypatch, dot_product, files, chosen):
    monkeypatch.setattr(precision, "has_int8_dot_product", lambda: dot_product)
    encoder = load(bag.folder(tmp_path / "m", files=files))
    assert encoder.precision == chosen
    np.testing.assert_allclose(encoder.encode(["cat"]), [bag.vector("cat", scale=bag.SCALES[chosen])])


@pytest.mark.parametrize(
    ("dot_product", "providers", "order"),
    [
        (True, None, ["searched", "fast", "faithful", "fp32", "portable"]),
        (True, ["CPUExecutionProvider"], ["searched", "fast", "faithful", "fp32", "portable"]),
        (False, None, ["faithful", "fp32", "portable", "searched", "fast"]),
        (True, ["CUDAExecutionProvider", "CPUExecutionProvider"], ["fp16", "fp32", "portable", "faithful", "searched", "fast"]),
        (False, ["CPUExecutionProvider", "CUDAExecutionProvider"], ["faithful", "fp32", "portable", "searched", "fast"]),
    ],
)
def test_what_auto_prefers(tmp_path, monkeypatch, dot_product, providers, order):
    """fp16 is for GPUs: the CPU would turn every number back and forth."""
    monkeypatch.setattr(precision, "has_int8_dot_product", lambda: dot_product)
    folder = bag.folder(tmp_path / "m", files=ALL)
    for file in precision.FILES.values():
        (folder / "onnx" / file).touch()
    found = []
    while True:
        try:
            name, path = precision.choose(folder, "auto", providers)
        except ModelError:
            break
        found.append(name)
        path.unlink()
    assert found == order


@pytest.mark.parametrize("name", ALL)
def test_a_precision_by_name(tmp_path, name):
    encoder = load(bag.folder(tmp_path / "m"), precision=name)
    assert encoder.precision == name
    np.testing.assert_allclose(encoder.encode(["cat"]), [bag.vector("cat", scale=bag.SCALES[name])])


def test_a_precision_that_is_not_there_lists_what_is(tmp_path):
    with pytest.raises(ModelError, match="faithful, fp32") as caught:
        load(bag.folder(tmp_path / "m", files=("fp32", "faithful")), "fast")
    assert "model_quantized.onnx" in str(caught.value)
    with pytest.raises(ModelError, match="no ONNX file at all"):
        load(bag.folder(tmp_path / "n", files=()))


def test_an_unknown_precision_names_the_nearest(tmp_path):
    with pytest.raises(ModelError, match="did you mean 'faithful'"):
        load(bag.folder(tmp_path / "m"), "faithfull")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse2 avx512_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("", False),
    ],
)
def test_dot_products_are_read_from_the_flags(tmp_path, monkeypatch, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(precision, "Path", lambda name: tmp_path / "cpuinfo")
    precision.cpu_flags.cache_clear()
    try:
        assert precision.has_int8_dot_product() is expected
    finally:
        precision.cpu_flags.cache_clear()


@pytest.mark.parametrize(
    ("dot_product", "passed", "chosen"),
    [
        (True, {"fp32": True, "fast": True, "faithful": True}, "fast"),
        (True, {"fp32": True, "fast": False, "faithful": True}, "faithful"),
        (True, {"fp32": True, "fast": False, "faithful": False}, "fp32"),
        (False, {"fp32": True, "fast": True, "faithful": False}, "fp32"),
        (False, {"fp32": False, "fast": True, "faithful": False}, "fast"),
        (True, {"fp32": True}, "fast"),  # nothing is said of it
    ],
)
def test_auto_passes_over_what_failed_its_gate(tmp_path, monkeypatch, dot_product, passed, chosen):
    monkeypatch.setattr(precision, "has_int8_dot_product", lambda: dot_product)
    folder = bag.folder(tmp_path / "m")
    (folder / "onnx" / "gates.json").write_text(json.dumps(passed))
    assert load(folder).precision == chosen


def test_a_file_that_failed_runs_where_it_is_named(tmp_path):
    """Whoever looks into what went wrong needs it."""
    folder = bag.folder(tmp_path / "m")
    (folder / "onnx" / "gates.json").write_text('{"fast": false}')
    assert load(folder, "fast").precision == "fast"


def test_nothing_that_passed_its_gate(tmp_path):
    folder = bag.folder(tmp_path / "m", files=("fp32", "fast"))
    (folder / "onnx" / "gates.json").write_text('{"fp32": false, "fast": false, "faithful": true}')
    with pytest.raises(ModelError, match="failed its parity gate") as caught:
        load(folder)
    assert caught.value.got == "fast, fp32"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"fast": fal'])
def test_damaged_gates_are_named(tmp_path, content):
    folder = bag.folder(tmp_path / "m")
    (folder / "onnx" / "gates.json").write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as caught:
        load(folder)
    assert caught.value.where.endswith("gates.json")
    assert load(folder, "fp32").precision == "fp32"
