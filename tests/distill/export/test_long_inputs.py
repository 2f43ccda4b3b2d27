"""Long inputs: how long they are, what is in a batch, and that a difference at the far end of a text is seen."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from distill.export.long_inputs import long_differences, long_feeds, long_lengths, long_passed
from distill.export.parity import probe_sentences

NAMES = ("input_ids", "attention_mask")


@pytest.mark.parametrize(
    ("limit", "lengths"), [(64, []), (128, []), (256, [256]), (512, [300, 512]), (1000, [300, 1000]), (8192, [300, 1000])]
)
def test_lengths_fill_the_window_up_to_a_thousand(limit, lengths):
    assert long_lengths(limit) == lengths


@given(st.integers(1, 10_000))
def test_no_length_is_beyond_the_limit(limit):
    assert all(128 < length <= limit for length in long_lengths(limit))


@pytest.mark.parametrize("pairs", [False, True])
def test_a_batch_holds_a_full_row_and_a_padded_one(pairs):
    words = tiny.tokenizer("bert", 8192)
    names = (*NAMES, "token_type_ids")
    feeds = long_feeds(words, names, probe_sentences(), 8192, pairs=pairs)
    assert [feed["input_ids"].shape for feed in feeds] == [(2, 300), (2, 1000)]
    for feed in feeds:
        assert feed["attention_mask"][0].all()
        assert feed["attention_mask"][1].sum() == feed["input_ids"].shape[1] // 3
        assert feed["token_type_ids"].any() == pairs
        assert feed["input_ids"].dtype == np.int64


def test_only_real_tokens_count_and_infinity_is_no_number():
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    feed = {"input_ids": np.zeros((2, 4), np.int64), "attention_mask": mask}
    base = np.zeros((2, 4, 3), np.float32)
    padding, end = base.copy(), base.copy()
    padding[1, 3] = 9
    end[0, 3, 1] = 0.5
    for values, expected in ((padding, 0.0), (end, 0.5), (base + np.inf, None), (base * np.nan, None)):
        found = long_differences(lambda _, values=values: [values], lambda _: [base], [feed], by_token=True)
        assert found == {"4": expected}
        assert long_passed(found, 1e-4) == (expected == 0.0)
    assert long_differences(lambda _: [padding], lambda _: [base], [feed], by_token=False) == {"4": 9.0}
    assert long_passed({}, 1e-4)
