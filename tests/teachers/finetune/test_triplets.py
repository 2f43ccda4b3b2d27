"""NLI rows as triplets: what is grouped, what is left out, what is drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import DataError
from teachers.finetune.triplets import NLI_LABELS, nli_triplets

ROWS = [
    ("A man eats.", "Someone eats.", "entailment"),
    ("A man eats.", "Nobody eats.", "contradiction"),
    ("A man eats.", "A man eats rice.", "neutral"),
    ("It rains.", "Water falls.", "entailment"),
    ("A dog runs.", "A dog sleeps.", "contradiction"),
]


def triplets(rows, **options):
    made = nli_triplets(*map(list, zip(*rows, strict=True)), **{"both": False, "fill": False, "seed": 1, **options})
    return list(zip(made.anchors, made.positives, made.negatives, strict=True)), made


def test_one_triplet_a_premise_that_has_both():
    found, made = triplets(ROWS)
    assert found == [("A man eats.", "Someone eats.", "Nobody eats.")]
    assert (made.premises, made.without_entailment, made.without_contradiction) == (3, 1, 1)


def test_both_directions_as_in_the_script_of_sbert():
    found, _ = triplets(ROWS, both=True)
    assert found == [("A man eats.", "Someone eats.", "Nobody eats."), ("Someone eats.", "A man eats.", "Nobody eats.")]


def test_a_premise_that_nothing_contradicts_gets_a_sentence_of_another_one():
    found, made = triplets(ROWS, fill=True)
    assert [row[0] for row in found] == ["A man eats.", "It rains."]
    assert found[1][1] == "Water falls."
    assert found[1][2] in {hypothesis for premise, hypothesis, _ in ROWS if premise != "It rains."}
    assert made.without_contradiction == 1


def test_rows_the_other_way_round_are_grouped_too():
    """One hypothesis of two premises is a premise itself: what entails it and what contradicts it stand together."""
    rows = [("P1", "H", "entailment"), ("P2", "H", "contradiction")]
    with pytest.raises(DataError, match="no triplet"):
        triplets(rows)
    assert triplets(rows, both=True)[0] == [("H", "P1", "P2"), ("P1", "H", "P2")]


def test_a_sentence_is_not_its_own_positive():
    with pytest.raises(DataError, match="1 premises: 1 without an entailed"):
        triplets([("A", "A", "entailment"), ("A", "B", "contradiction")])


def test_an_unknown_label_is_named_with_the_nearest():
    with pytest.raises(DataError, match="'contradiction'") as caught:
        triplets([("A", "B", "contradicts")])
    assert caught.value.got == "contradicts"


ROW = st.tuples(st.sampled_from("ABC"), st.sampled_from("ABCDEFG"), st.sampled_from(NLI_LABELS))


@given(st.lists(ROW, min_size=1, max_size=30), st.booleans(), st.booleans(), st.integers(0, 5))
def test_every_triplet_is_told_by_the_rows_and_the_seed_alone(rows, both, fill, seed):
    try:
        found, made = triplets(rows, both=both, fill=fill, seed=seed)
    except DataError:
        return
    assert found == triplets(rows, both=both, fill=fill, seed=seed)[0]
    told = set(rows) | ({(second, first, label) for first, second, label in rows} if both else set())
    for anchor, positive, negative in found:
        assert len({anchor, positive}) == 2
        assert (anchor, positive, "entailment") in told
        premise = anchor if (anchor, negative, "contradiction") in told else positive
        if not fill:
            assert (premise, negative, "contradiction") in told
        assert negative not in {anchor, positive} or (premise, negative, "contradiction") in told
    assert made.premises == len({first for first, _, _ in rows})
