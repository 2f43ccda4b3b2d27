"""What the runtime says of texts, words and questions is what the evaluation of a run says in torch."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny
import torch

import distill
import distill.errors
from distill.data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from distill.evaluate.outputs import run_over, torch_predict
from distill.evaluate.scoring import Scorer, make_collator, make_features
from distill.runtime import Classifier, CrossPair, QuestionAnswerer, TokenClassifier
from distill.train.task import model_logits

LONG = " ".join(tiny.ENGLISH[:12])
TEXTS = [*tiny.ENGLISH[:30], "", "  ", "UPPER ㅋㅋ!", LONG]
PAIRS = [(first, second) for first, second, _ in tiny.pair_rows(24)] + [(LONG, "A dog."), ("", LONG), ("", "")]


def in_torch(found, task, examples, labels, stride=64):
    """Logits and predictions of a run's own evaluation."""
    features = make_features(task, examples, found.tokenizer, 48, labels=LabelSet(labels), stride=stride)
    predict = torch_predict(lambda batch: model_logits(found.model, batch, task), torch.device("cpu"))
    outputs = run_over(predict, features, make_collator(task, found.tokenizer), batch_size=8)
    return outputs, Scorer(task, examples, features, LabelSet(labels)).guess(outputs)


@pytest.mark.parametrize("rows", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_a_classifier(headed, rows):
    found = headed("classification")
    pairs = isinstance(rows[0], tuple)
    examples = TextExamples([a for a, _ in rows], [b for _, b in rows]) if pairs else TextExamples(rows)
    outputs, guesses = in_torch(found, "classification", examples, tiny.LABELS)
    model = distill.load(found.folder, threads=1)
    assert type(model) is Classifier
    assert model.labels == tiny.LABELS
    np.testing.assert_allclose(model.logits(rows, 5), np.stack(outputs), atol=2e-4)
    predictions = model.predict(rows)
    assert [prediction.label for prediction in predictions] == [tiny.LABELS[guess] for guess in guesses]
    assert len({prediction.label for prediction in predictions}) > 1
    assert model.truncated == 2 * sum(LONG in (row if pairs else [row]) for row in rows)
    wanted = torch.softmax(torch.tensor(np.stack(outputs)), 1).numpy()
    np.testing.assert_allclose(model.probabilities(rows), wanted, atol=2e-4)
    np.testing.assert_allclose([list(p.probabilities.values()) for p in predictions], wanted, atol=2e-4)
    assert all(p.score == p.probabilities[p.label] == max(p.probabilities.values()) for p in predictions)
    assert all(p.labels == (p.label,) for p in predictions)
    streamed = [p for part in model.predict_stream(iter(rows), 2) for p in part]
    assert [p.label for p in streamed] == [p.label for p in predictions]


def test_several_labels(headed, tmp_path):
    found = headed("classification")
    shutil.copytree(found.folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    outputs, guesses = in_torch(found, "multilabel", TextExamples(TEXTS), tiny.LABELS)
    model = Classifier.load(tmp_path / "m", threads=1)
    predictions = model.predict(TEXTS)
    for prediction, guess in zip(predictions, guesses, strict=True):
        assert prediction.labels == tuple(name for name, yes in zip(tiny.LABELS, guess, strict=True) if yes)
        assert (prediction.label is None) == (not prediction.labels)
    assert len({prediction.labels for prediction in predictions}) > 1
    wanted = torch.sigmoid(torch.tensor(np.stack(outputs))).numpy()
    np.testing.assert_allclose(model.probabilities(TEXTS), wanted, atol=1e-4)
    sure = model.predict(TEXTS, threshold=0.99)
    assert [p.labels for p in sure] == [tuple(np.array(tiny.LABELS)[row >= 0.99]) for row in wanted]


def test_a_regression(headed):
    found = headed("regression")
    _, guesses = in_torch(found, "regression", TextExamples(TEXTS), ("score",))
    model = distill.load(found.folder, threads=1)
    predictions = model.predict(TEXTS)
    np.testing.assert_allclose([p.score for p in predictions], guesses, atol=2e-4)
    assert {(p.label, p.labels, len(p.probabilities)) for p in predictions} == {(None, (), 0)}
    with pytest.raises(distill.errors.UserError, match="no probabilities"):
        model.probabilities(TEXTS)


def test_scores_and_ranks_of_pairs(headed):
    found = headed("regression")
    _, guesses = in_torch(found, "regression", TextExamples([a for a, _ in PAIRS], [b for _, b in PAIRS]), ("score",))
    model = CrossPair.load(found.folder, threads=1)
    np.testing.assert_allclose(model.score(PAIRS), guesses, atol=2e-4)
    query, texts = tiny.ENGLISH[0], tiny.ENGLISH[1:9]
    ranked = model.rank(query, texts, 3)
    scores = model.score([(query, text) for text in texts])
    assert [row for row, _ in ranked] == np.argsort(-scores, kind="stable")[:3].tolist()
    np.testing.assert_allclose([score for _, score in ranked], np.sort(scores)[::-1][:3], atol=1e-5)


def test_a_cross_encoders_sigmoid(headed, tmp_path):
    shutil.copytree(headed("regression").folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    model = distill.load(tmp_path / "m", threads=1)
    assert type(model) is CrossPair
    np.testing.assert_allclose(model.score(PAIRS), 1 / (1 + np.exp(-model.logits(PAIRS)[:, 0])), atol=1e-6)


@pytest.mark.parametrize(("told", "sigmoid"), [({"version": "5.1.0"}, True), (None, False)])
def test_a_cross_encoder_that_names_no_activation_has_that_of_sentence_transformers(told, sigmoid, headed, tmp_path):
    shutil.copytree(headed("regression").folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["sentence_transformers"] = told
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    model = distill.load(tmp_path / "m", threads=1)
    logits = model.logits(PAIRS)[:, 0]
    np.testing.assert_allclose(model.score(PAIRS), 1 / (1 + np.exp(-logits)) if sigmoid else logits, atol=1e-6)


def test_a_siamese_bilstm(headed):
    found = headed("pairs")
    outputs, guesses = in_torch(
        found, "classification", TextExamples([a for a, _ in PAIRS], [b for _, b in PAIRS]), ("other", "same")
    )
    model = distill.load(found.folder, threads=1)
    assert type(model) is CrossPair
    np.testing.assert_allclose(model.logits(PAIRS), np.stack(outputs), atol=1e-4)
    assert [p.label for p in model.predict(PAIRS)] == [("other", "same")[guess] for guess in guesses]
    with pytest.raises(distill.errors.UserError, match="no pair"):
        model.predict(["one text"])
    with pytest.raises(distill.errors.ModelError, match="several labels"):
        model.score(PAIRS)


WORDS = [[word for word, _ in row] for row in tiny.conll_rows(30)]


@pytest.fixture(scope="module")
def tagger(headed):
    return TokenClassifier.load(headed("tokens").folder, threads=1)


def test_tags_of_words(headed, tagger):
    rows = [*WORDS, [], ["\u200b", "dog"], [word for row in WORDS[:12] for word in row]]
    _, guesses = in_torch(headed("tokens"), "tokens", TokenExamples(rows), tagger.labels)
    found = tagger.predict(rows)
    assert [[word.label for word in row.words] for row in found] == [[tagger.labels[tag] for tag in row] for row in guesses]
    assert len({word.label for row in found for word in row.words}) > 2
    assert [[word.text for word in row.words] for row in found] == rows
    assert [row.cut for row in found] == [False] * (len(rows) - 1) + [True]


def test_a_plain_text_is_its_words(tagger):
    texts = [" ".join(row) for row in WORDS]
    plain, split = tagger.predict(texts), tagger.predict(WORDS)
    for text, row, words in zip(texts, plain, split, strict=True):
        assert [(w.text, w.start, w.end, w.label) for w in row.words] == [(w.text, w.start, w.end, w.label) for w in words.words]
        assert row.entities == words.entities
        assert all(text[w.start : w.end] == w.text for w in row.words)
        assert all(text[e.start : e.end] == e.text for e in row.entities)
    assert any(row.entities for row in plain)


def test_tags_of_characters(headed, tagger):
    texts = [*tiny.ENGLISH[:10], *tiny.SENTENCES[:10], "  a  dog ", ""]
    _, guesses = in_torch(headed("tokens"), "tokens", TokenExamples([list(text) for text in texts], None, False), tagger.labels)
    found = tagger.predict(texts, unit="character")
    assert [[word.label for word in row.words] for row in found] == [[tagger.labels[tag] for tag in row] for row in guesses]
    assert any(row.entities for row in found)


def test_windows_of_a_long_text(tagger):
    """Every word is read, and one that stands far from every edge is tagged as in its window alone."""
    words = [word for row in WORDS[:20] for word in row]
    (whole,) = tagger.predict([words], on_long="windows", stride=20)
    assert [word.text for word in whole.words] == words
    assert not whole.cut
    assert all(word.score > 0 for word in whole.words)
    (short,) = tagger.predict([words])
    assert short.cut
    read = sum(word.score > 0 for word in short.words)
    assert [w.label for w in whole.words[: read - 10]] == [w.label for w in short.words[: read - 10]]
    (plain,) = tagger.predict([" ".join(words)], on_long="windows", stride=20)
    assert [(w.text, w.start, w.label) for w in plain.words] == [(w.text, w.start, w.label) for w in whole.words]
    (few,) = tagger.predict([WORDS[0]], on_long="windows")
    assert few == tagger.predict([WORDS[0]])[0]


CONTEXT = " ".join(tiny.ENGLISH[20:40])
ASKED = [(question, context) for question, context, _ in tiny.squad_rows(20)]
ASKED += [("Who waits?", CONTEXT), (LONG, CONTEXT), ("Who?", " A dog  waits. "), ("Who?", "x")]


@pytest.fixture(scope="module")
def reader(headed):
    return QuestionAnswerer.load(headed("spans").folder, threads=1)


@pytest.mark.parametrize("none", [False, True])
def test_answers(headed, reader, none):
    ids = [str(number) for number in range(len(ASKED))]
    answers = [[] if none and number == 0 else [("x", 0)] for number in range(len(ASKED))]
    examples = SpanExamples(ids, [a for a, _ in ASKED], [b for _, b in ASKED], answers)
    _, guesses = in_torch(headed("spans"), "spans", examples, (), stride=16)
    before = reader.truncated
    found = reader.predict(ASKED, no_answer=none, stride=16)
    assert [row[0].text for row in found] == guesses
    assert reader.truncated == before + 1
    for (_, context), row in zip(ASKED, found, strict=True):
        for answer in row:
            assert (
                (answer.start, answer.end) == (-1, -1) if answer.text == "" else context[answer.start : answer.end] == answer.text
            )


def test_several_answers_and_ways_to_ask(reader):
    question, context = ASKED[3]
    (some,) = reader.predict([{"question": question, "context": context}], best=4)
    assert len(some) == 4
    assert [a.score for a in some] == sorted((a.score for a in some), reverse=True)
    assert reader.ask(question, context) == some[0]
    (empty,) = reader.predict([("Who?", "")])
    assert (empty[0].text, empty[0].start, empty[0].end) == ("", -1, -1)
    (short,) = reader.predict([ASKED[3]], max_answer_tokens=1, best=50)
    assert all(" " not in answer.text for answer in short)


def test_another_kind_is_refused_by_name(headed):
    with pytest.raises(distill.errors.ModelError, match=r"(?s)a classifier of tokens, not a classifier of texts.*distill\.load"):
        Classifier.load(headed("tokens").folder)
    with pytest.raises(distill.errors.ModelError, match="a reader that finds answers, not a classifier of tokens"):
        TokenClassifier.load(headed("spans").folder)
    with pytest.raises(distill.errors.ModelError, match="a classifier of texts, not a reader"):
        QuestionAnswerer.load(headed("classification").folder)
