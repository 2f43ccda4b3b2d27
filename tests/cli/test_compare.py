"""`distill compare`: its gates and exit codes, and that a student two points worse is caught, twenty times of twenty."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from compared import PredictedRun, change

from distill.evaluate.ranks import spearman


@pytest.fixture
def runs(tmp_path):
    """Two equal runs on disk."""
    return [PredictedRun(tmp_path / "runs" / name).write() for name in ("a", "b")]


def test_without_limits_it_reports_and_ends_with_0(cli, runs, tmp_path):
    code, out, err = cli("compare", *runs, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.startswith("Ship the file 'fast' of")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"compare.html", "compare.md", "compare.json"}


def test_an_unchanged_run_passes_the_limits(cli, runs, tmp_path):
    limits = ("--max-quality-drop", "0", "--max-latency-increase", "0%", "--out", tmp_path / "out")
    code, out, _ = cli("compare", runs[1], "--baseline", runs[0], *limits)
    assert code == 0
    assert out.count("passed: b:") == 2


def test_a_worse_run_ends_with_1_and_one_line(cli, tmp_path):
    a, b = (PredictedRun(tmp_path / name) for name in ("a", "b"))
    b.worse(0.2)
    b.samples(1.5)
    limits = ("--max-quality-drop", "0.01", "--max-latency-increase", "10%", "--out", tmp_path / "out")
    code, _, err = cli("compare", a.write(), b.write(), *limits)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("failed: b: Spearman of cosine on sts-test fell by 0.")
    assert "the median latency changed by +5" in err
    assert json.loads((tmp_path / "out" / "compare.json").read_text("utf-8"))["rules"][0]["passed"] is False


def test_two_points_worse_is_caught_and_unchanged_passes_twenty_times_of_twenty(tmp_path, monkeypatch):
    """The set is drawn anew each time, so that the drop is two points on the whole set, not on each draw."""
    import distill
    from distill.comparing import scores

    # The estimate decides, so that few resamples for its interval do here.
    monkeypatch.setattr(scores, "paired_statistic", functools.partial(scores.paired_statistic, rounds=20))

    whole = PredictedRun(tmp_path / "whole")
    noise = _noise_of(whole, 0.02)
    caught = passed = 0
    for trial in range(20):
        rows = np.random.default_rng(trial).integers(0, len(whole.scores), 1379)
        a, unchanged, worse = (_drawn(tmp_path / f"{trial}" / name, whole, rows) for name in ("a", "unchanged", "worse"))
        chance = np.random.default_rng(1000 + trial)
        worse.cosines = {name: cosine + noise * chance.normal(size=1379) for name, cosine in worse.cosines.items()}
        found = distill.compare_runs([run.write() for run in (a, unchanged, worse)], max_quality_drop=0.01, latency=False)
        first, second = found.rules
        passed += first.passed
        caught += not second.passed
    assert (caught, passed) == (20, 20)


def _drawn(folder, whole, rows):
    run = PredictedRun(folder)
    run.scores = whole.scores[rows]
    run.cosines = {"fast": whole.cosines["fast"][rows]}
    return run


def _noise_of(run, drop):
    """How much noise lowers the Spearman by `drop` on average."""
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(20, len(run.scores)))
    cosine = run.cosines["fast"]
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        values = [spearman(cosine + middle * noise, run.scores) for noise in draws]
        low, high = (middle, high) if spearman(cosine, run.scores) - np.mean(values) < drop else (low, middle)
    return high


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "two runs or more"),
        (["nowhere"], "nowhere"),
        (["--max-quality-drop", "1"], "--max-quality-drop: this is no drop in the metric's own unit"),
        (["--max-latency-increase", "10"], "--max-latency-increase: this is no share"),
        (["--max-latency-increase", "10%", "--no-latency"], "--max-latency-increase: a limit on latency needs timings"),
        (["--at", "32"], "no cell"),
        (["--at", "9x9"], "not timed at 9x9x1"),
        (["--task", "sst-test"], "sts-test"),
        (["--model", "quick"], "no model 'quick'"),
    ],
)
def test_mistakes_end_with_2(cli, runs, monkeypatch, tmp_path, arguments, word):
    monkeypatch.chdir(tmp_path)
    chosen = runs[:1] if not arguments else runs
    code, _, err = cli("compare", *chosen, *arguments)
    assert code == 2
    assert word in err
    assert not (tmp_path / "compare").exists()


def test_different_hardware_ends_with_2_unless_told(cli, runs, tmp_path):
    change(runs[1], "measure.json", lambda value: value["environment"].update(cpu="Another"))
    code, _, err = cli("compare", *runs, "--out", tmp_path / "out")
    assert code == 2
    assert "--allow-different-hardware" in err
    code, out, _ = cli("compare", *runs, "--allow-different-hardware", "--out", tmp_path / "out")
    assert code == 0
    assert "note: a and b were timed on different hardware" in out


def test_a_run_that_is_still_going_is_told(cli, runs, tmp_path):
    going = PredictedRun(tmp_path / "runs" / "c").write()
    change(going, "manifest.json", lambda value: value.update(finished=None))
    code, out, _ = cli("compare", *runs, going, "--out", tmp_path / "out")
    assert code == 0
    assert "note: c: still going or interrupted" in out
    assert "still going" in (tmp_path / "out" / "compare.html").read_text("utf-8")
    assert cli("compare", *runs, going, "--max-quality-drop", "0.01", "--out", tmp_path / "out").code == 2
