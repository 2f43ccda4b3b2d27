"""What is run: texts, lengths and groups."""

from __future__ import annotations

import bag
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import ModelError
from distill.measure.cases import as_texts, blocks_of, read_texts, synthetic_cases, text_cases, text_facts
from distill.runtime.text import TextInput

ALL = ("single_stream", "offline", "server")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80), st.integers(1, 9), st.integers(1, 12))
def test_over_all_rounds_every_text_runs_equally_often(lengths, batch, rounds):
    (case,) = text_cases(("offline",), (batch,), lengths)
    assert sorted(number for group in case.groups for number in group) == list(range(len(lengths)))
    runs = [group for turn in blocks_of(case, rounds) for group in turn]
    assert len(blocks_of(case, rounds)) == rounds
    assert all(blocks_of(case, rounds))
    if len(case.groups) >= rounds:
        assert sorted(runs) == list(range(len(case.groups)))
    sizes = [lengths[number] for group in case.groups for number in group]
    assert sizes == sorted(sizes)  # so that hardly anything is padded


def test_the_cases_of_text_and_of_synthetic_lengths():
    synthetic = synthetic_cases(ALL, (1, 8), (16, 32), text_given=False)
    assert len({case.key for case in synthetic}) == len(synthetic) == 4 + 4 + 2
    assert all(max(max(group) for group in case.groups) <= case.sequence for case in synthetic)
    with_text = synthetic_cases(ALL, (1, 8), (16,), text_given=True)
    assert {case.scenario for case in with_text} == {"single_stream"}
    own = text_cases(ALL, (1, 8), [3, 5, 9])
    assert [(case.scenario, case.batch, case.sequence) for case in own] == [
        ("single_stream", 1, None),
        ("offline", 1, None),
        ("offline", 8, None),
        ("server", 1, None),
    ]


def test_lines_of_a_text(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffone\r\n\n  two  \nthree".encode())
    assert read_texts(path) == ["one", "two", "three"]
    path.write_text("\n".join(str(number) for number in range(5000)))
    texts = read_texts(path)
    assert len(texts) == 1000
    assert (texts[0], texts[-1]) == ("0", "4999")


def test_lengths_by_hand(tmp_path):
    facts = text_facts(tmp_path / "mine.txt", ["secret"] * 5, [1, 8, 9, 600, 16], 1)
    assert facts["tokens"]["histogram"] == {"1-8": 2, "9-16": 2, "over 512": 1}
    assert (facts["tokens"]["p50"], facts["tokens"]["most"], facts["tokens"]["cut"]) == (9.0, 600, 1)
    assert facts["file"] == "mine.txt"
    assert "secret" not in str(facts)


def test_synthetic_text_has_the_lengths_that_were_asked_for(tmp_path):
    source = TextInput(bag.folder(tmp_path / "m", max_length=64))
    cases = synthetic_cases(("single_stream", "offline"), (1, 4), (8, 32), text_given=False)
    made, texts = as_texts(cases, source, 3, "m")
    assert [case.key for case in made] == [case.key for case in cases]
    for before, after in zip(cases, made, strict=True):
        rows = [len(source.tokenize([texts[number - 3]])[0].ids) for group in after.groups for number in group]
        assert rows == [length for group in before.groups for length in group]


def test_a_vocabulary_without_words_is_told(tmp_path, monkeypatch):
    source = TextInput(bag.folder(tmp_path / "m"))
    monkeypatch.setattr("distill.measure.cases._spread", lambda number, most: [])
    with pytest.raises(ModelError, match="no words of one token"):
        as_texts(synthetic_cases(("single_stream",), (1,), (8,), text_given=False), source, 0, "m")
