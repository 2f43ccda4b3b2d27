"""The page of a run that is going on: it says so, it shows what is there, and it never stops the run."""

from __future__ import annotations

import pytest
from report_page import Page
from report_run import Run

from distill import live, progress
from distill.live import LivePage, live_page
from distill.rundir import RunDir


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run folder as it is while a run goes on that was here before."""
    run = Run(tmp_path / "quickstart")
    run.manifest["finished"] = None
    run.write()
    monkeypatch.setattr(live.time, "monotonic", iter(range(0, 100_000, 100)).__next__)
    folder = RunDir(run.folder)
    folder.manifest = dict(run.manifest)
    folder.through = ["teacher", "data", "signals"]
    return folder


def broken(folder, error, before=lambda: None):
    """A run that tells of something and then fails."""
    with live_page(folder):
        progress.changed()
        before()
        raise error


def page(folder):
    text = (folder.path / "report.html").read_text("utf-8")
    return text, " ".join(" ".join(Page(text).text).split())


def test_a_page_of_a_run_that_goes_on_says_so(folder):
    LivePage(folder).news()
    html, text = page(folder)
    assert '<meta http-equiv="refresh"' in html
    assert "This run is still going" in text
    assert "Done: teacher, data, signals. Left: training, student, onnx, parity, quality, measure, report." in text
    assert "Not yet: the stage 'quality' is still to come." in text


def test_what_an_earlier_run_left_is_not_told(folder):
    LivePage(folder).news()
    _, text = page(folder)
    for words in ("97.7 %", "80.12", "5.2×", "Every exported file passed"):
        assert words not in text
    folder.through += ["training", "student", "onnx", "parity", "quality"]
    LivePage(folder).news()
    assert "80.12" in page(folder)[1]


def test_before_the_data_are_read_there_is_no_page(folder):
    folder.through = ["teacher"]
    LivePage(folder).news()
    assert not (folder.path / "report.html").exists()


def test_the_curves_are_there_while_training(folder):
    LivePage(folder).news()
    html, _ = page(folder)
    assert html.count('id="curve-') == 4  # title and description, wide and narrow


def test_it_is_not_written_more_often_than_needed(folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    found = LivePage(folder)
    found.news()
    (folder.path / "report.html").unlink()
    now[0] = live.EVERY - 1
    found.news()
    assert not (folder.path / "report.html").exists()
    folder.through.append("training")
    found.news()
    assert (folder.path / "report.html").exists(), "a stage that begins is told at once"
    (folder.path / "report.html").unlink()
    now[0] += live.EVERY
    found.news()
    assert (folder.path / "report.html").exists()


def test_a_run_that_stops_says_so_and_no_longer_reads_itself_again(folder):
    with pytest.raises(KeyboardInterrupt):
        broken(folder, KeyboardInterrupt)
    html, text = page(folder)
    assert 'http-equiv="refresh"' not in html
    assert "This run is not finished" in text


def test_a_finished_report_is_left_alone(folder):
    def finish():
        folder.manifest["finished"] = "2026-11-21T10:05:12"
        (folder.path / "report.html").write_text("the report")

    with pytest.raises(ValueError):
        broken(folder, ValueError, finish)
    assert (folder.path / "report.html").read_text() == "the report"


def test_nothing_about_the_page_stops_a_run(folder, monkeypatch):
    (folder.path / "manifest.json").write_text("{")
    notes = []
    monkeypatch.setattr(live, "note", notes.append)
    with live_page(folder):
        progress.changed()
        folder.through.append("training")
        progress.changed()
    assert len(notes) == 1
    assert "report.html is not written while the run goes on (RunError" in notes[0]


def test_watchers_are_gone_after_the_block(folder):
    with live_page(folder):
        pass
    progress.changed()
    assert not (folder.path / "report.html").exists()
