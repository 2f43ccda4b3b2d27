"""Which teacher layer each student layer learns from, against maps written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import UserError
from distill.train.layer_map import in_words, kept_layers, resolve_layer_map
from students.spec import LayersSpec, TinySpec


def taught_by(kind, teacher, student):
    """The teacher layers, counted from 1, in the order of the student's."""
    pairs = resolve_layer_map(kind, teacher, student)
    assert [ours for _, ours in pairs] == list(range(student))
    return [theirs + 1 for theirs, _ in pairs]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (12, 4, [3, 6, 9, 12]),  # TinyBERT-4
        (12, 6, [2, 4, 6, 8, 10, 12]),  # TinyBERT-6
        (12, 12, list(range(1, 13))),
        (12, 1, [12]),
        (24, 3, [8, 16, 24]),
        (1, 1, [1]),
    ],
)
def test_uniform_is_tinybert_where_the_layers_divide(teacher, student, expected):
    """g(m) = k m, with k = N / M and layers counted from 1."""
    assert taught_by("uniform", teacher, student) == expected
    assert taught_by(None, teacher, student) == expected


@pytest.mark.parametrize("kind", ["kept", None])
def test_a_cut_student_learns_from_the_layers_it_was_copied_from(kind):
    assert resolve_layer_map(kind, 6, 3, kept=[0, 2, 5]) == ((0, 0), (2, 1), (5, 2))
    assert resolve_layer_map("uniform", 6, 3, kept=[0, 2, 5]) == ((1, 0), (3, 1), (5, 2))


def test_kept_needs_a_student_that_was_cut_from_its_teacher():
    with pytest.raises(UserError, match=r"copied(.|\n)*uniform"):
        resolve_layer_map("kept", 6, 3)
    cut = LayersSpec(layers=2)
    assert kept_layers(cut, [0, 5]) == [0, 5]
    assert kept_layers(cut.model_copy(update={"from_": "elsewhere"}), [0, 5]) is None
    assert kept_layers(TinySpec(kind="tiny", size="4x312"), []) is None


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (12, 5, [2, 5, 7, 10, 12]),  # 2.4, 4.8, 7.2, 9.6, 12
        (6, 4, [2, 3, 5, 6]),  # 1.5, 3, 4.5, 6: a half goes up
        (4, 3, [1, 3, 4]),  # 1.33, 2.67, 4
        (3, 2, [2, 3]),
        (12, 7, [2, 3, 5, 7, 9, 10, 12]),
    ],
)
def test_uniform_rounds_where_they_do_not(teacher, student, expected):
    assert taught_by("uniform", teacher, student) == expected


@given(st.integers(1, 48).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_a_uniform_map_goes_up_to_the_last_layer_and_names_none_twice(sizes):
    teacher, student = sizes
    found = taught_by("uniform", teacher, student)
    assert found == sorted(set(found))
    assert found[0] >= 1
    assert found[-1] == teacher
    assert all(abs(layer - teacher * (m + 1) / student) <= 0.5 for m, layer in enumerate(found))


def test_top_and_bottom():
    assert taught_by("top", 12, 3) == [10, 11, 12]
    assert taught_by("bottom", 12, 3) == [1, 2, 3]
    assert taught_by("top", 3, 3) == taught_by("bottom", 3, 3) == [1, 2, 3]


def test_skip_is_pkd():
    """PKD-skip of a BERT of 12 layers into 6: layers 2, 4, 6, 8, 10, and nothing for the student's last."""
    assert resolve_layer_map("skip", 12, 6) == ((1, 0), (3, 1), (5, 2), (7, 3), (9, 4))


def test_skip_of_one_layer_leaves_nothing():
    with pytest.raises(UserError, match="nothing is left"):
        resolve_layer_map("skip", 12, 1)


@pytest.mark.parametrize("student", [1, 4, 12, 15])
def test_last_pairs_the_last_layers_alone(student):
    assert resolve_layer_map("last", 12, student) == ((11, student - 1),)


@pytest.mark.parametrize("kind", ["uniform", None, "top", "bottom", "skip"])
def test_a_deeper_student_is_refused(kind):
    with pytest.raises(UserError) as found:
        resolve_layer_map(kind, 4, 6, where="stages.inner.layer_map")
    assert found.value.where == "stages.inner.layer_map"
    assert "student 6 layers, teacher 4" in str(found.value)
    assert "[[0, 0], [1, 3]]" in str(found.value)


def test_explicit_pairs_come_in_the_order_of_the_student():
    assert resolve_layer_map([[5, 2], [0, 0], [0, 1]], 6, 3) == ((0, 0), (0, 1), (5, 2))
    assert resolve_layer_map(((1, 5),), 2, 6) == ((1, 5),)  # a deeper student may learn in part


@pytest.mark.parametrize("pair", [[6, 0], [0, 3], [-1, 0], [0, -1]])
def test_a_layer_that_is_not_there_is_refused(pair):
    with pytest.raises(UserError) as found:
        resolve_layer_map([[0, 1], pair], 6, 3, where="stages.inner.layer_map")
    assert found.value.got == pair
    assert found.value.where == "stages.inner.layer_map"
    assert found.value.expected == "[teacher, student] with teacher 0 to 5 and student 0 to 2"


def test_a_student_layer_named_twice_is_refused_and_a_teacher_layer_is_not():
    with pytest.raises(UserError, match="named twice"):
        resolve_layer_map([[0, 1], [3, 1]], 6, 3)
    assert resolve_layer_map([[3, 0], [3, 1]], 6, 3) == ((3, 0), (3, 1))


def test_the_map_in_words_counts_from_one():
    words = in_words(resolve_layer_map("uniform", 12, 4), 12, 4)
    assert words == "student layers (of 4) learn from teacher layers (of 12): 1 from 3, 2 from 6, 3 from 9, 4 from 12"
