"""Every labelled task from a plain encoder to its report, and what a run may and may not do again."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import stopwatch
import tiny
import torch
import transformers
from compared import same_as_itself

import distill
from distill.errors import ModelError, UserError
from distill.files import sha256_file
from distill.train.task import model_logits
from students.heads import load_head_student
from teachers.heads import CLASSES

KINDS = tuple(tiny.TASK_FILES)
TASKS = {kind: "classification" if kind == "pairs" else kind for kind in KINDS}
SOFT = {"multilabel": "soft_binary_cross_entropy", "regression": "logits_mse"}
QUICK = {"batch_size": 16, "learning_rate": 1e-3}
TRAIN, TEST = 200, 80
"""Rows of each labelled file."""


@pytest.fixture(scope="module")
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


def recipe(kind, **parts):
    """A recipe in two stages for one kind of data; `parts` replace whole parts of it."""
    task = TASKS[kind]
    return {
        "name": "tiny",
        "task": task,
        "teacher": {"model": "encoder", "max_length": 64, "finetune": {"epochs": 3, **QUICK}},
        "data": {
            "train": tiny.TASK_FILES[kind],
            "dev": {"share": 0.2},
            "evaluate": {"test": f"test-{tiny.TASK_FILES[kind]}"},
            "stride": 16,
        },
        "student": {"layers": 2},
        "stages": [
            {"name": "inner", "losses": ["attention_mse", "hidden_mse"], "max_steps": 3, **QUICK},
            {"name": "prediction", "losses": [SOFT.get(task, "kl_divergence"), "hard_label"], "epochs": 1, **QUICK},
        ],
        "train": {"precision": "fp32", "evaluate_every": 0.5},
        "export": {"presets": ["fp32"]},
        **parts,
    }


class Trained(Exception):
    """The student is trained and saved; what follows is not of interest."""


@pytest.fixture
def train(monkeypatch):
    """train(recipe, out): a run that ends when the student is on disk."""

    def stop(self):
        raise Trained

    def run(tree, out, **options):
        with monkeypatch.context() as patch:
            patch.setattr("distill.tasks.run.Proof.go", stop)
            with pytest.raises(Trained):
                distill.run(tree, out=out, **options)

    return run


def read(path):
    return json.loads(path.read_text("utf-8"))


def facts(out, stage):
    return next(entry for entry in read(out / "manifest.json")["stages"] if entry["name"] == stage)["facts"]


def keys(out):
    return {entry["name"]: entry["key"] for entry in read(out / "manifest.json")["stages"]}


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]


def score(out, model, name="test"):
    return read(out / "quality.json")["models"][model][name]["value"]


def weights(out):
    return sha256_file(out / "student" / "model.safetensors")


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """The folder of a whole classification run."""
    out = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
        distill.run(recipe("classification"), out=out)
    return out


def taught(trained, **parts):
    """A recipe that takes the teacher of that run as it is, one stage of predictions."""
    stage = {"losses": ["kl_divergence"], "max_steps": 3, **QUICK}
    parts = {"teacher": {"model": str(trained / "teacher"), "max_length": 64}, "stages": [stage], **parts}
    return recipe("classification", **parts)


# Every task.


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_task(kind, tmp_path):
    out, task = tmp_path / "run", TASKS[kind]
    report = distill.run(recipe(kind), out=out)
    assert report.passed
    assert report.summary
    assert "work" not in {item.name for item in out.iterdir()}
    assert read(out / "report.json")["headline"]["task"] == "test"
    assert [entry["stage"] for entry in log(out) if "loss" in entry][:3] == ["inner"] * 3
    tables = {file.stem: pq.read_table(file).to_pydict() for file in (out / "predictions" / "test").glob("*.parquet")}
    assert set(tables) == {"teacher", "student", "fp32"}
    assert all(len(table["score"]) == TEST for table in tables.values())
    again(task, tables["student"], score(out, "student"))
    assert same_as_itself(out, tmp_path)["test"] == read(out / "quality.json")["tasks"]["test"]["metric"]
    compared(task, out, tables)
    assert score(out, "fp32") == pytest.approx(score(out, "student"), abs=1e-6)
    assert score(out, "fp32", "agreement") == pytest.approx(score(out, "student", "agreement"), abs=1e-6)
    model, tokenizer = load_head_student(out / "student", CLASSES[task])
    plain = getattr(transformers, CLASSES[task]).from_pretrained(out / "student")
    assert type(plain) is type(model)
    assert tokenizer.model_max_length == 64
    if task not in ("regression", "spans"):
        assert list(model.config.id2label.values()) == read(out / "data" / "labels.json")


def compared(task, out, tables):
    """What the report makes of the stored predictions: a test against the teacher, and every example that differs told."""
    told = read(out / "report.json")
    quality = next(model["quality"]["test"] for model in told["models"] if model["name"] == "student")
    assert told["problems"] == []
    assert told["going"] is None
    assert quality["against_teacher"]["difference"] == pytest.approx(score(out, "student") - score(out, "teacher"), abs=1e-5)
    parts = {part["task"]: part for part in told["disagreements"]}
    assert set(parts) == {"test", "agreement"}
    ours, theirs = (tables[name]["prediction"] for name in ("fp32", "teacher"))
    assert parts["test"]["model"] == "fp32"
    if task != "regression":
        assert parts["test"]["differing"] == sum(a != b for a, b in zip(ours, theirs, strict=True))
    if task == "classification":
        assert all(0 < value <= 1 for value in tables["student"]["confidence"])
    assert (out / "samples.csv").read_text("utf-8").count("\n") > 3


def again(task, table, value):
    """The metric, counted again from the file of predictions."""
    from scipy.stats import spearmanr

    gold, guess = table.get("label"), table["prediction"]
    if task == "classification":
        expected = np.mean([a == b for a, b in zip(gold, guess, strict=True)])
    elif task == "regression":
        expected = spearmanr(gold, guess).statistic
    elif task == "multilabel":
        pairs = [({*a.split("|")} - {""}, {*b.split("|")} - {""}) for a, b in zip(gold, guess, strict=True)]
        both, ours, theirs = (sum(map(len, part)) for part in ([a & b for a, b in pairs], *zip(*pairs, strict=True)))
        expected = 2 * both / (ours + theirs)
    elif task == "tokens":
        sides = [{(row, *span) for row, tags in enumerate(side) for span in entities(tags.split())} for side in (gold, guess)]
        expected = 2 * len(sides[0] & sides[1]) / max(1, len(sides[0]) + len(sides[1]))
    else:
        expected = np.mean(table["score"])
    assert value == pytest.approx(expected, abs=1e-9)


def entities(tags):
    """(type, first word, word after the last) of each entity; one that begins with I- counts as begun."""
    found = []
    for place, tag in enumerate(tags):
        before = tags[place - 1] if place else "O"
        if tag != "O" and (tag[0] == "B" or before[2:] != tag[2:]):
            end = place + 1
            while end < len(tags) and tags[end] == f"I-{tag[2:]}":
                end += 1
            found.append((tag[2:], place, end))
    return found


def test_a_teacher_learns_what_the_words_tell(trained):
    assert score(trained, "teacher") > 0.6
    assert read(trained / "quality.json")["tasks"]["test"] == {"kind": "classification", "metric": "accuracy", "n": TEST}


# What runs again.

NOT_AGAIN = [
    "distill.tasks.training.train_task",
    "distill.tasks.heads.train_task",
    "distill.tasks.training.teacher_logits",
    "distill.tasks.proof.write_head_presets",
    "distill.tasks.proof.check_head_parity",
    "distill.tasks.proof.run_over",
]


@pytest.fixture
def never(monkeypatch):
    """never("package.function", ...): from now on a call of it is a failure."""

    def forbid(*names):
        for name in names:
            monkeypatch.setattr(name, lambda *a, _name=name, **k: pytest.fail(f"{_name} was called"))

    return forbid


def test_an_unchanged_run_trains_nothing(trained, never):
    before = keys(trained)
    report = read(trained / "report.json")
    never(*NOT_AGAIN, "distill.proving.measure_models")
    distill.run(recipe("classification"), out=trained)
    assert keys(trained) == before
    assert read(trained / "report.json") == report
    distill.run(trained / "recipe.yaml", out=trained)
    assert keys(trained) == before


def test_another_grid_is_measured_and_nothing_else(trained, tmp_path, never, no_stopwatch):
    out = shutil.copytree(trained, tmp_path / "run")
    before = keys(out)
    never(*NOT_AGAIN)
    distill.run(recipe("classification", measure={"sequence": [16]}), out=out, force=True)
    assert len(no_stopwatch) == 1
    assert {name for name, key in keys(out).items() if key != before[name]} == {"measure"}


class Killed(BaseException):
    """As a signal would end the process: no handler of ours catches it."""


@pytest.fixture
def kill(monkeypatch):
    """kill(stage) -> context: the run ends when training reaches that stage of the recipe, or `teacher`."""
    from distill.train import stages

    real = stages._run_stage

    def until(stage):
        def run_stage(recipe, spec, *rest, **options):
            if spec.name == stage:
                raise Killed
            return real(recipe, spec, *rest, **options)

        context = pytest.MonkeyPatch.context()
        patch = context.__enter__()
        patch.setattr(stages, "_run_stage", run_stage)
        return context

    return until


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["teacher", "inner", "prediction"])
def test_a_killed_run_goes_on_where_it_was(stage, trained, tmp_path, kill, monkeypatch, train):
    out = tmp_path / "run"
    context = kill(stage)
    with pytest.raises(Killed):
        distill.run(recipe("classification"), out=out)
    context.__exit__(None, None, None)
    seen = []
    from distill.train import stages

    real = stages._run_stage
    monkeypatch.setattr(stages, "_run_stage", lambda r, spec, *a, **k: seen.append(spec.name) or real(r, spec, *a, **k))
    train(recipe("classification"), out)
    assert seen == ["teacher", "inner", "prediction"][["teacher", "inner", "prediction"].index(stage) :]
    assert weights(out) == weights(trained)
    assert [(entry["stage"], entry["step"]) for entry in log(out)] == [(entry["stage"], entry["step"]) for entry in log(trained)]


# Labels.


def relabelled(source, folder, order):
    """A copy of a classifier whose outputs stand in another order, names with them."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source)
    with torch.no_grad():
        for part in (model.classifier.weight, model.classifier.bias):
            part.copy_(part[list(order)].clone())
    names = [model.config.id2label[place] for place in order]
    model.config.id2label, model.config.label2id = dict(enumerate(names)), {name: place for place, name in enumerate(names)}
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def test_labels_are_matched_by_name(trained, tmp_path):
    """The same teacher with its outputs in another order says the same, and so does its student."""
    swapped = relabelled(trained / "teacher", tmp_path / "swapped", (2, 0, 1))
    outs = []
    for model in (trained / "teacher", swapped):
        outs.append(tmp_path / f"run-{model.name}")
        distill.run(taught(trained, teacher={"model": str(model), "max_length": 64}), out=outs[-1])
    assert score(outs[0], "teacher") == score(outs[1], "teacher") == score(trained, "teacher")
    assert score(outs[0], "student") == score(outs[1], "student")
    assert [read(out / "student" / "config.json")["id2label"] for out in outs] == [dict(zip("012", tiny.LABELS, strict=True))] * 2
    first, second = (load_head_student(out / "student", CLASSES["classification"])[0].state_dict() for out in outs)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-5, rtol=0)


def test_a_trained_teacher_in_another_order_is_fine_tuned_in_the_order_of_the_data(trained, tmp_path):
    swapped = relabelled(trained / "teacher", tmp_path / "swapped", (2, 0, 1))
    teacher = {"model": str(swapped), "max_length": 64, "finetune": {"epochs": 0.2, "batch_size": 16, "learning_rate": 1e-6}}
    out = tmp_path / "run"
    distill.run(taught(trained, teacher=teacher), out=out)
    names = dict(zip("012", tiny.LABELS, strict=True))
    assert read(out / "teacher" / "config.json")["id2label"] == names
    assert read(out / "student" / "config.json")["id2label"] == names
    assert score(out, "teacher") == pytest.approx(score(trained, "teacher"), abs=0.02)


# Vocabulary and other start models.


@pytest.mark.parametrize("store_states", [None, "fp32"])
def test_the_teacher_reads_the_tokens_of_a_trimmed_student(store_states, trained, tmp_path, train):
    """The whole teacher with fewer pieces: its inner states and predictions are the teacher's before it learns anything."""
    stage = {"losses": ["attention_mse", "hidden_mse", "embedding_layer_mse"], "max_steps": 1, "batch_size": 16}
    out = tmp_path / "run"
    student = {"layers": 3, "vocabulary": {"min_count": 1}}
    settings = {"precision": "fp32", "evaluate_every": 0.5, "store_states": store_states}
    train(taught(trained, student=student, stages=[stage], train=settings), out)
    assert log(out)[0]["loss"] < 1e-6
    model, tokenizer = load_head_student(out / "student", CLASSES["classification"])
    whole = read(trained / "teacher" / "config.json")["vocab_size"]
    assert model.config.vocab_size == len(tokenizer) < whole
    told = facts(out, "student")["vocabulary"]
    assert (told["pieces"], told["of"]) == (len(tokenizer), whole)
    assert 0 <= told["unknown_before"] <= told["unknown"] <= 1
    assert told["longer"] >= 1


@pytest.mark.parametrize("kind", ["pairs", "tokens"])
def test_one_run_of_the_teacher_gives_states_and_logits(kind, tmp_path, train, monkeypatch):
    """Every row goes through the teacher once, whatever is asked of it, and the student learns what it learns without a store."""
    tree = recipe(kind, teacher={"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.1, "batch_size": 16}})
    tree["stages"][0]["layer_map"], tree["stages"][1]["max_steps"] = "last", 3
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    train(tree, tmp_path / "live")
    read_rows = []

    def watched(self, inputs):
        read_rows.extend(inputs["input_ids"].tolist())
        return model_logits(self.model, inputs, self.task)

    monkeypatch.setattr("distill.tasks.beside.Predictions.raw", watched)
    monkeypatch.setattr("distill.tasks.logits.run_over", lambda *_, **__: pytest.fail("the teacher is asked again"))
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "other"))
    train({**tree, "train": {**tree["train"], "store_states": "fp32"}}, tmp_path / "stored")
    told = facts(tmp_path / "stored", "training")["stages"][0]["stored_states"]
    assert told["computed"] == told["rows"] > 0
    assert len(read_rows) == len({tuple(row) for row in read_rows})
    for one, other in zip(log(tmp_path / "live"), log(tmp_path / "stored"), strict=True):
        if "losses" in one:
            assert other["losses"] == pytest.approx(one["losses"], rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", ["tokens", "spans"])
def test_token_level_predictions_of_a_trimmed_student_stand_beside_the_teachers(kind, tmp_path, train):
    """With rare pieces gone some words fall apart into more tokens: the teacher is asked about the same ones."""
    out = tmp_path / "run"
    stages = [{"losses": ["kl_divergence"], "max_steps": 2, "batch_size": 16}]
    student = {"layers": 3, "vocabulary": {"size": 100}}
    teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.1, "batch_size": 16}}
    train(recipe(kind, teacher=teacher, student=student, stages=stages), out)
    assert log(out)[0]["loss"] < 1e-5


def letters(folder, **shape):
    """An encoder whose tokenizer knows letters alone."""
    tiny.write_encoder(folder, **shape)
    file = folder / "tokenizer.json"
    tree = read(file)
    vocabulary = tree["model"]["vocab"]
    tree["model"]["vocab"] = {p: i for p, i in vocabulary.items() if p.startswith("[") or len(p.removeprefix("##")) == 1}
    file.write_text(json.dumps(tree), "utf-8")
    return folder


@pytest.mark.parametrize("kind", ["layers", "bilstm"])
def test_a_start_model_with_another_tokenizer_learns_from_predictions(kind, trained, tmp_path, train):
    start = letters(tmp_path / "letters", layers=2, hidden=24)
    out = tmp_path / "run"
    student = {"from": str(start), "layers": [0]}
    if kind == "bilstm":
        student = {"kind": "bilstm", "dim": 24, "hidden": 12}
    train(taught(trained, student=student), out)
    assert facts(out, "student")["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "loss"), [("classification", "hidden_mse"), ("tokens", "kl_divergence"), ("spans", "logits_mse")]
)
def test_losses_between_tokens_need_one_tokenizer(kind, loss, tmp_path):
    start = letters(tmp_path / "letters", layers=2, hidden=48)
    out = tmp_path / "run"
    stages = [{"losses": [loss], "max_steps": 1, "batch_size": 16}]
    with pytest.raises(ModelError, match=r"start the student from the teacher(.|\n)*hard_label"):
        distill.run(recipe(kind, student={"from": str(start), "layers": 1}, stages=stages), out=out)
    assert {item.name for item in out.iterdir()} <= {"manifest.json", "recipe.yaml", ".lock", "data"}
    assert not list(out.rglob("*.tmp-*"))


# Data.


def test_unlabelled_text_is_learnt_from(trained, tmp_path, train):
    (tmp_path / "more.txt").write_text("".join(f"Nobody has labelled sentence {n}.\n" for n in range(40)), "utf-8")
    data = {**recipe("classification")["data"], "unlabelled": str(tmp_path / "more.txt")}
    out = tmp_path / "run"
    both = [
        {"name": "all", "losses": ["kl_divergence", "hard_label"], "epochs": 1, **QUICK},
        {"name": "gold", "losses": ["hard_label"], "epochs": 1, "data": "labelled", **QUICK},
    ]
    train(taught(trained, data=data, stages=both), out)
    counts = facts(out, "data")
    assert counts["train"] == counts["labelled"] + 40
    steps = [entry["planned_steps"] for entry in facts(out, "training")["stages"]]
    assert steps == [-(-counts["train"] // 16), -(-counts["labelled"] // 16)]
    table = pq.read_table(out / "data" / "train.parquet").to_pydict()
    assert table["label"][-40:] == [-100] * 40
    assert min(table["label"][:-40]) >= 0


def test_answers_of_unlabelled_questions_are_not_told(place, tmp_path, train):
    """With gold labels alone a stage on all rows learns what one on the labelled rows learns."""
    tiny.write_task(tmp_path, "spans", 0, 40)
    tiny.write_task(tmp_path, "spans", 40, 60, "more.json")
    data = {"train": str(tmp_path / "questions.json"), "unlabelled": str(tmp_path / "more.json"), "stride": 16}
    runs = []
    for part in ("train", "labelled"):
        stage = {"losses": ["hard_label"], "epochs": 1, "batch_size": 64, "data": part, "learning_rate": 1e-3}
        teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, "batch_size": 16}}
        runs.append(tmp_path / part)
        train(recipe("spans", teacher=teacher, data=data, stages=[stage]), runs[-1])
    assert facts(runs[0], "data")["train"] == facts(runs[0], "data")["labelled"] + 20
    assert log(runs[0])[0]["loss"] == pytest.approx(log(runs[1])[0]["loss"], abs=1e-5)


def test_rows_of_an_evaluation_set_are_kept_out(trained, tmp_path, train):
    """Case, spaces and punctuation make no other text of it."""
    rows = tiny.text_rows()
    lines = [f"{text.upper().rstrip('.')} !\t{label}" for text, label in rows[:30]]
    (tmp_path / "test.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", "utf-8")
    out = tmp_path / "run"
    data = {"train": "rows.tsv", "evaluate": {"test": str(tmp_path / "test.tsv")}}
    train(taught(trained, data=data), out)
    assert facts(out, "data")["removed_evaluation"] == 30
    kept = {name: pq.read_table(out / "data" / f"{name}.parquet").to_pydict()["text"] for name in ("train", "dev")}
    assert not {text for text, _ in rows[:30]} & {*kept["train"], *kept["dev"]}
    assert not {*kept["train"]} & {*kept["dev"]}
    assert len(kept["train"]) + len(kept["dev"]) == TRAIN - 30


@pytest.mark.slow
def test_the_other_engine_trains_the_same_student(train, tmp_path):
    """TextBrewer behind the same recipe: the same start, the same batches, the same losses to 1e-5."""
    stages = [
        {"name": "inner", "losses": ["attention_mse", "hidden_mse", "embedding_layer_mse"], "max_steps": 3, **QUICK},
        {"name": "prediction", "losses": ["soft_cross_entropy", "hard_label"], "max_steps": 3, **QUICK},
    ]
    found = {}
    for engine in ("trainer", "textbrewer"):
        settings = {"precision": "fp32", "evaluate_every": 1.0, "engine": engine, "patience": None}
        teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, **QUICK}}
        out = tmp_path / engine
        train(recipe("classification", stages=stages, train=settings, teacher=teacher), out)
        assert not [path for path in out.rglob("*") if path.suffix in (".pkl", ".bin", ".pt")]
        found[engine] = (log(out), load_head_student(out / "student", CLASSES["classification"])[0].state_dict())
    (lines, ours), (other_lines, theirs) = found["trainer"], found["textbrewer"]
    first, second = ([line for line in side if "losses" in line] for side in (lines, other_lines))
    assert [(line["stage"], line["step"]) for line in first] == [(line["stage"], line["step"]) for line in second]
    assert {name for line in first for name in line["losses"]} == {name for stage in stages for name in stage["losses"]}
    for one, two in zip(first, second, strict=True):
        assert one["losses"] == pytest.approx(two["losses"], abs=1e-5)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_a_textbrewer_configuration_trains_a_student(train, tmp_path):
    """Read from its file, refused by file and key where the models have no such layer, and not needed again."""
    file = tmp_path / "distill_config.json"
    match = {"layer_T": 4, "layer_S": 2, "feature": "hidden", "loss": "hidden_mse", "weight": 1}
    teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, **QUICK}}
    asked = recipe("classification", stages=[{"losses_from": str(file), "max_steps": 2, **QUICK}], teacher=teacher)
    file.write_text(json.dumps({"temperature": 8, "intermediate_matches": [match]}), "utf-8")
    with pytest.raises(UserError, match=r"distill_config.json: intermediate_matches.0.layer_T") as caught:
        distill.run(asked, out=tmp_path / "refused")
    assert caught.value.exit_code == 2
    file.write_text(json.dumps({"temperature": 8, "intermediate_matches": [match | {"layer_T": 3}]}), "utf-8")
    train(asked, tmp_path / "run")
    assert [set(line["losses"]) for line in log(tmp_path / "run") if "losses" in line] == [
        {"soft_cross_entropy", "hidden_mse_2_3"}
    ] * 2
    file.unlink()
    before = keys(tmp_path / "run")
    train(tmp_path / "run" / "recipe.yaml", tmp_path / "run")
    assert keys(tmp_path / "run") == before


# What clients do with the logits, and what decides a stage.


@pytest.mark.parametrize("told", [None, "single_label_classification"])
@pytest.mark.parametrize("student", [{"layers": 2}, {"kind": "tiny", "layers": 2, "hidden": 24, "heads": 4}, {"kind": "bilstm"}])
def test_the_task_decides_what_clients_do_with_logits(told, student, place, tmp_path, train):
    """Whatever its teacher's config.json says, or does not: a student of several labels is read through a sigmoid."""
    config = tiny.write_classifier(tmp_path / "teacher", ("animal", "late", "outside"), layers=3) / "config.json"
    config.write_text(json.dumps(read(config) | ({} if told is None else {"problem_type": told})), "utf-8")
    teacher = {"model": str(config.parent), "max_length": 64}
    tree = recipe("multilabel", teacher=teacher, student=student)
    tree["stages"] = [{"losses": ["soft_binary_cross_entropy"], "max_steps": 2, **QUICK}]
    if told is not None:
        with pytest.raises(ModelError, match="problem_type: single_label"):
            distill.run(tree, out=tmp_path / "refused")
        tree["teacher"] = {**teacher, "finetune": {"epochs": 0.1, **QUICK}}
    out = tmp_path / "run"
    train(tree, out)
    assert read(out / "student" / "config.json")["problem_type"] == "multi_label_classification"
    if told is not None:
        assert read(out / "teacher" / "config.json")["problem_type"] == "multi_label_classification"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("classification", {"train.gradient_accumulation": 4}),
        ("spans", {"data.stride": 8}),
        ("spans", {"data.answer_unit": "character"}),
    ],
)
def test_a_teacher_is_trained_again_when_what_trains_it_changes(kind, change, tmp_path, train):
    """In the same folder as in a new one."""
    tree = recipe(kind)
    tree["teacher"]["finetune"] = {"epochs": 1, **QUICK}
    tree["stages"] = [{"losses": ["kl_divergence"], "max_steps": 1, **QUICK}]
    train(tree, tmp_path / "run")
    before = keys(tmp_path / "run")["finetune"]
    for name, value in change.items():
        part, key = name.split(".")
        tree[part] = {**tree[part], key: value}
    with pytest.raises(UserError, match="force"):
        distill.run(tree, out=tmp_path / "run")
    train(tree, tmp_path / "run", force=True)
    assert keys(tmp_path / "run")["finetune"] != before
    train(tree, tmp_path / "new")
    file = "teacher/model.safetensors"
    assert sha256_file(tmp_path / "run" / file) == sha256_file(tmp_path / "new" / file)


def test_words_without_spaces_are_other_data(place, tmp_path, train):
    """Neither the run's own stages nor the shared cache of what the teacher said take one for the other."""
    rng = np.random.default_rng(0)
    rows = rng.choice(list("0123456789"), (80, 6)).tolist()
    text = "\n\n".join("\n".join(f"{c}\t{'O' if n else 'B-x'}" for n, c in enumerate(row)) for row in rows)
    (tmp_path / "digits.conll").write_text(f"{text}\n", "utf-8")
    tiny.write_classifier(tmp_path / "teacher", ("B-x", "O"), layers=3, auto_class=CLASSES["tokens"])
    tree = recipe("tokens", teacher={"model": str(tmp_path / "teacher"), "max_length": 64})
    tree["stages"] = [{"losses": ["kl_divergence"], "max_steps": 2, **QUICK}]
    tree["data"] = {"train": str(tmp_path / "digits.conll"), "dev": {"share": 0.2}}
    train(tree, tmp_path / "run")
    apart = weights(tmp_path / "run")
    tree["data"] = {**tree["data"], "joined_words": True}
    train(tree, tmp_path / "run", force=True)
    train(tree, tmp_path / "cached")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CACHE", str(tmp_path / "empty"))
        train(tree, tmp_path / "new")
    assert weights(tmp_path / "run") == weights(tmp_path / "cached") == weights(tmp_path / "new") != apart


# Every family, and the BiLSTM, through a whole training.


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "albert"])
def test_every_family_is_distilled_in_two_stages(family, tmp_path, train):
    """Inner states, then predictions, with padded batches. Layers of ALBERT cannot be cut."""
    tiny.write_classifier(tmp_path / "teacher", family=family, layers=3)
    tree = recipe("classification", teacher={"model": str(tmp_path / "teacher"), "max_length": 64})
    for stage in tree["stages"]:
        stage |= {"max_steps": 2}
    tree["stages"][0]["losses"] = ["attention_mse", "hidden_mse", "embedding_layer_mse", "minilm_v2"]
    train(tree, tmp_path / "run")
    stages = facts(tmp_path / "run", "training")["stages"]
    assert [stage["layer_map"] for stage in stages] == [[[0, 0], [2, 1]], None]
    assert {name for line in log(tmp_path / "run") for name in line.get("losses", ())} >= {
        "attention_mse",
        "minilm_v2",
        "hard_label",
    }
    model, _ = load_head_student(tmp_path / "run" / "student", CLASSES["classification"])
    assert model.config.model_type == family


@pytest.mark.parametrize("kind", ["pairs", "multilabel", "regression"])
def test_a_bilstm_of_every_task_of_texts(kind, tmp_path):
    """Trained, exported, and the same to a plain session; pairs go through one encoder, side by side."""
    task = TASKS[kind]
    loss = SOFT.get(task, "logits_mse")
    stage = {"losses": [loss], "max_steps": 4, **QUICK}
    student = {"kind": "bilstm", "dim": 16, "hidden": 8}
    tree = recipe(kind, student=student, stages=[stage], export={"presets": ["fp32", "fast"]})
    tree["teacher"]["finetune"] = {"epochs": 0.2, **QUICK}
    assert distill.run(tree, out=tmp_path / "run").passed
    assert score(tmp_path / "run", "fp32") == pytest.approx(score(tmp_path / "run", "student"), abs=1e-6)
    config = read(tmp_path / "run" / "student" / "config.json")
    assert (config["model_type"], config["siamese"]) == ("distill-bilstm", kind == "pairs")
