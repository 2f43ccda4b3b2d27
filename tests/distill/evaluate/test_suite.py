"""Every model on every task: the numbers of quality.json, and the rows on disk they can be told from."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from scipy import stats

from distill.data.prepare import PreparedData
from distill.data.sources import make_pairs
from distill.evaluate import kinds, suite
from distill.evaluate.suite import evaluate_models, select_metric
from teachers.load import as_teacher

DEV = tiny.SENTENCES[:40]
PRESETS = ("fp32", "fast", "faithful")


class FakeEncoder:
    """An exported file whose vectors are known: those of the student, somewhat off."""

    def __init__(self, student, noise):
        self.student, self.noise = student, noise

    def encode(self, texts):
        vectors = self.student.encode(list(texts))
        return vectors + self.noise * np.random.default_rng(len(texts)).normal(size=vectors.shape).astype(np.float32)


@pytest.fixture
def pairs():
    return make_pairs(tiny.sts_rows(), "rows")


@pytest.fixture
def data(pairs):
    return PreparedData(train=tiny.SENTENCES[40:], dev=DEV, evaluate={"sts": pairs}, select={}, counts={})


@pytest.fixture(scope="module")
def teacher():
    return as_teacher(tiny.sentence_transformer(layers=2, dim=48), "teacher")


@pytest.fixture(scope="module")
def student():
    return tiny.sentence_transformer(layers=1)


@pytest.fixture
def quality(monkeypatch, tmp_path, teacher, student, data):
    """evaluate_models with exports whose vectors are known."""

    def run(noises=(0.0, 0.02, 0.005), teacher=teacher, student=student):
        made = {name: FakeEncoder(student, noise) for name, noise in zip(PRESETS, noises, strict=True)}
        monkeypatch.setattr(suite, "load", lambda folder, precision: made[precision])
        return evaluate_models(teacher, student, tmp_path / "student", PRESETS, data, tmp_path / "predictions")

    return run


def test_the_shape_of_the_result(quality):
    found = quality()
    assert found["schema_version"] == 1
    assert found["tasks"] == {
        "agreement": {"kind": "agreement", "metric": "spearman", "n": 40},
        "sts": {"kind": "sts", "metric": "spearman_cosine", "n": 60},
    }
    assert list(found["models"]) == ["teacher", "student", *PRESETS]
    assert "agreement" not in found["models"]["teacher"], "the teacher is what agreement is measured against"
    json.dumps(found, allow_nan=False)


def test_the_numbers_are_those_of_the_vectors(quality, teacher, student, pairs):
    found = quality()["models"]
    values = {}
    for name, encode in (("teacher", teacher.embed), ("student", student.encode)):
        first, second = encode(pairs.sentences1), encode(pairs.sentences2)
        cosines = [float(a @ b) for a, b in zip(first, second, strict=True)]  # both end with Normalize
        values[name] = stats.spearmanr(cosines, pairs.scores).statistic
        assert found[name]["sts"]["value"] == pytest.approx(values[name], abs=1e-3)
    assert found["teacher"]["sts"]["retained"] == 1
    assert found["student"]["sts"]["retained"] == pytest.approx(values["student"] / values["teacher"], abs=5e-3)
    assert found["fp32"] == found["student"], "the same vectors, the same numbers"
    ours, theirs = student.encode(DEV), teacher.embed(DEV)
    upper = np.triu_indices(40, 1)
    expected = stats.spearmanr((ours @ ours.T)[upper], (theirs @ theirs.T)[upper]).statistic
    assert found["student"]["agreement"]["value"] == pytest.approx(expected, abs=1e-4)
    assert found["student"]["agreement"]["retained"] is None
    assert found["student"]["agreement"]["details"]["mean_cosine"] is None, "32 and 48 wide"


def test_predictions_are_rows_that_give_the_numbers_again(quality, tmp_path, pairs):
    found = quality()["models"]
    root = tmp_path / "predictions"
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}
    assert files == {f"sts/{name}.parquet" for name in found} | {
        f"agreement/{name}.parquet" for name in found if name != "teacher"
    }
    for name, tasks in found.items():
        table = pq.read_table(root / "sts" / f"{name}.parquet").to_pydict()
        assert list(table) == ["sentence1", "sentence2", "score", "cosine"]
        assert table["sentence1"] == pairs.sentences1
        assert table["sentence2"] == pairs.sentences2
        assert table["score"] == pairs.scores.tolist()
        assert tasks["sts"]["value"] == pytest.approx(stats.spearmanr(table["cosine"], table["score"]).statistic, abs=1e-12)
    assert pq.read_table(root / "agreement" / "student.parquet").to_pydict() == {"sentence": DEV}


def test_equal_widths_tell_the_cosine_of_every_sentence(quality, tmp_path, student):
    teacher = as_teacher(tiny.sentence_transformer(layers=2), "teacher")
    found = quality(teacher=teacher)["models"]["student"]["agreement"]["details"]
    table = pq.read_table(tmp_path / "predictions" / "agreement" / "student.parquet").to_pydict()
    expected = (student.encode(DEV) * teacher.embed(DEV)).sum(1)
    np.testing.assert_allclose(table["cosine_to_teacher"], expected, atol=1e-5)
    assert found["mean_cosine"] == pytest.approx(expected.mean(), abs=1e-5)


def test_a_broken_export_has_no_numbers_and_the_others_keep_theirs(quality):
    """NaN is no JSON: quality.json says null, and parity says what is wrong."""
    found = quality(noises=(0.0, math.nan, 0.005))
    json.dumps(found, allow_nan=False)
    broken = found["models"]["fast"]
    assert (broken["sts"]["value"], broken["sts"]["ci95"], broken["sts"]["retained"]) == (None, None, None)
    assert broken["agreement"]["value"] is None
    assert set(broken["sts"]["details"].values()) == {None}
    assert found["models"]["student"]["sts"]["value"] is not None


def test_of_a_teacher_no_better_than_chance_nothing_is_retained(quality, data, monkeypatch):
    worst = make_pairs([(a, b, -score) for a, b, score in tiny.sts_rows()], "rows")
    monkeypatch.setitem(data.evaluate, "sts", worst)
    found = quality()["models"]
    assert found["teacher"]["sts"]["value"] < 0
    assert found["teacher"]["sts"]["retained"] is None
    assert found["student"]["sts"]["retained"] is None


def test_predictions_are_whole_or_absent(quality, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("cut off")

    quality()
    before = sorted(path.name for path in (tmp_path / "predictions").rglob("*"))
    monkeypatch.setitem(kinds.KINDS, "sts", replace(kinds.KINDS["sts"], judge=fail))
    with pytest.raises(RuntimeError, match="cut off"):
        quality()
    assert sorted(path.name for path in (tmp_path / "predictions").rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["predictions"]


def test_the_labelled_dev_metric_leaves_the_student_in_its_mode(student, pairs):
    metric = select_metric(student, {"sts": pairs})
    first, second = student.encode(pairs.sentences1), student.encode(pairs.sentences2)
    expected = stats.spearmanr((first * second).sum(1), pairs.scores).statistic
    for training in (True, False):
        student.train(training)
        assert metric()["sts_spearman"] == pytest.approx(expected, abs=1e-3)
        assert student.training is training
