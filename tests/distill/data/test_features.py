"""Labelled texts as token ids, and batches of every task."""

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.data import features
from distill.data.examples import TextExamples
from distill.data.features import TaskCollator, TextFeatures, takes_token_types
from distill.data.ragged import Ragged

TASKS = ("general", "classification", "multilabel", "regression", "tokens", "spans")


def item(task, ids, line, draw):
    """A tokenized example with labels of its task."""
    made = {"input_ids": np.array(ids, dtype=np.int32), "row": 7 * line}
    number = st.integers(0, max(0, len(ids) - 1))
    if task == "classification":
        made["labels"] = draw(st.sampled_from([-100, 0, 3]))
    elif task == "multilabel":
        made["labels"] = np.array(draw(st.tuples(*[st.sampled_from([0.0, 1.0])] * 3)), dtype=np.float32)
    elif task == "regression":
        made["labels"] = draw(st.floats(-5, 5, width=32))
    elif task == "tokens":
        made["labels"] = np.array([draw(st.sampled_from([-100, 0, 4])) for _ in ids], dtype=np.int32)
    elif task == "spans":
        made |= {"start_positions": draw(number), "end_positions": draw(number)}
    return made


@st.composite
def batches(draw):
    task = draw(st.sampled_from(TASKS))
    rows = draw(st.lists(st.lists(st.integers(1, 30_000), max_size=12), min_size=1, max_size=8))
    items = [item(task, ids, line, draw) for line, ids in enumerate(rows)]
    if draw(st.booleans()):
        for one in items:
            one["token_type_ids"] = np.array([place % 2 for place in range(len(one["input_ids"]))], dtype=np.int32)
    return task, items


@given(batches(), st.booleans(), st.sampled_from([None, 1, 8]))
def test_a_batch_holds_every_item_as_it_is_and_pads_the_rest(batch, with_types, multiple):
    task, items = batch
    made = TaskCollator(pad_id=9, with_token_type_ids=with_types, task=task, pad_to_multiple_of=multiple)(items)
    width = made["input_ids"].shape[1]
    longest = max(1, *(len(one["input_ids"]) for one in items))
    assert width == (longest if multiple is None else next(w for w in range(longest, longest + 9) if w % multiple == 0))
    assert ("token_type_ids" in made) == with_types
    for line, one in enumerate(items):
        length = len(one["input_ids"])
        assert made["attention_mask"][line].tolist() == [1] * length + [0] * (width - length)
        assert made["input_ids"][line].tolist() == [*one["input_ids"].tolist(), *[9] * (width - length)]
        assert made["row"][line] == one["row"]
        if with_types:
            types = one.get("token_type_ids", np.zeros(length, dtype=int)).tolist()
            assert made["token_type_ids"][line].tolist() == [*types, *[0] * (width - length)]
        if task == "tokens":
            assert made["labels"][line].tolist() == [*one["labels"].tolist(), *[-100] * (width - length)]
        elif task == "spans":
            for name in ("start_positions", "end_positions"):
                assert made[name][line] == one[name]
        elif task != "general":
            np.testing.assert_array_equal(made["labels"][line].numpy(), np.float32(one["labels"]))
    floats = {"labels"} if task in ("multilabel", "regression") else set()
    assert all(part.dtype == (torch.float32 if name in floats else torch.int64) for name, part in made.items())
    if task == "general":
        assert "labels" not in made


def test_a_batch_of_which_some_have_labels_is_refused():
    rows = [{"input_ids": [1], "row": 0, "labels": 1}, {"input_ids": [1], "row": 1}]
    with pytest.raises(ValueError, match="1 of 2 items"):
        TaskCollator(0, False, "classification")(rows)


@given(st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=6))
def test_rows_of_different_lengths_come_back(rows):
    held = Ragged(iter(rows))
    assert [held[index].tolist() for index in range(len(held))] == rows
    assert held.lengths.tolist() == list(map(len, rows))
    for index in (-1, len(rows)):
        with pytest.raises(IndexError):
            held[index]


def test_texts_are_those_of_the_tokenizer_one_by_one(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    tokenizer = tiny.tokenizer()
    texts = [*tiny.SENTENCES[:20], "a very long sentence " * 40]
    made = TextFeatures(TextExamples(texts, labels=np.arange(21)), tokenizer, max_length=16)
    expected = [tokenizer(text, truncation=True, max_length=16)["input_ids"] for text in texts]
    assert [made[row]["input_ids"].tolist() for row in range(len(made))] == expected
    assert made.lengths.tolist() == list(map(len, expected))
    assert made.truncated == sum(len(tokenizer(text)["input_ids"]) > 16 for text in texts)
    assert [made[row]["row"] for row in range(21)] == [made[row]["labels"] for row in range(21)] == list(range(21))
    assert "token_type_ids" not in made[0]
    assert "labels" not in TextFeatures(TextExamples(texts), tokenizer, max_length=16)[0]


def test_of_a_pair_the_longer_text_is_cut():
    tokenizer = tiny.tokenizer()
    long, short = "a b c d e f g h", "x y"
    made = TextFeatures(TextExamples([long, short], [short, long]), tokenizer, max_length=9)
    for row, pair in enumerate([("a b c d", "x y"), ("x y", "a b c d")]):
        whole = tokenizer(*pair)
        assert made[row]["input_ids"].tolist() == whole["input_ids"]
        assert made[row]["token_type_ids"].tolist() == whole["token_type_ids"]
    assert made.truncated == 2
    other = tiny.tokenizer("roberta")
    assert not takes_token_types(other)
    assert "token_type_ids" not in TextFeatures(TextExamples([long], [short]), other, max_length=9)[0]


@pytest.mark.parametrize(
    ("labels", "kind"), [(np.zeros((1, 2), np.float32), "f"), (np.array([np.nan]), "f"), (np.array([-100]), "i")]
)
def test_labels_have_the_type_that_a_loss_takes(labels, kind):
    found = TextFeatures(TextExamples(["a"], labels=labels), tiny.tokenizer(), 8)[0]["labels"]
    assert (found.dtype.kind, found.dtype.itemsize) == (kind, 4 if kind == "f" else 8)
