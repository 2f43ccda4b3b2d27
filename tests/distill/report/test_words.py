"""One spelling for every number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.report import words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "–"), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min"), (312.4, "5 min 12 s"), (3600, "1 h"), (7384, "2 h 3 min")],
)
def test_durations(seconds, told):
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "–"), (0, "0"), (1.5234, "1.52"), (90.9, "90.9"), (12345.6, "12,346"), (0.00412, "0.00412"), (-2.5, "-2.50")],
)
def test_figures(value, told):
    assert words.figure(value) == told


@given(st.floats(1e-4, 1e9))
def test_a_figure_is_within_half_a_percent(value):
    assert float(words.figure(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_shares_and_counts():
    assert words.percent(0.98096) == "98.1 %"
    assert words.points(0.82034) == "82.03"
    assert words.interval((0.8021, 0.8379)) == "(80.2–83.8)"
    assert words.millions(22713216) == "22.7M"
    assert words.millions(9000) == "9,000"
    assert words.ratio(5.194) == "5.2×"
    assert words.detail(0.5) == "50.00"
    assert words.detail(1379.0) == "1,379"


def test_differences_and_chances():
    assert [words.signed(value) for value in (-0.0191, 0.01, 0.0, -0.00001, None)] == ["-1.91", "+1.00", "0.00", "0.00", "–"]
    assert words.signed_interval((-0.03, 0.01)) == "(-3.00 to +1.00)"
    assert words.signed_interval((0.01, 0.02)) == "(+1.00–+2.00)"
    assert [words.chance(value) for value in (0.0321, 0.0004, None)] == ["0.032", "< 0.001", "–"]


def test_paths_of_this_machine_are_cut_to_their_name():
    assert words.public_name("/home/ann/models/minilm/") == "minilm"
    assert words.public_name("~/models/minilm") == "minilm"
    assert words.public_name("../minilm") == "minilm"
    assert words.public_name("sentence-transformers/all-MiniLM-L6-v2") == "sentence-transformers/all-MiniLM-L6-v2"
    assert words.public_name("package:some_model") == "package:some_model"
