"""A model's vectors are made when they are first asked for, once, and not at all where nobody asks."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from distill.signals import labelling
from teachers.load import as_teacher

TRAIN, DEV = tiny.SENTENCES[:12], tiny.SENTENCES[20:26]


class Teacher:
    """A real teacher with a counter in front."""

    def __init__(self):
        self.real = as_teacher(tiny.sentence_transformer(layers=1))
        self.dim = self.real.dim
        self.seen = []

    def embed(self, texts, batch_size, precision):
        self.seen += texts
        return self.real.embed(texts, batch_size=batch_size, precision=precision)


@pytest.fixture
def label(monkeypatch, tmp_path):
    """label() -> signals, work, teacher: of one cache."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))

    def make(**options):
        teacher = Teacher()
        return *labelling(teacher, {"model": "tiny"}, TRAIN, DEV, name="the teacher", batch_size=4, **options), teacher

    return make


def test_nothing_is_labelled_until_somebody_asks(label, tmp_path):
    _, _, teacher = label()
    assert teacher.seen == []
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize("ask", ["train", "dev_vectors"])
def test_asked_for_they_are_those_of_the_sentences_in_order(label, ask):
    """Either part first; the other is there then."""
    signals, _, teacher = label()
    assert len(signals.train if ask == "train" else signals.dev_vectors())
    assert sorted(teacher.seen) == sorted([*TRAIN, *DEV])
    order = np.array([7, 0, 7])
    np.testing.assert_allclose(signals.train.gather(order), teacher.real.embed([TRAIN[row] for row in order]), atol=1e-5)
    np.testing.assert_allclose(signals.dev_vectors(), teacher.real.embed(DEV), atol=1e-5)
    assert len(teacher.seen) == len(TRAIN) + len(DEV)


def test_the_work_tells_what_it_did_and_is_not_done_twice(label):
    signals, work, teacher = label()
    facts = work()
    assert (facts["computed"], facts["reused"]) == (18, 0)
    assert len(signals.train) == 12
    assert len(signals.dev_vectors()) == 6
    assert len(teacher.seen) == 18


def test_another_process_finds_them_in_the_cache(label):
    first = label()[1]()
    _, work, teacher = label()
    second = work()
    assert teacher.seen == []
    assert (second["computed"], second["reused"]) == (0, 18)
    assert {name: first[name] for name in ("train_sha256", "dev_sha256")} == {
        name: second[name] for name in ("train_sha256", "dev_sha256")
    }
    assert first["train_sha256"] != first["dev_sha256"]


def test_each_precision_has_labels_of_its_own(label, capsys):
    _, work, _ = label()
    work()
    signals, work, teacher = label(precision="bf16")
    assert work()["computed"] == len(TRAIN) + len(DEV)  # none of the other's
    assert "sentences through the teacher in bf16, 0 from the cache" in capsys.readouterr().err
    expected = teacher.real.embed(TRAIN, precision="bf16")
    got = signals.train.gather(np.arange(len(TRAIN)))
    np.testing.assert_allclose(got, expected, atol=0.02)
    assert np.abs(got - teacher.real.embed(TRAIN)).max() > 1e-4
    assert label(precision="bf16")[1]()["computed"] == label()[1]()["computed"] == 0
