"""The static student: its table by other means, its weights by hand, and the bridge that leads back."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from distill.errors import ModelError
from students.load import load
from students.save import save_student
from students.static import build_static, distil_static, principal_components, sif_weights, token_table, zipf

TEXTS = tiny.SENTENCES[:40]
WORDS = tiny.tokenizer()


@pytest.fixture(scope="module")
def teacher() -> SentenceTransformer:
    return tiny.sentence_transformer(layers=2, hidden=32, dim=24)


@pytest.fixture(scope="module")
def table(teacher: SentenceTransformer) -> np.ndarray:
    return token_table(teacher, dim=24, sif=1e12)[0]  # so large an a leaves every weight at 1


def build(teacher: SentenceTransformer, **options):
    settings = {"teacher_dim": 24, "teacher_normalizes": True, "teacher_prompt": "", "max_length": 64, "dim": 8}
    return build_static(teacher, **{**settings, "projection": "drop", **options})


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 30), st.integers(2, 6), st.integers(0, 99))
def test_components_are_those_of_a_full_svd(n: int, d: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    dim = d - 1
    rows, axes = principal_components(vectors, dim)
    u, s, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(rows), np.abs(u[:, :dim] * s[:dim]), atol=1e-8)
    np.testing.assert_allclose(axes.T @ axes, np.eye(dim), atol=1e-10)
    assert (axes[np.abs(axes).argmax(0), np.arange(dim)] > 0).all()


def test_all_components_leave_the_vectors_where_they_are() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    rows, axes = principal_components(vectors, 4)
    np.testing.assert_allclose(rows, vectors - vectors.mean(0), atol=1e-6)
    np.testing.assert_array_equal(axes, np.eye(4))


def test_weights_by_hand() -> None:
    np.testing.assert_allclose(zipf(3), [6 / 11, 3 / 11, 2 / 11])
    np.testing.assert_allclose(sif_weights(np.array([0.0, 1e-3, 0.1]), 1e-3), [1, 0.5, 1 / 101])


def test_a_row_is_what_the_teacher_says_of_the_piece(teacher: SentenceTransformer, table: np.ndarray) -> None:
    words = ["dog", "train", "river", "small"]
    ids = [WORDS.convert_tokens_to_ids(word) for word in words]
    assert WORDS.unk_token_id not in ids
    bare = SentenceTransformer(modules=list(teacher)[:-1], device="cpu")  # before Normalize
    expected = bare.encode(words)
    np.testing.assert_allclose(table[ids] - table[ids[0]], expected - expected[0], atol=1e-5)  # but for the common mean
    ordinary = np.setdiff1d(np.arange(len(WORDS)), WORDS.all_special_ids)
    np.testing.assert_allclose(table[ordinary].mean(0), 0, atol=1e-6)


def test_special_and_unused_tokens_have_no_row(teacher: SentenceTransformer, table: np.ndarray) -> None:
    assert not table[WORDS.all_special_ids].any()
    others = np.setdiff1d(np.arange(len(WORDS)), WORDS.all_special_ids)
    assert table[others].any(1).all()


def test_frequent_pieces_weigh_less(teacher: SentenceTransformer, table: np.ndarray) -> None:
    weighted, _ = token_table(teacher, dim=24, sif=1e-3)
    ids = np.setdiff1d(np.arange(len(WORDS)), WORDS.all_special_ids)
    inverse = 1 / np.arange(1, len(ids) + 1)
    expected = 1e-3 / (1e-3 + inverse / inverse.sum())
    np.testing.assert_allclose(weighted[ids], table[ids] * expected[:, None], atol=1e-6)


def test_the_prompt_stands_before_every_piece(teacher: SentenceTransformer) -> None:
    prompted, _ = token_table(teacher, dim=24, sif=1e12, prompt="a small ")
    bare = SentenceTransformer(modules=list(teacher)[:-1], device="cpu")
    expected = bare.encode(["a small dog", "a small train"])
    ids = WORDS.convert_tokens_to_ids(["dog", "train"])
    np.testing.assert_allclose(prompted[ids[0]] - prompted[ids[1]], expected[0] - expected[1], atol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "distilbert", "mpnet"])
def test_any_family_and_any_batch_size(family: str) -> None:
    other = tiny.sentence_transformer(family, layers=1)
    small, large = (token_table(other, dim=8, sif=1e-4, batch_size=size)[0] for size in (7, 1000))
    np.testing.assert_allclose(small, large, atol=1e-5)


def test_progress_is_told_per_batch(teacher: SentenceTransformer) -> None:
    seen: list[int] = []

    def track(starts):
        for start in starts:
            seen.append(start)
            yield start

    token_table(teacher, dim=4, sif=1e-4, batch_size=100, track=track)
    assert seen == list(range(0, len(WORDS) - 5, 100))


def test_a_model_from_the_vocabulary_alone(teacher: SentenceTransformer) -> None:
    first, second = (distil_static(teacher, dim=8) for _ in range(2))
    assert first.get_embedding_dimension() == 8
    assert first.max_seq_length == teacher.max_seq_length
    assert isinstance(first[-1], Normalize)
    np.testing.assert_array_equal(first.encode(TEXTS), second.encode(TEXTS))
    free = distil_static(tiny.sentence_transformer(layers=1, normalize=False), dim=8, max_length=9)
    assert len(list(free)) == 1
    assert free.max_seq_length == 9


def test_sentences_alike_to_the_teacher_are_alike_to_the_table(teacher: SentenceTransformer) -> None:
    theirs, ours = teacher.encode(TEXTS), distil_static(teacher, dim=24, sif=1e12).encode(TEXTS)
    upper = np.triu_indices(len(TEXTS), 1)
    assert np.corrcoef((theirs @ theirs.T)[upper], (ours @ ours.T)[upper])[0, 1] > 0.6


def test_a_wider_table_than_the_teacher_is_capped(teacher: SentenceTransformer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        student = build(teacher, dim=999)
    assert student.dim == 24
    assert student.projection == "none"
    assert "999" in caplog.text


@pytest.mark.parametrize("projection", ["keep", "drop"])
def test_the_bridge_starts_as_the_way_back_and_is_fitted(teacher: SentenceTransformer, projection: str) -> None:
    student = build(teacher, projection=projection)
    linear = student.bridge if projection == "drop" else student.model[1].linear
    assert linear.weight.shape == (24, 8)
    np.testing.assert_allclose((linear.weight.T @ linear.weight).detach(), np.eye(8), atol=1e-6)
    assert student.dim == (8 if projection == "drop" else 24)
    assert student.projection == projection
    vectors = teacher.encode(TEXTS)
    started = student.start_bridge(TEXTS, vectors)
    assert started is not None
    assert started > 0.9
    below = student.below_bridge(normalize=True)
    assert below.encode(TEXTS).shape == (len(TEXTS), 8)
    assert not any(isinstance(module, Dense) for module in below)


def test_a_student_has_the_teachers_manners(teacher: SentenceTransformer, tmp_path: Path) -> None:
    student = build(teacher, teacher_prompt="a small ", max_length=9)
    assert student.layers == []
    assert student.source_layers == 0
    model = student.model
    assert model.max_seq_length == 9
    assert isinstance(model[-1], Normalize)
    np.testing.assert_array_equal(model.encode(["dog"]), model.encode(["a small dog"], prompt=""))
    assert not isinstance(build(teacher, teacher_normalizes=False).model[-1], Normalize)
    save_student(model, tmp_path / "s")
    np.testing.assert_array_equal(load(tmp_path / "s").encode(["dog"]), model.encode(["dog"]))


def test_trained_weights_need_no_distilling(teacher: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(teacher, projection="keep")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the vocabulary went through the teacher")

    monkeypatch.setattr("students.static.token_table", refuse)
    empty = build(teacher, projection="keep", distil=False)
    assert not empty.model[0].embedding.weight.any()
    empty.model.load_state_dict(made.model.state_dict())
    np.testing.assert_array_equal(empty.model.encode(TEXTS), made.model.encode(TEXTS))


def test_the_teacher_stays_as_it_is(teacher: SentenceTransformer) -> None:
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    said = teacher.tokenizer("a dog")["input_ids"]
    build(teacher)
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())
    assert teacher.tokenizer("a dog")["input_ids"] == said


def test_a_teacher_without_a_fast_tokenizer(teacher: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(teacher.tokenizer), "is_fast", False)
    with pytest.raises(ModelError, match="fast tokenizer"):
        token_table(teacher, dim=4, sif=1e-4)
