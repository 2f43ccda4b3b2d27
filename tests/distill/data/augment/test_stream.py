"""The engine: the same bytes whatever the blocks, processes and interruptions; one text or two; errors that say where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import toyaugment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.data.augment.base import Example
from distill.data.augment.stream import augment_in_blocks, write_augmented
from distill.errors import DataError, ModelError, RunError, UserError

EXAMPLES = toyaugment.examples(70)


def write(out, examples=EXAMPLES, make=None, **options):
    return write_augmented(examples, make or toyaugment.Make(), out, **{"seed": 1, "block": 16, **options})


def rows(path):
    return pq.read_table(path).to_pylist()


def test_originals_come_first_and_variants_carry_label_and_row(tmp_path):
    write(tmp_path / "out.parquet")
    found = rows(tmp_path / "out.parquet")
    assert list(found[0]) == ["text", "label", "row", "variant"]
    originals = [row for row in found if row["variant"] == 0]
    assert [(row["text"], row["label"], row["row"]) for row in originals] == [(e.text, e.label, e.row) for e in EXAMPLES]
    last = None
    for row in found:
        assert row["label"] == EXAMPLES[row["row"]].label
        if row["variant"]:
            assert row["row"] == last["row"]
            assert row["variant"] == last["variant"] + 1
            assert row["text"] != EXAMPLES[row["row"]].text
        last = row


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_blocks_change_no_byte(form, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.data.augment.parts.ROW_GROUP", 50)
    files = [tmp_path / f"{block}.{form}" for block in (1, 7, 16, 1000)]
    for file in files:
        write(file, block=int(file.stem))
    assert len({file.read_bytes() for file in files}) == 1
    assert not [item for item in tmp_path.iterdir() if item.is_dir() or ".tmp-" in item.name]


def test_processes_change_no_byte(tmp_path):
    write(tmp_path / "one.jsonl")
    write(tmp_path / "two.jsonl", workers=2, block=5)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    one, two = (json.loads((tmp_path / f"{name}.jsonl.report.json").read_text()) for name in ("one", "two"))
    assert {**one, "speed": None, "output": None} == {**two, "speed": None, "output": None}


def test_seeds_matter(tmp_path):
    for seed in (1, 2):
        write(tmp_path / f"{seed}.jsonl", seed=seed)
    assert (tmp_path / "1.jsonl").read_bytes() != (tmp_path / "2.jsonl").read_bytes()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), min_size=1, max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_any_text_comes_back_as_it_was(tmp_path, texts):
    examples = [Example(text, row=row) for row, text in enumerate(texts)]
    for form in ("parquet", "jsonl"):
        out = tmp_path / f"any.{form}"
        write(out, examples, block=3)
        found = rows(out) if form == "parquet" else [json.loads(line) for line in out.read_text("utf-8").split("\n")[:-1]]
        assert [row["text"] for row in found if not row["variant"]] == texts
        assert all(row["text"].strip() for row in found if row["variant"])


def test_pairs_keep_their_partner(tmp_path):
    write(tmp_path / "out.parquet", toyaugment.examples(20, pairs=True, labels=False))
    found = rows(tmp_path / "out.parquet")
    assert list(found[0]) == ["text", "text_pair", "row", "variant"]
    originals = {row["row"]: row for row in found if not row["variant"]}
    for row in found:
        same = [row[side] == originals[row["row"]][side] for side in ("text", "text_pair")]
        assert sum(same) == (1 if row["variant"] else 2)


@pytest.mark.parametrize(("labels", "kind"), [([0.5, 1.0], "double"), ([["a", "b"], []], "list"), ([3, 4], "int64")])
def test_labels_of_every_kind(labels, kind, tmp_path):
    examples = [replace(example, label=labels[example.row % 2]) for example in EXAMPLES]
    write(tmp_path / "out.parquet", examples)
    table = pq.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("label").type).startswith(kind)
    assert all(row["label"] == labels[row["row"] % 2] for row in table.to_pylist())


KILLED = """
import sys
import toyaugment
from distill.data.augment.stream import write_augmented

if __name__ == "__main__":
    make = toyaugment.Make(die_at="the end")
    write_augmented(toyaugment.ending(30), make, sys.argv[1], seed=1, block=4, settings={"a": 1})
"""


def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path):
    """The process dies in the fourth block; the next one does what was missing."""
    out, log = tmp_path / "out.parquet", tmp_path / "log"
    script = tmp_path / "killed.py"
    script.write_text(KILLED, "utf-8")
    tests = Path(toyaugment.__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    done = subprocess.run([sys.executable, str(script), str(out)], env=environment, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    assert not out.exists()
    examples = toyaugment.ending(30)
    report = write(out, examples, toyaugment.Make(log=str(log)), settings={"a": 1}, block=4)
    assert report["speed"]["examples"] == 30 - 12
    assert set(log.read_text("utf-8").splitlines()) == {example.text for example in examples[12:]}
    write(tmp_path / "whole.parquet", examples, settings={"a": 1}, block=7)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not out.with_name("out.parquet.parts").exists()


def interrupted(out, **options):
    """A run that is cut off by an error in its fourth block."""

    def some():
        yield from EXAMPLES[:55]
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        write(out, some(), **options)


@pytest.mark.parametrize("change", ["nothing", "settings", "seed", "examples", "damage"])
def test_what_is_taken_over_from_an_interrupted_run(change, tmp_path):
    out = tmp_path / "out.parquet"
    interrupted(out, settings={"p": 1})
    parts = sorted(out.with_name("out.parquet.parts").glob("*.jsonl"))
    assert len(parts) == 3
    examples, options, kept = EXAMPLES, {"settings": {"p": 1}, "seed": 1}, 48
    if change == "settings":
        options["settings"], kept = {"p": 2}, 0
    elif change == "seed":
        options["seed"], kept = 2, 0
    elif change == "examples":
        examples, kept = [EXAMPLES[0], replace(EXAMPLES[1], label="other"), *EXAMPLES[2:]], 32
    elif change == "damage":
        parts[1].write_bytes(parts[1].read_bytes()[:-20])
        kept = 32
    report = write(out, examples, **options)
    assert report["speed"]["examples"] == len(EXAMPLES) - kept
    write(tmp_path / "new.parquet", examples, **options)
    assert out.read_bytes() == (tmp_path / "new.parquet").read_bytes()


def test_the_report(tmp_path):
    examples = [Example("one two three", row=0), Example("...", row=1), *replace_rows(EXAMPLES[:30], 2)]
    examples = [replace(example, label=None) for example in examples]
    report = write(tmp_path / "out.jsonl", examples, toyaugment.Make(p=1.0, variants=50))
    assert report == json.loads((tmp_path / "out.jsonl.report.json").read_text("utf-8"))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    counts = [sum(row["row"] == number and row["variant"] > 0 for row in found) for number in range(32)]
    each = report["variants_per_example"]
    assert (each["min"], each["max"], each["mean"]) == (0, max(counts), pytest.approx(sum(counts) / 32, abs=1e-4))
    assert report["examples_without_variants"] == pytest.approx(sum(not count for count in counts) / 32, abs=1e-4)
    assert report["draws"] == 32 * 50 == sum(counts) + sum(report["dropped"].values())
    assert report["rows"] == len(found)
    assert len(report["samples"]) == 20
    for sample in report["samples"]:
        assert examples[sample["row"]].text == sample["original"][0]
        assert any(row["row"] == sample["row"] and row["text"] == sample["variant"][0] for row in found)
    page = (tmp_path / "out.jsonl.report.md").read_text("utf-8")
    assert report["samples"][0]["variant"][0] in page
    assert page.count("\n| ") == 22


def replace_rows(examples, start):
    return [replace(example, row=row) for row, example in enumerate(examples, start)]


def test_a_long_text_passes_as_it_is(tmp_path):
    text = "word " * 10_000
    write(tmp_path / "out.jsonl", [Example(text), Example("a word", row=1)], toyaugment.Make(p=1.0))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in found if row["row"] == 0] == [text]
    assert len(found) > 2


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([], "nothing to augment"),
        ([Example("a"), Example("b", "c")], "unlike the first"),
        ([Example("a"), Example("b", label="x")], "unlike the first"),
        ([Example("a\0b")], "null bytes"),
        ([Example("a\ud800")], "surrogates"),
        ([Example("a", label=1), Example("b", label="x")], "not all of one kind"),
    ],
)
def test_examples_that_cannot_be_written(examples, words, tmp_path):
    with pytest.raises(DataError, match=words):
        write(tmp_path / "out.parquet", examples)
    assert not (tmp_path / "out.parquet").exists()


def test_formats_and_workers_that_are_none(tmp_path):
    with pytest.raises(DataError, match="parquet or jsonl"):
        write(tmp_path / "out.csv")
    with pytest.raises(DataError, match="parquet or jsonl"):
        write(tmp_path / "out.parquet", form="csv")
    with pytest.raises(UserError, match="at least one process"):
        write(tmp_path / "out.parquet", workers=0)
    write(tmp_path / "out", form="jsonl")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_method_is_told_as_it_is(workers, tmp_path):
    with pytest.raises(UserError, match="this text is refused") as caught:
        write(tmp_path / "out.jsonl", make=toyaugment.Make(fail_at="NASA"), workers=workers)
    assert (caught.value.where, caught.value.hint, caught.value.exit_code) == ("numbers", "another text", 2)
    assert isinstance(caught.value, ModelError) or workers == 2


def test_a_worker_that_dies_is_told(tmp_path):
    with pytest.raises(RunError, match="worker process died"):
        write(tmp_path / "out.jsonl", make=toyaugment.Make(die_at="NASA"), workers=2)


def test_in_memory_as_on_disk(tmp_path):
    write(tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    blocks = list(augment_in_blocks(EXAMPLES, toyaugment.Make()(), 1, block=9))
    assert [(row["text"], row["variant"]) for row in found] == [(row.text, row.variant) for made, _ in blocks for row in made]
