"""The shared reduction, and the refusal of embeddings that do not belong together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.losses.reduce import batch_mean, masked_mean, matched_pair, shared_batch

numbers = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, st.booleans()), min_size=1, max_size=40))
def test_the_mean_is_that_of_the_rows_that_count(rows):
    values = torch.tensor([row[0] for row in rows], dtype=torch.float64)
    kept = [value for value, keep in rows if keep]
    expected = sum(kept) / len(kept) if kept else 0.0
    for mask in (torch.tensor([row[1] for row in rows]), torch.tensor([float(row[1]) for row in rows])):
        assert masked_mean(values, mask).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_without_a_mask_everything_counts():
    assert masked_mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).item() == 3.0


@given(st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=20), st.data())
def test_the_parts_of_a_shared_batch_add_up_to_its_mean(rows, data):
    values, mask = torch.tensor([row[0] for row in rows], dtype=torch.float64), torch.tensor([row[1] for row in rows])
    cut = data.draw(st.integers(0, len(rows)))
    parts = []
    for own in (slice(0, cut), slice(cut, None)):
        with shared_batch(lambda count: mask.sum()):
            parts.append(masked_mean(values[own], mask[own]))
    assert sum(parts).item() == pytest.approx(masked_mean(values, mask).item(), rel=1e-12, abs=1e-12)
    with shared_batch(lambda value: mask.sum() if value.dtype == torch.long else value * 2):
        assert batch_mean(values, mask).item() == pytest.approx(2 * masked_mean(values, mask).item(), rel=1e-12, abs=1e-12)


def test_a_mask_that_selects_nothing_gives_zero_and_no_gradient():
    values = torch.tensor([1.0, float("nan")], requires_grad=True)
    total = masked_mean(values, torch.zeros(2))
    total.backward()
    assert total.item() == 0.0
    assert values.grad.tolist() == [0.0, 0.0]
    empty = torch.zeros(0, requires_grad=True)
    masked_mean(empty).backward()


def test_a_mask_is_never_broadcast():
    with pytest.raises(ValueError, match=r"mask has shape \(3,\), expected \(2, 3\)"):
        masked_mean(torch.zeros(2, 3), torch.ones(3))


def test_half_precision_counts_a_large_batch():
    """512 sentences make 130,816 pairs: more than float16 can count (65,504), or bfloat16 can add one by one."""
    values, mask = torch.full((512, 512), 2.0), torch.ones(512, 512).triu(1)
    for kind in (torch.float16, torch.bfloat16):
        assert masked_mean(values.to(kind), mask).item() == 2.0


@pytest.mark.parametrize(
    ("student", "teacher", "mask", "words"),
    [
        ((3,), (3,), None, r"\[batch, dim\]; got student \(3,\), teacher \(3,\)"),
        ((2, 3, 4), (2, 3, 4), None, r"\[batch, dim\]"),
        ((2, 4), (3, 4), None, "student has 2 rows, teacher 3"),
        ((1, 4), (3, 4), None, "student has 1 rows, teacher 3"),
        ((2, 4), (2, 5), None, "student is 4 wide, teacher 5: map the student up with a bridge"),
        ((2, 4), (2, 1), None, "student is 4 wide, teacher 1"),
        ((2, 4), (2, 4), (3,), r"mask has shape \(3,\), expected \(2,\)"),
        ((2, 4), (2, 4), (2, 4), r"mask has shape \(2, 4\), expected \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_broadcast(student, teacher, mask, words):
    given_mask = None if mask is None else torch.ones(mask)
    with pytest.raises(ValueError, match=words):
        matched_pair(torch.zeros(student), torch.zeros(teacher), given_mask, same_width=True)


def test_other_widths_pass_where_only_relations_are_compared():
    ours, theirs = matched_pair(torch.zeros(2, 4).half(), torch.zeros(2, 7).double(), None, same_width=False)
    assert (ours.dtype, theirs.dtype) == (torch.float32, torch.float64)
