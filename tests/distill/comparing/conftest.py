"""Runs to compare."""

from __future__ import annotations

import pytest
from compared import PredictedRun


@pytest.fixture
def make(tmp_path):
    """make(name) -> a run that is not written yet."""
    return lambda name: PredictedRun(tmp_path / "runs" / name)


@pytest.fixture
def pair(make):
    """Two equal runs on disk, a and b."""
    return make("a").write(), make("b").write()
