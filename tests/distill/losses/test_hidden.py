"""Losses on hidden states, and what losses on tokens share, against hand values, torch and TextBrewer's."""

import pytest
import torch
import torch.nn.functional as F
from textbrewer import presets

from distill.losses.hidden import hidden_cosine, hidden_mse, pkd
from distill.losses.tokens import kl_rows, pair_mask, token_pair

# One text: same way, orthogonal, opposite, 3-4-5 (cosine 24/25)
STUDENT = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [3.0, 4.0]]])
TEACHER = torch.tensor([[[5.0, 0.0], [0.0, 1.0], [0.0, -2.0], [4.0, 3.0]]])
COSINES = [0.0, 1.0, 2.0, 1 / 25]
SQUARES = [16.0, 5.0, 9.0, 2.0]


def states(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kept", [[0], [1], [2], [3], [0, 3], [1, 2], [0, 1, 2, 3]])
def test_hand_values(kept):
    mask = torch.tensor([[position in kept for position in range(4)]])
    mean = sum(COSINES[position] for position in kept) / len(kept)
    assert hidden_cosine(STUDENT, TEACHER, mask).item() == pytest.approx(mean, abs=1e-6)
    mean = sum(SQUARES[position] for position in kept) / len(kept) / 2
    assert hidden_mse(STUDENT, TEACHER, mask).item() == pytest.approx(mean)


@pytest.mark.parametrize("position", range(4))
def test_pkd_by_hand(position):
    """Unit vectors: twice the cosine distance, of the first token alone."""
    student, teacher = STUDENT[:, position:], TEACHER[:, position:]
    assert pkd(student, teacher).item() == pytest.approx(2 * COSINES[position], abs=1e-6)
    assert pkd(student[:, 0], teacher[:, 0]).item() == pytest.approx(2 * COSINES[position], abs=1e-6)
    assert pkd(7 * student, teacher / 3).item() == pytest.approx(2 * COSINES[position], abs=1e-6)


@pytest.mark.parametrize("width", [2, 312])
def test_pkd_does_not_shrink_with_the_width(width):
    """The paper's code averages over dimensions."""
    student, teacher = states(6, 4, width, seed=1), states(6, 4, width, seed=2)
    unit = [F.normalize(state[:, 0], dim=-1) for state in (student, teacher)]
    assert pkd(student, teacher).item() == pytest.approx(width * F.mse_loss(*unit).item())
    assert pkd(student, teacher).item() == pytest.approx(2 * hidden_cosine(student[:, :1], teacher[:, :1], None).item())


def test_pkd_leaves_out_texts_that_begin_with_padding():
    student, teacher = states(3, 4, 5, seed=1), states(3, 4, 5, seed=2)
    expected = pkd(student[[0, 2]], teacher[[0, 2]]).item()
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]])
    assert pkd(student, teacher, mask).item() == pytest.approx(expected)
    assert pkd(student[:, 0], teacher[:, 0], mask[:, 0]).item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 7), (4, 3, 2)])
def test_textbrewer_and_torch_agree(shape):
    """hidden_mse, cos and pkd: scale factor 1."""
    student, teacher = states(*shape, seed=1), states(*shape, seed=2)
    mask = torch.arange(shape[1]).expand(shape[:2]) < torch.arange(1, shape[0] + 1)[:, None]
    losses = presets.MATCH_LOSS_MAP
    for given in (mask, None):
        assert hidden_mse(student, teacher, given).item() == pytest.approx(losses["hidden_mse"](student, teacher, given).item())
        assert hidden_cosine(student, teacher, given).item() == pytest.approx(
            losses["cos"](student, teacher, given).item(), abs=1e-9
        )
    assert pkd(student, teacher).item() == pytest.approx(losses["pkd"](student, teacher).item())
    assert pkd(student[:, 0], teacher[:, 0]).item() == pytest.approx(losses["pkd"](student[:, 0], teacher[:, 0]).item())
    assert hidden_mse(student, teacher, None).item() == pytest.approx(F.mse_loss(student, teacher).item())


def test_an_empty_mask_is_zero_where_textbrewer_has_nan():
    student, teacher, mask = states(2, 3, 4), states(2, 3, 4, seed=1), torch.zeros(2, 3)
    assert presets.MATCH_LOSS_MAP["hidden_mse"](student, teacher, mask).isnan()
    assert hidden_mse(student, teacher, mask).item() == 0


@pytest.mark.parametrize("loss", [hidden_mse, hidden_cosine])
def test_more_padding_does_not_change_the_loss(loss):
    """In TinyBERT's code it counts as tokens."""
    student, teacher, mask = states(2, 4, 5, seed=1), states(2, 4, 5, seed=2), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    padded = loss(F.pad(student, (0, 0, 0, 9), value=3), F.pad(teacher, (0, 0, 0, 9)), F.pad(mask, (0, 9)))
    assert padded.item() == pytest.approx(loss(student, teacher, mask).item())


@pytest.mark.parametrize("loss", [hidden_cosine, pkd])
def test_a_state_of_zeros_is_survived(loss):
    student = states(2, 3, 4)
    student[0, 0] = 0
    student.requires_grad_()
    found = loss(student, states(2, 3, 4, seed=1), None)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", [hidden_mse, hidden_cosine, pkd])
def test_other_widths_need_a_projection(loss):
    for width in (768, 1):
        with pytest.raises(ValueError, match=rf"student is 312 wide, teacher {width} .*learned projection"):
            loss(torch.zeros(2, 3, 312), torch.zeros(2, 3, width), None)


def test_pkd_refuses_what_has_no_first_token():
    for student, teacher in (((2, 0, 4), (2, 0, 4)), ((2, 3, 4), (2, 4, 4)), ((2, 3, 4), (2, 4)), ((4,), (4,)), ((2, 4), (1, 4))):
        with pytest.raises(ValueError, match=r"student \("):
            pkd(torch.zeros(student), torch.zeros(teacher))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 3\), expected \(2,\)"):
        pkd(torch.zeros(2, 4), torch.zeros(2, 4), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("student", "teacher", "mask", "words"),
    [
        ((2, 4), (2, 4), None, r"hidden states are \[batch, length, dim\]; got student \(2, 4\), teacher \(2, 4\)"),
        ((2, 3, 4), (2, 4), None, r"hidden states are \[batch, length, dim\]"),
        ((2, 3, 4), (1, 3, 4), None, r"student \(2, 3, 4\) and teacher \(1, 3, 4\) are not of one batch and length"),
        ((2, 3, 4), (2, 1, 4), None, r"are not of one batch and length"),
        ((2, 3, 4), (2, 3, 1), None, "student is 4 wide, teacher 1"),
        ((2, 3, 4), (2, 3, 4), (2, 1), r"mask has shape \(2, 1\), expected \(2, 3\)"),
        ((2, 3, 4), (2, 3, 4), (2, 3, 4), r"mask has shape \(2, 3, 4\), expected \(2, 3\)"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(student, teacher, mask, words):
    given = None if mask is None else torch.ones(mask)
    with pytest.raises(ValueError, match=words):
        token_pair(torch.zeros(student), torch.zeros(teacher), given, same_width=True)


def test_a_pair_of_other_widths_passes_where_that_is_asked_for():
    student, teacher = torch.ones(1, 2, 3).half(), torch.ones(1, 2, 5).double().requires_grad_()
    ours, theirs = token_pair(student, teacher, torch.tensor([[1, 0]]), same_width=False)
    assert (ours.dtype, theirs.dtype, theirs.requires_grad) == (torch.float32, torch.float64, False)
    assert ours.tolist() == [[[1, 1, 1], [0, 0, 0]]]
    assert theirs.tolist() == [[[1] * 5, [0] * 5]]


def test_pair_mask_by_hand():
    expected = [[[True, False, True], [False, False, False], [True, False, True]]]
    assert pair_mask(torch.tensor([[1, 0, 1]])).tolist() == expected
    with pytest.raises(ValueError, match=r"a mask of tokens is \[batch, length\]; got \(3,\)"):
        pair_mask(torch.ones(3))


def test_kl_rows_against_torch():
    student, teacher = states(4, 3, 6, seed=1), states(4, 3, 6, seed=2)
    expected = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    torch.testing.assert_close(kl_rows(student, teacher), expected)
    assert (kl_rows(student, student) == 0).all()
