"""Temperatures row by row, against hand values and TextBrewer's schedulers."""

import math

import pytest
import torch
from textbrewer import presets

from distill.losses.temperature import LOWEST, constant, cwsm, flsw


def logits(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Cosines 1, 0 and -1: w = 0, 1 and 2.
STUDENT = torch.tensor([[300.0, 0.0], [0.0, 300.0], [-300.0, 0.0]])
TEACHER = torch.tensor([[300.0, 0.0]] * 3)


def test_flsw_by_hand():
    torch.testing.assert_close(flsw(STUDENT, TEACHER, 4.0, 1.0, 1.0), torch.tensor([5.0, 4.0, 3.0]), rtol=0, atol=1e-4)
    # w^2: 0, 1, 4 with mean 5 / 3.
    expected = 4 + 0.5 * (5 / 3 - torch.tensor([0.0, 1.0, 4.0]))
    torch.testing.assert_close(flsw(STUDENT, TEACHER, 4.0, 0.5, 2.0), expected, rtol=0, atol=1e-4)


def test_cwsm_by_hand():
    """Highest probabilities 1/2 and 3/4: about w = 2 and 4/3."""
    student = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    w = [1 / 0.501, 1 / 0.751]
    mean = sum(w) / 2
    torch.testing.assert_close(cwsm(student, student, 4.0, 3.0), torch.tensor([4 + 3 * (mean - x) for x in w]))


@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 7), (5, 1)])
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_textbrewer_agrees(shape, beta):
    """The same numbers, scale factor 1, as long as none is clamped."""
    student, teacher = logits(*shape, seed=1), logits(*shape, seed=2)
    for gamma in (0.5, 1.0, 2.0):
        theirs = presets.TEMPERATURE_SCHEDULER["flsw", beta, gamma](student, teacher, 8.0)
        assert theirs.min() > LOWEST
        torch.testing.assert_close(flsw(student, teacher, 8.0, beta, gamma), theirs)
    theirs = presets.TEMPERATURE_SCHEDULER["cwsm", beta](student, teacher, 8.0)
    torch.testing.assert_close(cwsm(student, teacher, 8.0, beta), theirs)
    assert (constant(student, teacher, 8.0) == presets.TEMPERATURE_SCHEDULER["constant"](student, teacher, 8.0)).all()


@pytest.mark.parametrize("schedule", [flsw, cwsm])
def test_the_mean_is_the_base_and_hard_rows_are_colder(schedule):
    student, teacher = logits(9, 4, seed=1), logits(9, 4, seed=2)
    found = schedule(student, teacher, 4.0, 1.0)
    assert found.mean().item() == pytest.approx(4)
    hardness = 1 - torch.cosine_similarity(student, teacher) if schedule is flsw else -student.softmax(-1).amax(-1)
    assert found.argsort(descending=True).tolist() == hardness.argsort().tolist()
    torch.testing.assert_close(schedule(student, teacher, 4.0, 0.0), constant(student, teacher, 4.0))


@pytest.mark.parametrize("schedule", [flsw, cwsm])
def test_it_never_falls_to_zero(schedule):
    """TextBrewer's goes below, where a softmax turns round."""
    student, teacher = logits(9, 4, seed=1), logits(9, 4, seed=2)
    name = ("flsw", 50.0, 1.0) if schedule is flsw else ("cwsm", 50.0)
    assert presets.TEMPERATURE_SCHEDULER[name](student, teacher, 1.0).min() < 0
    found = schedule(student, teacher, 1.0, 50.0)
    assert found.min().item() == pytest.approx(LOWEST)
    assert schedule(student, teacher, LOWEST / 2, 0.0).min().item() == pytest.approx(LOWEST / 2)


@pytest.mark.parametrize("schedule", [constant, flsw, cwsm])
def test_rows_that_do_not_count(schedule):
    mask = torch.tensor([True, False, True, True, False])
    student, teacher = logits(5, 3, seed=1), logits(5, 3, seed=2)
    expected = schedule(student[mask], teacher[mask], 4.0)
    student[~mask], teacher[~mask] = float("nan"), float("inf")
    found = schedule(student, teacher, 4.0, mask=mask)
    torch.testing.assert_close(found[mask], expected)
    assert found[~mask].tolist() == [4.0, 4.0]
    assert schedule(student, teacher, 4.0, mask=torch.zeros(5)).tolist() == [4.0] * 5


@pytest.mark.parametrize("schedule", [constant, flsw, cwsm])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_number_formats_and_no_gradient(schedule, kind):
    student, teacher = logits(5, 3, seed=1).to(kind).requires_grad_(), logits(5, 3, seed=2).to(kind)
    found = schedule(student, teacher, 4.0)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(found.double(), schedule(student.detach().double(), teacher.double(), 4.0), rtol=1e-5, atol=1e-5)


def test_flsw_survives_equal_logits_zeros_and_classes_ruled_out():
    student = 1e6 * logits(5, 3, seed=1).float()
    assert torch.isfinite(flsw(student, student, 4.0, 1.0, 0.5)).all()
    assert flsw(torch.zeros(2, 3), torch.zeros(2, 3), 4.0).tolist() == [4.0, 4.0]
    ruled_out = torch.tensor([[False, True, False]] * 5)
    student, teacher = logits(5, 3, seed=1), logits(5, 3, seed=2)
    found = flsw(student.masked_fill(ruled_out, -torch.inf), teacher.masked_fill(ruled_out, -torch.inf), 4.0)
    torch.testing.assert_close(found, flsw(student[:, [0, 2]], teacher[:, [0, 2]], 4.0))


def test_what_does_not_fit_is_refused():
    for schedule in (constant, flsw, cwsm):
        with pytest.raises(ValueError, match=r"student logits have shape \(2, 3\), teacher \(1, 3\)"):
            schedule(torch.zeros(2, 3), torch.zeros(1, 3), 4.0)
        with pytest.raises(ValueError, match="mask has shape"):
            schedule(torch.zeros(2, 3), torch.zeros(2, 3), 4.0, mask=torch.ones(1))
        for base in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="base temperature is"):
                schedule(torch.zeros(2, 3), torch.zeros(2, 3), base)
    for gamma in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="gamma is"):
            flsw(torch.zeros(2, 3), torch.zeros(2, 3), 4.0, 1.0, gamma)
    for schedule in (flsw, cwsm):
        with pytest.raises(ValueError, match="beta is inf"):
            schedule(torch.zeros(2, 3), torch.zeros(2, 3), 4.0, float("inf"))
