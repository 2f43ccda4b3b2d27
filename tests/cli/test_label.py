"""`distill label` on the command line."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest


@pytest.fixture
def asked(monkeypatch):
    """What the command asks `distill.labelling.label` for."""
    calls = []
    module = ModuleType("distill.labelling")
    module.label = lambda recipe, **options: calls.append((recipe.name, options)) or {"computed": 1200, "reused": 34}
    monkeypatch.setitem(sys.modules, "distill.labelling", module)
    return calls


def test_every_option_reaches_it_and_the_counts_are_told(cli, asked, tmp_path):
    code, out, _ = cli("label", "quickstart", "--ray", "auto", "--workers", 3, "--out", tmp_path / "r", "--force")
    assert code == 0
    assert out.splitlines()[0] == "labels: 1,200 sentences labelled now, 34 were there"
    assert asked == [("quickstart", {"out": tmp_path / "r", "force": True, "ray": "auto", "workers": 3})]


def test_workers_are_of_ray(cli, asked):
    code, _, err = cli("label", "quickstart", "--workers", 3)
    assert (code, asked) == (2, [])
    assert "--ray" in err


def test_a_mistake_of_the_recipe_is_told_first(cli, asked):
    code, _, err = cli("label", "quickstart", "student.layers=99x")
    assert (code, asked) == (2, [])
    assert "student" in err
