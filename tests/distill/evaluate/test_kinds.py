"""Every kind of set through `evaluate_models`: what is told of teacher, student and exports, and how often a text is encoded."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from distill.data.evaluation import RetrievalSet, TransferSet, TranslationSet
from distill.data.prepare import PreparedData
from distill.data.sources import make_pairs
from distill.evaluate import suite
from distill.evaluate.kinds import Vectors
from distill.evaluate.suite import evaluate_models, select_metric
from distill.evaluate.translation import evaluate_translation
from distill.recipe import VectorSpec
from teachers.load import Teacher, as_teacher

ROWS = tiny.text_rows(60)
PLACE = {name: index for index, name in enumerate(tiny.LABELS)}
ENGLISH = tiny.ENGLISH[:30]
SHORTER = [" ".join(text.split()[:-2]) for text in ENGLISH]


def sets():
    labels = np.array([PLACE[label] for _, label in ROWS])
    texts = [text for text, _ in ROWS]
    return {
        "sts": make_pairs(tiny.sts_rows(40), "rows", ("en", "en")),
        "pairs": TranslationSet(ENGLISH, SHORTER, ("en", "ko")),
        "topics": TransferSet(texts[:40], labels[:40], texts[40:], labels[40:], tiny.LABELS),
        "search": RetrievalSet(["a", "b"], SHORTER[:2], ["x", "y", "z"], ENGLISH[:3], {0: {0: 1.0}, 1: {1: 2.0}}, "text"),
    }


@pytest.fixture(scope="module")
def teacher():
    return as_teacher(tiny.sentence_transformer(layers=2), "teacher")


@pytest.fixture(scope="module")
def student():
    return tiny.sentence_transformer(layers=1, seed=4)


@pytest.fixture
def quality(monkeypatch, tmp_path, teacher, student):
    """quality(**options): evaluate_models with one exported file whose vectors are `noise` times those of the student."""

    def run(teacher=teacher, student=student, noise=1.0, vectors=None):
        encode = type("File", (), {"encode": staticmethod(lambda texts: noise * student.encode(list(texts)))})
        monkeypatch.setattr(suite, "load", lambda folder, precision: encode)
        data = PreparedData(train=[], dev=tiny.SENTENCES[60:90], evaluate=sets(), select={}, counts={})
        return evaluate_models(teacher, student, tmp_path, ["fp32"], data, tmp_path / "predictions", vectors)

    return run


def test_every_kind_has_its_metric(quality):
    found = quality()
    assert found["tasks"] == {
        "agreement": {"kind": "agreement", "metric": "spearman", "n": 30},
        "sts": {"kind": "sts", "metric": "spearman_cosine", "n": 40, "languages": ["en", "en"]},
        "pairs": {"kind": "translation", "metric": "translation_accuracy", "n": 30, "languages": ["en", "ko"]},
        "topics": {"kind": "transfer", "metric": "accuracy", "n": 20},
        "search": {"kind": "retrieval", "metric": "ndcg@10", "n": 2},
    }
    for name, model in found["models"].items():
        for task in ("sts", "pairs", "topics", "search"):
            assert 0 < model[task]["value"] <= 1
            assert model[task]["retained"] == pytest.approx(model[task]["value"] / found["models"]["teacher"][task]["value"])
            assert model[task]["ci95"][0] <= model[task]["value"] <= model[task]["ci95"][1]
        assert ("agreement" in model) == (name != "teacher")
    json.dumps(found, allow_nan=False)


def test_every_text_is_encoded_once_a_model(quality, student, monkeypatch):
    seen = {"teacher": Counter(), "student": Counter()}
    embed, encode = Teacher.embed, type(student).encode

    def counting(name, plain):
        def call(self, texts, **options):
            if not (name == "student" and self is not student):
                seen[name].update(texts)
            return plain(self, texts, **options)

        return call

    monkeypatch.setattr(Teacher, "embed", counting("teacher", embed))
    monkeypatch.setattr(type(student), "encode", counting("student", encode))
    quality(vectors=VectorSpec())
    assert set(seen["teacher"].values()) == {1}
    assert set(seen["student"].values()) == {2}, "by the student, and by the exported file that stands on it"
    assert len(seen["teacher"]) == len(seen["student"])


def test_a_student_as_wide_as_its_teacher_is_also_judged_in_the_teachers_space(quality, teacher, student):
    models = quality()["models"]
    pairs = models["student"]["pairs"]["details"]
    expected = evaluate_translation(teacher.embed(ENGLISH), student.encode(SHORTER), (ENGLISH, SHORTER))["details"]
    assert pairs["to_teacher_accuracy"] == pytest.approx(expected["accuracy_to_source"])
    assert pairs["to_teacher_mrr"] == pytest.approx(expected["mrr_to_source"])
    cosines = (teacher.embed(ENGLISH) * student.encode(SHORTER)).sum(1)
    assert pairs["to_teacher_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)
    similar = student.encode(SHORTER[:2]) @ teacher.embed(ENGLISH[:3]).T
    ranks = [1 + int((row > row[place]).sum()) for place, row in enumerate(similar)]
    gain = np.mean([1 / math.log2(rank + 1) for rank in ranks])
    assert models["student"]["search"]["details"]["asymmetric_ndcg@10"] == pytest.approx(gain)
    assert not any("teacher" in name for name in models["teacher"]["pairs"]["details"])
    assert "asymmetric_ndcg@10" not in models["teacher"]["search"]["details"]


def test_the_teacher_as_its_own_student_agrees_in_both_ways(quality, teacher):
    models = quality(student=teacher.model)["models"]
    details = models["student"]["pairs"]["details"]
    assert details["to_teacher_accuracy"] == details["accuracy_to_source"]
    assert models["student"]["search"]["details"]["asymmetric_ndcg@10"] == models["student"]["search"]["value"]
    assert all(models["student"][task]["retained"] == pytest.approx(1) for task in ("sts", "pairs", "topics", "search"))


def test_other_widths_have_no_common_space(quality):
    models = quality(teacher=as_teacher(tiny.sentence_transformer(layers=2, dim=48), "wide"))["models"]
    assert not any("teacher" in name for name in models["student"]["pairs"]["details"])
    assert "asymmetric_ndcg@10" not in models["student"]["search"]["details"]


def test_a_broken_export_has_no_numbers_on_any_kind(quality):
    models = quality(noise=math.nan)["models"]
    for task in ("sts", "pairs", "topics", "search", "agreement"):
        assert (models["fp32"][task]["value"], models["fp32"][task]["ci95"]) == (None, None)
        assert models["student"][task]["value"] is not None


def test_predictions_hold_a_row_an_example(quality, tmp_path):
    models = quality()["models"]
    pairs, topics, search = (
        pq.read_table(tmp_path / "predictions" / task / "student.parquet").to_pydict() for task in ("pairs", "topics", "search")
    )
    assert pairs["source"] == ENGLISH
    hits = np.array([pairs["hit_to_translation"], pairs["hit_to_source"]])
    assert models["student"]["pairs"]["value"] == pytest.approx(hits.mean())
    for place, nearest in enumerate(pairs["nearest_translation"]):
        assert (nearest == SHORTER[place]) == (pairs["hit_to_translation"][place] == 1)
    right = [label == guess for label, guess in zip(topics["label"], topics["prediction"], strict=True)]
    assert topics["right"] == right
    assert models["student"]["topics"]["value"] == pytest.approx(np.mean(right))
    assert search["query_id"] == ["a", "b"]
    assert models["student"]["search"]["value"] == pytest.approx(np.mean(search["ndcg@10"]))


def test_smaller_vectors_of_teacher_and_student(quality):
    models = quality(vectors=VectorSpec(dims=(8, 99), precisions=("binary",), rescore=True))["models"]
    for name in ("teacher", "student"):
        rows = models[name]["sts"]["vectors"]
        forms = [(row["dim"], row["precision"], row["rescore"]) for row in rows]
        whole = [("float32", False), ("binary", False), ("binary", True)]
        assert forms == [(dim, *form) for dim in (32, 8) for form in whole]
        assert rows[0]["value"] == pytest.approx(models[name]["sts"]["value"], abs=1e-6)
        for row in rows:
            assert row["retained"] == pytest.approx(row["value"] / models["teacher"]["sts"]["value"])
    assert "vectors" not in models["fp32"]["sts"]
    assert "vectors" not in models["student"]["pairs"]


def test_the_vectors_of_a_model_are_in_the_order_asked_for():
    asked = []

    def encode(texts):
        asked.append(list(texts))
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float32)

    model = Vectors(encode)
    assert model(["bb", "a", "bb"]).tolist() == [[2, 98], [1, 97], [2, 98]]
    assert model(["ccc", "a"]).tolist() == [[3, 99], [1, 97]]
    assert model(["ccc", "bb", "a"]).tolist() == [[3, 99], [2, 98], [1, 97]]
    assert asked == [["bb", "a"], ["ccc"]]
    assert model.calibration() is None
    assert Vectors(encode, ["dd", "e"]).calibration().tolist() == [[2, 100], [1, 101]]


def test_dev_metrics_of_several_sets(student):
    one, two = sets()["sts"], make_pairs(tiny.sts_rows(30, seed=9), "rows")
    given = {"one": one, "two": two, "pairs": sets()["pairs"]}
    for training in (True, False):
        student.train(training)
        found = select_metric(student, given)()
        assert student.training is training
    names = ["sts_spearman", "translation_accuracy", "sts_spearman_one", "sts_spearman_two", "translation_accuracy_pairs"]
    assert list(found) == names
    assert found["sts_spearman"] == pytest.approx((found["sts_spearman_one"] + found["sts_spearman_two"]) / 2)
    vectors = student.encode(ENGLISH), student.encode(SHORTER)
    assert found["translation_accuracy"] == pytest.approx(evaluate_translation(*vectors, (ENGLISH, SHORTER))["value"])
    assert list(select_metric(student, {"x": sets()["pairs"]})()) == ["translation_accuracy", "translation_accuracy_x"]
