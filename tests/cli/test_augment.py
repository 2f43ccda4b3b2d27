"""`distill augment`: a file of texts and variants, a report of it, and errors that say what to do."""

from __future__ import annotations

import json
import sys

import pyarrow.parquet as pq
import pytest
import tiny

from distill.errors import UserError

MODELS = ["teacher.model={place}/trained", "teacher.finetune=null"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny.write_classifier(folder / "trained", layers=1)
    tiny.write_encoder(folder / "encoder", layers=1)
    tiny.write_masked_lm(folder / "masked", layers=1)
    roberta = folder / "roberta"
    tiny.write_encoder(roberta, layers=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (roberta / name).exists():
            (roberta / name).write_text((roberta / name).read_text("utf-8").replace("[MASK]", "<mask>"), "utf-8")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, models):
    """An empty folder with data, and links to the models."""
    monkeypatch.chdir(tmp_path)
    for name in ("trained", "encoder", "masked", "roberta"):
        (tmp_path / name).symlink_to(models / name)
    for kind in ("classification", "pairs", "multilabel", "regression", "tokens"):
        tiny.write_task(tmp_path, kind, 0, 40)
    tiny.write_lines(tmp_path / "lines.txt", tiny.SENTENCES[:30])
    (tmp_path / "nothing.txt").write_text("")
    return tmp_path


TASK = ["tinybert-task", "teacher.model=./trained", "teacher.finetune=null"]
VALUES = "stages=[{losses: [logits_mse]}]"
SENTENCES = ["sbert-half", "teacher.model=./encoder", "data.train=lines.txt"]


def method(text):
    return f"data.augment={{{text}}}"


def test_labelled_rows(cli, place):
    code, out, err = cli(
        "augment", *TASK, "data.train=rows.tsv", method("method: ngrams, p: 1.0, variants: 3"), "--out", "more.parquet", "-q"
    )
    assert (code, err) == (0, "")
    rows = pq.read_table("more.parquet").to_pylist()
    assert list(rows[0]) == ["text", "label", "row", "variant"]
    given = tiny.text_rows(40)
    assert [(row["text"], row["label"]) for row in rows if not row["variant"]] == given
    assert all(row["text"] in given[row["row"]][0] and row["label"] == given[row["row"]][1] for row in rows)
    lines = out.splitlines()
    assert "40 examples" in lines[0]
    assert lines[-2:] == ["report: more.parquet.report.md", "more.parquet"]
    assert json.loads((place / "more.parquet.report.json").read_text())["examples"] == 40
    assert cli("check", *TASK, "data.train=more.parquet")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        (SENTENCES, ["text", "row", "variant"]),
        ([*TASK, "data.train=pairs.tsv"], ["text", "text_pair", "label", "row", "variant"]),
        ([*TASK, "task=multilabel", VALUES, "data.train=tags.jsonl"], ["text", "label", "row", "variant"]),
        ([*TASK, "task=regression", VALUES, "data.train=scores.tsv"], ["text", "label", "row", "variant"]),
    ],
)
def test_columns_of_every_task(arguments, columns, cli, place):
    for name in ("a.jsonl", "b"):
        code, _, err = cli(
            "augment", *arguments, method("method: masking, p: 0.3, variants: 2"), "--out", name, "--format", "jsonl", "-q"
        )
        assert (code, err) == (0, "")
    rows = [json.loads(line) for line in (place / "a.jsonl").read_text("utf-8").splitlines()]
    assert all(list(row) == columns for row in rows)
    assert any("[MASK]" in row["text"] for row in rows)
    assert (place / "a.jsonl").read_bytes() == (place / "b").read_bytes()


@pytest.mark.slow
def test_a_masked_language_model_in_two_processes(cli, place):
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        code, out, err = cli(
            "augment",
            *SENTENCES,
            method("method: masked_lm, model: ./masked, variants: 3"),
            "--out",
            f"{name}.jsonl",
            "-q",
            *more,
        )
        assert code == 0, err
    assert (place / "one.jsonl").read_bytes() == (place / "two.jsonl").read_bytes()
    assert "30 examples" in out


def test_options_of_ray_reach_it(cli, place, monkeypatch):
    asked = []

    def augment(recipe, out, **options):
        asked.append((out.name, options))
        raise UserError("enough")

    monkeypatch.setattr("distill.augmenting.augment_recipe", augment)
    for more in (["--ray", "auto", "--workers", "3"], []):
        assert cli("augment", *SENTENCES, method("method: ngrams"), "--out", "more.jsonl", *more)[0] == 2
    given = {"form": None, "force": False}
    assert asked == [
        ("more.jsonl", {"ray": "auto", "workers": 3, **given}),
        ("more.jsonl", {"ray": None, "workers": None, **given}),
    ]


def test_ray_is_an_extra(cli, place, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = cli("augment", *SENTENCES, method("method: ngrams"), "--out", "more.jsonl", "--ray", "auto")
    assert code == 2
    assert "distill-toolkit[ray]" in err
    assert not list(place.glob("more.*"))


def test_a_launcher_is_refused(cli, place, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    code, _, err = cli("augment", *SENTENCES, method("method: ngrams"), "--out", "more.jsonl")
    assert code == 2
    assert all(word in err for word in ("distill augment", "WORLD_SIZE=2", "--workers N"))
    assert not list(place.glob("more.*"))


def test_a_file_that_is_there_is_kept(cli, place):
    arguments = ("augment", *SENTENCES, method("method: ngrams"), "--out", "more.jsonl", "-q")
    assert cli(*arguments)[0] == 0
    before = (place / "more.jsonl").read_bytes()
    code, _, err = cli(*arguments, "seed=7")
    assert code == 2
    assert "--force" in err
    assert (place / "more.jsonl").read_bytes() == before
    assert cli(*arguments, "seed=7", "--force")[0] == 0


CASES = {
    "no augmentation": (SENTENCES, [], ["does not say how to augment", "data.augment"]),
    "vocabulary mix": (SENTENCES, [method("sentences: 9")], ["inside a run only"]),
    "unknown method": (SENTENCES, [method("method: tangs")], ["tangs", "did you mean 'tang'"]),
    "an empty file": ([*SENTENCES, "data.train=nothing.txt"], [method("method: ngrams")], ["nothing.txt", "empty"]),
    "no masked-LM head": (SENTENCES, [method("method: masked_lm, model: ./encoder")], ["encoder", "no trained masked-LM head"]),
    "tokens": (
        ["tinybert-ner", "teacher.model=./encoder", "data.train=words.conll"],
        [method("method: ngrams")],
        ["words and labels would part"],
    ),
    "different mask tokens": (
        [*TASK, "data.train=rows.tsv"],
        ["student={kind: layers, from: ./roberta, layers: 1}", method("method: tang")],
        ["student", "different mask tokens", "<mask>", "p_mask"],
    ),
    "an unknown tagger": (SENTENCES, [method("method: part_of_speech, tagger: klingon")], ["klingon", "korean"]),
    "an ending that tells nothing": (SENTENCES, [method("method: ngrams"), "--out", "more.csv"], ["more.csv", "jsonl"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case, cli, place):
    recipe, more, words = CASES[case]
    out = () if "--out" in more else ("--out", "more.parquet")
    code, stdout, err = cli("augment", *recipe, *more, *out, "-q")
    assert code == 2, err
    assert (stdout, "Traceback" in err) == ("", False)
    assert all(word in " ".join(err.split()) for word in words), err
    assert not list(place.glob("more.*"))


def test_long_texts_pass_as_they_are(cli, place):
    text = "word " * 10_000
    tiny.write_lines(place / "long.txt", [text.strip(), "A short day at the river."])
    arguments = [*SENTENCES, "data.train=long.txt", method("method: masking, p: 0.5, variants: 3"), "--out", "long.jsonl", "-q"]
    assert cli("augment", *arguments)[0] == 0
    rows = [json.loads(line) for line in (place / "long.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows if row["row"] == 0] == [text.strip()]
    assert len(rows) > 2
