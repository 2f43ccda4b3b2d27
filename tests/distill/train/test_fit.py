"""Which losses two encoders can have: every loss against head counts, widths and relation heads."""

from __future__ import annotations

import itertools

import pytest
from pydantic import TypeAdapter

from distill.errors import UserError
from distill.recipe import LossSpec
from distill.recipe_losses import INNER
from distill.train.fit import check_fit, fits, relation_heads
from distill.train.layer_map import resolve_layer_map
from teachers.capture import EncoderShape

PER_HEAD = {"attention_mse", "attention_kl", "minilm_v1"}
PROJECTED = {"hidden_mse", "embedding_layer_mse", "hidden_cosine", "pkd"}


def shape(layers=12, heads=12, hidden=768):
    return EncoderShape("bert", layers, heads, hidden // heads, hidden, 1000, (None,) * layers)


def loss(name, **values):
    return TypeAdapter(LossSpec).validate_python({"name": name, **values})


def check(spec, teacher, student, layer_map="uniform"):
    check_fit([spec], teacher, student, resolve_layer_map(layer_map, teacher.layers, student.layers), where="stages.inner.losses")


def hinted(found):
    return set(found.value.hint.removeprefix("losses that fit: ").split(", "))


@pytest.mark.parametrize(("name", "heads", "hidden"), itertools.product(sorted(INNER), (12, 6), (768, 384)))
def test_heads_and_widths_of_every_loss(name, heads, hidden):
    teacher, student = shape(), shape(6, heads, hidden)
    wrong = (name in PER_HEAD and heads != 12) or (name == "fsp" and hidden != 768)
    assert fits(name, teacher, student, resolve_layer_map(None, 12, 6)) is not wrong
    if not wrong:
        check(loss(name), teacher, student)
        return
    with pytest.raises(UserError) as found:
        check(loss(name), teacher, student)
    assert found.value.where == "stages.inner.losses"
    assert f"the loss {name} does not fit" in str(found.value)
    assert ("12 attention heads, the student 6" if name in PER_HEAD else "768 wide, the student 384") in str(found.value)


def test_the_error_names_the_losses_that_fit():
    with pytest.raises(UserError) as found:
        check(loss("attention_mse"), shape(), shape(6, 6, 384))
    assert hinted(found) == INNER - PER_HEAD - {"fsp"}
    with pytest.raises(UserError) as found:
        check(loss("fsp"), shape(), shape(6, 12, 384))
    assert hinted(found) == INNER - {"fsp"}


@pytest.mark.parametrize("name", sorted(PROJECTED))
def test_without_a_projection_widths_must_agree(name):
    check(loss(name, projection="none"), shape(), shape(6, 12, 768))
    for projection in ("auto", "shared", "per_layer"):
        check(loss(name, projection=projection), shape(), shape(6, 12, 384))
    with pytest.raises(UserError, match="projection: auto makes one"):
        check(loss(name, projection="none"), shape(), shape(6, 12, 384))


@pytest.mark.parametrize(("asked", "right"), [(48, True), (12, True), (1, True), (72, False), (36, False)])
def test_relation_heads_divide_both_widths(asked, right):
    teacher, student = shape(), shape(6, 12, 384)
    if right:
        check(loss("minilm_v2", relation_heads=asked), teacher, student)
        assert relation_heads(asked, teacher, student) == asked
        return
    with pytest.raises(UserError) as found:
        check(loss("minilm_v2", relation_heads=asked), teacher, student)
    assert (
        f"{asked} relation heads do not divide the widths 768 and 384; possible are 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64"
        in str(found.value)
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [(768, 384, 48), (768, 312, 24), (768, 768, 48), (1024, 384, 32), (32, 48, 16), (7, 5, 1)],
)
def test_relation_heads_are_as_many_as_there_can_be_up_to_48(theirs, ours, expected):
    assert relation_heads(None, shape(hidden=theirs), shape(hidden=ours)) == expected


def test_a_teacher_layer_of_minilm_v2_that_is_not_there():
    check(loss("minilm_v2", teacher_layer=11), shape(), shape(6))
    with pytest.raises(UserError, match="teacher_layer 12 is not there: the teacher has layers 0 to 11"):
        check(loss("minilm_v2", teacher_layer=12), shape(), shape(6))


@pytest.mark.parametrize("name", sorted(INNER))
def test_with_one_matched_layer(name):
    """Flow and layer relations need another layer to look at; the error does not offer them again."""
    if name not in ("ckd_layer", "fsp"):
        check(loss(name), shape(), shape(6), "last")
        return
    with pytest.raises(UserError, match="two matched layers or more") as found:
        check(loss(name), shape(), shape(6), "last")
    assert hinted(found) == INNER - {"ckd_layer", "fsp"}


def test_losses_on_outputs_are_passed_over():
    check(loss("kl_divergence"), shape(), shape(6, 6, 384))
