"""`distill measure`: names and the table. The measuring itself is tested in its own room."""

from __future__ import annotations

import bag
import pytest

from distill.measure.variants import Variant
from distill.measuring import latency_lines, unique_names


def variant(name):
    return Variant(name, "export", "onnx", f"{name}.onnx")


def names(paths, groups):
    return [item.name for item in unique_names(paths, groups)]


def test_one_path_keeps_its_names():
    assert names(["runs/a"], [[variant("fp32"), variant("fast")]]) == ["fp32", "fast"]


def test_several_paths_put_theirs_in_front():
    groups = [[variant("fp32")], [variant("fp32")]]
    assert names(["runs/a/student", "runs/b/"], groups) == ["a:fp32", "b:fp32"]
    assert names(["x/m", "y/m"], groups) == ["x/m:fp32", "y/m:fp32"]


def test_the_table_compares_with_the_first_model():
    def row(p50, noisy=False):
        per_second = 1000 / p50
        return {
            "batch": 1,
            "sequence": 32,
            "threads": 1,
            "p50_ms": p50,
            "p90_ms": p50,
            "sentences_per_s": per_second,
            "noisy": noisy,
        }

    result = {
        "variants": [
            {"name": "teacher", "format": "torch", "file_mb": 90.9, "latency": [row(20.0)]},
            {"name": "fast", "format": "onnx", "file_mb": 17.1, "latency": [row(2.5, noisy=True)]},
        ]
    }
    head, teacher, fast, note = latency_lines(result)
    assert head.split()[0] == "model"
    assert teacher.split() == ["teacher", "torch", "90.9", "1", "32", "1", "20.00", "20.00", "50", "1.0x"]
    assert fast.split() == ["fast", "onnx", "17.1", "1", "32", "1", "2.50~", "2.50", "400", "8.0x"]
    assert "disturbed" in note


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nowhere/at/all"], "nowhere/at/all"),
        (["x.onnx"], "x.onnx"),
        (["x.onnx", "--batch", "1,two"], "--batch"),
        (["x.onnx", "--teacher", "package:no_such_package"], "no_such_package"),
    ],
)
def test_mistakes_end_with_2(cli, monkeypatch, tmp_path, arguments, word):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("measure", *arguments)
    assert code == 2
    assert word in err


def test_a_grid_of_which_nothing_fits_is_a_mistake(cli, tmp_path):
    model = bag.folder(tmp_path / "student")  # takes 64 tokens
    code, out, err = cli("measure", model, "--sequence", "65,128", "--out", tmp_path / "measure.json")
    assert (code, out) == (2, "")
    assert "no model takes inputs of this length" in err
    assert not (tmp_path / "measure.json").exists()
