"""What runs of labelled tasks share: their files in a folder, and a run that is done."""

from __future__ import annotations

import pytest
import stopwatch
import tiny
from taskruns import TRAIN, recipe

import distill


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with encoder/ (3 layers, 48 wide) and, for each kind of data, a file to train on and test-FILE."""
    folder = tmp_path_factory.mktemp("tasks")
    tiny.write_encoder(folder / "encoder", layers=3, hidden=48)
    for kind, file in tiny.TASK_FILES.items():
        tiny.write_task(folder, kind, 0, TRAIN)
        tiny.write_task(folder, kind, TRAIN, None, f"test-{file}")
    return folder


@pytest.fixture(autouse=True)
def at_place(place, monkeypatch, no_stopwatch):
    """Paths are given as a user in that folder gives them, and nothing is timed."""
    monkeypatch.chdir(place)


@pytest.fixture(scope="session")
def trained(place, tmp_path_factory):
    """The folder of a whole classification run."""
    out = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
        distill.run(recipe("classification"), out=out)
    return out
