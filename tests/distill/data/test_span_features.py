"""Windows of a long context, and where the answer stands in each."""

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.examples import SpanExamples
from distill.data.span_features import SpanFeatures
from distill.errors import DataError, ModelError

TOKENIZER = tiny.tokenizer()
LETTERS = "a b c d e f g h i j k l m n o p q r s t"


def examples(*rows):
    """(question, context, answer or None) rows; an answer stands where it first occurs."""
    return SpanExamples(
        ids=[str(number) for number in range(len(rows))],
        questions=[row[0] for row in rows],
        contexts=[row[1] for row in rows],
        answers=[[] if row[2] is None else [(row[2], row[1].index(row[2]))] for row in rows],
    )


def held(features, given_examples, window):
    """The text from the start to the end token of a window."""
    offsets = features.offsets(window)
    context = given_examples.contexts[features.example_rows[window]]
    return context[offsets[features.starts[window], 0] : offsets[features.ends[window], 1]]


def test_a_short_context_is_one_window_as_the_tokenizer_makes_it():
    rows = examples(("who reads?", "The old man reads a book.", "old man"), ("why?", "Nobody knows.", None))
    features = SpanFeatures(rows, TOKENIZER, 40, 4)
    assert features.example_rows.tolist() == [0, 1]
    for window in range(2):
        whole = TOKENIZER(rows.questions[window], rows.contexts[window])
        assert features[window]["input_ids"].tolist() == whole["input_ids"]
        assert features[window]["token_type_ids"].tolist() == whole["token_type_ids"]
        inside = features.offsets(window)[:, 0] >= 0
        types = np.array(whole["token_type_ids"], dtype=bool)
        assert inside.tolist() == [*types[:-1], False], "the context alone: without the question and special tokens"
    assert held(features, rows, 0) == "old man"
    assert (features.starts[1], features.ends[1]) == (features.cls_positions[1],) * 2 == (0, 0)
    assert (features.cut_questions, features.lost) == (0, 0)
    item = features[0]
    assert (item["start_positions"], item["end_positions"]) == (features.starts[0], features.ends[0])


def test_a_long_context_gives_windows_that_share_tokens():
    rows = examples(("z ?", LETTERS, "j k"), ("z ?", "a b", "b"))
    features = SpanFeatures(rows, TOKENIZER, 13, 3)  # 2 of the question, 3 special: 8 of the context a window
    assert features.example_rows.tolist() == [0, 0, 0, 0, 1]
    letters = [
        "".join(LETTERS[start:end] for start, end in features.offsets(window) if start >= 0) for window in range(len(features))
    ]
    assert letters == ["abcdefgh", "fghijklm", "klmnopqr", "pqrst", "ab"]
    found = [held(features, rows, window) if features.starts[window] else None for window in range(len(features))]
    assert found == [None, "j k", None, None, "b"], "a window that holds a part of the answer alone has none"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["book", "electricity", "park", "책을", "a", "?"]), min_size=1, max_size=25), st.data())
def test_the_answer_comes_back_from_its_tokens(words, data):
    context = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(len(words) - 1, first + 3)))
    start = len(" ".join(words[:first])) + (first > 0)
    answer = " ".join(words[first : last + 1])
    rows = SpanExamples(["1"], ["who?"], [context], [[(answer, start)]])
    features = SpanFeatures(rows, TOKENIZER, 48, 16)
    found = [window for window in range(len(features)) if features.starts[window]]
    assert found, "16 tokens are shared: four words fit some window whole"
    for window in found:
        assert held(features, rows, window) == answer
        assert features.offsets(window)[features.starts[window], 0] == start
    assert features.lengths.max() <= 48
    covered = {place for window in range(len(features)) for place in map(tuple, features.offsets(window)) if place[0] >= 0}
    whole = TOKENIZER(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert covered == set(whole), "every token of the context is in a window"


def test_answers_that_no_window_holds_and_long_questions_are_counted():
    rows = examples(("z " * 30, LETTERS, "b c d e f g h i j k l m"), ("y", LETTERS, "c"))
    features = SpanFeatures(rows, TOKENIZER, 16, 2)
    assert features.cut_questions == 1
    assert features.lost == 1
    question = TOKENIZER("z", add_special_tokens=False)["input_ids"]
    assert features[0]["input_ids"].tolist()[1:10] == [*question * 8, TOKENIZER.sep_token_id]


def test_what_cannot_work_is_refused():
    rows = examples(("a", "b", "b"))
    with pytest.raises(DataError, match=r"data.stride(.|\n)*below 5"):
        SpanFeatures(rows, TOKENIZER, 16, 5)
    with pytest.raises(DataError, match=r"data\.stride"):
        SpanFeatures(rows, TOKENIZER, 3, 0)

    class Slow:
        is_fast, cls_token_id = False, 2

    with pytest.raises(ModelError, match="cannot make windows"):
        SpanFeatures(rows, Slow(), 16, 2)
