"""The drawing board: scales and ticks against values worked out by hand."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.report.svg import Board, Scale, overlap, place


def test_a_linear_scale_maps_its_ends_and_its_middle():
    scale = Scale(0.5, 1.5, 100, 200)
    assert (scale(0.5), scale(1.0), scale(1.5)) == (100, 150, 200)


def test_a_log_scale_puts_the_geometric_mean_in_the_middle():
    scale = Scale(1, 100, 0, 200, log=True)
    assert scale(10) == pytest.approx(100)


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0, 10, 0, 1), [0, 2, 4, 6, 8, 10]),
        (Scale(0.781, 0.846, 0, 1), [0.80, 0.82, 0.84]),
        (Scale(1, 23, 0, 1, log=True), [1, 2, 5, 10, 20]),
        (Scale(1, 10000, 0, 1, log=True), [1, 10, 100, 1000, 10000]),
    ],
)
def test_ticks_are_round(scale, ticks):
    assert scale.ticks(5) == pytest.approx(ticks)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(3, 8))
def test_linear_ticks_rise_inside_the_scale(low, width, count):
    ticks = Scale(low, low + width, 0, 1).ticks(count)
    assert 1 <= len(ticks) <= count + 1
    assert ticks == sorted(set(ticks))
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


@given(st.floats(1e-5, 1e4), st.floats(1.05, 1e6), st.integers(3, 8))
def test_log_ticks_rise_inside_the_scale(low, factor, count):
    ticks = Scale(low, low * factor, 0, 1, log=True).ticks(count)
    assert 1 <= len(ticks) <= count + 1
    assert ticks == sorted(set(ticks))
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="￾￿"), max_size=30))
def test_any_text_gives_a_picture_that_parses(text):
    board = Board(10, 10, name="x", title=text, description=text)
    board.text(1, 1, text, "label")
    root = ElementTree.fromstring(board.render())
    assert [element.text or "" for element in root] == [text] * 3


def test_a_label_goes_where_there_is_room():
    taken = [(0.0, 0.0, 10.0, 10.0)]
    assert place([(5, 5, 15, 15), (20, 20, 30, 30)], taken, (0, 0, 40, 40)) == 1
    assert place([(35, 0, 45, 5), (5, 5, 15, 15)], taken, (0, 0, 40, 40)) == 1, "a little overlap is better than being cut off"


BOXES = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 3), st.integers(1, 3)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(BOXES, BOXES)
def test_boxes_overlap_where_they_share_a_cell(a, b):
    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    assert overlap(a, b) == bool(cells(a) & cells(b))
