"""Whole runs on models that are built here: what lies on disk, what is run again, what a kill leaves."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from artefacts import facts, read, weights

import distill
from distill.errors import GateError, ModelError, RunError
from distill.files import sha256_file, sha256_folder

STAGES = ["teacher", "data", "signals", "training", "student", "onnx", "parity", "quality", "measure"]
MODELS = ["teacher", "student", "fp32", "fast", "faithful"]


class Run(NamedTuple):
    path: Path
    home: Path
    report: Any
    before: dict[str, str]


@pytest.fixture(scope="module")
def run(home, recipe_file):
    """One whole run with everything measured, made as a user would: names and relative paths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        report = distill.run(recipe_file)
        path = home / "runs" / "tiny"
        return Run(path, home, report, sha256_folder(path))


def test_every_artefact_is_there(run):
    found = {file.relative_to(run.path).as_posix() for file in run.path.rglob("*") if file.is_file()}
    assert {
        "recipe.yaml",
        "manifest.json",
        "log.jsonl",
        "data/train.parquet",
        "data/dev.parquet",
        "data/evaluate-sts.parquet",
        "student/model.safetensors",
        "student/modules.json",
        "student/tokenizer.json",
        "student/README.md",
        "student/onnx/model.onnx",
        "student/onnx/model_quantized.onnx",
        "student/onnx/model_faithful.onnx",
        *(f"predictions/sts/{name}.parquet" for name in MODELS),
        *(f"predictions/agreement/{name}.parquet" for name in MODELS[1:]),
        "parity.json",
        "quality.json",
        "measure.json",
        "report.json",
        "report.md",
        "report.html",
        "samples.csv",
    } <= found
    assert not (run.path / "work").exists()
    assert not [name for name in found if name.endswith((".bin", ".pt", ".pth", ".pkl", ".data")) or ".tmp-" in name]


def test_torch_and_onnx_give_the_same_vectors(run):
    from sentence_transformers import SentenceTransformer

    texts = [*tiny.SENTENCES[:20], "", "word " * 200, "x"]
    path = run.path / "student"
    expected = SentenceTransformer(str(path), device="cpu").encode(texts)
    got = distill.load(path, precision="fp32").encode(texts)
    assert got.shape == expected.shape == (23, 32)
    assert np.abs(got - expected).max() <= 1e-4
    assert np.linalg.norm(got, axis=1) == pytest.approx(np.ones(23), abs=1e-5)


def test_the_resolved_recipe_runs_again(run, monkeypatch):
    monkeypatch.chdir(run.home)
    again = distill.load_recipe("runs/tiny/recipe.yaml")
    assert again == distill.load_recipe("tiny.yaml")  # nothing was left to be chosen: the precision was given
    assert distill.check_recipe(again) == []
    assert read(run.path / "report.json")["recipe"] == again.to_dict()


def test_the_manifest_tells_true_hashes(run):
    manifest = read(run.path / "manifest.json")
    assert [stage["name"] for stage in manifest["stages"]] == STAGES
    outputs = {file: digest for stage in manifest["stages"] for file, digest in stage["outputs"].items()}
    assert {"student/model.safetensors", "student/onnx/model.onnx", "data/train.parquet", "parity.json"} <= outputs.keys()
    for file, digest in outputs.items():
        assert sha256_file(run.path / file) == digest, file
    assert manifest["seed"] == 42
    assert manifest["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert manifest["finished"] >= manifest["created"]


def test_the_headline_follows_from_the_rest_of_the_report(run):
    report = read(run.path / "report.json")
    models = {model["name"]: model for model in report["models"]}
    head = report["headline"]
    best, teacher = models[head["best"]], models["teacher"]
    assert list(models) == MODELS
    assert (head["best"], head["task"], head["metric"]) == ("fast", "sts", "spearman_cosine")
    assert head["retained"] == pytest.approx(best["quality"]["sts"]["value"] / teacher["quality"]["sts"]["value"])
    assert head["smaller"] == pytest.approx(teacher["file_mb"] / best["file_mb"])
    p50 = {name: model["latency"][0]["p50_ms"] for name, model in models.items()}
    assert head["faster"] == pytest.approx(p50["teacher"] / p50["fast"])
    assert run.report.headline.retained == head["retained"]


def test_the_sizes_are_those_of_the_files(run):
    models = {model["name"]: model for model in read(run.path / "report.json")["models"]}
    files = {"student": "model.safetensors", "fp32": "onnx/model.onnx", "fast": "onnx/model_quantized.onnx"}
    for name, file in files.items():
        assert models[name]["file_mb"] == pytest.approx((run.path / "student" / file).stat().st_size / 1e6, abs=1e-3)
    assert models["teacher"]["file_mb"] == pytest.approx(
        (run.home / "teacher" / "model.safetensors").stat().st_size / 1e6, abs=1e-3
    )


def test_the_quality_can_be_worked_out_from_the_predictions(run):
    """Spearman by scipy, on the cosines that are on disk."""
    from scipy.stats import spearmanr

    quality = read(run.path / "quality.json")["models"]
    for name in MODELS:
        table = pq.read_table(run.path / "predictions" / "sts" / f"{name}.parquet").to_pydict()
        assert len(table["score"]) == 40
        assert quality[name]["sts"]["value"] == pytest.approx(spearmanr(table["cosine"], table["score"]).statistic, abs=1e-6)


def test_every_gate_passed_with_room(run):
    models = read(run.path / "parity.json")["models"]
    assert models["fp32"]["max_abs"] <= 1e-4
    assert models["fast"]["mean_cosine"] >= 0.98
    assert models["faithful"]["mean_cosine"] >= 0.999
    assert run.report.passed


def test_the_student_learned(run):
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text("utf-8").splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == facts(run.path, "training")["stages"][0]["steps"]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    dev = [entry["dev"]["agreement_spearman"] for entry in log if "dev" in entry]
    student = facts(run.path, "training")["stages"][0]
    assert student["best_value"] == max(dev)
    assert read(run.path / "quality.json")["models"]["student"]["agreement"]["value"] == pytest.approx(max(dev), abs=1e-4)


def test_no_sentence_of_the_evaluation_set_is_trained_on(run):
    train, dev = (pq.read_table(run.path / "data" / f"{part}.parquet").column("text").to_pylist() for part in ("train", "dev"))
    labelled = {sentence for row in tiny.sts_rows(40) for sentence in row[:2]}
    assert labelled & set(tiny.SENTENCES) == labelled  # they were all in the text
    assert not labelled & {*train, *dev}
    assert not set(train) & set(dev)
    assert facts(run.path, "data")["removed_evaluation"] == len(labelled)
    assert len(train) + len(dev) + len(labelled) == len(tiny.SENTENCES)


def test_nothing_tells_of_this_machine(run):
    """Neither the place of the run, nor that of the project, nor the user's name."""
    project = str(Path(distill.__file__).resolve().parent.parent)
    secrets = [str(run.home).encode(), project.encode(), str(Path.home()).encode() + b"/", b"/tmp/"]
    if len(getpass.getuser()) > 4:  # "root" is in many words
        secrets.append(getpass.getuser().encode())
    files = [*(run.path / "student").rglob("*"), *run.path.glob("*.json"), *run.path.glob("report.*"), run.path / "recipe.yaml"]
    looked_at = [file for file in files if file.is_file()]
    assert len(looked_at) > 15
    for file in looked_at:
        content = file.read_bytes()
        assert [secret for secret in secrets if secret in content] == [], file


def test_the_same_command_again_runs_nothing(run, recipe_file, monkeypatch, capsys):
    monkeypatch.chdir(run.home)
    names = ["embedding.run.prepare", "embedding.training.train_student"]
    names += [f"proving.{name}" for name in ("write_presets", "check_parity", "evaluate_models", "measure_models")]
    for name in names:
        monkeypatch.setattr(f"distill.{name}", lambda *a, _name=name, **k: pytest.fail(f"{_name} ran again"))
    report = distill.run(recipe_file)
    said = capsys.readouterr().err
    assert [stage for stage in STAGES if f"{stage}: unchanged" not in said] == []
    after = sha256_folder(run.path)
    assert {name for name in run.before if after.get(name) != run.before[name]} <= {"manifest.json", ".lock"}
    assert after.keys() == run.before.keys()
    assert report == run.report


def test_another_recipe_is_refused_and_nothing_is_changed(run, recipe_file, monkeypatch):
    monkeypatch.chdir(run.home)
    before = sha256_folder(run.path, skip=(".lock",))
    with pytest.raises(RunError, match="another recipe") as caught:
        distill.run(recipe_file, {"student.layers": 1})
    assert "student.layers: 2 -> 1" in caught.value.got
    assert sha256_folder(run.path, skip=(".lock",)) == before


def test_another_student_reuses_the_teachers_signals(run, train, tmp_path, monkeypatch):
    from teachers.load import Teacher

    monkeypatch.setattr(Teacher, "embed", lambda *a, **k: pytest.fail("a sentence went through the teacher again"))
    train(tmp_path / "other", "student.layers=1", "train.max_steps=3")
    assert facts(tmp_path / "other", "signals")["computed"] == 0
    assert facts(tmp_path / "other", "signals")["reused"] == len(tiny.SENTENCES) - facts(run.path, "data")["removed_evaluation"]


def test_labels_in_bf16_are_told_and_kept(train, tmp_path, monkeypatch):
    monkeypatch.setattr("teachers.precision.native_bf16", lambda: True)
    place, asked = tmp_path / "bf16", ("train.max_steps=3", "teacher.precision=auto")
    train(place, *asked)
    assert facts(place, "signals")["computed"] > 0  # labels in fp32 are in the cache: they are others
    assert distill.load_recipe(place / "recipe.yaml").teacher.precision == "bf16"
    before = weights(place)
    monkeypatch.setattr("teachers.load.Teacher.embed", lambda *a, **k: pytest.fail("a sentence went through the teacher again"))
    train(place, *asked)
    assert weights(place) == before


def test_a_killed_run_ends_with_the_same_student(run, quick, tmp_path):
    """SIGKILL in the middle of training; the signals are in the cache, where both runs find them."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "distill", "run", "tiny.yaml", "export.presets=[fp32]", "--out", str(out)]
    process = subprocess.Popen(command, cwd=run.home, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(out.glob("work/*/main/checkpoint-*/complete.json")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "student").exists()
    assert not list(out.glob("work/*/main/final")), "it had ended already: give it more steps"
    quick(out)
    assert facts(out, "training")["stages"][0]["resumed_at"] > 0
    assert weights(out) == weights(run.path)
    assert (out / "log.jsonl").read_bytes() == (run.path / "log.jsonl").read_bytes()


def test_a_student_that_was_damaged_is_trained_again(run, quick, tmp_path):
    out = tmp_path / "run"
    quick(out, "train.max_steps=3")
    before = sha256_folder(out, skip=("manifest.json", ".lock", "report.json", "report.md", "report.html"))
    file = out / "student" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    quick(out, "train.max_steps=3")
    after = sha256_folder(out, skip=("manifest.json", ".lock", "report.json", "report.md", "report.html"))
    assert {name for name in before if after.get(name) != before[name]} <= {"student/README.md"}  # its numbers of seconds


def test_the_log_of_a_replaced_training_goes(train, tmp_path):
    """With --force and another stage: the old stage's lines would be drawn into the new run's curve."""
    out = tmp_path / "run"
    train(out, "train.max_steps=3")
    train(out, "train.max_steps=2", "stages.0.name=renamed", force=True)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in log if "loss" in entry] == [("renamed", 1), ("renamed", 2)]


def test_objects_instead_of_names(quick, tmp_path):
    """A teacher in training mode, with a prompt of its own; a data set; labelled pairs."""
    from datasets import Dataset

    from distill.data.sources import ScoredPairs

    teacher = tiny.sentence_transformer(layers=3, seed=9, prompts={"query": "query: "}, default_prompt_name="query").train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    first, second, scores = zip(*tiny.sts_rows(30, seed=8), strict=True)
    pairs = ScoredPairs(list(first), list(second), np.array(scores))
    text = Dataset.from_dict({"text": tiny.SENTENCES[:200], "number": list(range(200))})
    out = tmp_path / "run"
    report = quick(out, "train.max_steps=4", teacher=teacher, train=text, evaluate={"sts": pairs})

    assert facts(out, "teacher")["model"] == "custom model"
    assert facts(out, "teacher")["prompt"] == "query: "
    assert facts(out, "data")["read"] == 200
    assert report.models[0].quality["sts"].n == 30
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())

    # What was learned from are the vectors of the teacher without dropout, with its prompt in front.
    from distill.files import cache_dir
    from teachers.load import as_teacher
    from teachers.store import EmbeddingStore

    known = as_teacher(teacher)
    store = EmbeddingStore(cache_dir(), known.fingerprint(), known.dim)
    train = pq.read_table(out / "data" / "train.parquet").column("text").to_pylist()
    rows = store.label(train, lambda texts: pytest.fail("not in the store"))
    expected = teacher.eval().encode(["query: " + text for text in train[:10]], prompt="")
    assert np.abs(rows.gather(np.arange(10)) - expected).max() < 1e-5

    again = quick(out, "train.max_steps=4", teacher=teacher, train=text, evaluate={"sts": pairs})
    assert again == report


def test_the_prompt_of_the_recipe_holds_for_an_object_too(train, tmp_path):
    out = tmp_path / "run"
    train(out, "train.max_steps=2", "teacher.prompt='passage: '", teacher=tiny.sentence_transformer(layers=3, seed=9))
    assert facts(out, "teacher")["prompt"] == "passage: "
    settings = read(out / "student" / "config_sentence_transformers.json")
    assert settings["prompts"][settings["default_prompt_name"]] == "passage: "


def test_a_length_that_an_object_does_not_have_is_refused(quick, tmp_path):
    """It would be left out without a word else: the caller's model is not changed."""
    with pytest.raises(ModelError, match="its own longest input") as caught:
        quick(tmp_path / "run", "teacher.max_length=32", teacher=tiny.sentence_transformer())
    assert "64" in caught.value.expected


@pytest.mark.parametrize(("projection", "width"), [("keep", 48), ("drop", 32)])
def test_a_narrow_student_of_a_wide_teacher(quick, tmp_path, projection, width):
    """The shape of sbert-mini: a teacher 48 wide, a start model 32 wide."""
    from sentence_transformers import SentenceTransformer

    out = tmp_path / "run"
    changes = ["teacher.model=wide", "student.from=start", f"student.projection={projection}", "train.max_steps=8"]
    report = quick(out, *changes)
    assert report.passed
    assert facts(out, "student")["dim"] == width
    assert facts(out, "student")["projection"] == projection
    vectors = SentenceTransformer(str(out / "student"), device="cpu").encode(tiny.SENTENCES[:5])
    assert vectors.shape == (5, width)
    assert np.abs(distill.load(out / "student", precision="fp32").encode(tiny.SENTENCES[:5]) - vectors).max() <= 1e-4
    names = {module["type"].rpartition(".")[2] for module in read(out / "student" / "modules.json")}
    assert ("Dense" in names) == (projection == "keep")
    if projection == "keep":  # a student can query the teacher's index
        wide = SentenceTransformer("wide", device="cpu").encode(tiny.SENTENCES[:5])
        assert (vectors * wide).sum(1).mean() > 0.5


def test_a_file_that_fails_its_gate_gets_no_speed(at_home, recipe_file, no_stopwatch, tmp_path, monkeypatch, capsys):
    from distill import cli, proving

    plain = proving.check_parity

    def strict(*arguments, **options):
        found = plain(*arguments, **options)
        found["models"]["fast"] |= {"passed": False, "mean_cosine": 0.5}
        return found

    monkeypatch.setattr(proving, "check_parity", strict)
    out = tmp_path / "run"
    changes = ["export.presets=[fp32, fast]", "train.max_steps=3"]
    with pytest.raises(GateError, match="fast failed the parity gate") as caught:
        distill.run(recipe_file, changes, out=out)
    assert caught.value.exit_code == 1
    assert "0.98" in caught.value.expected
    assert no_stopwatch == [["teacher", "student", "fp32"]]
    models = {model["name"]: model for model in read(out / "report.json")["models"]}
    assert models["fast"]["latency"] == []
    assert "failed its parity gate" in models["fast"]["note"]
    assert models["fp32"]["latency"][0]["p50_ms"] == 1.0
    assert read(out / "report.json")["headline"]["best"] == "fp32"
    assert (out / "report.html").is_file()
    assert (out / "student" / "README.md").is_file()

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["distill", "run", recipe_file, *changes, "--out", str(out)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert end.value.code == 1
    assert "fast failed the parity gate" in capsys.readouterr().err
    assert len(no_stopwatch) == 1  # nothing was run again to find that out
