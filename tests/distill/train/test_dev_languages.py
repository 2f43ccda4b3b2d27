"""Dev curves a language, and how many translations are found."""

import numpy as np
import pytest

from distill.evaluate.agreement import quick_agreement
from distill.train.judges import DevLanguages

TEXTS = ["a dog", "개", "a cat", "고양이", "ein Hund", "a tree", "plain"]
GOALS = ["a dog", "a dog", "a cat", "a cat", "a dog", "a tree", "plain"]
LANGUAGES = ["en", "ko", "en", "ko", "de", "en", ""]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def test_pairs_are_found_by_their_goal():
    found = DevLanguages(TEXTS, GOALS, LANGUAGES)
    assert {name: (first.tolist(), second.tolist()) for name, (first, second) in found.pairs.items()} == {
        "en-ko": ([0, 2], [1, 3])  # one German sentence alone cannot be searched for
    }


def test_accuracy_of_both_ways(vectors):
    judged = DevLanguages(TEXTS, GOALS, LANGUAGES)
    vectors[1], vectors[3] = vectors[0], vectors[2]
    assert judged(vectors, vectors)["translation_accuracy_en-ko"] == 1
    vectors[[1, 3]] = vectors[[3, 1]]
    assert judged(vectors, vectors)["translation_accuracy"] == 0


def test_agreement_is_told_for_each_language_with_enough_sentences(vectors):
    teacher = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    found = DevLanguages(TEXTS, GOALS, LANGUAGES)(vectors, teacher)
    english = [0, 2, 5]
    assert found["agreement_spearman_en"] == quick_agreement(vectors[english], teacher[english])["agreement_spearman"]
    assert "agreement_spearman_ko" not in found
