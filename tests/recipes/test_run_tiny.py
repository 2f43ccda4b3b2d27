"""Every shipped recipe runs from end to end, on models that are built here in a second."""

from __future__ import annotations

import json

import numpy as np
import pytest
import stopwatch
import tiny
import torch
import yaml

from distill.recipe_load import load_recipe, recipe_names

ALL = "[fp32, fast, faithful]"
SMALL = "student={kind: tiny, layers: 2, hidden: 24, heads: 4}"
FILES = {"fp32": "model.onnx", "fast": "model_quantized.onnx", "faithful": "model_faithful.onnx"}
REPORT = {"report.md", "report.html", "report.json", "parity.json", "measure.json", "quality.json", "log.jsonl", "data"}
MEASURED = {"quickstart", "tinybert-task", "bert-to-bilstm", "tinybert-qa"}
"""One recipe of each way is measured with the real stopwatch."""

CHANGES = {
    # What does not fit a teacher of 4 layers, 48 wide with 4 heads, and who makes all three files.
    "quickstart": [f"export.presets={ALL}", "data.augment.sentences=60", "data.augment.max_words=25"],
    "sbert-mini": ["student.layers=2"],
    "korean-search": ["student.layers=2", "data.dev.share=0.2", "stages.0.matryoshka=[24, 12]", "vectors.dims=[24, 12]"],
    "multilingual-mse": ["student.layers=2", "data.dev.share=0.2"],
    "multilingual-small": ["student.layers=2", "data.dev.share=0.2"],
    "static": [f"export.presets={ALL}", "data.augment.sentences=60", "data.augment.max_words=25", "student.dim=24"],
    "tinybert-general": [SMALL],
    "minilm-v2": [SMALL],
    "distilbert": ["student.layers=[0, 2]"],
    "tinybert-task": [f"export.presets={ALL}", SMALL],
    "bert-to-bilstm": [f"export.presets={ALL}", "student.dim=24", "student.hidden=12"],
    "tinybert-ner": ["student.layers=2"],
    "tinybert-qa": ["student.layers=2", "data.stride=16"],
    "sbert-sts": ["student.layers=2"],
    "sbert-nli-sts": ["student.layers=2"],
    "simcse": ["student.layers=2"],
}
TEACHING = {
    # What is found on the hub, as files that are made here.
    "sbert-sts": {"sts": "{source: FOLDER/teach.csv, format: stsb}"},
    "sbert-nli-sts": {"nli": "FOLDER/triplets.tsv", "sts": "{source: FOLDER/teach.csv, format: stsb}"},
    "simcse": {"sentences": "FOLDER/sentences.txt"},
}
WIDTHS = {"static": 24}
OF_EMBEDDING = [name for name in recipe_names() if load_recipe(name).task == "embedding"]
OF_TASK = [name for name in recipe_names() if name not in OF_EMBEDDING]
CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders: sentence-transformers teacher and start, a plain encoder, one with its masked-LM head."""
    folder = tmp_path_factory.mktemp("models")
    tiny.saved(folder / "teacher", layers=4, hidden=48)
    tiny.saved(folder / "start", layers=3, hidden=32, seed=1)
    tiny.write_masked_lm(folder / "masked", layers=4, hidden=48)
    return folder


@pytest.fixture
def run(models, tmp_path, monkeypatch):
    """run(name, *overrides) -> (Report, run folder): three steps a stage, the smallest grid, fp32 unless told otherwise."""
    import distill

    def run(name, *overrides):
        if name not in MEASURED:
            monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
        common = [
            "teacher.max_length=64",
            "train.max_steps=3",
            "train.batch_size=16",
            "train.precision=fp32",
            "export.presets=[fp32]",
            "measure={batch: [1], sequence: [32], threads: [1], min_runs: 3, min_seconds: 0}",
        ]
        out = tmp_path / "run"
        return distill.run(name, [*common, *overrides, *CHANGES.get(name, [])], out=out), out

    return run


def teaching(name, folder):
    """Overrides that give a recipe which trains its teacher something to train on: two steps a stage."""
    tiny.write_sts(folder / "teach.csv", tiny.sts_rows(60, seed=3))
    rows = zip(tiny.ENGLISH[:40], tiny.ENGLISH[40:80], tiny.ENGLISH[80:120], strict=True)
    tiny.write_lines(folder / "triplets.tsv", ["anchor\tpositive\tnegative", *map("\t".join, rows)])
    sources = {part: source.replace("FOLDER", str(folder)) for part, source in TEACHING.get(name, {}).items()}
    if not sources:
        return []
    short = [f"teacher.finetune.stages.{n}.{key}" for n in range(len(sources)) for key in ("max_steps=2", "batch_size=8")]
    return [*(f"data.teaching.{part}={source}" for part, source in sources.items()), *short, "data.select=null"]


def check_folder(out, name, models):
    """What every run leaves, whatever it is about."""
    assert {item.name for item in out.iterdir()} >= REPORT
    presets = yaml.safe_load(next((x.partition("=")[2] for x in CHANGES.get(name, []) if "presets" in x), "[fp32]"))
    assert {item.name for item in (out / "student" / "onnx").iterdir()} == {*(FILES[preset] for preset in presets), "gates.json"}
    assert not list(out.rglob("*.bin")) + list(out.rglob("*.pt")) + list(out.rglob("*.tmp-*"))
    assert load_recipe(out / "recipe.yaml").teacher.model.startswith(str(models))
    assert str(models) not in (out / "student" / "config.json").read_text()
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    for stage in load_recipe(name).stages:
        line = next(line for line in steps if line["stage"] == stage.name and "loss" in line)
        assert {loss.name for loss in stage.losses} <= set(line["losses"])


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EMBEDDING)
def test_an_embedding_recipe_runs(name, models, run, tmp_path, monkeypatch):
    import distill

    monkeypatch.chdir(tmp_path)
    changes = []
    if name in tiny.ASKED:
        tiny.write_asked(tmp_path, name)
    else:
        changes = [f"data.train={tiny.write_lines(tmp_path / 'sentences.txt')}"]
    teacher = models / ("masked" if name == "distilbert" else "teacher")
    if getattr(load_recipe(name).student, "from_", "teacher") != "teacher":
        changes.append(f"student.from={models / 'start'}")
    # Of a teacher's training no row with a text of this set is left: the tiny texts are few.
    sts = tiny.write_sts(tmp_path / "sts.csv", tiny.sts_rows(10, seed=9) if name in TEACHING else None)
    report, out = run(
        name,
        f"teacher.model={teacher}",
        f"data.evaluate={{sts: {sts}}}" if name in TEACHING else f"data.evaluate.sts={sts}",
        *teaching(name, tmp_path),
        *changes,
    )
    assert report.passed
    assert [stage.steps for stage in report.finetune.stages] == [2] * len(TEACHING.get(name, ()))
    assert json.loads((out / "report.json").read_text())["headline"]["task"] == "sts"
    assert "work" not in {item.name for item in out.iterdir()}
    check_folder(out, name, models)

    from sentence_transformers import SentenceTransformer

    texts = [*tiny.SENTENCES[:5], ""]
    torch_vectors = SentenceTransformer(str(out / "student"), device="cpu").encode(texts)
    onnx_vectors = distill.load(out / "student", precision="fp32").encode(texts)
    width = WIDTHS.get(name, 24 if "tiny" in str(CHANGES.get(name)) else 48)
    assert torch_vectors.shape == (6, width)
    assert np.abs(torch_vectors - onnx_vectors).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_TASK)
def test_a_task_recipe_runs(name, models, run, tmp_path):
    recipe = load_recipe(name)
    train = tiny.write_task(tmp_path, recipe.task, 0, 120)
    test = tiny.write_task(tmp_path, recipe.task, 120, 160, f"test-{train.name}")
    report, out = run(
        name,
        f"teacher.model={models / 'teacher'}",
        "teacher.finetune={epochs: 0.2}",
        f"data.train={train}",
        f"data.evaluate.test={test}",
    )
    assert report.passed
    found = json.loads((out / "report.json").read_text())
    assert found["headline"]["task"] == "test"
    check_folder(out, name, models)
    rows(out, 40)
    answers(out / "student", recipe.task)


def rows(out, count):
    """One row per example and model."""
    import pyarrow.parquet as pq

    found = {file.stem: pq.read_table(file) for file in (out / "predictions" / "test").glob("*.parquet")}
    assert set(found) >= {"teacher", "student", "fp32"}
    for table in found.values():
        assert table.num_rows == count
        assert {"prediction", "score"} <= set(table.column_names)
    quality = json.loads((out / "quality.json").read_text())
    assert set(quality["models"]) == set(found)


def answers(folder, task):
    """Plain clients load the student and its fp32 file, and both say the same, padded or not."""
    import onnxruntime
    import transformers

    from students.heads import load_head_student

    model, tokenizer = load_head_student(folder, CLASSES[task])
    if hasattr(transformers, type(model).__name__):
        model = getattr(transformers, CLASSES[task]).from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    second = tiny.ENGLISH[3:6] if task == "spans" else None
    batch = tokenizer(tiny.ENGLISH[:3], second, padding=True, return_tensors="pt")
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"))
    names = ["start_logits", "end_logits"] if task == "spans" else ["logits"]
    assert [node.name for node in session.get_outputs()] == names
    with torch.no_grad():
        expected = model(**{name: batch[name] for name in batch})
    found = session.run(names, {node.name: batch[node.name].numpy() for node in session.get_inputs()})
    real = batch["attention_mask"].bool().numpy()
    for name, value in zip(names, found, strict=True):
        ours, theirs = value, expected[name].numpy()
        if task != "classification":
            ours, theirs = ours[real], theirs[real]
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
def test_task_distillation_starts_from_a_general_student(models, run, tmp_path, monkeypatch):
    """As the head of tinybert-general says: its student is cut, gets a head, and learns from the fine-tuned teacher."""
    text = tiny.write_lines(tmp_path / "sentences.txt")
    _, general = run("tinybert-general", f"teacher.model={models / 'teacher'}", f"data.train={text}")
    general = general.rename(tmp_path / "general")
    monkeypatch.setitem(CHANGES, "tinybert-task", [])
    report, out = run(
        "tinybert-task",
        f"teacher.model={models / 'teacher'}",
        "teacher.finetune={epochs: 0.2}",
        f"data.train={tiny.write_task(tmp_path, 'classification', 0, 80)}",
        f"student={{kind: layers, from: {general / 'student'}, layers: 2}}",
    )
    assert report.passed
    assert json.loads((out / "student" / "config.json").read_text())["hidden_size"] == 24
