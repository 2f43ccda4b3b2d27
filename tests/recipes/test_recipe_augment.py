"""data.augment: its union of methods, and what a check finds wrong with it."""

from __future__ import annotations

import importlib.util
import json

import pytest
import tiny

import distill
from distill.errors import RecipeError
from distill.recipe_augment import METHODS, MaskedLMSpec, VocabularyMixSpec


def augment(value, recipe="sbert-half"):
    return distill.load_recipe(recipe, [f"data.augment={value}"]).data.augment


def told(problem_of, *words):
    with pytest.raises(RecipeError) as caught:
        problem_of()
    text = " ".join(str(caught.value).split())
    assert all(word in text for word in words), str(caught.value)


def test_vocabulary_mix_needs_no_name():
    assert augment("{sentences: 60}") == VocabularyMixSpec(sentences=60)
    assert augment("{}") == augment("{method: vocabulary_mix}") == VocabularyMixSpec()
    assert augment("null") is None


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_those_of_the_papers(method):
    needed = {"masked_lm": ", model: a/b", "word_vectors": ", vectors: glove.txt"}.get(method, "")
    spec = augment(f"{{method: {method}{needed}}}")
    assert spec.method == method
    assert (spec.variants, spec.labels, spec.pairs) == (20, "teacher", "tang" if method == "tang" else "one")
    again = distill.load_recipe(distill.load_recipe("sbert-half", {"data.augment": spec.model_dump()}).to_dict())
    assert again.data.augment == spec


def test_a_file_of_vectors_may_be_named_alone():
    spec = augment("{method: masked_lm, model: a/b, vectors: glove.txt}")
    assert isinstance(spec, MaskedLMSpec)
    assert spec.vectors.source == "glove.txt"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{method: tagn}", ["data.augment.method", "unknown method 'tagn'", "did you mean 'tang'"]),
        ("{p: 0.4}", ["the key 'method' is missing", "masked_lm"]),
        ("{method: masked_lm}", ["data.augment.model", "the key 'model' is missing"]),
        ("{method: masked_lm, model: a, candidats: 3}", ["unknown key 'candidats'", "did you mean 'candidates'"]),
        ("{method: ngrams, p: 2, pairs: bot, variants: 0}", ["at most 1", "did you mean 'both'", "at least 1", "3 problems"]),
        ("{method: tang, p_mask: 0.7, p_pos: 0.6}", ["at most 1 together"]),
        ("{method: tang, p_mask: 0, p_pos: 0, p_ng: 0}", ["nothing would be altered"]),
        ("{method: word_vectors, vectors: {soruce: x}}", ["data.augment.vectors", "'source'"]),
    ],
)
def test_what_is_no_augmentation(value, words):
    told(lambda: augment(value), *words)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("classification", "tokens", "spans"):
        tiny.write_task(tmp_path, kind, 0, 60)
    tiny.write_lines(tmp_path / "lines.txt")
    tiny.write_lines(tmp_path / "words.vec", ["a 1 2", "b 2 1"])
    (tmp_path / "empty").mkdir()
    return tmp_path


def check(value, recipe="tinybert-task", train="rows.tsv", *more):
    return distill.check_recipe(recipe, [f"data.train={train}", f"data.augment={value}", *more])


@pytest.mark.parametrize(
    ("value", "more", "words"),
    [
        ("{method: masked_lm, model: ./empt}", [], ["data.augment.model", "no such folder", "'empty'"]),
        ("{method: masked_lm, model: ./empty}", [], ["no config.json and no weights", "model.safetensors"]),
        ("{method: masked_lm, model: a/b, vectors: word.vec}", [], ["data.augment.vectors.source", "'words.vec'"]),
        ("{method: word_vectors, vectors: {source: words.npy}}", [], ["2 problems", "an .npy table does not hold its words"]),
        ("{method: tang, tagger: koraen}", [], ["data.augment.tagger", "did you mean 'korean'"]),
        ("{method: part_of_speech, tagger: 'spacy:no_such_model'}", [], ["data.augment.tagger", "not installed"]),
        ("{sentences: 60}", [], ["data.augment.method", "vocabulary_mix", "masked_lm"]),
        ("{method: ngrams}", ["stages=[{losses: [hard_label]}]"], ["data.augment.labels", "nothing would be learnt"]),
        (
            "{method: word_vectors, vectors: none.vec}",
            ["teacher.model=./nowhere", "data.evaluate.test=nothing.tsv"],
            ["3 problems", "teacher.model", "data.evaluate.test", "data.augment.vectors"],
        ),
    ],
)
def test_check_tells_everything_at_once(value, more, words, place):
    told(lambda: check(value, "tinybert-task", "rows.tsv", *more), *words)


@pytest.mark.parametrize(("recipe", "file"), [("tinybert-ner", "words.conll"), ("tinybert-qa", "questions.json")])
def test_words_and_labels_would_part(recipe, file, place):
    told(lambda: check("{method: ngrams}", recipe, file), "data.augment", "words and labels would part")


def test_what_can_run_passes(place):
    assert check("{method: tang}") == []
    assert check("{method: ngrams, labels: copy}", "tinybert-task", "rows.tsv", "stages=[{losses: [hard_label]}]") == []
    notes = check("{method: masked_lm, model: klue/bert-base, vectors: words.vec}")
    assert any("data.augment.model" in note and "fetches it from the hub" in note for note in notes)
    assert any("nothing is copied" in note for note in check("{method: ngrams, labels: copy}", "sbert-half", "lines.txt"))


def test_a_model_that_says_it_has_another_head_is_a_note(place):
    (place / "other").mkdir()
    (place / "other" / "model.safetensors").write_bytes(b"")
    for name, told_of in (
        ("ElectraForPreTraining", True),
        ("BertModel", True),
        ("BertForPreTraining", False),
        ("XForMaskedLM", False),
    ):
        (place / "other" / "config.json").write_text(json.dumps({"architectures": [name]}))
        assert any(name in note for note in check("{method: masked_lm, model: ./other}")) is told_of
    (place / "other" / "config.json").write_text("{")
    told(lambda: check("{method: masked_lm, model: ./other}"), "config.json is damaged")


@pytest.mark.parametrize(
    ("value", "package"),
    [("{method: tang, tagger: korean}", "kiwipiepy"), ("{method: part_of_speech, tagger: english}", "HanTa"),
     ("{method: word_vectors, vectors: words.vec}", "faiss")],
)  # fmt: skip
def test_packages_that_are_missing(value, package, place, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    told(lambda: check(value), package, "distill-toolkit[augment]")
