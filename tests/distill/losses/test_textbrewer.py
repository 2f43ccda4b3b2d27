"""TextBrewer's own definitions: its functions are the oracle; and the exchange of two logits, by hand."""

import pytest
import torch
from textbrewer import presets
from textbrewer.distiller_utils import probability_shift_

from distill.losses.gram import nst_pair
from distill.losses.prediction import soft_cross_entropy
from distill.losses.textbrewer import attention_ce, nst_by_length, probability_shift

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_attention_cross_entropy():
    ours, theirs = (normal(3, 2, 5, 5, seed=seed).softmax(-1).requires_grad_() for seed in (1, 2))
    found = attention_ce(ours, theirs, MASK)
    torch.testing.assert_close(found, presets.MATCH_LOSS_MAP["attention_ce"](ours, theirs, MASK))
    found.backward()
    assert ours.grad.abs().sum() > 0
    assert theirs.grad is None
    one = [side.mean(1, keepdim=True) for side in (ours, theirs)]
    torch.testing.assert_close(attention_ce(*one, MASK), presets.MATCH_LOSS_MAP["attention_ce_mean"](ours, theirs, MASK))
    assert attention_ce(ours, theirs, torch.zeros_like(MASK)) == 0


@pytest.mark.parametrize("widths", [(6, 6), (4, 6)])
def test_nst_by_length(widths):
    a, b = (normal(3, 5, widths[0], seed=seed) for seed in (1, 2))
    c, d = (normal(3, 5, widths[1], seed=seed) for seed in (3, 4))
    found = nst_by_length(a, b, c, d, MASK)
    torch.testing.assert_close(found, presets.MATCH_LOSS_MAP["nst"]([a, b], [c, d], MASK))
    wide = [torch.cat([side, side], -1) for side in (a, b)]
    assert nst_pair(a, b, *wide, MASK) == pytest.approx(0, abs=1e-20)
    assert nst_by_length(a, b, *wide, MASK) > 0.1  # twice as wide, all alike: its slip


def test_cross_entropy_without_the_squared_temperature():
    ours, theirs = normal(4, 3, seed=1), normal(4, 3, seed=2)
    for temperature in (3.0, torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)):
        expected = presets.KD_LOSS_MAP["ce"](ours, theirs, temperature)
        torch.testing.assert_close(soft_cross_entropy(ours, theirs, temperature=temperature, squared=False), expected)


def test_shift_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    before = logits.clone()
    expected = torch.tensor([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0], [3.0, 1.0, 2.0]])
    assert torch.equal(probability_shift(logits, torch.tensor([0, 1, -100])), expected)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 5)])
def test_shift_is_textbrewers(shape):
    logits = normal(*shape, seed=1)
    labels = torch.randint(0, shape[-1], shape[:-1], generator=torch.Generator().manual_seed(2))
    assert torch.equal(probability_shift(logits, labels), probability_shift_(logits.clone(), labels))


@pytest.mark.parametrize("labels", [torch.zeros(5, dtype=torch.long), torch.zeros(6)])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        probability_shift(normal(6, 3, seed=1), labels)


@pytest.mark.parametrize("mask", [[[1, 1, 1]], [[1, 0, 1]], [[0, 0, 0]]])
def test_gradcheck(mask):
    mask = torch.tensor(mask)
    scores = normal(1, 2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda ours: attention_ce(ours, normal(1, 2, 3, 3, seed=2), mask), (scores,))
    states = [normal(1, 3, 4, seed=seed).requires_grad_() for seed in (3, 4)]
    theirs = [normal(1, 3, 5, seed=seed) for seed in (5, 6)]
    assert torch.autograd.gradcheck(lambda a, b: nst_by_length(a, b, *theirs, mask), states)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_number_formats(kind):
    """About the float64 value of the same numbers, in float32, with finite gradients; under autocast too."""
    scores = [normal(3, 2, 5, 5, seed=seed).softmax(-1).to(kind) for seed in (1, 2)]
    states = [normal(3, 5, width, seed=seed).to(kind) for width, seed in ((6, 1), (6, 2), (4, 3), (4, 4))]
    for loss, given in ((attention_ce, scores), (nst_by_length, states)):
        exact = loss(*[one.double() for one in given], MASK)
        ours = [one.clone().requires_grad_() for one in given]
        found = loss(*ours, MASK)
        found.backward()
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(exact.item(), rel=1e-2 if kind != torch.float32 else 1e-5)
        assert torch.isfinite(ours[0].grad).all()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert loss(*given, MASK).item() == pytest.approx(found.item(), rel=1e-5)
