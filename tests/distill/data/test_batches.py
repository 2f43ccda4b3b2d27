"""Token ids, padded batches and the length-bucketed order."""

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.data import tokens
from distill.data.collate import Collator
from distill.data.sampler import LengthBucketSampler, TokenBudgetBatches
from distill.data.tokens import TokenizedSentences

items = st.lists(st.lists(st.integers(1, 30_000), max_size=20), min_size=1, max_size=12).map(
    lambda rows: [{"input_ids": np.array(ids, dtype=np.int32), "row": 7 * line} for line, ids in enumerate(rows)]
)


@given(items, st.booleans(), st.sampled_from([None, 1, 8]))
def test_a_batch_holds_every_token_and_pads_the_rest(rows, with_types, multiple):
    batch = Collator(pad_id=9, with_token_type_ids=with_types, pad_to_multiple_of=multiple)(rows)
    assert set(batch) == {"input_ids", "attention_mask", "row"} | ({"token_type_ids"} if with_types else set())
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    longest = max(1, *(len(item["input_ids"]) for item in rows))
    width = batch["input_ids"].shape[1]
    assert width == (longest if multiple is None else next(w for w in range(longest, longest + 9) if w % multiple == 0))
    for line, item in enumerate(rows):
        length = len(item["input_ids"])
        assert batch["input_ids"][line].tolist() == [*item["input_ids"].tolist(), *[9] * (width - length)]
        assert batch["attention_mask"][line].tolist() == [1] * length + [0] * (width - length)
    assert batch["row"].tolist() == [item["row"] for item in rows]
    if with_types:
        assert batch["token_type_ids"].shape == batch["input_ids"].shape
        assert not batch["token_type_ids"].any()


def test_tokens_are_those_of_the_tokenizer_one_by_one(monkeypatch):
    monkeypatch.setattr(tokens, "CHUNK", 7)
    tokenizer = tiny.tokenizer()
    texts = [*tiny.SENTENCES[:30], "", "a very long sentence " * 40]
    corpus = TokenizedSentences(texts, tokenizer, max_length=16)
    expected = [tokenizer(text, truncation=True, max_length=16)["input_ids"] for text in texts]
    assert len(corpus) == 32
    assert corpus.lengths.tolist() == list(map(len, expected))
    assert corpus.lengths.max() == 16
    for index, ids in enumerate(expected):
        item = corpus[index]
        assert item["input_ids"].tolist() == ids
        assert item["input_ids"].dtype == np.int32
        assert item["row"] == index
    for index in (-1, 32):
        with pytest.raises(IndexError):
            corpus[index]


def test_an_empty_corpus_has_no_items():
    corpus = TokenizedSentences([], tiny.tokenizer(), max_length=16)
    assert len(corpus) == 0
    with pytest.raises(IndexError):
        corpus[0]


lengths = st.lists(st.integers(1, 128), max_size=300)


@given(lengths, st.integers(1, 40), st.integers(0, 5), st.integers(1, 6))
def test_every_index_comes_exactly_once(sizes, batch_size, epoch, window):
    sampler = LengthBucketSampler(sizes, batch_size, seed=1, window=window)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(sizes)))
    assert len(sampler) == len(sizes)
    assert all(isinstance(index, int) for index in order)
    assert order == list(sampler), "the same epoch gives the same order"


def test_epochs_and_seeds_differ_and_come_back():
    sizes = np.random.default_rng(0).integers(4, 100, 1000)

    def order(seed, epoch):
        sampler = LengthBucketSampler(sizes, 16, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    orders = [order(seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({tuple(one) for one in orders}) == 4
    assert order(2, 1) == orders[3]


def test_batches_save_padding_and_stay_shuffled():
    sizes = np.random.default_rng(0).integers(4, 128, 6410)
    order = np.array(list(LengthBucketSampler(sizes, 32, seed=3)))

    def padded(index):
        batches = [sizes[index[start : start + 32]] for start in range(0, len(index), 32)]
        return sum(batch.max() * len(batch) for batch in batches)

    assert padded(np.random.default_rng(1).permutation(len(sizes))) > 1.7 * sizes.sum()
    assert padded(order) < 1.08 * sizes.sum()
    means = sizes[order[:6400]].reshape(-1, 32).mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.25, "batches do not come in the order of their lengths"


def test_the_short_batch_comes_last_and_the_others_are_whole():
    sizes = [5] * 10 + [50] * 10
    order = list(LengthBucketSampler(sizes, 8, seed=0, window=1))
    assert len(order) == 20
    first = [sorted(sizes[index] for index in order[start : start + 8]) for start in (0, 8)]
    assert all(len(batch) == 8 for batch in first)


@pytest.mark.parametrize(("batch_size", "window"), [(0, 5), (4, 0)])
def test_impossible_sizes_are_refused(batch_size, window):
    with pytest.raises(ValueError, match="at least 1"):
        LengthBucketSampler([1, 2], batch_size, seed=0, window=window)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(128, 400), st.integers(2, 20), st.integers(0, 3))
def test_batches_of_so_many_tokens(lengths, budget, most, epoch):
    """Every row once; no batch above the budget, padding counted; every epoch has as many batches, of the same sizes."""
    batches = TokenBudgetBatches(lengths, budget, most, seed=1)
    first = list(batches)
    batches.set_epoch(epoch)
    found = list(batches)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    assert len(found) == len(batches) == len(first)
    assert sorted(map(len, found)) == sorted(map(len, first))
    assert all(len(batch) * max(lengths[row] for row in batch) <= budget and len(batch) <= most for batch in found)
    assert batches.rows_of_longest in {len(batch) for batch in found if max(lengths) in [lengths[row] for row in batch]}
    assert list(batches) == found


def test_a_budget_is_used_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(4, 64, 400)
    batches = TokenBudgetBatches(lengths, 512, 64, seed=1)
    first = list(batches)
    batches.set_epoch(1)
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in batches}
    padded = sum(len(batch) * lengths[batch].max() for batch in first)
    assert padded < 1.12 * lengths.sum()
    assert np.median([len(batch) * lengths[batch].max() for batch in first]) > 0.85 * 512


def test_a_budget_that_holds_no_two_rows_is_refused():
    with pytest.raises(ValueError, match="no two rows of 64"):
        TokenBudgetBatches([3, 60], 127, 8, seed=0)
