"""Comparisons of whole run folders: what is found, what is refused, and what damaged folders look like."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from compared import change, write_predictions

import distill
from distill.comparing.schema import Comparison, json_schema
from distill.errors import RunError, UserError
from distill.evaluate.ranks import spearman

ROOT = Path(__file__).resolve().parents[3]


def rule(found, name="max_quality_drop"):
    return next(rule for rule in found.rules if rule.rule == name)


def test_equal_runs_are_equal(pair):
    found = distill.compare_runs(pair, max_quality_drop=0.0, max_latency_increase="0%")
    assert (found.baseline, found.task, found.metric, found.cell) == ("a", "sts-test", "spearman_cosine", (1, 32, 1))
    assert found.passed
    assert rule(found).value == 0.0
    paired = next(row for row in found.quality if row.task == "sts-test")
    assert (paired.difference, paired.ci95, paired.p) == (0.0, (0.0, 0.0), 1.0)
    assert found.ratios[0].latency == pytest.approx(1.0)
    assert found.differences == ()


def test_a_worse_and_slower_run_is_caught(make):
    a, b = make("a"), make("b")
    b.worse(0.15)
    b.samples(1.3)
    b.recipe["student"]["layers"] = 2
    a.write(), b.write()
    found = distill.compare_runs([a.folder, b.folder], max_quality_drop=0.01, max_latency_increase=0.1)
    drop = spearman(a.cosines["fast"], a.scores) - spearman(b.cosines["fast"], b.scores)
    assert rule(found).value == pytest.approx(drop)
    assert not rule(found).passed
    assert found.ratios[0].latency == pytest.approx(1.3, rel=0.01)
    assert not rule(found, "max_latency_increase").passed
    assert [(row.path, row.values) for row in found.differences] == [("student.layers", {"a": 3, "b": 2})]
    assert (found.advice.run, found.advice.model) == ("a", "fast")


def test_the_baseline_need_not_be_first_or_named_among_the_runs(make):
    folders = [make(name).write() for name in ("a", "b", "c")]
    assert [run.label for run in distill.compare_runs(folders, baseline=folders[2]).runs] == ["c", "a", "b"]
    assert [run.label for run in distill.compare_runs(folders[:1], baseline=folders[1]).runs] == ["b", "a"]


def test_folders_of_one_name_are_told_apart(make, tmp_path):
    folders = [make("x/run").write(), make("y/run").write()]
    assert [run.label for run in distill.compare_runs(folders).runs] == ["x/run", "y/run"]


@pytest.mark.parametrize(("runs", "word"), [([], "two runs"), (["a"], "two runs"), (["a", "a/"], "named twice")])
def test_two_different_runs_are_needed(pair, runs, word):
    with pytest.raises(UserError, match=word):
        distill.compare_runs([pair[0].parent / run for run in runs])


def test_a_folder_that_is_no_run_is_named(pair, tmp_path):
    with pytest.raises(RunError, match="no run folder here"):
        distill.compare_runs([pair[0], tmp_path / "runs" / "c"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no run"):
        distill.compare_runs([pair[0], tmp_path / "empty"])


def test_different_hardware_is_refused_unless_told(make):
    a, b = make("a"), make("b")
    b.measure["environment"]["cpu"] = "Another CPU"
    folders = [a.write(), b.write()]
    with pytest.raises(UserError, match="different hardware") as caught:
        distill.compare_runs(folders)
    assert "cpu Example CPU 3000 and Another CPU" in str(caught.value)
    allowed = distill.compare_runs(folders, allow_different_hardware=True)
    assert allowed.ratios[0].latency is not None
    assert any("different hardware" in note for note in allowed.notes)
    without = distill.compare_runs(folders, latency=False, max_quality_drop=0.01)
    assert without.cell is None
    assert without.passed
    with pytest.raises(UserError, match="needs timings"):
        distill.compare_runs(folders, latency=False, max_latency_increase=0.1)


def test_a_machine_that_is_not_known_is_another_one(make):
    a, b = make("a"), make("b")
    for run in (a, b):
        del run.measure["environment"]["cpu"]
    with pytest.raises(UserError, match="different hardware"):
        distill.compare_runs([a.write(), b.write()])


def test_a_run_that_is_still_going_is_told_and_left_out(make, pair):
    c = make("c").write()
    change(c, "manifest.json", lambda value: value.update(finished=None, stages=value["stages"][:3]))
    (c / "quality.json").unlink()
    found = distill.compare_runs([*pair, c])
    assert found.run("c").state == "unfinished"
    assert "done so far: teacher, data, signals" in found.run("c").reason
    assert [row.run for row in found.ratios] == ["b"]
    with pytest.raises(RunError, match="cannot be judged"):
        distill.compare_runs([*pair, c], max_quality_drop=0.01)
    with pytest.raises(RunError, match="baseline cannot be compared"):
        distill.compare_runs([*pair], baseline=c)
    with pytest.raises(RunError, match="no run is left"):
        distill.compare_runs([pair[0], c])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("measure.json", None),
        ("measure.json", "{"),
        ("measure.json", '{"schema_version": 1, "variants": 3}'),
        ("quality.json", '{"schema_version": 1, "tasks": {}, "models": {"fast": {"sts-test": {"value": "high"}}}}'),
        ("manifest.json", "[]"),
        ("recipe.yaml", "a: ["),
        ("parity.json", "\x00"),
    ],
)
def test_a_damaged_run_is_told_and_left_out(make, pair, file, content, tmp_path):
    c = make("c").write()
    if content is None:
        (c / file).unlink()
    else:
        (c / file).write_text(content, "utf-8")
    found = distill.compare_runs([*pair, c])
    assert found.run("c").state == "damaged"
    assert file in found.run("c").reason
    assert "\n" not in found.run("c").reason
    found.save(tmp_path / "out")
    assert file in (tmp_path / "out" / "compare.html").read_text("utf-8")


def test_samples_that_are_not_there_leave_the_ratio_without_an_interval(pair):
    change(pair[1], "measure.json", lambda value: value["variants"][3]["latency"][0].pop("samples_ms"))
    row = distill.compare_runs(pair).ratios[0]
    assert row.latency == pytest.approx(1.0)
    assert row.ci95 is None


def test_damaged_predictions_are_refused(pair):
    (pair[1] / "predictions" / "sts-test" / "fast.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="predictions are damaged"):
        distill.compare_runs(pair)


def test_predictions_of_another_quality_are_refused(make, pair):
    c = make("c")
    folder = c.write()
    write_predictions(folder, "sts-test", "fast", c.rows(c.cosines["fast"][::-1].copy()))
    with pytest.raises(RunError, match="do not give the quality"):
        distill.compare_runs([pair[0], folder])


def test_other_examples_are_not_compared(make, pair):
    c = make("c")
    folder = c.write()
    for name, cosine in c.cosines.items():
        rows = c.rows(cosine)
        write_predictions(folder, "sts-test", name, {**rows, "sentence1": [f"other {text}" for text in rows["sentence1"]]})
    found = distill.compare_runs([pair[0], folder], max_quality_drop=0.5)
    assert not found.passed
    assert "different examples" in rule(found).sentence


def test_runs_of_different_tasks_have_no_quality_in_common(make, tmp_path):
    a, b = make("a"), make("b")
    b.recipe["task"] = "classification"
    b.quality["tasks"] = {"topics": {"kind": "classification", "metric": "accuracy", "n": 5}}
    b.quality["models"] = {name: {"topics": {"value": 0.5, "ci95": None, "n": 5}} for name in b.cosines}
    a.write()
    b.cosines = {}
    b.write()
    found = distill.compare_runs([a.folder, b.folder])
    assert found.task is None
    assert found.quality == ()
    assert any("different tasks" in note for note in found.notes)
    assert any("no evaluation set and metric in common" in note for note in found.notes)
    assert found.ratios[0].latency == pytest.approx(1.0)
    assert found.advice.run is None
    found.save(tmp_path / "out")
    with pytest.raises(UserError, match="in common"):
        distill.compare_runs([a.folder, b.folder], max_quality_drop=0.01)
    with pytest.raises(UserError, match="not evaluated on 'sts-test'"):
        distill.compare_runs([a.folder, b.folder], task="sts-test")


def test_a_metric_of_one_run_alone_is_refused(make):
    a, b = make("a"), make("b")
    b.quality["tasks"]["sts-test"]["metric"] = "pearson_cosine"
    folders = [a.write(), b.write()]
    with pytest.raises(UserError, match="different metrics"):
        distill.compare_runs(folders, task="sts-test")
    found = distill.compare_runs(folders)
    assert found.task == "agreement"
    assert any("not every run was judged on sts-test" in note for note in found.notes)


def test_models_and_cells_that_are_not_there_are_named(pair):
    with pytest.raises(UserError, match="no model 'fats'") as caught:
        distill.compare_runs(pair, model="fats")
    assert "fast" in caught.value.hint
    with pytest.raises(UserError, match="not timed at 7x32x1"):
        distill.compare_runs(pair, cell=(7, 32, 1))
    assert distill.compare_runs(pair, cell=(32, 32, 1), model="student").cell == (32, 32, 1)


def test_a_file_that_failed_its_gate_fails_the_limits_and_has_no_speed(make):
    a, b = make("a"), make("b")
    for parity in b.parity["models"].values():
        parity["passed"] = False
    found = distill.compare_runs([a.write(), b.write()], max_quality_drop=0.5, max_latency_increase=0.5)
    assert [rule.passed for rule in found.rules] == [False, False]
    assert "parity gate" in found.rules[0].sentence
    assert {one.run for one in found.candidates} == {"a"}
    failed = distill.compare_runs([a.folder, b.folder], model="fast", max_quality_drop=0.5)
    assert not failed.passed
    assert failed.run("b").model is None
    with pytest.raises(UserError, match="no exported file of the baseline"):
        distill.compare_runs([b.folder, a.folder])


def test_a_disturbed_machine_is_told(make):
    a, b = make("a"), make("b")
    b.variant("faithful")["latency"][0]["noisy"] = True
    found = distill.compare_runs([a.write(), b.write()])
    assert [note for note in found.notes if "disturbed machine: b." in note]
    assert not found.ratios[0].noisy, "the file that stands for the run was timed in peace"


def test_different_teachers_are_told(make):
    a, b = make("a"), make("b")
    b.facts("teacher")["model"] = "another/teacher"
    found = distill.compare_runs([a.write(), b.write()])
    assert any("another/teacher" in note for note in found.notes)


class Page(HTMLParser):
    """Counts tags, and finds what a page loads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "action", "data")]


def test_the_page_is_whole_escaped_and_loads_nothing(make, tmp_path):
    evil = '<script>alert("x")</script>'
    a, b = make("a"), make("b")
    b.recipe["data"]["train"] = [{"source": f"{evil} \u202eabc"}]
    b.facts("teacher")["model"] = evil
    b.measure["environment"]["cpu"] = a.measure["environment"]["cpu"] = "CPU </style><b>"
    found = distill.compare_runs([a.write(), b.write()], max_quality_drop=0.01)
    found.save(tmp_path)
    text = (tmp_path / "compare.html").read_text("utf-8")
    page = Page(text)
    assert evil not in text
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.loads == []
    assert page.tags.count("svg") == 2
    assert page.tags.count("table") == 6
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert "<script" not in (tmp_path / "compare.md").read_text("utf-8")
    assert Comparison.model_validate(json.loads((tmp_path / "compare.json").read_text("utf-8"))) == found


def test_the_intervals_are_drawn_on_both_axes(pair, tmp_path):
    from distill.comparing.plot import scatter

    picture = scatter(distill.compare_runs(pair))
    marks = len(re.findall(r'class="mark ', picture))
    assert marks == 6
    assert len(re.findall(r'class="whisker ', picture)) == 2 * marks
    assert 'class="front"' in picture


def test_the_published_schema_is_that_of_the_file(pair, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    published = json.loads((ROOT / "docs" / "compare.schema.json").read_text("utf-8"))
    assert published == json_schema()
    distill.compare_runs(pair, max_quality_drop=0.01, max_latency_increase="10%").save(tmp_path)
    jsonschema.validate(json.loads((tmp_path / "compare.json").read_text("utf-8")), published)
