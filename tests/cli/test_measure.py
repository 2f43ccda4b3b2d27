"""`distill measure`: names and the table. The measuring itself is tested in its own room."""

from __future__ import annotations

import json

import bag
import pytest

from distill.errors import UserError
from distill.measure.variants import Variant
from distill.measuring import asked, first_failure, latency_lines, result_lines, unique_names


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
    def row(p50, noisy=False, ratio=None, cpu=None):
        per_second = 1000 / p50
        return {
            "batch": 1,
            "sequence": 32,
            "threads": 1,
            "p50_ms": p50,
            "p90_ms": p50,
            "sentences_per_s": per_second,
            "noisy": noisy,
            "ratio": ratio,
            "cpu_ratio": cpu,
        }

    def ratio(value, width):
        return {"value": value, "ci95": [value * (1 - width), value * (1 + width)], "half_width": width}

    wide = ratio(8.0, 0.1)
    result = {
        "variants": [
            {"name": "teacher", "format": "torch", "file_mb": 90.9, "latency": [row(20.0)]},
            {"name": "fast", "format": "onnx", "file_mb": 17.1, "latency": [row(2.5, True, wide, ratio(6.5, 0.01))]},
        ]
    }
    head, teacher, fast = latency_lines(result)
    assert head.split()[0] == "model"
    assert teacher.split() == ["teacher", "torch", "90.9", "1", "32", "1", "20.00", "20.00", "50", "1.0x"]
    cells = ["fast", "onnx", "17.1", "1", "32", "1", "2.50~", "2.50", "400", "8.00x", "(7.20-8.80),", "CPU", "time", "6.50x"]
    assert fast.split() == cells
    result["variants"][1]["latency"][0] |= {"ratio": ratio(8.0, 0.01), "noisy": False}
    assert latency_lines(result)[2].endswith("8.00x (7.92-8.08)")


def measured_variant(name="fp32", **parts):
    rows = {"latency": [], "text": [], "offline": [], "server": []}
    fixed = {"name": name, "format": "onnx", "file_mb": 1.0, "threads_seen": [], "error": None, "unavailable": False}
    return {**fixed, **rows, **parts}


CELL = {"batch": 2, "sequence": None, "threads": 1, "ratio": None, "cpu_ratio": None, "noisy": False}
CALM = {"comparable": True, "words": "no row is disturbed"}


def test_the_tables_of_the_other_scenarios():
    offline = {**CELL, "sentences_per_s": 1234.5, "tokens_per_s": 20000.0}
    times = {"p50_ms": 3.0, "p90_ms": 4.0, "p99_ms": None, "queue": {"p99_ms": None}, "service": {"p50_ms": 2.5}}
    served = {**CELL, **times, "rate_per_s": 250.0, "capacity_per_s": 200.0, "saturated": True}
    served.pop("batch")
    result = {"variants": [measured_variant(offline=[offline], server=[served])], "noise": CALM}
    head, row, empty, server_head, server = result_lines(result)
    assert head.split()[:2] == ["offline", "format"]
    assert row.split() == ["fp32", "onnx", "2", "text", "1", "1,234.5", "20,000", "1.0x"]
    assert empty == ""
    assert "queue p99" in server_head
    assert server.split() == ["fp32", "onnx", "text", "1", "250.0", "125%", ">3.00", ">4.00", "2.50"]


def test_what_is_to_be_known_of_the_numbers_stands_below_them():
    row = {**CELL, "sequence": 8, "p50_ms": 1.0, "p90_ms": 1.0, "sentences_per_s": 1.0, "noisy": True}
    greedy = [{"threads": 1, "kept": False}]
    compiled = measured_variant("teacher compiled", error="no compiler", unavailable=True)
    noisy = {"comparable": False, "words": "1 of 1 rows are too noisy to compare"}
    lines = result_lines({"variants": [measured_variant(latency=[row], threads_seen=greedy), compiled], "noise": noisy})
    assert lines[2:] == [
        "teacher compiled: no compiler",
        "fp32 used more than its budget of 1 threads: do not compare it",
        "~ 1 of 1 rows are too noisy to compare",
    ]


def test_one_model_that_died_is_an_error_and_a_missing_compiler_is_none():
    absent = measured_variant("x compiled", error="no compiler", unavailable=True)
    assert first_failure({"variants": [measured_variant(), absent]}) is None
    failure = first_failure({"variants": [measured_variant(), measured_variant("fast", error="it died")]})
    assert "fast" in str(failure)
    assert "it died" in str(failure)


def test_a_load_without_a_server_is_a_mistake():
    grid = {"batch": (1,), "sequence": (8,), "threads": (1,), "scope": "model"}
    with pytest.raises(UserError, match="belongs to the server scenario"):
        asked(**grid, scenario="offline", rates=(), loads=(0.5,))
    assert asked(**grid, scenario="server", rates=(), loads=())["loads"] == (0.5, 0.8)
    assert asked(**grid, scenario="server, offline", rates=(5.0,), loads=())["loads"] == ()


def test_every_option_reaches_the_stopwatch(cli, tmp_path):
    """A real measurement of a model of a few kilobytes, all scenarios, on a text."""
    model = bag.folder(tmp_path / "student", files=("fp32",))
    text, out = tmp_path / "t.txt", tmp_path / "measure.json"
    text.write_text("a cat\nthe dog ran on the mat\n" * 4)
    options = ["--batch", "1", "--sequence", "8", "--scenario", "single_stream,offline,server", "--scope", "end_to_end"]
    options += [
        "--text",
        text,
        "--rate",
        "50",
        "--min-seconds",
        "0.01",
        "--server-seconds",
        "0.5",
        "--passes",
        "1",
        "--rounds",
        "2",
    ]
    code, printed, err = cli("measure", model, *options, "--repeats", "0", "--out", out, "--compiled", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out.read_text())
    grid = found["grid"]
    assert (grid["scope_name"], grid["passes"], grid["rounds"], grid["repeats"], grid["rates"]) == ("end_to_end", 1, 2, 0, [50.0])
    (variant,) = found["variants"]
    assert all(variant[part] for part in ("latency", "text", "offline", "server"))
    assert [line.split()[0] for line in printed.splitlines() if "format" in line] == ["model", "model", "offline", "server"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nowhere/at/all"], "nowhere/at/all"),
        (["x.onnx"], "x.onnx"),
        (["x.onnx", "--batch", "1,two"], "--batch"),
        (["x.onnx", "--rate", "5,x", "--scenario", "server"], "--rate"),
        (["x.onnx", "--batch", "0"], "begin at 1"),
        (["x.onnx", "--passes", "0"], "--passes"),
        (["x.onnx", "--out", "."], "a folder stands where a file is needed"),
        (["notes.txt"], "this is a file, and no model"),
        (["x.onnx", "--load", "0.5"], "server scenario"),
        (["x.onnx", "--teacher", "package:no_such_package"], "no_such_package"),
    ],
)
def test_mistakes_end_with_2(cli, monkeypatch, tmp_path, arguments, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    code, _, err = cli("measure", *arguments)
    assert code == 2
    assert word in err


def test_a_grid_of_which_nothing_fits_is_a_mistake(cli, tmp_path):
    model = bag.folder(tmp_path / "student")  # takes 64 tokens
    code, out, err = cli("measure", model, "--sequence", "65,128", "--out", tmp_path / "measure.json")
    assert (code, out) == (2, "")
    assert "no model takes inputs of this length" in err
    assert not (tmp_path / "measure.json").exists()
