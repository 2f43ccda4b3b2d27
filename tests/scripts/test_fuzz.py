"""The fuzzers at work for a moment each, on this machine's own chance: hypothesis chooses what to change."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).resolve().parent.parent.parent / "scripts" / "fuzz"


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


targets, fuzz = module("targets"), module("fuzz")
QUICK = settings(max_examples=60, deadline=10_000, derandomize=True, suppress_health_check=list(HealthCheck))
"""The same inputs every time; scripts/fuzz looks for others."""


@pytest.mark.parametrize("name", targets.TARGETS)
def test_sound_inputs_pass(name):
    for seed in targets.seeds(name):
        targets.TARGETS[name](seed)


@pytest.mark.parametrize("name", targets.TARGETS)
@QUICK
@given(seed=st.integers(0, 2**32))
def test_changed_inputs_end_in_a_value_or_an_error_of_ours(name, seed):
    chance = random.Random(seed)
    targets.TARGETS[name](fuzz.changed(chance.choice(targets.seeds(name)), chance))


@pytest.mark.parametrize("name", targets.TARGETS)
@QUICK
@given(data=st.binary(max_size=300))
def test_any_bytes(name, data):
    targets.TARGETS[name](data)


def test_what_goes_wrong_is_kept(tmp_path):
    def target(data):
        raise KeyError("x")

    with pytest.raises(SystemExit, match="another way"):
        fuzz.by_chance(target, [b"one"], 1, 0, tmp_path)
    assert len(list(tmp_path.glob("crash-*"))) == 1
    assert fuzz.by_chance(lambda data: None, [b"one"], 0.05, 0, tmp_path) > 0
