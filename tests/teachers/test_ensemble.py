from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import ModelError
from teachers.ensemble import (
    EnsembleTeacher,
    average_logits,
    average_vectors,
    by_name,
    confidence_weights,
    join_vectors,
    principal_axes,
    shares,
)
from teachers.load import Teacher, as_teacher
from teachers.store import EmbeddingStore

TEXTS = tiny.SENTENCES[:60]


def cosines(vectors: np.ndarray) -> np.ndarray:
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.fixture(scope="module")
def members() -> list[Teacher]:
    """Two teachers of different tokenizers and widths, one of them with a prompt and without unit length."""
    second = tiny.sentence_transformer("roberta", layers=2, hidden=16, heads=2, normalize=False, seed=5)
    return [Teacher(tiny.sentence_transformer("bert"), "wide"), Teacher(second, "narrow", "query: ")]


def test_a_mean_of_vectors_by_hand() -> None:
    parts = [np.array([[3.0, 0.0]]), np.array([[0.0, 0.5]])]
    np.testing.assert_allclose(average_vectors(parts), [[2**-0.5, 2**-0.5]], rtol=1e-6)
    np.testing.assert_allclose(average_vectors(parts, [3, 4]), [[0.6, 0.8]], rtol=1e-6)


def test_cosines_of_joined_vectors_are_the_mean_of_the_teachers() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(7, 5)), 9 * rng.normal(size=(7, 3))]
    joined = join_vectors(parts, [1, 3])
    assert joined.shape == (7, 8)
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(joined @ joined.T, 0.25 * cosines(parts[0]) + 0.75 * cosines(parts[1]), atol=1e-6)


def test_axes_of_all_directions_keep_every_dot_product_and_fewer_keep_the_strongest() -> None:
    vectors = np.random.default_rng(1).normal(size=(40, 4)) * [1, 9, 3, 0.1] + [0, 5, 0, 0]
    whole = vectors @ principal_axes(vectors, 4)
    np.testing.assert_allclose(whole @ whole.T, vectors @ vectors.T, rtol=1e-4, atol=1e-3)
    axes = principal_axes(vectors, 2)
    assert np.abs(axes).argmax(0).tolist() == [1, 2]
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-6)
    assert np.array_equal(axes, principal_axes(vectors.copy(), 2))


def test_logits_by_name_by_hand() -> None:
    logits = np.array([[1.0, 2.0, 3.0]])
    assert by_name(logits, ["c", "a", "b"], ["a", "b", "c"]).tolist() == [[2.0, 3.0, 1.0]]
    with pytest.raises(ModelError, match="other labels"):
        by_name(logits, ["c", "a", "x"], ["a", "b", "c"])
    with pytest.raises(ModelError, match="other labels"):
        by_name(logits[:, :2], ["c", "a", "b"], ["a", "b", "c"])


def test_confidence_by_hand() -> None:
    """Gold 0 has probabilities 0.8 and 0.2: exp of the cross entropies is 1.25 and 5."""
    logits = [np.log([[0.8, 0.2], [0.5, 0.5]]), np.log([[0.2, 0.8], [0.9, 0.1]])]
    got = confidence_weights(logits, np.array([0, -1]))
    np.testing.assert_allclose(got[0], [1 - 1.25 / 6.25, 1 - 5 / 6.25], rtol=1e-6)
    even, sure = 2.0, np.exp(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)))  # without a label: exp of the entropies
    np.testing.assert_allclose(got[1], [1 - even / (even + sure), 1 - sure / (even + sure)], rtol=1e-6)
    assert confidence_weights(logits[:1]).tolist() == [[1.0], [1.0]]


def test_confidence_in_several_labels_by_hand() -> None:
    """Probabilities 0.8 and 0.5 against 0.6 and 0.9, gold 1 and 0: the doubts are means of two binary cross entropies."""
    logits = [np.log([[4.0, 1.0]] * 2), np.log([[1.5, 9.0]] * 2)]
    got = confidence_weights(logits, np.array([[1.0, 0.0], [np.nan, np.nan]]), multilabel=True)
    ours, theirs = np.exp(-np.log([0.8, 0.5]).mean()), np.exp(-np.log([0.6, 0.1]).mean())
    np.testing.assert_allclose(got[0], [theirs / (ours + theirs), ours / (ours + theirs)], rtol=1e-6)

    def entropy(chance: np.ndarray) -> float:
        return float(-(chance * np.log(chance) + (1 - chance) * np.log(1 - chance)).mean())

    ours, theirs = np.exp(entropy(np.array([0.8, 0.5]))), np.exp(entropy(np.array([0.6, 0.9])))
    np.testing.assert_allclose(got[1], [theirs / (ours + theirs), ours / (ours + theirs)], rtol=1e-6)
    assert np.isfinite(confidence_weights([np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]])], multilabel=True)).all()
    for gold in (np.array([[1.0, 2.0]] * 2), np.array([[1.0, np.nan]] * 2), np.array([1.0, 0.0])):
        with pytest.raises(ModelError, match="gold labels"):
            confidence_weights(logits, gold, multilabel=True)


def test_means_of_logits_by_hand() -> None:
    logits = [np.array([[1.0, 0.0], [2.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 6.0]])]
    assert average_logits(logits).tolist() == [[2.0, 2.0], [1.0, 4.0]]
    assert average_logits(logits, [3, 1]).tolist() == [[1.5, 1.0], [1.5, 3.0]]
    assert average_logits(logits, np.array([[1.0, 0.0], [0.0, 1.0]])).tolist() == [[1.0, 0.0], [0.0, 6.0]]
    with pytest.raises(ModelError, match="another shape"):
        average_logits(logits, np.ones((2, 3)))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 4), st.integers(1, 5), st.integers(2, 5), st.floats(0.1, 900), st.integers(0, 2**16))
def test_confidences_are_shares_for_any_logits(count: int, rows: int, classes: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = [scale * rng.normal(size=(rows, classes)) for _ in range(count)]
    got = confidence_weights(logits, rng.integers(-1, classes, rows))
    assert np.isfinite(got).all()
    assert (got >= -1e-12).all()
    np.testing.assert_allclose(got.sum(1), 1, rtol=1e-9)


@pytest.mark.parametrize("gold", [np.array([0, 2]), np.array([-2, 0]), np.array([0]), np.array([0.0, 1.0])])
def test_gold_labels_that_are_none(gold: np.ndarray) -> None:
    with pytest.raises(ModelError, match="gold labels"):
        confidence_weights([np.zeros((2, 2)), np.zeros((2, 2))], gold)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, 2, 3]])
def test_weights_that_are_none(weights: list[float]) -> None:
    with pytest.raises(ModelError, match="no weights"):
        shares(weights, 2)


def test_an_ensemble_of_other_tokenizers_and_widths(members: list[Teacher], tmp_path: Path) -> None:
    ensemble = EnsembleTeacher(members)
    assert (ensemble.dim, ensemble.name, ensemble.prompt, ensemble.max_length) == (48, "wide + narrow", "", 64)
    own = [teacher.embed(TEXTS) for teacher in members]
    whole = ensemble.embed(TEXTS)
    np.testing.assert_allclose(whole @ whole.T, (cosines(own[0]) + cosines(own[1])) / 2, atol=1e-5)
    ensemble = EnsembleTeacher(members, width=8)
    with pytest.raises(ModelError, match="no axes yet"):
        ensemble.embed(TEXTS)
    before = ensemble.fingerprint()
    ensemble.fit(TEXTS)
    got = ensemble.embed(TEXTS[:3])
    assert got.shape == (3, 8)
    assert got.dtype == np.float32
    assert ensemble.embed([]).shape == (0, 8)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-6)
    again = EnsembleTeacher(members, width=8)
    assert ensemble.axes is not None
    again.use(ensemble.axes)
    assert again.fingerprint() == ensemble.fingerprint() != before
    assert before["ensemble"] == [teacher.fingerprint() for teacher in members]
    rows = EmbeddingStore(tmp_path, ensemble.fingerprint(), ensemble.dim).label(TEXTS, ensemble.embed)
    np.testing.assert_allclose(rows.gather(np.arange(3)), got, atol=1e-5)
    with pytest.raises(ModelError, match="other teachers"):
        again.use(ensemble.axes[:, :4])


def test_weights_reach_the_vectors_and_the_fingerprint() -> None:
    pair = [Teacher(tiny.sentence_transformer("bert", seed=seed), str(seed)) for seed in (0, 1)]
    mean, first = EnsembleTeacher(pair, "mean"), EnsembleTeacher(pair, "mean", [1, 0])
    np.testing.assert_allclose(first.embed(TEXTS[:4]), pair[0].embed(TEXTS[:4]), atol=1e-6)
    assert np.abs(mean.embed(TEXTS[:4]) - first.embed(TEXTS[:4])).max() > 1e-3
    assert mean.fingerprint() != first.fingerprint()


def test_what_is_no_ensemble(members: list[Teacher]) -> None:
    with pytest.raises(ModelError, match="no mean") as caught:
        EnsembleTeacher(members, "mean")
    assert (caught.value.where, caught.value.got) == ("teacher.combine", "wide 32, narrow 16")
    with pytest.raises(ModelError, match="no ensemble"):
        EnsembleTeacher(members[:1])
    with pytest.raises(ModelError, match="no such way"):
        EnsembleTeacher(members, "concat")  # type: ignore[arg-type]
    for way, width in (("concatenate", 49), ("mean", 8)):
        with pytest.raises(ModelError, match="this width"):
            EnsembleTeacher([members[0], members[0 if way == "mean" else 1]], way, width=width)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="PCA cannot"):
        EnsembleTeacher(members, width=6).fit(TEXTS[:5])
    with pytest.raises(ModelError, match="keeps all"):
        EnsembleTeacher(members).fit(TEXTS)


def test_a_run_refuses_an_ensemble_as_its_teacher(members: list[Teacher]) -> None:
    with pytest.raises(ModelError, match="this is no teacher"):
        as_teacher(EnsembleTeacher(members))  # type: ignore[arg-type]
