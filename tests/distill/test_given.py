"""Inputs that come as objects: what is taken, and what is said of things that are no such input."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from datasets import Dataset, DatasetDict

from distill.data.evaluation import RetrievalSet, ScoredPairs, TranslationSet
from distill.errors import DataError, ModelError
from distill.given import given_sentences, given_sets, given_teacher, source_key, split_objects
from teachers.load import as_teacher
from teachers.spec import TeacherSpec

TEXTS = ["one sentence", "두 번째 문장", ""]
TABLE = Dataset.from_dict({"text": TEXTS, "number": [1, 2, 3]})
MODEL = SimpleNamespace(name="stands for a loaded model")


@pytest.mark.parametrize(
    "sentences",
    [
        TEXTS,
        tuple(TEXTS),
        (text for text in TEXTS),
        dict.fromkeys(TEXTS).keys(),
        np.array(TEXTS),
        TABLE,
        TABLE["text"],
        TABLE.to_iterable_dataset(),
        Dataset.from_dict({"anything": TEXTS}),
    ],
    ids=["list", "tuple", "generator", "keys", "array", "dataset", "column", "stream", "another name"],
)
def test_sentences(sentences):
    assert given_sentences(sentences) == TEXTS


def test_columns_that_pandas_and_its_like_hold():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS})
    assert given_sentences(frame["text"]) == TEXTS
    with pytest.raises(DataError, match="a column of a table"):  # else its column names would be the sentences
        given_sentences(frame)


@pytest.mark.parametrize(
    "thing",
    ["a sentence", b"bytes", Path("sentences.txt"), {"text": TEXTS}, DatasetDict({"train": TABLE}), 7, None],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_list_of_sentences(thing):
    with pytest.raises(DataError, match="not a list of sentences") as caught:
        given_sentences(thing)
    assert caught.value.exit_code == 2
    assert caught.value.got.startswith(type(thing).__name__)
    assert "data.train" in caught.value.hint


@pytest.mark.parametrize("wrong", [3, None, b"x", ["a"]])
def test_the_item_that_is_no_sentence_is_named(wrong):
    with pytest.raises(DataError, match=r"train\[1\]: not a sentence") as caught:
        given_sentences(["fine", wrong])
    assert caught.value.got == repr(wrong)


@pytest.mark.parametrize(
    ("columns", "got"),
    [({"a": ["x"], "b": ["y"]}, ["a", "b"]), ({"number": [1]}, ["number"]), ({"tags": [["x", "y"]]}, ["tags"])],
)
def test_a_dataset_whose_sentences_cannot_be_told(columns, got):
    with pytest.raises(DataError, match="which column") as caught:
        given_sentences(Dataset.from_dict(columns))
    assert caught.value.got == got
    assert "dataset['column']" in caught.value.hint


@pytest.mark.parametrize(
    "value", ["name", Path("folder"), None, ["a.txt", "b.txt"], {"source": "a.txt"}, OrderedDict(source="a")]
)
def test_what_a_recipe_can_hold_stays_an_override(value):
    overrides = {"data.train": value, "teacher.model": value, "seed": 3}
    assert split_objects(overrides) == (overrides, {})


@pytest.mark.parametrize("value", [MODEL, TABLE, TABLE["text"], DatasetDict({"train": TABLE}), b"bytes", iter(TEXTS)])
def test_objects_are_taken_out_of_overrides(value):
    overrides = {"data.train": value, "seed": 3}
    left, objects = split_objects(overrides)
    assert left == {"seed": 3}
    assert list(objects) == ["data.train"]
    assert objects["data.train"] is value
    assert "data.train" in overrides  # the caller's mapping is left alone
    assert list(split_objects({"teacher.model": value})[1]) == ["teacher.model"]


def test_overrides_as_text_hold_no_objects():
    assert split_objects(["data.train=a.txt"]) == (["data.train=a.txt"], {})
    assert split_objects(()) == ((), {})


def test_an_object_under_another_path_is_left_to_the_schema():
    overrides = {"data.dev": TABLE}
    assert split_objects(overrides) == (overrides, {})


def spec(**values):
    return TeacherSpec(model="unused", **values)


def test_a_teacher_keeps_its_own_prompt_unless_the_recipe_has_one():
    model = tiny.sentence_transformer(layers=1, prompts={"query": "query: "}, default_prompt_name="query")
    assert given_teacher(model, spec()).prompt == "query: "
    assert given_teacher(model, spec(prompt="passage: ")).prompt == "passage: "
    assert given_teacher(model, spec(prompt="")).prompt == ""
    teacher = as_teacher(model, "mine")
    assert given_teacher(teacher, spec()) is teacher
    assert given_teacher(teacher, spec(prompt="")).name == "mine"
    assert teacher.prompt == "query: "


def test_a_teacher_has_its_own_longest_input():
    model = tiny.sentence_transformer(layers=1, max_length=24)
    assert given_teacher(model, spec(max_length=24)).max_length == 24
    with pytest.raises(ModelError, match="its own longest input") as caught:
        given_teacher(model, spec(max_length=16))
    assert (caught.value.got, caught.value.expected) == (16, "24, or null")
    assert model.max_seq_length == 24


@pytest.mark.parametrize("thing", ["owner/name", Path("folder"), b"bytes", MODEL])
def test_what_is_no_teacher(thing):
    with pytest.raises(ModelError, match="no teacher") as caught:
        given_teacher(thing, spec())
    assert type(thing).__name__ in caught.value.got


def test_pairs_with_scores_of_any_kind():
    found = given_sets({"sts": SimpleNamespace(sentences1=("a", "b"), sentences2=TABLE["text"][:2], scores=[1, 0.5])})
    assert found["sts"].sentences1 == ["a", "b"]
    assert found["sts"].sentences2 == TEXTS[:2]
    assert found["sts"].scores.dtype == np.float64
    assert found["sts"].scores.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("thing", [[("a", "b", 1.0)], ScoredPairs(["a"], ["b"], np.ones(1)), "sts.csv"])
def test_pairs_without_a_name(thing):
    with pytest.raises(DataError, match="no labelled sets") as caught:
        given_sets(thing)
    assert caught.value.got == type(thing).__name__


@pytest.mark.parametrize("thing", [[("a", "b", 1.0)], SimpleNamespace(sentences1=["a"], sentences2=["b"], scores=["high"]), None])
def test_what_is_no_labelled_set_is_named(thing):
    with pytest.raises(DataError, match=r"evaluate\['sts'\]"):
        given_sets({"sts": thing})


def test_a_source_is_known_by_its_content(tmp_path, monkeypatch):
    """Not by its name or time: a copy elsewhere is the same source, one letter more is another."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("a.txt", "one\n"), ("b.txt", "one\n"), ("c.txt", "ones\n")):
        Path(name).write_text(text)
    assert source_key("a.txt") == source_key(str(tmp_path / "b.txt")) != source_key("c.txt")
    assert source_key("owner/dataset") == "owner/dataset"
    docs = source_key("python-docs")
    assert docs == source_key("python-docs") != "python-docs"


def test_evaluation_sets_of_every_kind_are_taken_as_they_are():
    made = {
        "pairs": TranslationSet(["a", "b"], ["c", "d"], ("en", "ko")),
        "search": RetrievalSet(["q"], ["a"], ["d"], ["b"], {0: {0: 1.0}}),
        "sts": ScoredPairs(["a", "b"], ["c", "d"], np.array([0.0, 1.0]), ("en", "de")),
    }
    found = given_sets(made)
    assert found["pairs"] is made["pairs"]
    assert found["search"] is made["search"]
    assert found["sts"].languages == ("en", "de")
