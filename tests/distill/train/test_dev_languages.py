"""Dev curves a language, and how many translations are found."""

from types import SimpleNamespace

import numpy as np
import pytest

from distill.errors import UserError
from distill.evaluate.agreement import quick_agreement
from distill.train.judges import DevLanguages, check_selection

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


@pytest.mark.parametrize(("translated", "sets", "fits"), [(True, {}, True), (False, {}, False), (False, "translation", True)])
def test_dev_sentences_without_translations_are_not_judged_by_them(translated, sets, fits):
    """Dev sentences of a source of their own are what the teacher reads too: nothing translates anything."""
    goals = GOALS if translated else TEXTS
    data = SimpleNamespace(dev=TEXTS, translations=SimpleNamespace(dev_goals=goals, dev_languages=LANGUAGES))
    selecting = {"x": SimpleNamespace(kind=sets)} if sets else {}
    recipe = SimpleNamespace(train=SimpleNamespace(select_by="translation_accuracy"), data=SimpleNamespace(selecting=selecting))
    if fits:
        check_selection(recipe, data)
        return
    with pytest.raises(UserError, match="no two translations") as caught:
        check_selection(recipe, data)
    assert caught.value.where == "train.select_by"
