"""What `distill export` takes for a budget and for text."""

from __future__ import annotations

import pytest

from distill.errors import DataError, UserError
from distill.export.options import MOST, read_budget, read_calibration
from distill.export.search import Budget


def test_a_budget_is_read():
    assert read_budget("min_cosine=0.99", ("fp32", "searched")) == Budget(min_cosine=0.99)
    assert read_budget(None, ("fp32",)) is None


@pytest.mark.parametrize(
    ("text", "presets", "words"),
    [
        ("min_cosine=0.99", ("fp32", "fast"), "add searched to --presets"),
        ("metric_drop=0.01", ("fp32", "searched"), "needs labels"),
        ("min_cosin=0.99", ("fp32", "searched"), "did you mean 'min_cosine'"),
        ("min_cosine", ("fp32", "searched"), "no such budget"),
        ("min_cosine=high", ("fp32", "searched"), "no number"),
        ("min_cosine=", ("fp32", "searched"), "no number"),
        ("min_cosine=1.5", ("fp32", "searched"), "--budget: no such budget"),
        ("min_cosine=nan", ("fp32", "searched"), "no such budget"),
    ],
)
def test_mistakes_are_named(text, presets, words):
    with pytest.raises(UserError, match=words):
        read_budget(text, presets)


def test_text_is_read_once_each(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("a\n\n b \na\n" + "".join(f"{n}\n" for n in range(2 * MOST)), "utf-8")
    assert read_calibration(path)[:4] == ["a", "b", "0", "1"]
    assert len(read_calibration(path)) == MOST
    assert read_calibration(None) == []


@pytest.mark.parametrize("content", [None, b"", b"one line\n", b"\xff\xfe\n"])
def test_text_that_is_none(tmp_path, content):
    path = tmp_path / "t.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.txt"):
        read_calibration(path)
