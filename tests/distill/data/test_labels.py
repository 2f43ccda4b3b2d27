"""Label names: out of the data, and matched with a model's outputs by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from distill.data.labels import is_unnamed, label_set, learnable, match_labels, sorted_names
from distill.errors import DataError, ModelError

NLI = LabelSet(("contradiction", "entailment", "neutral"))


def test_numbers_sort_as_numbers_and_names_as_names():
    assert sorted_names(["10", "9", "1", "9"]) == ("1", "9", "10")
    assert sorted_names(["10", "9", "b", "a"]) == ("10", "9", "a", "b")
    assert label_set(["b", "a"], "x", given=["b", "a", "c"]).names == ("b", "a", "c")


@pytest.mark.parametrize(("found", "message"), [(["a", "a"], "every label is 'a'"), ([], "no labels")])
def test_too_few_labels_are_nothing_to_learn_from(found, message):
    with pytest.raises(DataError, match=message):
        learnable(found, "file.tsv")
    learnable(["a", "b", "a"], "file.tsv")


def test_unknown_labels_are_refused_and_one_alone_is_a_set():
    with pytest.raises(DataError, match=r"not among(.|\n)*got: +z"):
        label_set(["a", "z"], "file.tsv", ["a", "b"])
    assert label_set(["a"], "file.tsv", ["a", "b"]).names == ("a", "b")
    assert label_set(["a", "a"], "file.tsv").names == ("a",)


def test_a_label_has_a_number_and_only_one():
    assert NLI.index_of("neutral") == 2
    with pytest.raises(DataError, match="did you mean 'neutral'"):
        NLI.index_of("neutrall")
    with pytest.raises(DataError, match="named twice"):
        LabelSet(("a", "b", "a"))


@given(st.permutations(["contradiction", "entailment", "neutral"]))
def test_outputs_are_put_into_the_order_of_the_data_by_name(names):
    match = match_labels(NLI, dict(enumerate(names)))
    assert [names[place] for place in match.order] == list(NLI.names)
    assert match.notes == ()
    assert match.same == (names == list(NLI.names))
    logits = np.array([[{"contradiction": 1.0, "entailment": 2.0, "neutral": 3.0}[name] for name in names]])
    assert logits[:, match.order].tolist() == [[1.0, 2.0, 3.0]]


def test_case_and_known_words_match_and_are_told():
    match = match_labels(NLI, {0: "ENTAILMENT", 1: "Neutral", 2: "CONTRADICTION"})
    assert match.order.tolist() == [2, 0, 1]
    assert len(match.notes) == 3
    assert "'neutral' of the data is 'Neutral' of the teacher" in match.notes[2]
    assert match_labels(LabelSet(("negative", "positive")), {"1": "NEG", "0": "POS"}).order.tolist() == [1, 0]


def test_ambiguous_spellings_count_exactly_or_not_at_all():
    assert match_labels(LabelSet(("a", "A")), {0: "A", 1: "a"}).order.tolist() == [1, 0]
    with pytest.raises(ModelError, match="differ"):
        match_labels(LabelSet(("neg", "negative")), {0: "neg", 1: "NEG"})
    with pytest.raises(ModelError, match="differ"):
        match_labels(LabelSet(("a b", "x")), {0: "A_B", 1: "a-b"})


def test_sets_that_differ_name_both():
    with pytest.raises(ModelError) as caught:
        match_labels(NLI, {0: "entailment", 1: "not_entailment"})
    assert "teacher: 2: entailment, not_entailment" in str(caught.value)
    assert "data: 3: contradiction, entailment, neutral" in str(caught.value)


def test_numbers_are_never_taken_for_names():
    with pytest.raises(ModelError, match=r"data.labels: \[name of 0"):
        match_labels(LabelSet(("0", "1")), {0: "negative", 1: "positive"})


def test_a_model_without_names_needs_them():
    raw = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert is_unnamed(raw.values())
    assert not is_unnamed(["LABEL_0", "neutral"])
    assert not is_unnamed([])
    with pytest.raises(ModelError, match=r"not fine-tuned(.|\n)*data.labels: \[contradiction"):
        match_labels(NLI, raw)
    with pytest.raises(ModelError, match="have no names"):
        match_labels(LabelSet(("0", "1", "2")), raw)
    match = match_labels(NLI, raw, unnamed=["neutral", "entailment", "contradiction"])
    assert match.order.tolist() == [2, 1, 0]
    assert "does not name its outputs" in match.notes[0]
    with pytest.raises(ModelError, match="2: a, b"):
        match_labels(NLI, raw, unnamed=["a", "b"])
    assert match_labels(LabelSet(("LABEL_0", "LABEL_1")), {0: "LABEL_1", 1: "LABEL_0"}).order.tolist() == [1, 0]


def test_examples_whose_parts_differ_in_number_are_refused():
    with pytest.raises(DataError, match="2 and 1"):
        TextExamples(["a", "b"], ["c"])
    with pytest.raises(DataError, match="2 and 3"):
        TextExamples(["a", "b"], labels=np.zeros(3))
    with pytest.raises(DataError, match="differ in number"):
        TokenExamples([["a", "b"]], [[0]])
    with pytest.raises(DataError, match=r"\[1, 1, 2, 1\]"):
        SpanExamples(["1"], ["q"], ["c", "c"], [[]])


def test_some_of_the_examples():
    texts = TextExamples(["a", "b", "c"], ["x", "y", "z"], np.array([0, 1, 2]))
    some = texts.select([2, 0])
    assert (some.text, some.text_pair, some.labels.tolist()) == (["c", "a"], ["z", "x"], [2, 0])
    words = TokenExamples([["a", " ", "b"], ["c"]], [[0, 1, 2], [3]], space=False)
    assert words.text == ["a b", "c"]
    assert words.select([1]) == TokenExamples([["c"]], [[3]], space=False)
    spans = SpanExamples(["1", "2"], ["p", "q"], ["c", "d"], [[], [("d", 0)]])
    assert spans.select(np.array([1])) == SpanExamples(["2"], ["q"], ["d"], [[("d", 0)]])
