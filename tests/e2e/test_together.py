"""`torchrun -m distill run`: one run, one report, one message, however many processes."""

from __future__ import annotations

import json

import pytest
import tiny
import together

import distill
from distill.files import sha256_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def launch(home, recipe_file, tmp_path, monkeypatch):
    """launch(*arguments): `distill run` of the small recipe in two processes."""
    timing = {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0, "passes": 1, "rounds": 1, "repeats": 0}
    plain = json.loads((home / recipe_file).read_text("utf-8"))
    recipe = {**plain, "export": {"presets": ["fp32"]}, "measure": timing, "train": {"precision": "fp32", "evaluate_every": 0.5}}
    (home / "together.yaml").write_text(json.dumps(recipe), "utf-8")
    monkeypatch.chdir(home)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str):
        return together.launch(2, "-m", "distill", "run", "together.yaml", *arguments)

    return run


def test_a_run_in_two_processes_is_one_run(launch, quick, tmp_path):
    augment = "data.augment={method: ngrams, variants: 2}"
    ended = launch("--out", str(tmp_path / "two"), augment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("report: ") == 1
    assert ended.stderr.count("signals: ") == 1
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text("utf-8"))
    facts = {entry["name"]: entry["facts"] for entry in manifest["stages"]}
    assert facts["training"]["processes"] == 2
    assert facts["signals"]["computed"] > 0
    assert facts["data"]["augmented"] > 0
    quick(tmp_path / "one", "train.dropout=0", augment)
    assert sha256_folder(tmp_path / "two" / "data") == sha256_folder(tmp_path / "one" / "data")
    left, right = ([line for line in together.read_log(tmp_path / name) if "loss" in line] for name in ("one", "two"))
    assert [line["loss"] for line in right] == pytest.approx([line["loss"] for line in left], abs=1e-4)


def test_a_labelled_run_in_two_processes_is_one_run(tmp_path, no_stopwatch, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_classifier(tmp_path / "trained", layers=3)
    tiny.write_task(tmp_path, "classification", 0, 120)
    timing = {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0, "passes": 1, "rounds": 1, "repeats": 0}
    recipe = {
        "name": "tiny",
        "task": "classification",
        "teacher": {"model": "trained", "max_length": 64},
        "data": {"train": "rows.tsv", "dev": {"share": 0.2}, "augment": {"method": "ngrams", "variants": 2, "labels": "copy"}},
        "student": {"layers": 2},
        "stages": [{"losses": ["kl_divergence"], "epochs": 2, "batch_size": 16, "learning_rate": 1e-3}],
        "train": {"precision": "fp32", "dropout": 0},
        "export": {"presets": ["fp32"]},
        "measure": timing,
    }
    (tmp_path / "tiny.yaml").write_text(json.dumps(recipe), "utf-8")
    ended = together.launch(2, "-m", "distill", "run", "tiny.yaml", "--out", "two", DISTILL_CACHE=str(tmp_path / "cache"))
    assert ended.returncode == 0, ended.stderr
    distill.run("tiny.yaml", out="one")
    assert sha256_folder(tmp_path / "two" / "data") == sha256_folder(tmp_path / "one" / "data")
    left, right = ([line for line in together.read_log(tmp_path / name) if "loss" in line] for name in ("one", "two"))
    assert [line["loss"] for line in right] == pytest.approx([line["loss"] for line in left], abs=1e-4)


def test_when_the_first_process_fails_one_message_tells(launch, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine", "utf-8")
    ended = launch("--out", str(tmp_path / "foreign"))
    assert ended.returncode != 0
    assert ended.stderr.count("this folder is not empty and holds no run") == 1
    assert "of this run ended" not in ended.stderr
    assert [item.name for item in (tmp_path / "foreign").iterdir()] == ["thesis.txt"]
