"""Runs that are not whole, and texts of every kind: told honestly, escaped, never a broken page."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_page import Page
from report_run import Run, predict

from distill.errors import RunError
from distill.report.html import to_html
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.read import read_log_leniently

FILES = ["quality.json", "parity.json", "measure.json", "log.jsonl"]
DAMAGE = [b"", b'{"schema', b"\xff\xfe\x00", b"[1, 2]", b'{"schema_version": 2}', b'{"schema_version": 1}', b"[" * 5000, b"NaN"]
SAME_FOLDER = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = [
    '"><script>alert(1)</script>',
    "</style><img src=x onerror=alert(2)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c",
    "مرحبا بالعالم",
    "Donaudampfschifffahrtsgesellschaft" * 30,
    "a\u0000b\u0008\ud7ff\ufffe",
    "\n\n# heading\n- item | cell",
    "한국어 문장입니다.",
    "👩‍👩‍👧‍👦" * 20,
]


def forms(report, log=()):
    return to_html(report, log), to_markdown(report), to_html(report, log, "ko")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [None, *DAMAGE])
def test_a_file_that_is_missing_or_damaged_is_told(run, name, damage):
    path = run.write() / name
    path.unlink() if damage is None else path.write_bytes(damage)
    report = build_report(run.folder, lenient=True)
    if name == "log.jsonl" and damage == b"":
        assert report.problems == ()
        return
    (problem,) = report.problems
    assert (problem.file, problem.what) == (name, "missing" if damage is None else "damaged")
    report.save(run.folder)
    text = " ".join(Page((run.folder / "report.html").read_text("utf-8")).text)
    assert f"{name} is {'missing' if damage is None else 'damaged'}" in text
    assert f"{name} is" in (run.folder / "report.md").read_text("utf-8")
    with pytest.raises(RunError):
        build_report(run.folder).save(run.folder)


def test_without_quality_the_speed_is_shown_and_the_other_way_round(run):
    (run.write() / "quality.json").unlink()
    text = " ".join(Page(to_html(build_report(run.folder, lenient=True))).text)
    assert "5.2×" in text
    assert "quality is not shown" in text
    run.write()
    (run.folder / "measure.json").write_text("{")
    text = " ".join(Page(to_html(build_report(run.folder, lenient=True))).text)
    assert "80.12" in text
    assert "9.0×" not in text


def test_without_parity_nothing_counts_as_checked(run):
    (run.write() / "parity.json").unlink()
    report = build_report(run.folder, lenient=True)
    assert all(model.latency == () for model in report.models if model.role == "export")
    assert report.headline.best is None
    assert "No exported file passed its gate." in to_html(report)


def test_facts_of_a_stage_that_are_damaged_leave_the_others(run):
    run.facts("teacher")["params"] = "many"
    report = build_report(run.write(), lenient=True)
    assert (report.problems[0].file, report.problems[0].place) == ("manifest.json", "teacher")
    assert report.student.layers == [0, 2, 5]


@pytest.mark.parametrize("name", ["manifest.json", "recipe.yaml"])
def test_without_manifest_or_recipe_there_is_no_run(run, name):
    (run.write() / name).unlink()
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        build_report(run.folder, lenient=True)


def test_a_run_that_is_not_finished_says_what_is_left(run):
    run.manifest["finished"] = None
    run.manifest["stages"] = run.manifest["stages"][:3]
    for name in ("quality", "parity", "measure"):
        getattr(run, name)
    folder = run.write()
    for name in FILES[:3]:
        (folder / name).unlink()
    report = build_report(folder, lenient=True)
    assert report.problems == ()
    assert report.going.done == ("teacher", "data", "signals")
    assert report.going.left[0] == "training"
    html = to_html(report)
    assert "This run is not finished" in html
    assert 'http-equiv="refresh"' not in html, "nobody writes this page again"
    report.save(folder)
    assert not (folder / "samples.csv").exists()


def test_a_torn_line_of_the_log_is_one_line_less(run):
    path = run.write() / "log.jsonl"
    whole = len(path.read_text().splitlines())
    with path.open("a") as stream:
        stream.write('{"stage": "main", "st')
    lines, (problem,) = read_log_leniently(path)
    assert len(lines) == whole
    assert problem.place == str(whole + 1)


def test_a_run_without_evaluation_sets(run):
    run.recipe["data"]["evaluate"] = {}
    del run.quality["tasks"]["sts-test"]
    for found in run.quality["models"].values():
        found.pop("sts-test", None)
    page, text, korean = forms(build_report(run.write()))
    assert "agreement with the teacher" in page
    assert "교사 모델과의 일치도" in korean
    assert "agrees with the teacher" in text


def test_a_run_without_anything_measured_has_a_page(run):
    run.quality |= {"tasks": {}, "models": {}}
    run.parity["models"], run.measure["variants"], run.log = {}, [], []
    for form in forms(build_report(run.write())):
        assert form
    assert "Nothing was recorded." in to_html(build_report(run.folder))


def test_nan_in_a_file_is_told(run):
    run.quality["models"]["fast"]["sts-test"]["value"] = float("nan")
    report = build_report(run.write(), lenient=True)
    assert report.problems[0].what == "damaged"
    assert "fast.sts-test.value" in report.problems[0].place
    assert "nan" not in json.dumps(report.model_dump(mode="json")).lower()


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_every_kind_stay_texts(run, text):
    predict(run, texts=[text])
    run.manifest["name"] = text.replace("\u0000", "")
    run.facts("training")["stages"][0]["name"] = text
    report = build_report(run.write())
    for form in forms(report, [])[::2]:
        page = Page(form)
        assert not {"script", "img", "iframe"} & set(page.tags)
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert "49" not in page.text
    assert "<script" not in to_markdown(report)


@SAME_FOLDER
@given(st.text(min_size=1, max_size=60))
def test_any_text_in_any_place_leaves_the_page_whole(tmp_path_factory, text):
    run = Run(tmp_path_factory.mktemp("run") / "a")
    run.manifest["name"] = run.facts("teacher")["model"] = text
    run.manifest["packages"] = {text: text}
    run.quality["tasks"][text] = {"kind": "sts", "metric": text, "n": 3}
    run.quality["models"]["fast"][text] = {"value": 0.5, "n": 3, "details": {text: 0.5}}
    run.parity["models"]["fast"]["gate"] = text
    run.log = [{"stage": text, "step": step, "losses": {text: 1.0 / step}, "dev": {text: 0.5}} for step in (1, 2, 3)]
    report = build_report(run.write())
    page = Page(to_html(report, read_log_leniently(run.folder / "log.jsonl")[0]))
    assert set(page.tags) <= SAFE
    assert page.headings[0] == 1
    to_markdown(report)


SAFE = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "footer", "div", "span", "p", "a"),
    *("h1", "h2", "h3", "ul", "ol", "li", "dl", "dt", "dd", "strong", "small", "bdi", "pre", "code", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    *("svg", "desc", "line", "path", "text", "rect", "circle"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures_are_well_formed_whatever_their_labels(run, text):
    from distill.report.layers import layer_picture
    from distill.report.plots import curve, scatter, sizes
    from distill.report.read import LogLine

    run.facts("training")["stages"][0] |= {"name": text, "layer_map": [[5, 2]]}
    run.recipe["data"]["evaluate"] = {text: {}}
    run.quality["tasks"][text] = run.quality["tasks"].pop("sts-test")
    for found in run.quality["models"].values():
        found[text] = found.pop("sts-test")
    report = build_report(run.write())
    lines = [LogLine(stage=text, step=step, losses={text: 1.0, "b": 2.0}) for step in (1, 2)]
    for picture in (scatter(report), sizes(report), layer_picture(report), curve(lines, None)):
        ElementTree.fromstring(picture)
