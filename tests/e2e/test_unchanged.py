"""What a change touches runs again, and nothing else does: read off the hashes of what lies on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
from artefacts import read, stages, weights

import distill
from distill.train import stages as training

FEW = "train.max_steps=3"


NOT_AGAIN = [
    "distill.embedding.run.prepare",
    "distill.embedding.training.search_layers",
    "distill.embedding.training.train_student",
    "distill.proving.write_presets",
    "distill.proving.check_parity",
    "distill.proving.evaluate_models",
    "teachers.load.Teacher.embed",
]


def test_the_resolved_recipe_in_its_own_folder_runs_nothing(quick, tmp_path, monkeypatch, never):
    """The precision was chosen by the run, and stands in recipe.yaml."""
    monkeypatch.setattr(training, "choose_precision", lambda *a: ("fp32", "measured"))
    out = tmp_path / "run"
    report = quick(out, FEW, "train.precision=auto")
    before = {name: entry["key"] for name, entry in stages(out).items()}
    assert distill.load_recipe(out / "recipe.yaml").train.precision == "fp32"
    assert read(out / "manifest.json")["asked"]["train"]["precision"] == "auto"
    never(*NOT_AGAIN)
    assert distill.run(out / "recipe.yaml", out=out) == report
    assert {name: entry["key"] for name, entry in stages(out).items()} == before
    assert read(out / "manifest.json")["asked"]["train"]["precision"] == "auto"
    assert quick(out, FEW, "train.precision=auto") == report  # and what was asked is still the same run


def test_another_evaluation_set_trains_nothing(train, at_home, tmp_path, never):
    """No sentence of it is in the corpus, so the training data are the same."""
    out = tmp_path / "run"
    sentences = [f"Nobody wrote this sentence before number {number}" for number in range(20)]
    rows = list(zip(sentences, reversed(sentences), np.linspace(0, 5, 20).tolist(), strict=True))
    own = tiny.write_sts(at_home / "own.csv", rows)
    train(out, FEW, "data.evaluate.sts=own.csv")
    before, student = stages(out), weights(out)
    tiny.write_sts(own, [(first, second, 5 - score) for first, second, score in rows[:-1]])
    never("distill.embedding.training.train_student", "distill.embedding.training.search_layers", "teachers.load.Teacher.embed")
    train(out, FEW, "data.evaluate.sts=own.csv")
    after = stages(out)
    assert after["data"]["key"] != before["data"]["key"]
    assert {name: after[name]["key"] for name in ("signals", "training")} == {
        name: before[name]["key"] for name in ("signals", "training")
    }
    assert weights(out) == student


def test_an_evaluation_set_that_takes_sentences_away_trains_again(train, at_home, tmp_path):
    """Else the test above would pass where the data are no part of the key."""
    out = tmp_path / "run"
    tiny.write_sts(at_home / "more.csv", tiny.sts_rows(10, seed=4))
    train(out, FEW)
    before = stages(out)["training"]["key"]
    train(out, FEW, "data.evaluate.more=more.csv", force=True)
    assert stages(out)["training"]["key"] != before


def test_the_teachers_length_decides_the_student_though_no_vector_changes(train, tmp_path):
    """Every sentence is shorter than both; the student's own longest input is the teacher's."""
    out = tmp_path / "run"
    train(out, FEW, "student.from=start", "teacher.max_length=60")
    before = stages(out)
    assert read(out / "student" / "sentence_bert_config.json")["max_seq_length"] == 60
    train(out, FEW, "student.from=start", "teacher.max_length=50", force=True)
    after = stages(out)
    for part in ("train_sha256", "dev_sha256"):
        assert before["signals"]["facts"][part] == after["signals"]["facts"][part]
    assert before["training"]["key"] != after["training"]["key"]
    assert read(out / "student" / "sentence_bert_config.json")["max_seq_length"] == 50


def test_an_unchanged_run_needs_no_cache(train, tmp_path, monkeypatch, never):
    """The signals are looked up where training needs them: with another cache nothing is labelled for nothing."""
    out = tmp_path / "run"
    train(out, FEW)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "empty"))
    with monkeypatch.context():
        never("distill.embedding.training.train_student")
        train(out, FEW)
    assert not list((tmp_path / "empty").rglob("*.npy"))


def test_a_training_that_runs_again_gets_the_signals_it_needs(train, tmp_path, monkeypatch):
    """Another seed, the same text, and a cache that was emptied in between."""
    out = tmp_path / "run"
    train(out, FEW)
    before = stages(out), weights(out)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "empty"))
    train(out, FEW, "seed=7", force=True)
    assert stages(out)["signals"] == before[0]["signals"]
    assert list((tmp_path / "empty").rglob("*.npy"))
    assert weights(out) != before[1]


def test_gates_that_were_damaged_are_proved_again(quick, tmp_path):
    out = tmp_path / "run"
    quick(out, FEW)
    gates = out / "student" / "onnx" / "gates.json"
    assert read(gates) == {"fp32": True}
    for damage in (lambda: gates.write_text('{"fp32": false}'), gates.unlink):
        damage()
        quick(out, FEW)
        assert read(gates) == {"fp32": True}


def test_a_narrow_student_goes_by_way_of_its_start_model(train, tmp_path, never):
    """Two stages: a small copy of the start model first, mapped to the teacher afterwards."""
    out = tmp_path / "run"
    stage = {"losses": ["embedding_cosine"], "batch_size": 16, "learning_rate": 1e-3, "max_steps": 3}
    two = [{**stage, "name": "copy", "toward": "start"}, {**stage, "name": "map"}]
    changes = ["teacher.model=wide", "student.from=start", "student.projection=keep", f"stages={json.dumps(two)}"]
    train(out, *changes)
    found = stages(out)
    assert list(found) == ["teacher", "data", "signals", "start signals", "training", "student"]
    texts = found["data"]["facts"]["train"] + found["data"]["facts"]["dev"]
    assert found["start signals"]["facts"]["computed"] + found["start signals"]["facts"]["reused"] == texts
    assert [entry["name"] for entry in found["training"]["facts"]["stages"]] == ["copy", "map"]
    assert found["student"]["facts"]["projection"] == "keep"
    log = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    assert [entry["stage"] for entry in log if "loss" in entry] == ["copy"] * 3 + ["map"] * 3
    never("distill.embedding.training.train_student", "teachers.load.Teacher.embed")
    train(out, *changes)


def test_a_split_of_a_dataset_dict_has_to_be_chosen(quick, tmp_path):
    from datasets import Dataset, DatasetDict

    from distill.errors import DataError

    text = Dataset.from_dict({"text": tiny.SENTENCES})
    with pytest.raises(DataError, match="choose a split"):
        distill.run("tiny.yaml", {"data.train": DatasetDict({"train": text})}, out=tmp_path / "run")
