"""What the two pictures show: every variant at its place, every curve with the numbers of the log."""

import re
from xml.etree import ElementTree

import pytest

from distill.report.model import build_report
from distill.report.plots import curve, scatter
from distill.report.read import LogLine


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg) if element.tag == "text"]


def whiskers(svg):
    """Class -> (x, top, bottom) of every interval."""
    lines = [element.attrib for element in ElementTree.fromstring(svg) if element.get("class", "").startswith("whisker")]
    return [(line["class"], float(line["x1"]), float(line["y2"]), float(line["y1"])) for line in lines]


@pytest.mark.parametrize("width", [760, 360])
def test_every_variant_is_drawn_with_its_interval(run, width):
    svg = scatter(build_report(run.write()), width)
    assert {"teacher", "student", "fp32", "fast", "faithful"} <= set(texts(svg))
    drawn = whiskers(svg)
    assert [css for css, *_ in drawn] == [
        "whisker teacher",
        "whisker student",
        "whisker export",
        "whisker export best",
        "whisker export",
    ]
    xs = [x for _, x, _, _ in drawn]
    assert xs[0] > xs[1] > xs[2] > xs[4] > xs[3], "slower is further right"
    # A log axis: equal ratios are equal distances. 14.4 / 7.6 against 4.1 / 2.1.
    assert (xs[0] - xs[1]) / (xs[2] - xs[4]) == pytest.approx(0.6391 / 0.6690, rel=0.01)
    assert all(top < bottom for _, _, top, bottom in drawn)
    assert all(0 <= x <= width for x in xs)


def test_without_intervals_or_with_equal_values_it_still_draws(run):
    for tasks in run.quality["models"].values():
        for result in tasks.values():
            result.update(value=0.8, ci95=None)
    assert scatter(build_report(run.write())) is not None


def test_the_first_cell_stands_in_for_a_missing_headline_cell(run):
    for variant in run.measure["variants"]:
        variant["latency"] = variant["latency"][1:]
    assert "median ms, 32×32, log scale" in texts(scatter(build_report(run.write())))


def test_the_curve_marks_the_best_dev_value(run):
    lines = [LogLine.model_validate(line) for line in run.log]
    svg = curve(lines, "agreement_spearman")
    assert "best 0.9571" in texts(svg)
    assert {"embedding_cosine", "similarity_matrix", "Loss terms, weighted"} <= set(texts(svg))


def test_a_step_logged_again_after_a_resume_counts_once():
    lines = [LogLine(step=step, dev={"m": value}) for step, value in ((1, 0.9), (2, 0.1), (1, 0.2), (2, 0.3))]
    assert "best 0.3000" in texts(curve(lines, "m"))


def test_stages_follow_each_other():
    lines = [LogLine(stage=stage, step=step, losses={"a": 1.0 / step}) for stage in ("one", "two") for step in (1, 50, 100)]
    root = ElementTree.fromstring(curve(lines, None))
    assert len([1 for element in root if element.get("class") == "stage"]) == 1
    (path,) = [element.get("d") for element in root if element.get("class") == "line c0"]
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", path)]
    assert xs == sorted(xs)
    assert len(xs) == 6


def test_a_long_log_is_thinned():
    lines = [LogLine(step=step, losses={"a": 1.0 / step}) for step in range(1, 5001)]
    root = ElementTree.fromstring(curve(lines, None))
    (path,) = [element.get("d") for element in root if element.get("class") == "line c0"]
    assert 60 <= path.count("L") + 1 <= 120


def test_an_empty_log_draws_nothing():
    assert curve([], "agreement_spearman") is None
    assert curve([LogLine(step=1, loss=float("nan"))], None) is None
