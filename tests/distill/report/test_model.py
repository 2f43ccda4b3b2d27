"""From run files to a report, and from a report to its three files."""

import json
import subprocess
import sys

import pytest

from distill.errors import RunError
from distill.report.model import Report, build_report


def test_models_come_in_order_with_their_sizes(run):
    report = build_report(run.write())
    assert [model.name for model in report.models] == ["teacher", "student", "fp32", "fast", "faithful"]
    assert [model.role for model in report.models] == ["teacher", "student", "export", "export", "export"]
    assert [model.file_mb for model in report.models] == [90.9, 69.6, 69.5, 17.5, 20.25]
    assert [model.params for model in report.models] == [22713216] + [17389824] * 4
    assert report.model("fast").path == "student/onnx/model_quantized.onnx"
    assert report.model("fast").quality["sts-test"].n == 1379


def test_a_model_that_failed_parity_gets_no_speed(run):
    run.parity["models"]["fast"]["passed"] = False
    report = build_report(run.write())
    fast = report.model("fast")
    assert fast.latency == ()
    assert fast.load_ms is None
    assert "failed its parity gate (mean_cosine >= 0.98" in fast.note
    assert not report.passed
    assert report.model("faithful").latency[0].p50_ms == 2.1
    assert fast.file_mb == 17.5, "its size is still a fact"


def test_a_model_that_was_never_checked_gets_no_speed(run):
    del run.parity["models"]["faithful"]
    model = build_report(run.write()).model("faithful")
    assert model.latency == ()
    assert "not checked" in model.note


def test_gates_tell_rule_value_and_outcome(run):
    run.parity["models"]["fp32"]["passed"] = False
    gates = {gate.model: gate for gate in build_report(run.write()).gates}
    assert (gates["fp32"].rule, gates["fp32"].value, gates["fp32"].passed) == ("max_abs <= 1e-4", 3.1e-7, False)
    assert gates["fast"].value == 0.9931
    assert gates["fast"].passed


def test_cost_is_summed(run):
    cost = build_report(run.write()).cost
    assert cost.teacher_sentences == 20000  # 15,000 computed and 5,000 reused
    assert cost.train_seconds == 151.3
    assert cost.total_seconds == pytest.approx(310.0)
    assert cost.peak_rss_mb == 1510.2


def test_the_measured_environment_wins_and_packages_merge(run):
    run.manifest["hardware"] = {"cores": 64, "board": "X"}
    environment = build_report(run.write()).environment
    assert environment["cores"] == 2
    assert environment["board"] == "X"
    assert environment["threads"] == [1]
    assert environment["packages"] == {"numpy": "2.4.6", "onnxruntime": "1.31.1", "torch": "2.13.0"}


def test_a_run_without_facts_is_still_reported(run):
    for stage in run.manifest["stages"]:
        stage["facts"] = {}
    run.recipe = {"name": "bare"}
    run.log = []
    run.measure["environment"] = {}
    report = build_report(run.write())
    report.save(run.folder)
    assert report.headline.task == "sts-test"
    assert "–" in (run.folder / "report.md").read_text("utf-8")


def test_a_run_of_one_export_is_reported(run):
    """presets: [fp32] and no timing of the student."""
    for name in ("fast", "faithful"):
        del run.parity["models"][name], run.quality["models"][name]
    run.measure["variants"] = [item for item in run.measure["variants"] if item["name"] in ("teacher", "fp32")]
    report = build_report(run.write())
    report.save(run.folder)
    assert report.headline.best == "fp32"
    assert report.model("student").role == "student"
    assert report.model("student").latency == ()


def test_report_json_holds_the_house_schema_and_comes_back_equal(run):
    report = build_report(run.write())
    report.save(run.folder)
    raw = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert raw["schema_version"] == 1
    assert {"headline", "models", "cost", "environment", "recipe", "gates"} <= set(raw)
    assert {"task", "metric", "retained", "smaller", "faster", "best"} <= set(raw["headline"])
    row = raw["models"][0]["latency"][0]
    assert set(row) == {
        "batch",
        "sequence",
        "threads",
        "p50_ms",
        "p90_ms",
        "p99_ms",
        "cpu_ms",
        "n",
        "sentences_per_s",
        "noisy",
        "p50_ci95",
    }
    assert raw["recipe"] == run.recipe
    assert Report.model_validate(raw) == report


def test_the_same_files_give_the_same_bytes(run):
    build_report(run.write()).save(run.folder)
    first = {name: (run.folder / name).read_bytes() for name in ("report.json", "report.md", "report.html")}
    build_report(run.folder).save(run.folder)
    assert first == {name: (run.folder / name).read_bytes() for name in first}
    assert not [path for path in run.folder.iterdir() if ".tmp" in path.name]


def test_a_damaged_log_stops_before_anything_is_written(run):
    report = build_report(run.write())
    (run.folder / "log.jsonl").write_text("{")
    with pytest.raises(RunError):
        report.save(run.folder)
    assert not list(run.folder.glob("report.*"))


def test_a_report_is_frozen(run):
    report = build_report(run.write())
    with pytest.raises(ValueError, match="frozen"):
        report.name = "other"


def test_reporting_loads_no_model_library(run):
    code = (
        "import sys, pathlib; from distill.report.model import build_report; from distill.report.card import model_card\n"
        "folder = pathlib.Path(sys.argv[1]); build_report(folder).save(folder); model_card(folder)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'teachers', 'students', 'onnxruntime', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run.write())], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
