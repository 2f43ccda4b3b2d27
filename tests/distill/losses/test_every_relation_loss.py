"""What holds for each of the losses on relations of tokens: limits, gradients, masks, number formats, shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from distill.losses.gram import fsp, nst, nst_pair
from distill.losses.minilm import minilm_v1, minilm_v2, relation_kl

# name: (loss of student tensors, teacher tensors, mask; axes of the student's tensors; axes of the teacher's).
# B sentences, L tokens, H heads, M layers, widths d and D.
LOSSES = {
    "relation_kl": (lambda s, t, m: relation_kl(*s, *t, m, relation_heads=2), ["BLd"], ["BLD"]),
    "minilm_v2": (lambda s, t, m: minilm_v2(s, t, m, relation_heads=2), ["BHLd", "BLd", "BLd"], ["BHLD"] * 3),
    "minilm_v1": (lambda s, t, m: minilm_v1(s[0], t[0], s[1], t[1], m), ["BHLL", "BHLd"], ["BHLL", "BHLD"]),
    "word_pair": (lambda s, t, m: word_pair(*s, *t, m), ["BLd"], ["BLD"]),
    "word_triple": (lambda s, t, m: word_triple(*s, *t, m, window=5), ["BLd"], ["BLD"]),
    "word_triple_all": (lambda s, t, m: word_triple(*s, *t, m, window=None), ["BLd"], ["BLD"]),
    "layer_pair": (lambda s, t, m: layer_pair(*s, *t, m), ["MBLd"], ["MBLD"]),
    "layer_triple": (lambda s, t, m: layer_triple(*s, *t, m), ["MBLd"], ["MBLD"]),
    "nst": (lambda s, t, m: nst(*s, *t, m), ["BLd"], ["BLD"]),
    "nst_pair": (lambda s, t, m: nst_pair(*s, *t, m), ["BLd", "BLd"], ["BLD", "BLD"]),
    "fsp": (lambda s, t, m: fsp(*s, *t, m), ["BLd", "BLD"], ["BLd", "BLD"]),
}
SIZES = {"H": 2, "M": 3, "d": 4, "D": 6}
each_loss = pytest.mark.parametrize("name", LOSSES)


def make(axes, batch, length, seed):
    """Normal float64 tensors, one for each string of axes."""
    sizes = SIZES | {"B": batch, "L": length}
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn([sizes[axis] for axis in each], generator=generator, dtype=torch.float64) for each in axes]


def pair(name, batch, length, seed=0):
    """The loss, student tensors that take a gradient, teacher tensors."""
    loss, ours, theirs = LOSSES[name]
    return loss, [x.requires_grad_() for x in make(ours, batch, length, seed)], make(theirs, batch, length, seed + 100)


def crop(tensor, axes, chosen):
    """The tokens chosen[b] of each sentence b, on every token axis."""
    at = axes.index("B")
    sentences = []
    for sentence, tokens in zip(tensor.unbind(at), chosen, strict=True):
        for axis, letter in enumerate(axes.replace("B", "")):
            sentence = sentence.index_select(axis, torch.tensor(tokens, dtype=torch.long)) if letter == "L" else sentence
        sentences.append(sentence)
    return torch.stack(sentences, at)


def soil(tensor, axes, mask, garbage):
    """`garbage` in every entry of a token that does not count."""
    for axis, letter in enumerate(axes):
        if letter == "L":
            shape = [len(mask) if other == "B" else mask.shape[1] if at == axis else 1 for at, other in enumerate(axes)]
            tensor = tensor.masked_fill(~mask.reshape(shape), garbage)
    return tensor


@each_loss
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (3, 1), (2, 7), (1, 25)])
def test_the_teacher_itself_is_a_perfect_student(name, batch, length):
    loss, ours, _ = pair(name, batch, length)
    found = loss(ours, [x.detach().clone() for x in ours], torch.ones(batch, length))
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-12)
    assert all(torch.isfinite(x.grad).all() for x in ours)


@each_loss
def test_another_student_is_not(name):
    loss, ours, theirs = pair(name, 2, 7)
    assert loss(ours, theirs, torch.ones(2, 7)).item() > 1e-3


@each_loss
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (3, 3), (2, 33)])
def test_each_number_format_gives_about_the_float64_value_and_finite_gradients(name, kind, batch, length):
    loss, ours, theirs = pair(name, batch, length)
    ours, theirs = [x.detach().to(kind).requires_grad_() for x in ours], [x.to(kind) for x in theirs]
    mask = torch.ones(batch, length)
    mask[0, length // 2 + 1 :] = 0
    found = loss(ours, theirs, mask)
    found.backward()
    exact = loss([x.detach().double() for x in ours], [x.double() for x in theirs], mask)
    assert found.shape == ()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=2e-5, abs=1e-6)
    assert all(x.grad.dtype == kind and torch.isfinite(x.grad).all() for x in ours)


@each_loss
def test_autocast_does_not_round_a_loss(name):
    loss, ours, theirs = pair(name, 2, 9)
    ours, theirs = [x.detach().float() for x in ours], [x.float() for x in theirs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(ours, theirs, torch.ones(2, 9))
    assert found.item() == pytest.approx(loss(ours, theirs, torch.ones(2, 9)).item(), rel=1e-6)


@each_loss
@pytest.mark.parametrize("mask", [[[1, 1, 1, 1], [1, 1, 1, 1]], [[1, 1, 1, 0], [0, 1, 0, 1]], [[0, 0, 0, 0], [0, 1, 1, 1]]])
def test_the_gradient_is_the_derivative(name, mask):
    loss, ours, theirs = pair(name, 2, 4, seed=3)
    assert torch.autograd.gradcheck(lambda *s: loss(s, theirs, torch.tensor(mask)), ours)


@each_loss
def test_the_teacher_gets_no_gradient(name):
    loss, ours, theirs = pair(name, 2, 5)
    theirs = [x.requires_grad_() for x in theirs]
    loss(ours, theirs, torch.ones(2, 5)).backward()
    assert all(x.grad is None for x in theirs)
    assert all(x.grad.abs().sum() > 0 for x in ours)


@st.composite
def subsets(draw, in_a_row):
    """(length, tokens that count of each sentence): equally many each, so that they make a batch by themselves."""
    length = draw(st.integers(1, 8))
    count = draw(st.integers(0, length))
    choose = st.integers(0, length - count).map(lambda start: list(range(start, start + count)))
    if not in_a_row:
        choose = st.permutations(range(length)).map(lambda order: sorted(order[:count]))
    return length, draw(st.lists(choose, min_size=1, max_size=3))


@each_loss
@settings(max_examples=25, deadline=None)
@given(data=st.data(), garbage=st.sampled_from([7.0, float("inf"), float("nan")]), kind=st.sampled_from([torch.bool, torch.long]))
def test_padding_counts_for_nothing(name, data, garbage, kind):
    """Mask = subset, in value and gradient, whatever stands in the padding. A window counts positions: no holes there."""
    length, chosen = data.draw(subsets(in_a_row=name == "word_triple"))
    loss, ours, theirs = pair(name, len(chosen), length, seed=data.draw(st.integers(0, 9)))
    mask = torch.tensor([[token in tokens for token in range(length)] for tokens in chosen])
    small = [crop(x, axes, chosen) for x, axes in zip(ours, LOSSES[name][1], strict=True)]
    small_theirs = [crop(x, axes, chosen) for x, axes in zip(theirs, LOSSES[name][2], strict=True)]
    expected = loss(small, small_theirs, torch.ones(len(chosen), len(chosen[0]))) if chosen[0] else sum(x.sum() for x in ours) * 0
    wanted = torch.autograd.grad(expected, ours)
    dirty = [soil(x.detach(), axes, mask, garbage).requires_grad_() for x, axes in zip(ours, LOSSES[name][1], strict=True)]
    dirty_theirs = [soil(x, axes, mask, -garbage) for x, axes in zip(theirs, LOSSES[name][2], strict=True)]
    found = loss(dirty, dirty_theirs, mask.to(kind))
    assert found.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    for gradient, other in zip(torch.autograd.grad(found, dirty), wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-9, atol=1e-11)


@each_loss
def test_the_order_of_the_sentences_does_not_matter(name):
    loss, ours, theirs = pair(name, 3, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    turned = [
        [x.index_select(axes.index("B"), torch.tensor([2, 0, 1])) for x, axes in zip(tensors, each, strict=True)]
        for tensors, each in ((ours, LOSSES[name][1]), (theirs, LOSSES[name][2]))
    ]
    assert loss(*turned, mask[[2, 0, 1]]).item() == pytest.approx(loss(ours, theirs, mask).item())


@each_loss
@pytest.mark.parametrize("nothing", [0.0, 1e-9])
def test_states_of_zeros_and_words_that_are_alike_are_survived(name, nothing):
    """Static embeddings repeat a repeated word exactly: a difference without direction must not make a huge gradient."""
    loss, ours, theirs = pair(name, 2, 5)
    blank = torch.tensor([[1, 1, 1, 1, 0]] * 2).bool()
    odd = []
    for tensor, axes in zip(ours, LOSSES[name][1], strict=True):
        again = crop(tensor, axes, [[0, 1, 0, 3, 4]] * 2).detach()
        odd.append(soil(again, axes, blank, nothing).requires_grad_())
    found = loss(odd, theirs, torch.ones(2, 5))
    found.backward()
    assert torch.isfinite(found)
    assert all(x.grad.abs().max() < 100 for x in odd)


@each_loss
def test_shapes_that_do_not_fit_are_refused(name):
    loss, ours, theirs = pair(name, 2, 4)
    for batch, length in ((1, 4), (2, 3), (2, 1)):
        with pytest.raises(ValueError, match=r"student|teacher"):
            loss(ours, make(LOSSES[name][2], batch, length, 0), torch.ones(2, 4))
    for mask in ((1, 4), (2, 1), (4,), (2, 4, 4)):
        with pytest.raises(ValueError, match="mask"):
            loss(ours, theirs, torch.ones(mask))
    with pytest.raises(ValueError, match=r"\("):
        loss([x[0] for x in ours], [x[0] for x in theirs], torch.ones(4))
