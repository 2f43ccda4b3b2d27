"""Examples: the original first, sides of pairs as asked, draws counted as published, nothing silent dropped."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.base import Example, Rng
from distill.data.augment.pairs import Augmenter, PairMode, ReplacePlan, StillPlan, Tally
from distill.data.augment.words import Word, find_words
from distill.errors import UserError

MODES = get_args(PairMode)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(["good", "day", "x_1", "한국은", "won't", "12", "!"]), max_size=6).map(" ".join),
)
EXAMPLES = st.builds(Example, TEXTS, st.none() | TEXTS, label=st.integers(0, 3), row=st.integers(0, 99))


class Toy:
    """Every word becomes one of three, with probability `p`."""

    name = "toy"

    def __init__(self, p=0.5, candidates=("eins", "zwei", "drei")):
        self.p = p
        self.candidates = candidates
        self.calls = []

    def prepare(self, texts):
        self.calls.append(list(texts))
        words = {text: find_words(text) for text in texts}
        return [ReplacePlan(text, len(words[text]), [(word, self.candidates) for word in words[text]], self.p) for text in texts]


@dataclass
class Fixed:
    """Gives these variants of any text, one after another."""

    variants: list
    name: str = "fixed"

    def prepare(self, texts):
        return [_FixedPlan(iter(self.variants)) for _ in texts]


class _FixedPlan:
    words = 3

    def __init__(self, variants):
        self.variants = variants

    def draw(self, rng):
        return next(self.variants), 1


def texts(examples):
    return [example.texts for example in examples]


def test_original_first_then_numbered_variants():
    original = Example("good day to you", label="yes", row=7)
    made = Augmenter(Toy(), variants=20).augment([original], Rng(1))
    assert made[0] == original
    assert made[0].words == 4
    assert [example.variant for example in made] == list(range(len(made)))
    assert {(example.label, example.row, example.words) for example in made} == {("yes", 7, 4)}
    assert len(made) > 10


def test_a_draw_that_gives_nothing_new_counts():
    made, tally = Augmenter(Fixed(["a b", "c", "a b", " ", "x", ""]), variants=6).augment_counted([Example("x")], Rng(1))
    assert texts(made) == [("x",), ("a b",), ("c",)]
    assert tally == Tally(examples=1, draws=6, kept=2, duplicates=1, unchanged=1, empty=2)


def test_tallies_add_up():
    examples = [Example("good day"), Example("day", "good")]
    made, tally = Augmenter(Toy(), variants=9).augment_counted(examples, Rng(3))
    assert tally.examples == 2
    assert tally.draws == 27
    assert tally.kept == len(made) - 2
    assert tally.draws == tally.kept + tally.duplicates + tally.unchanged + tally.empty


def test_changed_words_are_counted_over_both_texts():
    made = Augmenter(Toy(p=1.0), variants=1, pairs="both").augment([Example("good day", "day")], Rng(1))
    assert [(example.changed, example.words) for example in made] == [(0, 3), (3, 3)]


@pytest.mark.parametrize(("mode", "side"), [("first", 0), ("second", 1)])
def test_one_side_alone(mode, side):
    method = Toy()
    made = Augmenter(method, variants=8, pairs=mode).augment([Example("good day", "my friend")], Rng(1))
    assert len(made) > 3
    assert {example.texts[1 - side] for example in made} == {("good day", "my friend")[1 - side]}
    assert method.calls == [[("good day", "my friend")[side]]]


def test_both_sides_in_every_variant():
    made = Augmenter(Toy(p=1.0), variants=8, pairs="both").augment([Example("good day", "my friend")], Rng(1))
    assert len(made) > 3
    assert all(example.text != "good day" and example.text_pair != "my friend" for example in made[1:])


def test_one_keeps_the_partner_as_it_was():
    augmenter = Augmenter(Toy(p=1.0), variants=4, pairs="one")
    example = Example("good day here", "my dear friend")
    made, tally = augmenter.augment_counted([example], Rng(1))
    altered = [(e.text != example.text, e.text_pair != example.text_pair) for e in made]
    firsts = altered.count((True, False))
    assert altered == [(False, False)] + [(True, False)] * firsts + [(False, True)] * (len(made) - 1 - firsts)
    assert tally.draws == augmenter.draws(example) == 8
    assert 3 <= firsts <= 4


def test_cycle_takes_turns():
    words = " ".join(["day"] * 12)  # so long that no draw comes twice
    made = Augmenter(Toy(p=1.0), variants=6, pairs="cycle").augment([Example(words, words)], Rng(1))
    altered = [(e.text != words, e.text_pair != words) for e in made[1:]]
    assert altered == [(True, False), (False, True), (True, True)] * 2


def test_tang_alters_both_in_a_third():
    words = " ".join(["day"] * 20)
    made = Augmenter(Toy(p=1.0), variants=3000, pairs="tang").augment([Example(words, words)], Rng(1))
    altered = [(e.text != words, e.text_pair != words) for e in made[1:]]
    for kind in ((True, True), (True, False), (False, True)):
        assert abs(altered.count(kind) / 3000 - 1 / 3) < 0.04  # over four standard deviations


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ["", " \n", "word " * 11])
def test_blank_and_long_texts_pass_through(mode, text):
    method = Toy(p=1.0)
    augmenter = Augmenter(method, variants=5, pairs=mode, max_words=10)
    assert texts(augmenter.augment([Example(text)], Rng(1))) == [(text,)]
    assert texts(augmenter.augment([Example(text, text)], Rng(1))) == [(text, text)]
    assert method.calls == []
    for example in augmenter.augment([Example(text, "good day")], Rng(1)):
        assert example.text == text


def test_ten_thousand_words_pass_by_default():
    long = "word " * 10_000
    (only,) = Augmenter(Toy(), variants=3).augment([Example(long)], Rng(1))
    assert only.text == long
    assert only.words == 10_000


def test_texts_are_prepared_once_and_together():
    method = Toy()
    Augmenter(method, variants=2).augment([Example("a b", "c"), Example("c"), Example("a b", "")], Rng(1))
    assert method.calls == [["a b", "c"]]


def test_no_variants_asked_for():
    method = Toy()
    assert Augmenter(method, variants=0).augment([Example("a", "b")], Rng(1)) == [Example("a", "b")]
    assert method.calls == []
    assert Augmenter(method, variants=2).augment([], Rng(1)) == []


def test_bad_arguments():
    with pytest.raises(UserError, match="negative"):
        Augmenter(Toy(), variants=-1)
    with pytest.raises(UserError, match="did you mean 'both'"):
        Augmenter(Toy(), variants=1, pairs="booth")


def test_a_method_that_loses_texts():
    method = Toy()
    method.prepare = lambda texts: []
    with pytest.raises(ValueError, match="toy: 0 plans for 1 texts"):
        Augmenter(method, variants=1).augment([Example("a")], Rng(1))


@given(st.lists(EXAMPLES, max_size=5), st.sampled_from(MODES), st.integers(0, 6), st.integers(0, 2**40))
def test_what_every_augmenter_keeps(examples, mode, variants, seed):
    augmenter = Augmenter(Toy(), variants=variants, pairs=mode)
    made = augmenter.augment(examples, Rng(seed))
    starts = [index for index, example in enumerate(made) if example.variant == 0]
    assert [made[index] for index in starts] == examples  # originals, in order
    ends = [*starts, len(made)][1:]
    for original, start, end in zip(examples, starts, ends, strict=True):
        group = made[start:end]
        assert [example.variant for example in group] == list(range(len(group)))
        assert len(set(texts(group))) == len(group) <= 1 + augmenter.draws(original)
        for example in group[1:]:
            assert (example.label, example.row, len(example.texts)) == (original.label, original.row, len(original.texts))
            assert all(new.strip() or new == old for new, old in zip(example.texts, original.texts, strict=True))
            assert 1 <= example.changed <= example.words
            assert example.texts != original.texts


@given(st.lists(EXAMPLES, max_size=5), st.sampled_from(MODES), st.integers(0, 2**40))
def test_neighbours_do_not_matter(examples, mode, seed):
    augmenter = Augmenter(Toy(), variants=4, pairs=mode)
    together = augmenter.augment(examples, Rng(seed))
    alone = [made for example in examples for made in augmenter.augment([example], Rng(seed))]
    assert together == alone
    assert [(e.changed, e.words) for e in together] == [(e.changed, e.words) for e in alone]


@given(st.lists(EXAMPLES, max_size=4), st.sampled_from(MODES))
def test_no_chance_no_variants(examples, mode):
    assert Augmenter(Toy(p=0.0), variants=5, pairs=mode).augment(examples, Rng(1)) == examples


def test_seeds_differ():
    example = Example("good day to all of you")
    augmenter = Augmenter(Toy(), variants=3)
    assert augmenter.augment([example], Rng(1)) == augmenter.augment([example], Rng(1)) != augmenter.augment([example], Rng(2))


@given(TEXTS, st.floats(0, 1), st.integers(0, 2**40))
def test_a_replace_plan_tells_how_many_words_it_changed(text, p, seed):
    words = find_words(text)
    plan = ReplacePlan(text, len(words), [(word, ("neu", word.text)) for word in words], p)
    made, changed = pickle.loads(pickle.dumps(plan)).draw(random.Random(seed))
    assert (made, changed) == plan.draw(random.Random(seed))
    assert (changed == 0) == (made == text)
    assert changed <= plan.words


def test_a_replace_plan_draws_each_word_with_its_probability():
    plan = ReplacePlan("a b", 2, [(Word("a", 0, 1), ("x", "y")), (Word("b", 2, 3), ())], 0.4)
    rng = random.Random(5)
    made = [plan.draw(rng)[0] for _ in range(4000)]
    assert set(made) == {"a b", "x b", "y b"}
    assert abs(made.count("a b") / 4000 - 0.6) < 0.035
    assert abs(made.count("x b") / 4000 - 0.2) < 0.03


def test_a_still_plan_stands_still():
    assert StillPlan("a b", 2).draw(random.Random(1)) == ("a b", 0)
