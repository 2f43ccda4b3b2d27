"""What holds for each loss on logits, attention and hidden states: masks, gradients, limits, number formats, shapes."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.losses.attention import attention_kl, attention_mse
from distill.losses.hidden import hidden_cosine, hidden_mse, pkd
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
from distill.losses.temperature import cwsm, flsw


def at_two(loss):
    """The loss at temperature 2."""
    return lambda student, teacher, mask=None: loss(student, teacher, mask, temperature=2.0)


def row_by_row(loss):
    """The loss at a temperature for each row, by where it points: one that no other row has a hand in."""

    def call(student, teacher, mask=None):
        angle = torch.cos(teacher.detach()[..., 0].float()).abs() + 0.5
        return loss(student, teacher, mask, temperature=angle)

    return call


@dataclass(frozen=True)
class Case:
    """A loss, the form of its input, and how much a text of n tokens weighs in the mean over the batch."""

    loss: Callable
    form: str = "tokens"
    labels: str = ""
    weight: Callable = lambda keep: float(keep.sum())
    zero: bool = False
    blind: tuple = ()  # widths at which it has no gradient

    def make(self, batch, length, width, seed=0):
        """Student and teacher (or labels) of the form, float64."""
        random = torch.Generator().manual_seed(seed)
        shape = (batch, width, length, length) if self.form == "attention" else (batch, length, width)
        student, teacher = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(2))
        if self.labels == "class":
            return student, torch.randint(width, shape[:-1], generator=random)
        return student, (teacher > 0).double() if self.labels == "multi" else teacher

    def part(self, values, text, keep):
        """The tokens of one text that count, as a batch of one."""
        one = values[text : text + 1]
        if self.form == "attention":
            return one[:, :, keep][:, :, :, keep]
        return one if self.form == "first" else one[:, keep]

    def spoil(self, values, mask, garbage):
        """A copy with garbage wherever a token does not count, as query or as key."""
        if self.form == "attention":
            counts = (mask[:, :, None] & mask[:, None, :])[:, None].expand_as(values)
        else:
            counts = mask.reshape(mask.shape + (1,) * (values.ndim - 2)).expand_as(values)
        if not values.is_floating_point():
            garbage = 10**6
        return torch.where(counts, values, torch.full_like(values, garbage))


CASES = {
    "soft_cross_entropy": Case(at_two(soft_cross_entropy), blind=(1,)),
    "soft_cross_entropy, T by row": Case(row_by_row(soft_cross_entropy), blind=(1,)),
    "kl_divergence": Case(at_two(kl_divergence), zero=True, blind=(1,)),
    "kl_divergence, T by row": Case(row_by_row(kl_divergence), zero=True, blind=(1,)),
    "logits_mse": Case(logits_mse, zero=True),
    "logits_cosine": Case(logits_cosine, zero=True, blind=(1,)),
    "soft_binary_cross_entropy": Case(at_two(soft_binary_cross_entropy)),
    "soft_binary_cross_entropy, T by row": Case(row_by_row(soft_binary_cross_entropy)),
    "hard_cross_entropy": Case(hard_cross_entropy, labels="class", blind=(1,)),
    "hard_binary_cross_entropy": Case(hard_binary_cross_entropy, labels="multi"),
    "hard_mse": Case(hard_mse, labels="number", zero=True),
    "attention_mse": Case(attention_mse, "attention", weight=lambda keep: float(keep.sum() ** 2), zero=True),
    "attention_kl": Case(attention_kl, "attention", zero=True),
    "hidden_mse": Case(hidden_mse, zero=True),
    "hidden_cosine": Case(hidden_cosine, zero=True, blind=(1,)),
    "pkd": Case(pkd, "first", weight=lambda keep: float(keep[0]), zero=True, blind=(1,)),
}


@pytest.fixture(params=CASES)
def case(request):
    """Each of the losses."""
    return CASES[request.param]


@st.composite
def padded_batches(draw):
    """A mask with any holes, a width, a seed, and what stands where it is false."""
    batch, length = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    mask = draw(st.lists(st.booleans(), min_size=batch * length, max_size=batch * length))
    garbage = draw(st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300, -1e4, 0.0]))
    return torch.tensor(mask).view(batch, length), draw(st.sampled_from([1, 2, 7])), draw(st.integers(0, 99)), garbage


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(batch=padded_batches())
def test_mask_is_subset(name, batch):
    """The batch is the weighted mean of its texts cut to the tokens that count, in value and in gradient."""
    case, (mask, width, seed, garbage) = CASES[name], batch
    student, other = case.make(*mask.shape, width, seed)
    whole = student.clone().requires_grad_()
    total, weights = whole.sum() * 0, 0.0
    for text, keep in enumerate(mask):
        weight = case.weight(keep)
        if weight:
            total = total + weight * case.loss(case.part(whole, text, keep), case.part(other, text, keep), None)
            weights += weight
    expected = total / max(weights, 1.0)
    expected.backward()

    dirty = case.spoil(student, mask, garbage).requires_grad_()
    found = case.loss(dirty, case.spoil(other, mask, garbage), mask)
    found.backward()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(dirty.grad, whole.grad, rtol=1e-9, atol=1e-12)


def test_no_token_counts(case):
    student, other = case.make(2, 3, 4)
    student.requires_grad_()
    found = case.loss(student, other, torch.zeros(2, 3))
    found.backward()
    assert found.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_gradient_is_the_derivative(case, width):
    student, other = case.make(2, 3, width, 1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]])
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: case.loss(s, other, None), (student,))
    assert torch.autograd.gradcheck(lambda s: case.loss(s, other, mask), (student,))


@pytest.mark.parametrize("width", [1, 2, 7])
def test_the_student_gets_a_gradient_and_the_teacher_none(case, width):
    student, other = case.make(3, 4, width, 2)
    student.requires_grad_()
    if other.is_floating_point():
        other.requires_grad_()
    case.loss(student, other, None).backward()
    assert other.grad is None
    assert bool(student.grad.abs().sum() > 1e-9) == (width not in case.blind)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 2), (3, 1, 7), (2, 5, 3)])
def test_the_teacher_itself_is_a_perfect_student(case, shape):
    _, teacher = case.make(*shape)
    if not teacher.is_floating_point():
        return
    found = case.loss(teacher.clone(), teacher, None).item()
    if case.zero:
        assert found == pytest.approx(0, abs=1e-12)
    else:
        assert found > 0 or shape[2] == 1


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 2), (3, 1, 7), (4, 9, 7)])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_each_number_format_gives_about_the_float64_value_and_finite_gradients(case, kind, shape, spread):
    student, other = case.make(*shape, seed=3)
    student = (spread * student).to(kind).requires_grad_()
    if other.is_floating_point() and not case.labels:
        other = (spread * other).to(kind)
    mask = torch.arange(shape[1]).expand(shape[:2]) < max(1, shape[1] - 2)
    found = case.loss(student, other.to(kind) if other.is_floating_point() else other, mask)
    found.backward()
    exact_other = other.to(kind).double() if other.is_floating_point() else other
    exact = case.loss(student.detach().double(), exact_other, mask)
    assert found.shape == ()
    assert found.dtype == torch.float32
    # The inputs are equal bit for bit: what is left is the arithmetic, in float32.
    assert found.item() == pytest.approx(exact.item(), rel=1e-5, abs=2e-6)
    assert student.grad.dtype == kind
    assert torch.isfinite(student.grad).all()


def test_autocast_does_not_round_a_loss(case):
    student, other = case.make(3, 8, 6, 4)
    student = student.float()
    other = other.float() if other.is_floating_point() else other
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = case.loss(student, other, None)
    assert found.item() == pytest.approx(case.loss(student, other, None).item(), rel=1e-6)


def test_a_mask_may_be_of_any_number_format(case):
    student, other = case.make(2, 3, 4, 5)
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]])
    values = {case.loss(student, other, mask.to(kind)).item() for kind in (torch.bool, torch.int64, torch.float32)}
    assert len(values) == 1


def test_shapes_that_do_not_fit_are_refused(case):
    """One text, one token or one class would be broadcast by torch."""
    student, other = case.make(2, 3, 4)
    wrong = [other[:1], other[:, :1], other[0]]
    if case.labels != "class":
        wrong += [other[..., :1]]
    for teacher in wrong:
        with pytest.raises(ValueError, match=r"\(2, [34], .*\)"):
            case.loss(student, teacher, None)
    for mask in (torch.ones(1, 3), torch.ones(2, 1), torch.ones(3), torch.ones(2, 3, 1)):
        with pytest.raises(ValueError, match="mask has shape"):
            case.loss(student, other, mask)


@pytest.mark.parametrize("schedule", [flsw, cwsm])
def test_padding_reaches_no_scheduled_temperature(schedule):
    """A temperature depends on the mean over the batch: through it, too, padding must not be seen."""
    case = CASES["kl_divergence"]
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    student, teacher = case.make(2, 3, 5, 6)
    values = []
    for garbage in (float("nan"), 0.0, 1e6):
        s, t = (case.spoil(values, mask, garbage) for values in (student, teacher))
        values.append(kl_divergence(s, t, mask, temperature=schedule(s, t, 4.0, 2.0, mask=mask)).item())
    assert values[0] == values[1] == values[2] > 0
