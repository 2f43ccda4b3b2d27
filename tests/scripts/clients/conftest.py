"""The programs of scripts/clients import each other by name, as they do when they run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[3] / "scripts" / "clients"


@pytest.fixture(autouse=True)
def clients(monkeypatch):
    """scripts/clients, importable for one test."""
    monkeypatch.syspath_prepend(str(HERE))
    before = set(sys.modules)
    yield HERE
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "x").parent == HERE:
            del sys.modules[name]
