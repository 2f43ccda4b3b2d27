"""The bridge starts at the least-squares map, wherever the bridge is."""

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from sklearn.linear_model import Ridge
from torch import nn

from students.build import Student, build_student
from students.init import RIDGE, fit_bridge
from students.spec import LayersSpec

TEXTS = tiny.SENTENCES[:200]


def build(source: Any, projection: str, *, dim: int = 48, normalizes: bool = True, prompt: str = "") -> Student:
    return build_student(
        LayersSpec(layers=2, projection=projection),
        source,
        teacher_dim=dim,
        teacher_normalizes=normalizes,
        teacher_prompt=prompt,
        max_length=64,
        seed=1,
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


@pytest.fixture(scope="module")
def teacher_vectors() -> np.ndarray:
    return np.asarray(tiny.sentence_transformer(layers=4, dim=48, seed=9).encode(TEXTS))


def test_an_affine_map_is_found_again() -> None:
    rng = np.random.default_rng(0)
    inputs, weight, bias = rng.normal(size=(200, 6)), rng.normal(size=(4, 6)), rng.normal(size=4)
    bridge = nn.Linear(6, 4)
    assert fit_bridge(bridge, inputs, inputs @ weight.T + bias, ridge=0.0) == pytest.approx(1)
    np.testing.assert_allclose(bridge.weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(bridge.bias.detach().numpy(), bias, atol=1e-5)


@pytest.mark.parametrize("ridge", [RIDGE, 1.0, 100.0])
def test_the_map_is_that_of_scikit_learn(ridge: float) -> None:
    """lambda is relative to the inputs' variance, summed over the sentences as the errors are."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.normal(2.0, 3.0, size=(50, 6)), rng.normal(size=(50, 4))
    bridge = nn.Linear(6, 4)
    found = fit_bridge(bridge, inputs, targets, ridge=ridge)
    judge = Ridge(alpha=ridge * 50 * inputs.var(0).mean()).fit(inputs, targets)
    np.testing.assert_allclose(bridge.weight.detach().numpy(), judge.coef_, atol=1e-6)
    np.testing.assert_allclose(bridge.bias.detach().numpy(), judge.intercept_, atol=1e-6)
    assert found == pytest.approx(cosine(judge.predict(inputs), targets))


def test_fewer_sentences_than_dimensions_and_dead_inputs_are_survived() -> None:
    rng = np.random.default_rng(2)
    for inputs in (rng.normal(size=(3, 8)), np.zeros((5, 8)), np.ones((5, 8))):
        bridge = nn.Linear(8, 4)
        targets = rng.normal(size=(len(inputs), 4))
        assert np.isfinite(fit_bridge(bridge, inputs, targets))
        assert all(torch.isfinite(values).all() for values in bridge.parameters())
    np.testing.assert_allclose(bridge.bias.detach().numpy(), targets.mean(0), atol=1e-6)


def test_the_bridge_stays_trainable_and_keeps_its_number_format() -> None:
    bridge = nn.Linear(3, 2)
    fit_bridge(bridge, np.eye(3, dtype=np.float32), np.ones((3, 2), dtype=np.float32))
    assert all(
        values.requires_grad and values.dtype == torch.float32 and values.grad_fn is None for values in bridge.parameters()
    )


@pytest.mark.parametrize(("inputs", "targets"), [((5, 4), (5, 2)), ((5, 3), (4, 2)), ((5, 3), (5, 3))])
def test_shapes_that_do_not_fit_are_refused(inputs: tuple[int, int], targets: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="bridge is 3 -> 2, got"):
        fit_bridge(nn.Linear(3, 2), np.zeros(inputs), np.zeros(targets))


@pytest.mark.parametrize("normalizes", [True, False])
def test_a_kept_bridge_puts_the_student_into_the_teachers_space(teacher_vectors: np.ndarray, normalizes: bool) -> None:
    student = build(tiny.sentence_transformer(), "keep", normalizes=normalizes)
    before = cosine(student.model.encode(TEXTS), teacher_vectors)
    kinds = [type(module).__name__ for module in student.model]
    told = student.start_bridge(TEXTS, teacher_vectors)
    after = cosine(student.model.encode(TEXTS), teacher_vectors)
    assert told == pytest.approx(after, abs=1e-5), "what is told is what the student now gives"
    assert before < 0.3
    assert after > 0.9
    assert [type(module).__name__ for module in student.model] == kinds
    assert all(weight.requires_grad for weight in student.model.parameters())


def test_a_bridge_for_training_alone_is_fitted_and_the_student_is_not_changed(teacher_vectors: np.ndarray) -> None:
    student = build(tiny.sentence_transformer(), "drop")
    assert student.bridge is not None
    before = student.model.encode(TEXTS)
    told = student.start_bridge(TEXTS, teacher_vectors)
    np.testing.assert_array_equal(student.model.encode(TEXTS), before)
    with torch.no_grad():
        mapped = student.bridge(torch.from_numpy(before)).numpy()
    assert told == pytest.approx(cosine(mapped, teacher_vectors), abs=1e-5)
    assert told is not None
    assert told > 0.9


def test_equal_widths_have_no_bridge(teacher_vectors: np.ndarray) -> None:
    student = build(tiny.sentence_transformer(hidden=48), "keep")
    assert student.start_bridge(TEXTS, teacher_vectors) is None


@pytest.mark.parametrize("hidden", [32, 48])
def test_align_maps_into_the_teachers_space_whatever_the_widths(teacher_vectors: np.ndarray, hidden: int) -> None:
    student = build(tiny.sentence_transformer(hidden=hidden), "align")
    assert student.projection == "keep"
    assert student.bridge is None
    assert cosine(student.model.encode(TEXTS), teacher_vectors) < 0.3
    told = student.start_bridge(TEXTS, teacher_vectors)
    assert told == pytest.approx(cosine(student.model.encode(TEXTS), teacher_vectors), abs=1e-5)
    assert told > 0.9


@pytest.mark.parametrize("dim", [24, 48])
def test_a_dense_layer_of_the_start_models_own_is_not_taken_for_the_bridge(teacher_vectors: np.ndarray, dim: int) -> None:
    """Start models may end in a Dense themselves; the bridge is the one behind it."""
    student = build(tiny.sentence_transformer(dim=dim, normalize=False), "keep", dim=40)
    own, bridge = student.model[2].linear, student.model[3].linear
    assert (own.out_features, bridge.out_features) == (dim, 40)
    before, random = own.weight.clone(), bridge.weight.clone()
    told = student.start_bridge(TEXTS, teacher_vectors[:, :40])
    assert torch.equal(own.weight, before)
    assert not torch.equal(bridge.weight, random)
    assert told == pytest.approx(cosine(student.model.encode(TEXTS), teacher_vectors[:, :40]), abs=1e-5)


@pytest.mark.parametrize("projection", ["keep", "drop"])
def test_the_prompt_is_not_put_in_front_twice(teacher_vectors: np.ndarray, projection: str) -> None:
    """start_bridge takes texts with the prompt in front, although the student adds it by default."""
    prompted, bare = (build(tiny.sentence_transformer(), projection, prompt=prompt) for prompt in ("passage: ", ""))
    texts = ["passage: " + text for text in TEXTS]
    assert prompted.start_bridge(texts, teacher_vectors) == pytest.approx(bare.start_bridge(texts, teacher_vectors), abs=1e-7)
    assert prompted.model.prompts["query"] == "passage: "
