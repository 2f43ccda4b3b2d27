"""The teacher of a task: its labels in the data's order, its logits from the cache."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import tiny
import torch

from distill.data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from distill.errors import ModelError
from distill.evaluate.outputs import run_over
from distill.evaluate.scoring import make_collator, make_features
from distill.files import cache_dir
from distill.tasks.logits import _name, teacher_logits
from distill.tasks.teacher import check_trained, head_key, label_order, reorder_head
from distill.train.task import model_logits
from teachers.heads import CLASSES, load_head

NAMES = LabelSet(tiny.LABELS)
SWAPPED = ("weather", "place", "time")
TASKS = ("classification", "tokens", "spans")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A model with a trained head for each of three tasks."""
    folder = tmp_path_factory.mktemp("heads")
    found = {}
    for task in TASKS:
        labels = ("start", "end") if task == "spans" else SWAPPED
        tiny.write_classifier(folder / task, labels, layers=2, auto_class=CLASSES[task])
        found[task] = load_head(str(folder / task), task)
    return found


def examples(task, count=9):
    parts = {
        "classification": TextExamples(tiny.ENGLISH[:count], labels=np.zeros(count, np.int64)),
        "tokens": TokenExamples([text.split() for text in tiny.ENGLISH[:count]]),
        "spans": SpanExamples([str(n) for n in range(count)], ["Who?"] * count, tiny.ENGLISH[:count], [[]] * count),
    }
    return parts[task]


def features(task, head, count=9):
    return make_features(task, examples(task, count), head.tokenizer, head.max_length, labels=NAMES, stride=8)


def ask(head, task, order=None, content="rows", **options):
    key = head_key(head, order)
    found = features(task, head)
    return teacher_logits(head, key, order, task, found, make_collator(task, head.tokenizer), content, batch_size=4, **options)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_order_is_told_by_names(heads):
    head = heads["classification"]
    order = label_order(head, NAMES, None)
    assert [head.labels[place] for place in order] == list(tiny.LABELS)
    assert label_order(heads["spans"], LabelSet(()), None) is None
    with pytest.raises(ModelError, match="differ"):
        label_order(head, LabelSet(("place", "time")), None)


def test_a_spelling_that_differs_is_told(heads, capsys):
    assert label_order(heads["classification"], LabelSet(("Place", "Time", "Weather")), None).tolist() == [1, 2, 0]
    assert "label 'Place' of the data is 'place' of the teacher" in capsys.readouterr().err


def test_an_untrained_head_is_refused(heads):
    check_trained(heads["classification"], "classification")
    with pytest.raises(ModelError, match="finetune") as caught:
        check_trained(dataclasses.replace(heads["classification"], untrained=True), "classification")
    assert caught.value.where == "teacher.model"


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("task", ["classification", "tokens"])
def test_outputs_change_places_with_their_names(family, task, tmp_path):
    """Whatever the head is made of: the new logits are the old ones in the new order."""
    model = load_head(str(tiny.write_classifier(tmp_path / "m", SWAPPED, family, layers=1, auto_class=CLASSES[task])), task).model
    batch = {"input_ids": torch.tensor([[2, 40, 41, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}
    with torch.no_grad():
        before = model_logits(model, batch, task)
        order = np.array([1, 2, 0])
        reorder_head(model, order, NAMES)
        torch.testing.assert_close(model_logits(model, batch, task), before[..., order])
    assert [model.config.id2label[place] for place in range(3)] == list(tiny.LABELS)
    assert model.config.label2id == {name: place for place, name in enumerate(tiny.LABELS)}


def test_what_has_no_such_layer_is_refused(heads):
    with pytest.raises(ModelError, match="output layer"):
        reorder_head(heads["classification"].model, np.arange(5), NAMES)


@pytest.mark.parametrize("task", TASKS)
def test_logits_are_the_models_own(task, heads, cache):
    """Each row alone, without padding, is what the batch gave."""
    head = heads[task]
    found = ask(head, task)
    rows, collate = features(task, head), make_collator(task, head.tokenizer)
    for row, logits in enumerate(found):
        with torch.no_grad():
            alone = model_logits(head.model, collate([rows[row]]), task)[0].numpy()
        assert logits.shape == alone.shape
        np.testing.assert_allclose(logits, alone, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_cache_gives_the_same(task, heads, cache, monkeypatch):
    head = heads[task]
    order = None if task == "spans" else np.array([1, 2, 0])
    first, plain = ask(head, task, order), ask(head, task)
    if order is not None:
        for ours, theirs in zip(first, plain, strict=True):
            np.testing.assert_array_equal(ours, theirs[..., order])
    monkeypatch.setattr("distill.tasks.logits.run_over", lambda *a, **k: pytest.fail("asked again"))
    again = ask(head, task, order)
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("damage", ["logits.npy", "complete.json"])
def test_a_damaged_cache_is_filled_again(damage, heads, cache):
    head = heads["tokens"]
    first = ask(head, "tokens")
    (place,) = [item for item in (cache_dir() / "logits").iterdir() if item.is_dir()]
    content = bytearray((place / damage).read_bytes())
    content[-3] ^= 0xFF
    (place / damage).write_bytes(bytes(content))
    for ours, theirs in zip(first, ask(head, "tokens"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (place / damage).read_bytes() != bytes(content)


def test_other_rows_weights_labels_or_lengths_are_asked_for_anew(heads, cache):
    head = heads["tokens"]
    ask(head, "tokens")
    ask(head, "tokens", content="other rows")
    ask(head, "tokens", np.array([1, 2, 0]))
    ask(dataclasses.replace(head, max_length=8), "tokens")
    assert len([item for item in (cache_dir() / "logits").iterdir() if item.is_dir()]) == 4


def asked_for(monkeypatch):
    """A list that fills with the number of rows of every call to the teacher."""
    counts = []

    def counting(predict, features, collate, **options):
        counts.append(len(features))
        return run_over(predict, features, collate, **options)

    monkeypatch.setattr("distill.tasks.logits.run_over", counting)
    return counts


@pytest.mark.parametrize("task", ["classification", "tokens"])
def test_each_precision_has_logits_of_its_own(task, heads, cache):
    head = heads[task]
    whole, half = ask(head, task), ask(head, task, precision="bf16")
    assert all(row.dtype == np.float32 for row in half)
    differences = [np.abs(one - other).max() for one, other in zip(whole, half, strict=True)]
    assert 0 < max(differences) < 0.05
    for asked, before in (("fp32", whole), ("bf16", half)):
        for one, other in zip(ask(head, task, precision=asked), before, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_row_is_asked_once_whatever_the_data(heads, cache, monkeypatch):
    head, counts = heads["classification"], asked_for(monkeypatch)
    key, collate = head_key(head, None), make_collator("classification", head.tokenizer)

    def ask_for(rows):
        return teacher_logits(head, key, None, "classification", rows, collate, None, batch_size=4)

    few = ask_for(features("classification", head, 4))
    more = ask_for(features("classification", head, 9))
    assert counts == [4, 5]
    np.testing.assert_array_equal(few, more[:4])
    twice = dataclasses.replace(examples("classification", 3), text=[tiny.ENGLISH[0], "new words", "new words"])
    found = ask_for(make_features("classification", twice, head.tokenizer, head.max_length, labels=NAMES, stride=8))
    assert counts == [4, 5, 1]
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_array_equal(found[0], few[0])


def test_other_labels_or_weights_are_asked_for_anew(heads, cache, monkeypatch):
    head, counts = heads["classification"], asked_for(monkeypatch)
    ask(head, "classification")
    ask(head, "classification", np.array([1, 2, 0]))
    ask(dataclasses.replace(head, max_length=8), "classification")
    assert counts == [9, 9, 9]


def test_a_pair_is_not_the_text_it_makes(heads, cache):
    """The same ids, cut into two texts elsewhere, are another question to a model with token types."""
    head = heads["classification"]
    words = ["a", "storm", "is", "coming", "from", "the", "west"]
    cuts = [TextExamples([" ".join(words[:cut])], [" ".join(words[cut:])], np.zeros(1, np.int64)) for cut in (2, 5)]
    rows = [make_features("classification", cut, head.tokenizer, head.max_length, labels=NAMES, stride=8)[0] for cut in cuts]
    joined = [{**row, "input_ids": rows[0]["input_ids"]} for row in rows]
    assert _name(joined[0]) != _name(joined[1])


def test_tokens_of_a_trimmed_student_are_read_as_the_teachers(heads, cache):
    """The student's ids count from the end here; the teacher hears them as its own."""
    head = heads["tokens"]
    plain = ask(head, "tokens")
    size = head.model.config.vocab_size
    rows = features("tokens", head)

    class Turned:
        lengths = rows.lengths

        def __len__(self):
            return len(rows)

        def __getitem__(self, index):
            item = rows[index]
            return {**item, "input_ids": size - 1 - item["input_ids"]}

    ids = torch.arange(size - 1, -1, -1)
    collate = make_collator("tokens", head.tokenizer)
    found = teacher_logits(head, head_key(head, None), None, "tokens", Turned(), collate, "turned", batch_size=1, ids=ids)
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_logits_that_are_not_finite_name_their_row_and_are_not_kept(heads, cache, monkeypatch):
    def broken(*arguments, **options):
        found = run_over(*arguments, **options)
        found[3][0, 1] = np.nan
        return found

    with monkeypatch.context() as patch:
        patch.setattr("distill.tasks.logits.run_over", broken)
        with pytest.raises(ModelError, match="NaN or infinity") as caught:
            ask(heads["tokens"], "tokens")
    assert caught.value.where == "row 4"
    assert all(np.isfinite(row).all() for row in ask(heads["tokens"], "tokens"))


def test_what_decides_logits_is_in_the_key_and_names_are_not(heads):
    head = heads["classification"]
    key = head_key(head, None)
    for name, value, same in (("num_attention_heads", 1, False), ("hidden_act", "relu", False), ("problem_type", "x", True)):
        other = copy.deepcopy(head.model)
        setattr(other.config, name, value)
        assert (head_key(dataclasses.replace(head, model=other), None) == key) is same
