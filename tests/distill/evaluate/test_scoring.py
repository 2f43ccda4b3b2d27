"""Logits of any task model become its metric, its predictions and its agreement with another."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from distill.data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from distill.evaluate.outputs import onnx_predict, run_over, torch_predict
from distill.evaluate.scoring import METRICS, Scorer, agreement, make_collator, make_features

ABC = LabelSet(("a", "b", "c"))
NONE = LabelSet(())
WORDS = tiny.tokenizer()
TEXTS = tiny.ENGLISH[:4]


def scorer(task, examples, labels=ABC, length=64, **options):
    features = make_features(task, examples, WORDS, length, labels=labels, stride=8)
    return Scorer(task, examples, features, labels, **options)


def rows(*values):
    return [np.array(value, np.float32) for value in values]


def test_classification_counts_the_highest_logit():
    judge = scorer("classification", TextExamples(TEXTS, labels=np.array([0, 1, 2, 1])))
    outputs = rows([3, 0, 0], [0, 1, 2], [-3, -2, -1], [0, 9, 1])
    assert judge.guess(outputs) == [0, 2, 2, 1]
    found = judge.score(outputs, rounds=10)
    assert (found["value"], found["n"]) == (0.75, 4)
    assert list(found["scores"]) == [1, 0, 1, 1]


def test_multilabel_takes_every_logit_from_zero_up():
    gold = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]], np.float32)
    judge = scorer("multilabel", TextExamples(TEXTS, labels=gold))
    outputs = rows([1, -1, -1], [-1, 1, -1], [1, -1, -1], [0, 2, -2])
    assert judge.guess(outputs) == [(True, False, False), (False, True, False), (True, False, False), (True, True, False)]
    assert judge.score(outputs, rounds=10)["value"] == pytest.approx(2 * 4 / (5 + 5))


def test_regression_is_ordered_like_the_scores():
    judge = scorer("regression", TextExamples(TEXTS, labels=np.array([1.0, 2.0, 3.0, 4.0])), NONE)
    outputs = rows([0.1], [0.3], [0.2], [0.9])
    assert judge.guess(outputs) == pytest.approx([0.1, 0.3, 0.2, 0.9])
    assert judge.score(outputs, rounds=10)["value"] == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)


def test_tags_are_read_at_the_first_piece_of_each_word():
    labels = LabelSet(("B-X", "I-X", "O"))
    examples = TokenExamples([["a", "zzzq", "dog"], ["rain"]], [[0, 1, 2], [2]])
    judge = scorer("tokens", examples, labels)
    outputs = []
    for row, words in enumerate(examples.words):
        pieces = WORDS(words, is_split_into_words=True).word_ids()
        logits = np.full((len(pieces), 3), -1, np.float32)
        for place, word in enumerate(pieces):
            if word is not None and word != (pieces[place - 1] if place else None):
                logits[place, examples.tags[row][word]] = 5
            else:
                logits[place, 0] = 9  # what a further piece says is not asked
        outputs.append(logits)
    assert judge.guess(outputs) == [[0, 1, 2], [2]]
    assert judge.score(outputs, rounds=10)["value"] == 1.0


def test_an_answer_is_cut_out_of_its_context():
    context = "The old man walks slowly through the park."
    examples = SpanExamples(["q"], ["Who walks?"], [context], [[("The old man", 0)]])
    judge = scorer("spans", examples, NONE)
    tokens = WORDS.convert_ids_to_tokens(judge.features[0]["input_ids"])
    start, end = tokens.index("old") - 1, tokens.index("man")
    logits = np.zeros((2, len(tokens)), np.float32)
    logits[0, start], logits[1, end] = 5, 5
    assert judge.guess([logits]) == ["The old man"]
    assert judge.score([logits], rounds=10)["value"] == 1.0
    assert not judge.no_answer


def test_questions_without_an_answer_may_be_left_unanswered():
    examples = SpanExamples(["q"], ["Who?"], ["Rain falls."], [[]])
    judge = scorer("spans", examples, NONE)
    assert judge.no_answer
    tokens = len(judge.features[0]["input_ids"])
    logits = np.full((2, tokens), -5, np.float32)
    logits[:, 0] = 5  # the first token stands for no answer
    assert judge.guess([logits]) == [""]
    assert judge.score([logits], rounds=10)["value"] == 1.0


@pytest.mark.parametrize("task", METRICS)
def test_a_model_agrees_with_itself(task):
    guesses = {"tokens": [[0, 1], [2]], "spans": ["a", "b"], "multilabel": [(True,), (False,)], "regression": [0.5, 1.5]}
    own = guesses.get(task, [0, 2])
    assert agreement(task, own, own)["value"] == pytest.approx(1.0)


def test_agreement_counts_rows_and_of_tags_words():
    assert agreement("classification", [0, 1, 2, 2], [0, 1, 1, 1])["value"] == 0.5
    assert agreement("tokens", [[0, 1, 1], [2]], [[0, 1, 2], [2]]) == {
        "value": 0.75,
        "ci95": None,
        "n": 4,
        "details": {"agreement": 0.75},
    }
    assert agreement("regression", [1.0, 2.0, 3.0], [3.0, 2.0, 1.0])["value"] == pytest.approx(-1.0)


@pytest.mark.parametrize("task", ["classification", "tokens", "spans"])
def test_outputs_do_not_depend_on_the_batch(task):
    """Padding is cut off, and every row gets its own place again."""
    parts = {
        "classification": TextExamples(tiny.ENGLISH[:9], labels=np.zeros(9, np.int64)),
        "tokens": TokenExamples([text.split() for text in tiny.ENGLISH[:9]]),
        "spans": SpanExamples([*"abcdefghi"], ["Who?"] * 9, tiny.ENGLISH[:9], [[]] * 9),
    }
    features = make_features(task, parts[task], WORDS, 64, labels=ABC, stride=8)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(len(WORDS), 3, generator=generator)

    def logits(batch):
        found = table[batch["input_ids"]]
        if task == "classification":
            return (found * batch["attention_mask"][..., None]).sum(1)
        return found if task == "tokens" else found[..., :2].transpose(1, 2)

    predict = torch_predict(logits, torch.device("cpu"))
    many, single = (run_over(predict, features, make_collator(task, WORDS), batch_size=size) for size in (4, 1))
    for row, (one, other) in enumerate(zip(many, single, strict=True)):
        np.testing.assert_allclose(one, other, atol=1e-5)
        ids = torch.as_tensor(features[row]["input_ids"]).long()
        expected = {"classification": (3,), "tokens": (len(ids), 3), "spans": (2, len(ids))}[task]
        assert one.shape == expected
        assert one.dtype == np.float32
        plain = table[ids]
        told = {"classification": plain.sum(0), "tokens": plain, "spans": plain[:, :2].T}[task]
        np.testing.assert_allclose(one, told.numpy(), atol=1e-5)


class Session:
    """As an onnxruntime session of a span model."""

    class Node:
        name = "input_ids"

    def get_inputs(self):
        return [self.Node]

    def run(self, names, feed):
        assert set(feed) == {"input_ids"}
        values = {
            "start_logits": feed["input_ids"] * 1.0,
            "end_logits": feed["input_ids"] * 2.0,
            "logits": feed["input_ids"] * 3.0,
        }
        return [values[name] for name in names]


def test_an_exported_model_is_fed_what_it_takes():
    batch = {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.tensor([[1, 1]])}
    assert onnx_predict(Session(), "spans")(batch).tolist() == [[[1.0, 2.0], [2.0, 4.0]]]
    assert onnx_predict(Session(), "classification")(batch).tolist() == [[3.0, 6.0]]
