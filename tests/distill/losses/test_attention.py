"""Losses on raw attention scores against hand values, loops, torch and TextBrewer's."""

import math

import pytest
import torch
import torch.nn.functional as F
from textbrewer import presets

from distill.losses.attention import attention_kl, attention_mse

LOSSES = [attention_mse, attention_kl]


def scores(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lengths(*tokens, of):
    """[B, of], true for the first tokens of each text."""
    return torch.arange(of) < torch.tensor(tokens)[:, None]


def test_mse_by_hand():
    """Two texts of two and one tokens, two heads: 2 (4 + 1) entries count."""
    student, teacher = torch.zeros(2, 2, 2, 2), torch.ones(2, 2, 2, 2)
    teacher[0, 1, 0, 1] = 3.0
    teacher[1, 0, 0, 0] = -2.0
    teacher[1, :, 1, :] = teacher[1, :, :, 1] = 100.0
    assert attention_mse(student, teacher, lengths(2, 1, of=2)).item() == pytest.approx((8 * 1 + 9 + 4) / 10)


def test_kl_by_hand():
    """Query 0 is 1/4, 3/4 against 1/2, 1/2; query 1 is equal; the key 2 is padding."""
    student = torch.tensor([[0.0, math.log(3), 50.0], [7.0, 7.0, -50.0], [1.0, 2.0, 3.0]], dtype=torch.float64)[None, None]
    cross = -0.5 * math.log(1 / 4) - 0.5 * math.log(3 / 4)
    found = attention_kl(student, torch.zeros(1, 1, 3, 3), lengths(2, of=3)).item()
    assert found == pytest.approx((cross - math.log(2)) / 2)


@pytest.mark.parametrize("tokens", [(5, 5), (5, 2), (1, 4)])
def test_mse_is_a_sum_over_valid_pairs_by_their_number(tokens):
    student, teacher = scores(2, 3, 5, 5, seed=1), scores(2, 3, 5, 5, seed=2)
    total = sum((student[b, :, :n, :n] - teacher[b, :, :n, :n]).square().sum().item() for b, n in enumerate(tokens))
    expected = total / (3 * sum(n * n for n in tokens))
    assert attention_mse(student, teacher, lengths(*tokens, of=5)).item() == pytest.approx(expected)


@pytest.mark.parametrize("hidden", [-1e4, torch.finfo(torch.float32).min, -torch.inf])
def test_kl_is_that_of_the_probabilities_that_the_models_use(hidden):
    """softmax(scores + mask) as in eager attention, then torch's kl_div query by query."""
    student, teacher, mask = scores(2, 3, 5, 5, seed=1), scores(2, 3, 5, 5, seed=2), lengths(4, 2, of=5)
    additive = torch.where(mask, 0.0, hidden).double()[:, None, None, :]
    ours, theirs = (student + additive).softmax(-1), (teacher + additive).softmax(-1)
    rows = F.kl_div(ours.clamp(min=1e-300).log(), theirs, reduction="none").sum(-1)
    expected = torch.cat([rows[0, :, :4].flatten(), rows[1, :, :2].flatten()]).mean().item()
    for added in (0, additive):
        assert attention_kl(student + added, teacher + added, mask).item() == pytest.approx(expected, rel=1e-9)
        assert attention_mse(student + added, teacher + added, mask).item() == pytest.approx(
            attention_mse(student, teacher, mask).item()
        )


def test_kl_is_blind_to_a_constant_and_mse_is_not():
    student, mask = scores(2, 3, 4, 4), lengths(4, 2, of=4)
    shifted = student + scores(2, 3, 4, 1, seed=1)
    assert attention_kl(shifted, student, mask).item() == pytest.approx(0, abs=1e-12)
    assert attention_mse(shifted, student, mask).item() > 0.1


@pytest.mark.parametrize("loss", LOSSES)
def test_more_padding_does_not_change_the_loss(loss):
    """In TinyBERT's code it shrinks with the share of padding."""
    student, teacher, mask = scores(2, 3, 5, 5, seed=1), scores(2, 3, 5, 5, seed=2), lengths(5, 3, of=5)
    padded = loss(F.pad(student, (0, 9, 0, 9)), F.pad(teacher, (0, 9, 0, 9)), F.pad(mask, (0, 9)))
    assert padded.item() == pytest.approx(loss(student, teacher, mask).item())


def test_a_local_attention_rules_keys_out():
    student, teacher = scores(1, 2, 4, 4, seed=1).requires_grad_(), scores(1, 2, 4, 4, seed=2)
    far = (torch.arange(4)[:, None] - torch.arange(4)).abs() > 1
    found = attention_kl(student.masked_fill(far, -torch.inf), teacher.masked_fill(far, -torch.inf), None)
    rows = []
    for i in range(4):
        near = ~far[i]
        rows.append((teacher[0, :, i, near].softmax(-1), student[0, :, i, near].log_softmax(-1)))
    expected = sum((t * (t.log() - s)).sum() for t, s in rows) / 8
    assert found.item() == pytest.approx(expected.item())
    torch.testing.assert_close(torch.autograd.grad(found, student), torch.autograd.grad(expected, student))


@pytest.mark.parametrize("tokens", [(5, 5), (4, 2)])
def test_textbrewer_mse_agrees_with_a_mask(tokens):
    """Scale factor 1."""
    student, teacher, mask = scores(2, 3, 5, 5, seed=1), scores(2, 3, 5, 5, seed=2), lengths(*tokens, of=5)
    theirs = presets.MATCH_LOSS_MAP["attention_mse"](student, teacher, mask)
    assert attention_mse(student, teacher, mask).item() == pytest.approx(theirs.item())


def test_textbrewer_mse_without_a_mask_loses_all_negative_scores():
    student, teacher = scores(2, 3, 5, 5, seed=1), scores(2, 3, 5, 5, seed=2)
    theirs = presets.MATCH_LOSS_MAP["attention_mse"](student, teacher)
    assert attention_mse(student, teacher, None).item() == pytest.approx(F.mse_loss(student, teacher).item())
    assert attention_mse(student, teacher, None).item() > 1.5 * theirs.item()


def test_textbrewer_cross_entropy_is_larger_by_the_entropy_with_the_same_gradient():
    """With no padding; with padding its softmax runs over padded keys, too."""
    student, teacher, mask = scores(2, 3, 5, 5, seed=1).requires_grad_(), scores(2, 3, 5, 5, seed=2), torch.ones(2, 5)
    theirs = presets.MATCH_LOSS_MAP["attention_ce"](student, teacher, mask)
    ours = attention_kl(student, teacher, mask)
    entropy = torch.distributions.Categorical(logits=teacher).entropy().mean()
    assert ours.item() == pytest.approx(theirs.item() - entropy.item())
    torch.testing.assert_close(torch.autograd.grad(ours, student), torch.autograd.grad(theirs, student))


@pytest.mark.parametrize("loss", LOSSES)
def test_other_heads_need_another_loss(loss):
    for heads in (12, 1):
        words = rf"student has 4 heads, teacher {heads} .* minilm_v2, hidden_mse and hidden_cosine"
        with pytest.raises(ValueError, match=words):
            loss(torch.zeros(2, 4, 3, 3), torch.zeros(2, heads, 3, 3), None)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_not_attention_is_refused(loss):
    square = torch.zeros(2, 4, 3, 3)
    for wrong in (torch.zeros(2, 4, 3, 5), torch.zeros(2, 3, 3)):
        for student, teacher in ((square, wrong), (wrong, square)):
            with pytest.raises(ValueError, match=r"attention scores are \[batch, heads, length, length\]"):
                loss(student, teacher, None)
    with pytest.raises(ValueError, match=r"student \(2, 4, 3, 3\) and teacher \(2, 4, 1, 1\) are not of one batch and length"):
        loss(square, torch.zeros(2, 4, 1, 1), None)
