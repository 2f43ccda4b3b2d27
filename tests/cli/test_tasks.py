"""What bad input of a labelled task gets: one message with the remedy and exit code 2, before the first step."""

from __future__ import annotations

import json

import pytest
import tiny

HEADS = ("got:", "expected:", "try:")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """encoder/ (3 layers, 4 heads), trained/ (with the labels of the data), single/ (the same, one label a text), other/ (with
    other labels), letters/ (another tokenizer), sentences/ (a sentence encoder)."""
    folder = tmp_path_factory.mktemp("models")
    tiny.write_encoder(folder / "encoder", layers=3)
    tiny.write_classifier(folder / "trained", layers=3)
    tiny.write_classifier(folder / "other", ("good", "bad", "ugly"), layers=3)
    tiny.write_classifier(folder / "unnamed", ("LABEL_0", "LABEL_1", "LABEL_2"), layers=3)
    config = tiny.write_classifier(folder / "single", layers=3) / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text("utf-8")) | {"problem_type": "single_label_classification"}), "utf-8"
    )
    tiny.saved(folder / "sentences", layers=3)
    tiny.write_encoder(folder / "letters", layers=3)
    file = folder / "letters" / "tokenizer.json"
    tree = json.loads(file.read_text("utf-8"))
    tree["normalizer"]["lowercase"] = False
    file.write_text(json.dumps(tree), "utf-8")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a labelled file of every kind."""
    monkeypatch.chdir(tmp_path)
    for kind in tiny.TASK_FILES:
        tiny.write_task(tmp_path, kind, 0, 60)
    return tmp_path


CUT = "student={kind: layers, layers: 2}"
REGRESSION = ["task=regression", "stages=[{losses: [logits_mse], max_steps: 1}]"]
MULTILABEL = ["task=multilabel", "stages=[{losses: [soft_binary_cross_entropy], max_steps: 1}]", "data.train=labels.tsv"]
KNOWN = ["teacher.model={models}/trained", "teacher.finetune=null"]

CASES = {
    # name -> recipe, overrides, what the message says
    "untrained head": (
        "tinybert-task",
        ["teacher.finetune=null"],
        ["teacher.model", "not trained for the task", "teacher.finetune.epochs=3"],
    ),
    "a teacher of one label a text": (
        "tinybert-task",
        [*MULTILABEL, "teacher.model={models}/single", "teacher.finetune=null"],
        ["teacher.model", "problem_type: single_label_classification", "set task: classification", "teacher.finetune.epochs=3"],
    ),
    "a digit that is no number": (
        "tinybert-task",
        ["data.train=circled.tsv", "data.labels=[negative, positive]"],
        ["circled.tsv", "row 3", "①", "one of the labels given: negative, positive"],
    ),
    "half a character": ("tinybert-ner", ["data.train=half.jsonl"], ["half.jsonl", "row 1", "'tokens'", "halves of characters"]),
    "label sets that differ": (
        "tinybert-task",
        ["teacher.model={models}/other", "teacher.finetune=null"],
        ["bad", "weather", "trained on these labels"],
    ),
    "labels without names": (
        "tinybert-task",
        ["teacher.model={models}/unnamed", "teacher.finetune=null"],
        ["LABEL_0", "weather", "data.labels: [place, time, weather]"],
    ),
    "another tokenizer and inner losses": (
        "tinybert-task",
        ["student={kind: layers, from: {models}/letters, layers: 2}"],
        ["stages.0.losses", "attention_mse", "letters", "kl_divergence", "start the student from the teacher"],
    ),
    "another tokenizer and predictions of tokens": (
        "tinybert-ner",
        ["student.from={models}/letters", "stages=[{losses: [kl_divergence]}]"],
        ["stages.0.losses", "kl_divergence", "letters", "start the student from the teacher"],
    ),
    "head counts that differ": (
        "tinybert-task",
        ["student={kind: tiny, layers: 2, hidden: 24, heads: 3}"],
        ["stages.0.losses", "attention_mse", "4 attention heads, the student 3", "losses that fit: ", "minilm_v2"],
    ),
    "relation heads that do not divide": (
        "tinybert-task",
        ["student={kind: tiny, layers: 2, hidden: 24, heads: 4}", "stages.0.losses=[{name: minilm_v2, relation_heads: 5}]"],
        ["5 relation heads", "32 and 24", "1, 2, 4, 8"],
    ),
    "layer map out of range": (
        "tinybert-task",
        [CUT, "stages.0.layer_map=[[0, 0], [9, 1]]"],
        ["stages.0.layer_map", "[9, 1]", "teacher 0 to 2", "student 0 to 1"],
    ),
    "layer map with more students than teachers": (
        "tinybert-task",
        ["student={kind: tiny, layers: 5, hidden: 24, heads: 4}"],
        ["stages.0.layer_map", "student 5 layers, teacher 3"],
    ),
    "longer than a cut student's positions": (
        "tinybert-task",
        ["student={kind: layers, layers: 2, max_length: 4000}"],
        ["student.max_length", "4000", "at most 64"],
    ),
    "longer than a small student's positions": (
        "tinybert-task",
        ["student={kind: tiny, layers: 2, hidden: 24, heads: 4, max_length: 4000}"],
        ["student.max_length", "4000", "at most 64"],
    ),
    "longer than the teacher's positions": ("tinybert-task", [CUT, "teacher.max_length=4000"], ["4000", "at most 64"]),
    "too many layers": ("ckd", ["student.layers=9"], ["9", "3"]),
    "a BiLSTM without inner states": (
        "ckd",
        ["student={kind: bilstm, dim: 16, hidden: 8}"],
        ["ckd_", "BiLSTM", "logits_mse"],
    ),
    "wrong column": (
        "tinybert-task",
        ["data.train={source: rows.tsv, columns: [txet, label]}"],
        ["data.train.0", "rows.tsv", "txet", "'text'"],
    ),
    "no label column": ("tinybert-task", ["data.train={source: rows.tsv, columns: [text]}"], ["rows.tsv", "label"]),
    "missing file": ("tinybert-task", ["data.train=row.tsv"], ["data.train.0", "row.tsv", "rows.tsv"]),
    "missing tagged file": ("tinybert-ner", ["data.train=word.conll"], ["word.conll", "words.conll"]),
    "missing questions": ("tinybert-qa", ["data.train=question.json"], ["question.json", "questions.json"]),
    "one class": ("tinybert-task", ["data.train=one.tsv"], ["one.tsv", "every label is 'place'"]),
    "a label that training never saw": (
        "tinybert-task",
        ["data.evaluate.test=one-more.tsv"],
        ["one-more.tsv", "row 2", "sport", "place, time, weather"],
    ),
    "NaN score": ("tinybert-task", [*REGRESSION, "data.train=nan.tsv"], ["nan.tsv", "row 3", "nan", "a finite number"]),
    "every score alike": ("tinybert-task", [*REGRESSION, "data.train=alike.tsv"], ["alike.tsv", "every score is the same"]),
    "a regression teacher with classes": (
        "tinybert-task",
        [*KNOWN, *REGRESSION, "data.train=scores.tsv", CUT],
        ["trained", "3 outputs", "1"],
    ),
    "a tag that is none": ("tinybert-ner", ["data.train=bad.conll"], ["bad.conll", "row 2", "NOUN", "B-type"]),
    "an answer that is not there": ("tinybert-qa", ["data.train=bad.json"], ["bad.json", "A cat"]),
    "windows that share too much": ("tinybert-qa", ["data.stride=60"], ["data.stride", "lower data.stride"]),
    "too few rows": ("tinybert-task", ["data.train=few.tsv"], ["data", "too few"]),
}

FILES = {
    "one.tsv": "text\tlabel\n" + "".join(f"Sentence number {n}.\tplace\n" for n in range(20)),
    "one-more.tsv": "text\tlabel\nNobody plays here.\tsport\nRain falls.\tweather\n",
    "nan.tsv": "text\tscore\nA man eats.\t1.5\nA dog runs.\tnan\n",
    "alike.tsv": "text\tscore\nA man eats.\t1.5\nA dog runs.\t1.5\n",
    "circled.tsv": "text\tlabel\nA man eats.\t1\nA dog runs.\t①\n",
    "half.jsonl": json.dumps({"tokens": ["a", "\ud83d"], "ner_tags": ["O", "B-thing"]}) + "\n",
    "labels.tsv": "text\tlabel\n" + "".join(f"Sentence {n}.\t{'place|time' if n % 2 else 'weather'}\n" for n in range(30)),
    "few.tsv": "text\tlabel\nA man eats.\tplace\nA dog runs.\ttime\n",
    "bad.conll": "Seoul\tB-LOC\nshines\tNOUN\n",
    "bad.json": json.dumps(
        {
            "data": [
                {
                    "paragraphs": [
                        {
                            "context": "A dog waits.",
                            "qas": [{"id": "1", "question": "Who?", "answers": [{"text": "A cat", "answer_start": 0}]}],
                        }
                    ]
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case, cli, models, place):
    name, overrides, words = CASES[case]
    for file, content in FILES.items():
        (place / file).write_text(content, "utf-8")
    kind = {"tinybert-ner": "tokens", "tinybert-qa": "spans"}.get(name, "classification")
    common = [f"teacher.model={models / 'encoder'}", "teacher.max_length=64", f"data.train={tiny.TASK_FILES[kind]}"]
    if name == "tinybert-qa":
        common += ["data.stride=16", "student.layers=2"]
    code, out, err = cli("run", name, *common, *[text.replace("{models}", str(models)) for text in overrides], "--quiet")
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    told = " ".join(err.split())
    assert all(word in told for word in words), err
    assert any(head in err for head in HEADS), err
    left = {item.name for item in (place / "runs" / name).glob("*")} if (place / "runs").exists() else set()
    # The page is that of a run that goes on: it says how far this one came.
    assert left <= {"manifest.json", "recipe.yaml", ".lock", "data", "report.html"}, "no model, no checkpoint, no report"
    assert not list(place.rglob("*.tmp-*"))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("sentences", ["masked-LM", "leave out the losses mlm and mlm_kl"]),
        ("encoder", ["masked-LM", "pretrained masked-LM model"]),
    ],
)
def test_masked_tokens_need_the_teachers_head(model, words, cli, models, place):
    tiny.write_lines(place / "sentences.txt")
    code, _, err = cli(
        "run",
        "distilbert",
        f"teacher.model={models / model}",
        "teacher.max_length=64",
        "student.layers=[0, 2]",
        "data.train=sentences.txt",
        "--quiet",
    )
    assert code == 2, err
    assert "Traceback" not in err
    assert all(word in " ".join(err.split()) for word in words), err
    assert {item.name for item in (place / "runs" / "distilbert").glob("*")} <= {"manifest.json", "recipe.yaml", ".lock"}


def test_masked_tokens_need_the_teachers_width(cli, models, place):
    tiny.write_lines(place / "sentences.txt")
    tiny.write_masked_lm(place / "masked", layers=3)
    code, _, err = cli(
        "run",
        "distilbert",
        "teacher.model=./masked",
        "teacher.max_length=64",
        "student={kind: tiny, layers: 2, hidden: 24, heads: 4}",
        "data.train=sentences.txt",
        "--quiet",
    )
    assert code == 2, err
    assert "need the teacher's width and vocabulary" in " ".join(err.split())
    assert {item.name for item in (place / "runs" / "distilbert").glob("*")} <= {"manifest.json", "recipe.yaml", ".lock"}


def test_check_tells_what_the_first_rows_show(cli, models, place):
    code, _, err = cli(
        "check",
        "tinybert-task",
        f"teacher.model={models / 'missing'}",
        "data.train=row.tsv",
        "data.unlabelled=[rows.tsv, {source: rows.tsv, columns: [txet]}]",
        "data.evaluate.test={source: rows.tsv, columns: [text, lable]}",
        "data.dev=python-docs",
    )
    assert code == 2
    told = " ".join(err.split())
    for word in ("teacher.model", "data.train.0", "data.unlabelled.1", "data.evaluate.test", "'label'", "data.dev", "no labels"):
        assert word in told, err
    assert "data.unlabelled.0" not in told


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [("tinybert-task", "classification"), ("pkd", "pairs"), ("tinybert-ner", "tokens"), ("tinybert-qa", "spans")],
)
def test_check_passes_what_can_run(recipe, kind, cli, models, place):
    file = tiny.TASK_FILES[kind]
    model, student = f"teacher.model={models / 'encoder'}", "student={kind: layers, layers: 2}"
    code, out, err = cli("check", recipe, model, student, f"data.train={file}", f"data.evaluate.test={file}")
    assert (code, err) == (0, "")
    assert f"{recipe}: this recipe can run" in out


@pytest.mark.parametrize("recipe", ["tinybert-task", "tinybert-ner", "tinybert-qa"])
def test_check_of_a_shipped_task_names_the_file_that_it_asks_for(recipe, cli, place):
    code, _, err = cli("check", recipe)
    assert code == 2
    assert "data.train.0" in err
