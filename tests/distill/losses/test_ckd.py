"""Word and layer relations against hand values and plain loops."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    length = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def angle(vertex, a, b):
    return cosine([x - y for x, y in zip(vertex, a, strict=True)], [x - y for x, y in zip(vertex, b, strict=True)])


def softmax(scores):
    weights = [math.exp(score) for score in scores]
    return [weight / sum(weights) for weight in weights]


def pair_rows(ours, theirs):
    """The divergence of each of some vectors from the others: lists of numbers, at least two."""
    rows = []
    for i in range(len(ours)):
        p, q = (softmax([cosine(side[i], side[j]) for j in range(len(side)) if j != i]) for side in (theirs, ours))
        rows.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return rows


def triple_cells(ours, theirs, at, reach=math.inf):
    """The squared difference of each angle between distinct vectors, at[i] the position of vector i."""
    for i, j, k in itertools.permutations(range(len(ours)), 3):
        if abs(at[i] - at[j]) <= reach and abs(at[i] - at[k]) <= reach:
            yield (angle(ours[i], ours[j], ours[k]) - angle(theirs[i], theirs[j], theirs[k])) ** 2


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def sentences(student, teacher, mask):
    """For each sentence the vectors that count of both, and their positions."""
    for ours, theirs, counts in zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True):
        at = [token for token, one in enumerate(counts) if one]
        yield [ours[i] for i in at], [theirs[i] for i in at], at


def word_pair_by_loops(student, teacher, mask):
    return mean(row for ours, theirs, _ in sentences(student, teacher, mask) if len(ours) > 1 for row in pair_rows(ours, theirs))


def word_triple_by_loops(student, teacher, mask, reach=math.inf):
    return mean(cell for ours, theirs, at in sentences(student, teacher, mask) for cell in triple_cells(ours, theirs, at, reach))


def tokens(students, teachers, mask):
    """For each token that counts its states in all layers, of both."""
    for b, sentence in enumerate(mask.tolist()):
        for i, counts in enumerate(sentence):
            if counts:
                yield students[:, b, i].tolist(), teachers[:, b, i].tolist()


def test_word_pair_by_hand():
    """Seen from word 0 the teacher's cosines are 0 and -1, the student's 1 and 1; from words 1 and 2 both sides are even."""
    student, teacher = torch.tensor([[[2.0], [1.0], [5.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 3.0], [-4.0, 0.0]]])
    p = math.e / (1 + math.e)
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    # Word 2 sees -1 and 0: the same divergence; word 1 sees 0 and 0.
    assert word_pair(student, teacher, torch.ones(1, 3)).item() == pytest.approx(2 * expected / 3)


def test_word_triple_by_hand():
    """A right-angled triangle with equal legs against three words on a line."""
    teacher, student = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.0], [1.0], [3.0]]])
    # The teacher's cosines: 0, sqrt(1/2), sqrt(1/2); the student's: 1, -1 (word 1 lies between), 1.
    half = math.sqrt(0.5)
    expected = (1 + (half + 1) ** 2 + (half - 1) ** 2) / 3
    assert word_triple(student, teacher, torch.ones(1, 3)).item() == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_words_against_loops(data):
    length = data.draw(st.integers(1, 7))
    mask = torch.tensor(data.draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 99))
    student, teacher = normal(len(mask), length, 3, seed=seed), normal(len(mask), length, 5, seed=seed + 1)
    assert word_pair(student, teacher, mask).item() == pytest.approx(word_pair_by_loops(student, teacher, mask), abs=1e-12)
    window = data.draw(st.sampled_from([3, 5, 7, 21, None]))
    expected = word_triple_by_loops(student, teacher, mask, math.inf if window is None else window // 2)
    assert word_triple(student, teacher, mask, window=window).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("length", "window"), [(7, 7), (7, 9), (8, 7), (30, 21), (21, 21), (12, 13), (6, 11)])
def test_windows_about_as_long_as_the_sentence(length, window):
    student, teacher, mask = normal(1, length, 2), normal(1, length, 3, seed=1), torch.ones(1, length)
    expected = word_triple_by_loops(student, teacher, mask, window // 2)
    assert word_triple(student, teacher, mask, window=window).item() == pytest.approx(expected)
    if window >= 2 * length - 1:
        assert word_triple(student, teacher, mask, window=None).item() == pytest.approx(expected)


def test_the_window_is_21_unless_told_otherwise():
    student, teacher, mask = normal(1, 30, 2), normal(1, 30, 3, seed=1), torch.ones(1, 30)
    assert word_triple(student, teacher, mask).item() == word_triple(student, teacher, mask, window=21).item()
    assert word_triple(student, teacher, mask).item() != word_triple(student, teacher, mask, window=None).item()


@pytest.mark.parametrize("layers", [3, 5])
def test_layers_against_loops(layers):
    students, teachers = normal(layers, 2, 4, 3), normal(layers, 2, 4, 6, seed=1)
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])
    rows = mean(row for ours, theirs in tokens(students, teachers, mask) for row in pair_rows(ours, theirs))
    assert layer_pair(students, teachers, mask).item() == pytest.approx(rows)
    cells = mean(cell for ours, theirs in tokens(students, teachers, mask) for cell in triple_cells(ours, theirs, range(layers)))
    assert layer_triple(students, teachers, mask).item() == pytest.approx(cells)


def test_layers_by_hand():
    """One token; the teacher goes round a corner, the student straight on."""
    teachers = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]).reshape(3, 1, 1, 2)
    students = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    half = math.sqrt(0.5)
    expected = ((half - 1) ** 2 + (0 + 1) ** 2 + (half - 1) ** 2) / 3
    assert layer_triple(students, teachers, torch.ones(1, 1)).item() == pytest.approx(expected)
    # Pairs: layer 0 sees cosines sqrt(1/2) and 0, layer 2 as well, layer 1 twice the same; the student's are all 1.
    p = math.exp(half) / (1 + math.exp(half))
    divergence = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert layer_pair(students, teachers, torch.ones(1, 1)).item() == pytest.approx(2 * divergence / 3)


LOSSES = {
    "word_pair": lambda s, t: word_pair(s[0], t[0], torch.ones(2, 5)),
    "word_triple": lambda s, t: word_triple(s[0], t[0], torch.ones(2, 5)),
    "layer_pair": lambda s, t: layer_pair(s, t, torch.ones(2, 5)),
    "layer_triple": lambda s, t: layer_triple(s, t, torch.ones(2, 5)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_relations_are_blind_to_rotation_scale_and_width(name):
    loss, students, teachers = LOSSES[name], normal(3, 2, 5, 4), normal(3, 2, 5, 6, seed=1)
    before = loss(students, teachers).item()
    rotation, _ = torch.linalg.qr(normal(4, 4, seed=2))
    assert loss(3 * students @ rotation, teachers).item() == pytest.approx(before)
    assert loss(students, torch.cat([teachers, teachers], -1)).item() == pytest.approx(before)
    tiled = torch.cat([teachers, teachers], -1)
    assert loss(tiled, teachers).item() == pytest.approx(0, abs=1e-12)
    # A shift of all words or layers moves cosines, not angles.
    shifted = loss(students + normal(4, seed=3), teachers).item()
    assert (shifted == pytest.approx(before)) == name.endswith("triple")


@pytest.mark.parametrize("name", ["word_pair", "word_triple"])
def test_the_order_of_the_words_does_not_matter_within_the_window(name):
    students, teachers, order = normal(3, 2, 5, 4), normal(3, 2, 5, 6, seed=1), torch.tensor([3, 0, 4, 1, 2])
    turned = LOSSES[name](students[:, :, order], teachers[:, :, order])
    assert turned.item() == pytest.approx(LOSSES[name](students, teachers).item())


def test_the_largest_difference_of_angles():
    """At word 1: between the others for the teacher, beyond both for the student. 4 is the most a cell can be."""
    teacher, student = torch.tensor([[[-1.0], [0.0], [1.0]]]), torch.tensor([[[1.0], [0.0], [2.0]]])
    # Vertex 0: teacher 1, student -1; vertex 1: teacher -1, student 1; vertex 2: 1 and 1.
    assert word_triple(student, teacher, torch.ones(1, 3)).item() == pytest.approx(8 / 3)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_words_have_no_relations(count):
    student = normal(1, 4, 3).requires_grad_()
    mask = (torch.arange(4) < count)[None]
    total = word_pair(student, normal(1, 4, 3, seed=1), mask) + word_triple(student, normal(1, 4, 3, seed=1), mask)
    total.backward()
    assert total.item() == 0
    assert not student.grad.any()


def test_a_sentence_of_one_word_does_not_thin_the_mean():
    student, teacher = normal(2, 4, 3), normal(2, 4, 3, seed=1)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])
    assert word_pair(student, teacher, mask).item() == pytest.approx(word_pair(student[:1], teacher[:1], mask[:1]).item())


def test_the_angles_take_no_memory_of_differences():
    """B L W^2 numbers: neither all triples nor neighbours times the width are laid out, forward or backward."""
    sizes = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(x.numel() for x in (out if isinstance(out, tuple | list) else [out]) if isinstance(x, torch.Tensor))
            return out

    student = normal(1, 64, 384).requires_grad_()
    with Sizes():
        word_triple(student, normal(1, 64, 384, seed=1), torch.ones(1, 64)).backward()
    assert max(sizes) == max(64 * 20 * 20, 64 * 384)


@pytest.mark.parametrize("spread", [1.0, 0.03])
@pytest.mark.parametrize("loss", [word_triple, layer_triple])
def test_states_far_from_zero_and_close_together_keep_their_angles_in_float32(loss, spread):
    """Hidden states share a large part; dot products alone would round away what tells them apart."""
    shape = (2, 9, 64) if loss is word_triple else (4, 2, 9, 64)
    shared, mask = 20 * normal(64), torch.ones(2, 9)
    student, teacher = (shared + spread * normal(*shape, seed=1)).float(), (shared + normal(*shape, seed=2)).float()
    exact = student.double().requires_grad_()
    expected = loss(exact, teacher.double(), mask)
    found = loss(student.requires_grad_(), teacher, mask)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    expected.backward()
    assert (student.grad - exact.grad).norm() < 1e-4 * exact.grad.norm()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [33, 100])
def test_words_that_are_alike_have_no_direction_between_them(kind, width):
    """Three words over and over, as static embeddings have them: the angles that need the difference of two equals are 0."""
    student = (5 + normal(1, 3, width, seed=3)).to(kind).repeat(1, 6, 1).requires_grad_()
    teacher, mask = normal(1, 18, 7, seed=4).to(kind), torch.ones(1, 18)
    found = word_triple(student, teacher, mask, window=None)
    found.backward()
    assert found.item() == pytest.approx(word_triple_by_loops(student, teacher, mask), rel=1e-5)
    assert student.grad.abs().max() < 1


@pytest.mark.parametrize("window", [0, 1, 2, 20, -3])
def test_windows_without_a_middle_are_refused(window):
    with pytest.raises(ValueError, match=f"odd number of at least 3.*got {window}"):
        word_triple(normal(1, 4, 3), normal(1, 4, 3), torch.ones(1, 4), window=window)


@pytest.mark.parametrize("loss", [layer_pair, layer_triple])
def test_two_layers_are_too_few(loss):
    with pytest.raises(ValueError, match=r"three matched layers.*\(2, 1, 4, 3\).*always 0"):
        loss(normal(2, 1, 4, 3), normal(2, 1, 4, 3), torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"students \(3, 1, 4, 3\), teachers \(4, 1, 4, 3\)"):
        loss(normal(3, 1, 4, 3), normal(4, 1, 4, 3), torch.ones(1, 4))
