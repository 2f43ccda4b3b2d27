"""Accounts of parts add up to that of the whole; samples depend on what was made alone."""

from __future__ import annotations

import itertools
import json
import random

import toyaugment
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.augment.account import SAMPLES, Account, report_lines, report_markdown
from distill.data.augment.base import Rng

EXAMPLES = toyaugment.examples(60)
MAKE = toyaugment.Make()


def account(examples):
    return Account.of(*MAKE().augment_counted(examples, Rng(1)), seed=1)


def test_counts_by_hand():
    from distill.data.augment.base import Example
    from distill.data.augment.pairs import Tally

    made = [
        Example("a b", row=4, words=2),
        Example("a c", row=4, variant=1, changed=1, words=2),
        Example("d e", row=4, variant=2, changed=2, words=2),
        Example("f", row=7, words=1),
    ]
    found = Account.of(made, Tally(examples=2, draws=8, kept=2, duplicates=3, unchanged=2, empty=1), seed=0).report()
    assert found["variants_per_example"] == {"mean": 1.0, "min": 0, "max": 2}
    assert found["examples_without_variants"] == 0.5
    assert found["words_changed"] == 0.75
    assert found["dropped"] == {"duplicates": 3, "unchanged": 2, "empty": 1}
    assert [(sample["row"], sample["original"]) for sample in found["samples"]] == [(4, ["a b"])]


@given(st.lists(st.integers(1, 59), max_size=5), st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_parts_add_up_in_any_order(cuts, seed):
    edges = [0, *sorted(cuts), len(EXAMPLES)]
    parts = [account(EXAMPLES[a:b]) for a, b in itertools.pairwise(edges)]
    random.Random(seed).shuffle(parts)
    total = Account()
    for part in parts:
        total += Account.from_dict(json.loads(json.dumps(part.to_dict())))
    assert total == account(EXAMPLES)
    assert len(total.samples) == SAMPLES


def test_nothing_made_has_a_report():
    report = Account().report()
    assert report["rows"] == 0
    assert report_lines(report)
    assert report_markdown(report, "Nothing").startswith("# Nothing\n")


def test_a_table_holds_any_text():
    from distill.data.augment.base import Example
    from distill.data.augment.pairs import Tally

    made = [Example("a|b\nc", "x" * 400), Example("a|d\nc", "y\\", variant=1)]
    page = report_markdown(Account.of(made, Tally(1, 1, 1), 0).report(), "T")
    (row,) = [line for line in page.splitlines() if "a\\|b c" in line]
    assert row.endswith("a\\|d c<br>y\\\\ |")
    assert "…" in row
