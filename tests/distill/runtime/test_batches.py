"""Batches of rows of like length: nothing lost, nothing much padded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import UserError
from distill.runtime.batches import WASTE, Sizes, plan, sizes, usable_cores, windows

LENGTHS = st.lists(st.integers(0, 600), max_size=200)


@given(LENGTHS, st.integers(1, 2000))
def test_a_budget_of_tokens(lengths, budget):
    batches = plan(lengths, Sizes(None, budget))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    for batch, width in zip(batches, longest, strict=True):
        assert len(batch) == 1 or len(batch) * width <= budget
        padding = sum(width - lengths[row] for row in batch)
        assert padding * WASTE <= max(1, width) * len(batch)


@given(LENGTHS, st.integers(1, 50))
def test_a_number_of_rows_is_exact(lengths, rows):
    batches = plan(lengths, Sizes(rows, 1))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == rows for batch in batches[:-1])


def test_rows_of_one_length_fill_the_budget_in_their_order():
    assert [batch.tolist() for batch in plan([4] * 7, Sizes(None, 12))] == [[0, 1, 2], [3, 4, 5], [6]]
    assert plan([], Sizes(None, 5)) == []


def test_what_is_asked_for():
    assert sizes(None, None, 512) == Sizes(None, 512)
    assert sizes(8, None, 512).window == 512
    assert sizes(None, 100, 512).tokens == 100
    with pytest.raises(UserError, match="both"):
        sizes(8, 100, 512)
    for wrong in (0, -1, 1.5, True, "8"):
        with pytest.raises(UserError, match="batch_tokens"):
            sizes(None, wrong, 512)


@given(st.lists(st.text(max_size=6)), st.integers(1, 5))
def test_windows_are_the_items(texts, rows):
    found = list(windows(iter(texts), rows, len))
    assert [text for window in found for text in window] == texts
    assert all(0 < len(window) <= rows for window in found)


def test_long_texts_close_a_window_and_errors_come_last():
    texts = ["x" * 600_000, "y" * 600_000, "z"]
    assert [len(window) for window in windows(texts, 100, len)] == [2, 1]

    def broken():
        yield from "ab"
        raise OSError("gone")

    found = windows(broken(), 100, len)
    assert next(found) == ["a", "b"]
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_cores():
    assert usable_cores() >= 1
    assert np.isfinite(usable_cores())
