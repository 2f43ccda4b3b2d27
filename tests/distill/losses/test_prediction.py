"""Losses on logits against hand values, limits, torch's own and TextBrewer's."""

import math

import pytest
import torch
import torch.nn.functional as F
from textbrewer import presets

from distill.losses.prediction import (
    hard_binary_cross_entropy,
    hard_cross_entropy,
    hard_mse,
    kl_divergence,
    logits_cosine,
    logits_mse,
    soft_binary_cross_entropy,
    soft_cross_entropy,
)

# Probabilities 1/4, 3/4 against 1/2, 1/2.
STUDENT = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
TEACHER = torch.tensor([[5.0, 5.0]], dtype=torch.float64)
CROSS = -0.5 * math.log(1 / 4) - 0.5 * math.log(3 / 4)


def logits(*shape, seed=0, spread=1.0):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_hand_values(temperature):
    """Logits times T at temperature T: the same probabilities, and T^2 on top."""
    student, teacher = temperature * STUDENT, temperature * TEACHER
    found = soft_cross_entropy(student, teacher, temperature=temperature).item()
    assert found == pytest.approx(temperature**2 * CROSS)
    found = kl_divergence(student, teacher, temperature=temperature).item()
    assert found == pytest.approx(temperature**2 * (CROSS - math.log(2)))


def test_binary_hand_values():
    """Student 3/4 and 1/4; the teacher 1/2 twice, or labels 1 and 0."""
    student = torch.tensor([[math.log(3), -math.log(3)]], dtype=torch.float64)
    found = soft_binary_cross_entropy(2 * student, torch.zeros(1, 2), temperature=2.0).item()
    assert found == pytest.approx(4 * CROSS)
    assert hard_binary_cross_entropy(student, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(-math.log(3 / 4))
    assert hard_binary_cross_entropy(student, torch.tensor([[1.0, 1.0]])).item() == pytest.approx(CROSS)
    assert hard_binary_cross_entropy(student, torch.tensor([[0.0, float("nan")]])).item() == pytest.approx(-math.log(1 / 4))


def test_mse_and_cosine_hand_values():
    student, teacher = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, -2.0]])
    assert logits_mse(student, teacher).item() == pytest.approx((1 + 1 + 1 + 4) / 4)
    assert logits_cosine(student, teacher).item() == pytest.approx((1 / 25 + 1) / 2)
    labels = torch.tensor([[4.0, float("nan")], [float("nan"), float("nan")]])
    assert hard_mse(student, labels).item() == pytest.approx(1)


def test_hard_cross_entropy_hand_values():
    student = STUDENT.repeat(3, 1)
    labels = torch.tensor([0, 1, -100])
    assert hard_cross_entropy(student, labels).item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    assert hard_cross_entropy(student, labels, torch.tensor([0, 1, 1])).item() == pytest.approx(math.log(4 / 3))


@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (9, 7)])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0])
def test_torch_agrees(shape, temperature):
    """F.kl_div with batchmean, F.cross_entropy with probabilities; both lack T^2."""
    student, teacher = logits(*shape, seed=1), logits(*shape, seed=2)
    soft_student, soft_teacher = F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1)
    kl = F.kl_div(soft_student, soft_teacher, reduction="batchmean", log_target=True)
    assert kl_divergence(student, teacher, temperature=temperature).item() == pytest.approx(temperature**2 * kl.item(), rel=1e-9)
    cross = F.cross_entropy(student / temperature, soft_teacher.exp())
    found = soft_cross_entropy(student, teacher, temperature=temperature).item()
    assert found == pytest.approx(temperature**2 * cross.item(), rel=1e-9)
    binary = F.binary_cross_entropy((student / temperature).sigmoid(), (teacher / temperature).sigmoid())
    found = soft_binary_cross_entropy(student, teacher, temperature=temperature).item()
    assert found == pytest.approx(temperature**2 * binary.item(), rel=1e-9)


def test_torch_agrees_on_hard_labels():
    student, labels = logits(2, 5, 3), torch.tensor([[0, 2, -100, 1, 1], [-100, -100, 0, 2, 0]])
    expected = F.cross_entropy(student.transpose(1, 2), labels, ignore_index=-100)
    assert hard_cross_entropy(student, labels).item() == pytest.approx(expected.item())
    many = (logits(2, 5, 3, seed=1) > 0).double()
    assert hard_binary_cross_entropy(student, many).item() == pytest.approx(
        F.binary_cross_entropy_with_logits(student, many).item()
    )
    assert hard_mse(student, many).item() == pytest.approx(F.mse_loss(student, many).item())


def test_nothing_labelled_is_zero_where_torch_has_nan():
    student = logits(2, 3).requires_grad_()
    assert F.cross_entropy(student, torch.tensor([-100, -100])).isnan()
    for loss, labels in (
        (hard_cross_entropy, torch.tensor([-100, -100])),
        (hard_binary_cross_entropy, torch.full((2, 3), float("nan"))),
        (hard_mse, torch.full((2, 3), float("nan"))),
    ):
        found = loss(student, labels)
        found.backward()
        assert found.item() == 0
    assert not student.grad.any()


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_hot_divergence_is_half_the_variance_of_the_difference(classes):
    """T to infinity: 1 / (2 C) sum_c (d_c - mean d)^2; for centred logits half of logits_mse."""
    student, teacher = logits(5, classes, seed=1), logits(5, classes, seed=2)
    difference = student - teacher
    limit = (difference.var(-1, unbiased=False) / 2).mean().item()
    errors = [abs(kl_divergence(student, teacher, temperature=t).item() - limit) for t in (10.0, 100.0, 1000.0)]
    assert errors[2] <= 1e-2 * limit + 1e-9
    assert errors[2] <= errors[1] <= errors[0]
    centred = (logit - logit.mean(-1, keepdim=True) for logit in (student, teacher))
    assert limit == pytest.approx(logits_mse(*centred).item() / 2)


def test_divergence_is_cross_entropy_less_the_entropy_of_the_teacher_with_the_same_gradient():
    student, teacher = logits(6, 4, seed=1).requires_grad_(), logits(6, 4, seed=2)
    cross, kl = (loss(student, teacher, temperature=3.0) for loss in (soft_cross_entropy, kl_divergence))
    entropy = torch.distributions.Categorical(logits=teacher / 3).entropy().mean()
    assert kl.item() == pytest.approx(cross.item() - 9 * entropy.item())
    assert soft_cross_entropy(teacher, teacher, temperature=3.0).item() == pytest.approx(9 * entropy.item())
    torch.testing.assert_close(torch.autograd.grad(cross, student), torch.autograd.grad(kl, student))


def gradient_size(loss, temperature):
    student = logits(16, 5, seed=1, spread=3.0).requires_grad_()
    loss(student, logits(16, 5, seed=2, spread=3.0), temperature=temperature).backward()
    return student.grad.norm().item()


def test_the_gradient_keeps_its_size_over_temperatures_where_textbrewer_loses_it():
    for loss in (soft_cross_entropy, kl_divergence, soft_binary_cross_entropy):
        sizes = [gradient_size(loss, t) for t in (2.0, 4.0, 8.0, 16.0, 32.0)]
        assert max(sizes) < 3 * min(sizes)
        assert sizes[-1] == pytest.approx(sizes[-2], rel=0.05)
    theirs = [gradient_size(presets.KD_LOSS_MAP["ce"], t) for t in (8.0, 16.0, 32.0)]
    assert theirs[0] / theirs[1] == pytest.approx(4, rel=0.3)
    assert theirs[1] / theirs[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 7)])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 8.0])
def test_textbrewer_is_smaller_by_the_square_of_the_temperature(shape, temperature):
    """Its "ce" has no T^2; its "mse" divides the logits by T."""
    student, teacher = logits(*shape, seed=1), logits(*shape, seed=2)
    cross = presets.KD_LOSS_MAP["ce"](student, teacher, temperature).item()
    assert soft_cross_entropy(student, teacher, temperature=temperature).item() == pytest.approx(temperature**2 * cross)
    square = presets.KD_LOSS_MAP["mse"](student, teacher, temperature).item()
    assert logits_mse(student, teacher).item() == pytest.approx(temperature**2 * square)


@pytest.mark.parametrize("loss", [soft_cross_entropy, kl_divergence, soft_binary_cross_entropy])
def test_a_temperature_for_each_row(loss):
    student, teacher, warmth = logits(2, 3, 4, seed=1), logits(2, 3, 4, seed=2), torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    rows = [loss(student[i, j], teacher[i, j], temperature=warmth[i, j].item()) for i in range(2) for j in range(3)]
    assert loss(student, teacher, temperature=warmth).item() == pytest.approx(sum(rows).item() / 6)
    for wrong in (torch.tensor(2.0), warmth[:1], warmth[..., None], warmth[0]):
        with pytest.raises(ValueError, match=r"temperature has shape .*, expected \(2, 3\)"):
            loss(student, teacher, temperature=wrong)
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a positive number"):
            loss(student, teacher, temperature=value)
        with pytest.raises(ValueError, match="not a positive number"):
            loss(student, teacher, temperature=torch.where(warmth == 3, value, warmth))
        mask = warmth != 3
        found = loss(student, teacher, mask, temperature=torch.where(mask, warmth, value))
        assert found.item() == pytest.approx(loss(student, teacher, mask, temperature=warmth).item())


@pytest.mark.parametrize("loss", [soft_cross_entropy, kl_divergence])
def test_positions_of_a_span_are_classes_and_padded_ones_are_ruled_out(loss):
    """start_logits with -inf in the padding: as if each text were alone, cut to its length, in value and in gradient."""
    lengths, whole, teacher = (5, 3, 1), logits(3, 5, seed=1).requires_grad_(), logits(3, 5, seed=2)
    alone = sum(loss(whole[i, :n], teacher[i, :n], temperature=2.0) for i, n in enumerate(lengths)) / 3
    expected = torch.autograd.grad(alone, whole)[0]
    padding = torch.arange(5) >= torch.tensor(lengths)[:, None]
    for hidden in (-torch.inf, torch.finfo(torch.float64).min):
        student = whole.masked_fill(padding, hidden)
        found = loss(student, teacher.masked_fill(padding, hidden), temperature=2.0)
        assert found.item() == pytest.approx(alone.item())
        torch.testing.assert_close(torch.autograd.grad(found, whole)[0], expected)


def test_a_class_that_the_student_rules_out_and_the_teacher_does_not_costs_infinitely_much():
    student = torch.tensor([[0.0, -torch.inf]])
    assert kl_divergence(student, torch.zeros(1, 2)).item() == math.inf
    assert soft_cross_entropy(student, torch.zeros(1, 2)).item() == math.inf


def test_one_row_without_a_batch():
    assert kl_divergence(STUDENT[0], TEACHER[0]).item() == pytest.approx(CROSS - math.log(2))
    assert hard_cross_entropy(STUDENT[0], torch.tensor(1)).item() == pytest.approx(math.log(4 / 3))


def test_labels_of_a_wrong_kind_are_refused():
    with pytest.raises(ValueError, match=r"labels are torch\.float32, expected class numbers in torch\.int64"):
        hard_cross_entropy(torch.zeros(2, 3), torch.zeros(2))
    for loss in (hard_binary_cross_entropy, hard_mse):
        with pytest.raises(ValueError, match=r"labels are torch\.int64, expected floating point"):
            loss(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))
    for logit in (torch.zeros(2, 0), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="classes"):
            logits_mse(logit, logit)
        with pytest.raises(ValueError, match="one label a row"):
            hard_cross_entropy(logit, torch.zeros(2, dtype=torch.long))


def test_a_regression_is_never_broadcast_to_a_matrix():
    """logits [B, 1] less labels [B] is [B, B] in torch, and trains towards the mean."""
    for loss in (hard_mse, logits_mse):
        with pytest.raises(ValueError, match=r"shape \(4, 1\), (labels|teacher) \(4,\)"):
            loss(torch.zeros(4, 1), torch.zeros(4))


def test_formats_may_be_mixed():
    student, teacher = logits(3, 4, seed=1), logits(3, 4, seed=2)
    for loss in (kl_divergence, soft_binary_cross_entropy, logits_mse, hard_binary_cross_entropy):
        found = loss(student.half(), teacher.sigmoid())
        assert found.dtype == torch.float64
        assert found.item() == pytest.approx(loss(student, teacher.sigmoid()).item(), rel=1e-2)
