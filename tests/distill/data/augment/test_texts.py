"""`distill.augment_texts`: any list of texts or pairs, from Python."""

from __future__ import annotations

import pytest
import toyaugment

import distill
from distill.errors import DataError
from distill.recipe_augment import NGramsSpec

TEXTS = ["A long day at the station.", "오늘 아침 그 의사가 책을 읽는다.", ""]


def test_texts():
    made = distill.augment_texts(TEXTS, "ngrams", seed=3, p=1.0, variants=5, labels=["x", "y", "z"])
    assert [row.text for row in made if not row.variant] == TEXTS
    assert all(row.text in TEXTS[row.row] and row.label == "xyz"[row.row] for row in made)
    assert sum(row.row == 2 for row in made) == 1
    assert made == distill.augment_texts(iter(TEXTS), {"method": "ngrams", "p": 1.0}, seed=3, variants=5, labels="xyz")
    assert made == distill.augment_texts(TEXTS, NGramsSpec(method="ngrams", p=1.0, variants=5), seed=3, labels="xyz")
    alone = distill.augment_texts(TEXTS[1:], "ngrams", seed=3, p=1.0, variants=5, labels="yz")
    assert [row.text for row in made if row.row] == [row.text for row in alone]


def test_pairs_and_a_method_of_ones_own():
    made = distill.augment_texts([("a cat sat", "a mat"), ["a b", "c"]], toyaugment.Make()(), seed=1)
    assert {(row.text, row.text_pair) for row in made if not row.variant} == {("a cat sat", "a mat"), ("a b", "c")}
    assert any(row.variant for row in made)


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        ("a text", {}, "not a list of texts"),
        ([3], {}, "no text"),
        ([("a", "b", "c")], {}, "no text"),
        (["a\0"], {}, "no text"),
        (["a"], {"labels": [1, 2]}, "differ in number"),
    ],
)
def test_what_are_no_texts(texts, options, words):
    with pytest.raises(DataError, match=words):
        distill.augment_texts(texts, "ngrams", **options)


def test_no_text_at_all():
    assert distill.augment_texts([], "ngrams") == []
