"""What whole runs share: models and text in a folder, a small recipe, and a stand-in for the stopwatch."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import stopwatch
import tiny


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A working folder with teacher/ (4 layers, 32 wide), start/, wide/ (48), sentences.txt and sts.csv."""
    folder = tmp_path_factory.mktemp("home")
    tiny.saved(folder / "teacher", layers=4, hidden=32)
    tiny.saved(folder / "start", layers=3, hidden=32, seed=1)
    tiny.saved(folder / "wide", layers=3, hidden=48, seed=2)
    tiny.write_lines(folder / "sentences.txt")
    tiny.write_sts(folder / "sts.csv", tiny.sts_rows(40))
    return folder


@pytest.fixture
def at_home(home, monkeypatch):
    """The working folder is `home`: paths are given as a user in it gives them."""
    monkeypatch.chdir(home)
    return home


RECIPE = {
    "name": "tiny",
    "teacher": {"model": "teacher"},
    "data": {"train": "sentences.txt", "evaluate": {"sts": "sts.csv"}},
    "student": {"layers": 2},
    "stages": [{"losses": ["embedding_cosine", "similarity_matrix"], "epochs": 6, "batch_size": 16, "learning_rate": 1.0e-3}],
    "train": {"precision": "fp32", "evaluate_every": 0.5, "dropout": None},
    "measure": {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0},
}


@pytest.fixture(scope="session")
def recipe_file(home):
    """`RECIPE` as a file in `home`: JSON is YAML."""
    (home / "tiny.yaml").write_text(json.dumps(RECIPE), "utf-8")
    return "tiny.yaml"


@pytest.fixture
def no_stopwatch(monkeypatch):
    """measure.json without measuring, for tests of something else; gives the names of the variants it was asked for."""
    asked: list[list[str]] = []
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in(asked))
    return asked


class Trained(Exception):
    """The student is trained and saved; what follows is not of interest."""


@pytest.fixture
def until_trained(monkeypatch):
    """until_trained(run, *args, **options): `run(*args, **options)`, which ends when the student is on disk."""

    def stop(self):
        raise Trained

    def call(run, *args, **options):
        with monkeypatch.context() as patch:
            patch.setattr("distill.proving.Proof.go", stop)
            with pytest.raises(Trained):
                run(*args, **options)

    return call


@pytest.fixture
def train(quick, until_trained):
    """train(out, *overrides, **objects): a run of `RECIPE` that ends when the student is on disk."""
    return partial(until_trained, quick)


@pytest.fixture
def train_recipe(until_trained):
    """train_recipe(recipe, out, **options): a run of any recipe that ends when the student is on disk."""
    import distill

    def run(recipe, out: Path, **options):
        until_trained(distill.run, recipe, out=out, **options)

    return run


@pytest.fixture
def never(monkeypatch):
    """never("package.function", ...): from now on a call of it is a failure."""

    def forbid(*names):
        for name in names:
            monkeypatch.setattr(name, lambda *a, _name=name, **k: pytest.fail(f"{_name} was called"))

    return forbid


@pytest.fixture
def quick(at_home, recipe_file, no_stopwatch):
    """quick(out, *overrides, **objects) -> Report: a run of `RECIPE` with the fp32 file alone and nothing timed."""
    import distill

    def run(out: Path, *overrides, **objects):
        return distill.run(recipe_file, ["export.presets=[fp32]", *overrides], out=out, **objects)

    return run
