"""A whole sweep on models that are built here: the teacher reads each text once, and an interrupted sweep goes on."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
import stopwatch

import distill
from distill.files import sha256_folder

SMALL = ["export.presets=[fp32]", "train.max_steps=2"]


class Swept(NamedTuple):
    sweep: Any
    read: list[int]


@pytest.fixture(scope="module")
def swept(home, recipe_file, tmp_path_factory):
    """A sweep of two numbers of layers; how many texts the store had the teacher read, call by call."""
    from teachers.store import EmbeddingStore

    read: list[int] = []
    label = EmbeddingStore.label

    def counted(self, texts, embed, **options):
        def reading(some):
            read.append(len(some))
            return embed(some)

        return label(self, texts, reading, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("DISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
        patch.setattr(EmbeddingStore, "label", counted)
        sweep = distill.sweep_runs(recipe_file, [*SMALL, "student.layers=1,2"], out="swept")
    return Swept(sweep, read)


def test_the_teacher_reads_each_text_once(swept, home):
    data = json.loads((home / "swept" / "layers-1" / "manifest.json").read_text("utf-8"))
    counts = next(stage["facts"] for stage in data["stages"] if stage["name"] == "data")
    first, second = swept.sweep.runs
    assert first.computed == counts["train"] + counts["dev"] == sum(swept.read) == swept.sweep.computed
    assert (second.computed, second.reused) == (0, first.computed)
    manifest = json.loads((home / "swept" / "sweep.json").read_text("utf-8"))
    assert manifest["teacher_sentences_computed"] == first.computed
    assert [run["state"] for run in manifest["runs"]] == ["done", "done"]


def test_it_ends_in_a_comparison(swept, home):
    found = swept.sweep.comparison
    assert [run.label for run in found.runs] == ["layers-1", "layers-2"]
    assert found.advice.run in ("layers-1", "layers-2")
    assert found.advice.sentence.startswith("Ship the file 'fp32' of layers-")
    assert any(one.front for one in found.candidates)
    assert [row.path for row in found.differences] == ["student.layers"]
    assert {file.name for file in (home / "swept").glob("compare.*")} == {"compare.html", "compare.md", "compare.json"}


def test_each_run_is_a_whole_run(swept, home):
    for number in (1, 2):
        folder = home / "swept" / f"layers-{number}"
        assert distill.load_recipe(folder / "recipe.yaml").student.layers == number
        assert (folder / "report.html").is_file()
        assert (folder / "student" / "model.safetensors").is_file()


def test_finished_runs_are_kept_and_new_values_run(swept, home, monkeypatch, recipe_file):
    monkeypatch.chdir(home)
    asked: list[list[str]] = []
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in(asked))
    before = {number: sha256_folder(home / "swept" / f"layers-{number}") for number in (1, 2)}
    again = distill.sweep_runs(recipe_file, [*SMALL, "student.layers=1,2,3"], out="swept")
    assert len(asked) == 1, "one new run"
    assert {number: sha256_folder(home / "swept" / f"layers-{number}") for number in (1, 2)} == before
    assert [run.state for run in again.runs] == ["done"] * 3
    assert len(again.comparison.runs) == 3
