"""Translations as training rows: whose vector each text shall have, what is left out, how languages are drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.prepare import load_prepared, prepare, save
from distill.data.sampler import GroupDraw, LengthBucketSampler
from distill.data.text import digest
from distill.data.translations import draw_counts, read_translations
from distill.recipe import DataSpec


def data(tmp_path, pairs, **more):
    """A data part of a recipe with one file of pairs a language: {"ko": [(en, ko), ...]}."""
    parallel = []
    for language, rows in pairs.items():
        path = tmp_path / f"en-{language}.tsv"
        path.write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
        parallel.append({"source": str(path), "languages": ["en", language], "columns": [0, 1]})
    return DataSpec.model_validate({"parallel": parallel, **more})


def rows(spec, blocked=()):
    counts = Counter()
    found = read_translations(spec.parallel, spec, {digest(text) for text in blocked}, counts)
    return [(row.text, row.goal, row.language) for row in found.values()], counts


def test_both_sides_go_to_the_vector_of_the_first(tmp_path):
    found, counts = rows(data(tmp_path, {"ko": [("A dog runs.", "개가 달린다.")]}))
    assert found == [("A dog runs.", "A dog runs.", "en"), ("개가 달린다.", "A dog runs.", "ko")]
    assert counts["pairs_kept"] == 1


def test_a_source_with_two_translations_is_one_row(tmp_path):
    spec = data(
        tmp_path,
        {"ko": [("A dog runs.", "개가 달린다."), ("a dog runs", "개가 뛴다.")], "de": [("A DOG runs!", "Ein Hund rennt.")]},
    )
    found, _ = rows(spec)
    assert [text for text, _, _ in found] == ["A dog runs.", "개가 달린다.", "개가 뛴다.", "Ein Hund rennt."]
    assert {goal for _, goal, _ in found} == {"A dog runs."}


@pytest.mark.parametrize("held", ["the first sentence", "첫 번째 문장!"])
def test_a_pair_is_dropped_when_either_side_is_evaluated(tmp_path, held):
    spec = data(tmp_path, {"ko": [("The first sentence.", "첫 번째 문장"), ("The second.", "두 번째 문장")]})
    found, counts = rows(spec, [held])
    assert [text for text, _, _ in found] == ["The second.", "두 번째 문장"]
    assert counts["pairs_evaluation"] == 1


def test_a_side_of_the_wrong_length_drops_the_pair(tmp_path):
    found, counts = rows(data(tmp_path, {"ko": [("Go on.", "가"), ("Go home.", "집에 가라.")]}, min_chars=3))
    assert [text for text, _, _ in found] == ["Go home.", "집에 가라."]
    assert counts["pairs_length"] == 1


def test_no_translation_of_a_dev_sentence_is_trained_on(tmp_path):
    korean = [(f"Sentence number {n} is here.", f"여기 {n}번째 문장이 있다.") for n in range(80)]
    german = [(f"Sentence number {n} is here.", f"Satz Nummer {n} steht hier.") for n in range(0, 80, 2)]
    more = tmp_path / "more.txt"
    more.write_text("".join(f"Other text {n} of no language.\n" for n in range(40)))
    made = prepare(data(tmp_path, {"ko": korean, "de": german}, train=[{"source": str(more)}], dev={"share": 0.2}))
    goals = set(made.dev_goals)
    assert goals
    assert not goals & set(made.train_goals)
    assert not set(made.dev) & set(made.train)
    assert len(made.train) + len(made.dev) == 80 * 2 + 40 + 40
    assert {"en", "ko", "de", ""} == set(made.translations.train_languages)
    assert len(made.train) == len(made.train_goals) == len(made.translations.train_languages)


def test_prepared_translations_come_back_from_disk(tmp_path):
    start = tmp_path / "start.txt"
    start.write_text("교사가 모르는 문장\n개가 달린다 1\n", encoding="utf-8")
    spec = data(tmp_path, {"ko": [(f"A dog runs {n}.", f"개가 달린다 {n}") for n in range(9)]}, start=[{"source": str(start)}])
    made = prepare(spec)
    assert made.start == ["교사가 모르는 문장"]
    save(made, tmp_path / "data")
    back = load_prepared(tmp_path / "data")
    assert (back.train, back.dev, back.translations, back.start) == (made.train, made.dev, made.translations, made.start)


def test_text_without_translations_is_its_own_goal(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"Plain sentence {n}.\n" for n in range(9)))
    made = prepare(DataSpec.model_validate({"train": [{"source": str(path)}]}))
    assert made.translations is None
    assert (made.train_goals, made.dev_goals) == (made.train, made.dev)


def test_the_temperature_makes_small_languages_count():
    sizes = {"en": 9_000, "ko": 900, "de": 100}
    assert draw_counts(sizes, 1) == sizes
    squared = draw_counts(sizes, 2)
    assert sum(squared.values()) == 10_000
    assert squared["ko"] / squared["de"] == pytest.approx(3, rel=0.01)
    assert squared["en"] / squared["de"] == pytest.approx(np.sqrt(90), rel=0.01)


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 500), min_size=1), st.floats(1, 100))
def test_an_epoch_keeps_its_length_and_no_language_is_left_out(sizes, temperature):
    wanted = draw_counts(sizes, temperature)
    assert set(wanted) == set(sizes)
    assert min(wanted.values()) >= 1
    assert abs(sum(wanted.values()) - sum(sizes.values())) <= len(sizes)


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abc"), min_size=3, max_size=40).filter(lambda names: len(set(names)) == 3), st.data())
def test_a_group_is_used_up_before_any_row_comes_again(groups, chance):
    wanted = {name: chance.draw(st.integers(1, 60)) for name in "abc"}
    draw = GroupDraw(groups, wanted, seed=3)
    epochs = [draw(epoch) for epoch in range(4)]
    assert all(len(rows) == len(draw) for rows in epochs)
    for name in "abc":
        taken = Counter(row for rows in epochs for row in rows.tolist() if groups[row] == name)
        assert sum(taken.values()) == 4 * wanted[name]
        counts = [taken[row] for row, group in enumerate(groups) if group == name]
        assert max(counts) - min(counts) <= 1


def test_a_sampler_hands_out_what_is_drawn():
    groups = ["en"] * 30 + ["ko"] * 3
    draw = GroupDraw(groups, {"en": 20, "ko": 13}, seed=1)
    sampler = LengthBucketSampler(np.arange(33) % 7, 4, seed=1, draw=draw)
    assert len(sampler) == 33
    first = list(sampler)
    assert sum(row >= 30 for row in first) == 13
    assert first == list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    assert set(first + second) == set(range(33))
