"""Labelled sources become parts that share nothing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from distill.data.examples import SpanExamples, TokenExamples
from distill.errors import DataError
from distill.recipe import DataSpec
from distill.recipe_tree import normalise
from distill.tasks.data import read_task_data, save_task_data

TASKS = {kind: "classification" if kind == "pairs" else kind for kind in tiny.TASK_FILES}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(task, **data):
    return DataSpec.model_validate(normalise({"task": task, "data": data})["data"])


def read(task, **data):
    return read_task_data(spec(task, **data), task)


def texts(examples):
    if isinstance(examples, SpanExamples):
        return list(zip(examples.questions, examples.contexts, strict=True))
    pair = getattr(examples, "text_pair", None)
    return list(zip(examples.text, pair, strict=True)) if pair is not None else list(examples.text)


def write(name, rows, head="text\tlabel"):
    with open(name, "w", encoding="utf-8") as stream:
        stream.write("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    return name


@pytest.mark.parametrize("kind", TASKS)
def test_parts_share_nothing_and_lose_nothing(kind, place):
    """What is read is in train or dev, unless the evaluation set holds it."""
    task = TASKS[kind]
    train, test = tiny.write_task(place, kind, 0, 120), tiny.write_task(place, kind, 100, 150, f"t-{tiny.TASK_FILES[kind]}")
    found = read(task, train=str(train), evaluate={"test": str(test)}, dev={"share": 0.2})
    parts = [set(texts(part)) for part in (found.train, found.dev, found.evaluate["test"])]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert len(found.train) + len(found.dev) == 100
    assert found.counts["read"] == 120
    assert found.counts["removed_evaluation"] == 20
    assert len(found.evaluate["test"]) == 50
    assert found.labelled == len(found.train) == found.counts["train"]
    assert found.pairs == (kind in ("pairs", "spans"))


@pytest.mark.parametrize("kind", TASKS)
def test_a_split_does_not_depend_on_the_order_of_the_rows(kind, place):
    task = TASKS[kind]
    tiny.write_task(place, kind, 0, 60, f"a-{tiny.TASK_FILES[kind]}")
    tiny.write_task(place, kind, 60, 120, f"b-{tiny.TASK_FILES[kind]}")
    names = [f"a-{tiny.TASK_FILES[kind]}", f"b-{tiny.TASK_FILES[kind]}"]
    forth, back = (read(task, train=files, dev={"share": 0.3}) for files in (names, names[::-1]))
    assert set(texts(forth.dev)) == set(texts(back.dev))
    assert set(texts(forth.train)) == set(texts(back.train))


def test_equal_texts_fall_on_one_side(place):
    rows = [(text, label) for text, label in tiny.text_rows(60)]
    write("rows.tsv", [*rows, *((text.upper(), label) for text, label in rows)])
    found = read("classification", train="rows.tsv", dev={"share": 0.3})
    assert not {text.lower() for text in found.train.text} & {text.lower() for text in found.dev.text}


def test_labels_keep_their_order_in_every_part(place):
    write("rows.tsv", tiny.text_rows(120))
    write("test.tsv", [row for row in tiny.text_rows() if row[1] != "place"][-20:])  # two of three labels
    found = read("classification", train="rows.tsv", evaluate={"test": "test.tsv"})
    assert found.labels.names == tiny.LABELS
    told = dict(tiny.text_rows())
    for part in (found.train, found.dev, found.evaluate["test"]):
        assert [found.labels.names[label] for label in part.labels] == [told[text] for text in part.text]


def test_labels_that_are_given_decide_the_order(place):
    write("rows.tsv", tiny.text_rows(60))
    found = read("classification", train="rows.tsv", labels=["weather", "time", "place", "sport"])
    assert found.labels.names == ("weather", "time", "place", "sport")
    told = dict(tiny.text_rows())
    assert [found.labels.names[label] for label in found.train.labels] == [told[text] for text in found.train.text]


def test_a_dev_file_of_its_own(place):
    write("rows.tsv", tiny.text_rows(60))
    write("dev.tsv", tiny.text_rows()[50:90])
    found = read("classification", train="rows.tsv", dev="dev.tsv")
    assert found.dev.text == [text for text, _ in tiny.text_rows()[50:90]]
    assert (len(found.train), found.counts["removed_dev"]) == (50, 10)


def test_a_part_of_a_dev_file_is_chosen_by_hash_and_told(place, capsys):
    """A file that is sorted by label does not give one class alone, and its order changes nothing."""
    rows = sorted(tiny.text_rows()[50:110], key=lambda row: row[1])
    write("rows.tsv", tiny.text_rows(50))
    write("dev.tsv", rows)
    write("turned.tsv", rows[::-1])
    parts = [read("classification", train="rows.tsv", dev=name, dev_limit=15).dev for name in ("dev.tsv", "turned.tsv")]
    assert len(parts[0]) == 15
    assert len(set(parts[0].labels.tolist())) > 1
    assert sorted(parts[0].text) == sorted(parts[1].text)
    assert "15 of 60 dev examples are used" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["classification", "pairs", "multilabel", "regression", "tokens"])
def test_unlabelled_rows_come_last_and_are_marked(kind, place):
    task, file = TASKS[kind], tiny.TASK_FILES[kind]
    tiny.write_task(place, kind, 0, 80)
    tiny.write_task(place, kind, 60, 110, f"more-{file}")  # 20 of them are known
    tiny.write_task(place, kind, 110, 120, f"t-{file}")
    tiny.write_task(place, kind, 105, 130, f"even-{file}")  # 10 of them are of the evaluation set
    found = read(task, train=file, unlabelled=[f"more-{file}", f"even-{file}"], evaluate={"test": f"t-{file}"})
    assert found.counts["removed_unlabelled"] >= 30
    more = found.train.select(np.arange(found.labelled, len(found.train)))
    assert 40 <= len(more) <= 45  # 5 stand in both files of further text
    if kind == "tokens":
        assert {tag for row in more.tags for tag in row} == {-100}
        assert min(tag for row in found.train.tags[: found.labelled] for tag in row) >= 0
    elif task == "classification":
        assert set(more.labels.tolist()) == {-100}
        assert found.train.labels[: found.labelled].min() >= 0
    else:
        assert np.isnan(more.labels).all()
        assert np.isfinite(found.train.labels[: found.labelled]).all()


def test_unlabelled_text_needs_no_label_column(place):
    write("rows.tsv", tiny.text_rows(60))
    tiny.write_lines(place / "more.txt", ["Nobody labelled this.", "Nor this one here."])
    found = read("classification", train="rows.tsv", unlabelled="more.txt")
    assert found.train.text[-2:] == ["Nobody labelled this.", "Nor this one here."]
    assert len(found.train) - found.labelled == 2


def test_unlabelled_text_that_holds_a_part_of_held_out_rows_is_counted(place):
    rows = [(" ".join(f"{letter}{row}" for letter in "abcdefghij"), "odd" if row % 2 else "even") for row in range(60)]
    write("rows.tsv", rows[:40])
    write("test.tsv", rows[40:])
    plain = read("classification", train="rows.tsv", evaluate={"test": "test.tsv"}, dev={"share": 0.3})
    assert plain.counts["known_dev"] == plain.counts["known_evaluation"] == 0
    tiny.write_lines(place / "more.txt", [f"And so, {row[:-4].upper()} ..." for row in (*plain.dev.text[:2], rows[45][0])])
    found = read("classification", train="rows.tsv", evaluate={"test": "test.tsv"}, dev={"share": 0.3}, unlabelled="more.txt")
    assert (found.counts["known_dev"], found.counts["known_evaluation"]) == (2, 1)
    assert len(found.train) == len(plain.train) + 3  # they stay


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([("A man eats.", "a"), ("A dog runs.", "b")], {}, "too few examples are left for train"),
        (tiny.text_rows(30), {"labels": ["place", "time"]}, "weather"),
        (tiny.text_rows(30), {"evaluate": {"test": "rows.tsv"}}, "too few"),
    ],
)
def test_nothing_is_left_for_a_part(rows, more, words, place):
    write("rows.tsv", rows)
    with pytest.raises(DataError, match=words):
        read("classification", train="rows.tsv", **more)


def test_two_files_with_different_labels(place):
    write("a.tsv", [("One here.", "x"), ("Two here.", "y")] * 3)
    write("b.tsv", [("Three there.", "x"), ("Four there.", "z")] * 3)
    with pytest.raises(DataError, match="name all of them"):
        read("classification", train=["a.tsv", "b.tsv"])
    rows = [(f"{word} {number} here.", label) for number in range(20) for word, label in (("One", "x"), ("Two", "y"))]
    write("a.tsv", rows)
    write("b.tsv", [(f"{text} again", {"y": "z"}.get(label, label)) for text, label in rows])
    found = read("classification", train=["a.tsv", "b.tsv"], labels=["x", "y", "z"])
    assert set(found.train.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["classification", "multilabel", "tokens"])
def test_a_test_set_of_one_label(kind, place):
    tiny.write_task(place, kind, 0, 80)
    name = f"one-{tiny.TASK_FILES[kind]}"
    rows = {
        "classification": "text\tlabel\nNobody was there.\ttime\nIt is late.\ttime\n",
        "multilabel": '{"text": "A late dog.", "labels": ["late"]}\n{"text": "An early one.", "labels": []}\n',
        "tokens": "Nobody\tO\nwas\tO\n\nthere\tO\n",
    }
    (place / name).write_text(rows[kind], "utf-8")
    found = read(kind, train=tiny.TASK_FILES[kind], dev=name, evaluate={"test": name})
    assert len(found.evaluate["test"]) == len(found.dev) == 2
    with pytest.raises(DataError, match=f"{name}: too few different labels to learn from"):
        read(kind, train=name)
    with pytest.raises(DataError, match="too few different labels to learn from"):
        read(kind, train=name, labels=list(found.labels.names))


def test_a_file_for_each_label(place):
    write("late.tsv", [(f"It is {number} o'clock.", "time") for number in range(20)])
    write("near.tsv", [(f"It is {number} miles away.", "place") for number in range(20)])
    with pytest.raises(DataError, match="name all of them"):
        read("classification", train=["late.tsv", "near.tsv"])
    found = read("classification", train=["late.tsv", "near.tsv"], labels=["place", "time"])
    assert np.bincount(found.train.labels).min() > 10


def test_no_row_has_a_label(place):
    (place / "tags.jsonl").write_text('{"text": "A dog.", "labels": []}\n{"text": "A cat.", "labels": []}\n', "utf-8")
    with pytest.raises(DataError, match="no labels"):
        read("multilabel", train="tags.jsonl")


def test_pairs_and_single_texts_do_not_mix(place):
    tiny.write_task(place, "pairs", 0, 30)
    write("rows.tsv", [(text, "same" if n % 2 else "other") for n, (text, _) in enumerate(tiny.text_rows(30))])
    with pytest.raises(DataError, match="some sources hold pairs"):
        read("classification", train=["pairs.tsv", "rows.tsv"])


def test_words_and_characters_do_not_mix(place):
    tiny.write_task(place, "tokens", 0, 10)
    (place / "b.conll").write_text("a\tB-PER\n \tO\nb\tO\n\nb\tB-WHERE\nc\tI-PER\n", "utf-8")
    with pytest.raises(DataError, match="character by character"):
        read("tokens", train=["words.conll", "b.conll"], labels=["O", "B-PER", "I-PER", "B-WHERE"])


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_saved_is_what_was_read(kind, place):
    task = TASKS[kind]
    train = tiny.write_task(place, kind, 0, 60)
    found = read(task, train=str(train))
    save_task_data(found, place / "data")
    assert sorted(file.name for file in (place / "data").iterdir()) == [
        "counts.json",
        "dev.parquet",
        "labels.json",
        "train.parquet",
    ]
    assert json.loads((place / "data" / "labels.json").read_text()) == list(found.labels.names)
    table = pq.read_table(place / "data" / "train.parquet").to_pydict()
    if isinstance(found.train, SpanExamples):
        assert table["question"] == found.train.questions
        assert [[(a["text"], a["start"]) for a in row] for row in table["answers"]] == found.train.answers
    elif isinstance(found.train, TokenExamples):
        assert (table["words"], table["tags"]) == (found.train.words, found.train.tags)
    else:
        assert table["text"] == found.train.text
        np.testing.assert_array_equal(np.array(table["label"]), found.train.labels)
    first = (place / "data" / "train.parquet").read_bytes()
    save_task_data(read(task, train=str(train)), place / "again")
    assert (place / "again" / "train.parquet").read_bytes() == first
