"""Translations in tables: which two columns, and what a row cannot be."""

import csv
import gzip
import json
from collections import Counter

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = [("A cat sleeps.", "고양이가 잔다."), ("It rains.", "비가 온다."), ('"Yes", she said.', '"네"라고 말했다.')]
MADE_BY = ["CC-BY (Kim)", "CC-BY (Lee)", "CC-BY (Park)"]


def tsv(path, rows, names=None, encoding="utf-8"):
    text = "".join("\t".join(row) + "\n" for row in ([names] if names else []) + [list(row) for row in rows])
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("ending", ["tsv", "tsv.gz"])
def test_two_columns_alone_are_the_two_sides(tmp_path, read, check, ending):
    path = tsv(tmp_path / f"talk.{ending}", ROWS)
    assert read(path) == ROWS
    assert read(path, limit=2) == ROWS[:2]
    assert check(path) == []


def test_a_third_column_needs_the_numbers_of_the_two(tmp_path, read, problem):
    path = tsv(tmp_path / "tatoeba.tsv", [(*row, made) for row, made in zip(ROWS, MADE_BY, strict=True)])
    assert read(path, columns=(0, 1)) == ROWS
    assert read(path, columns=(1, 0), languages=("ko", "en")) == [(ko, en) for en, ko in ROWS]
    told = problem(path)
    assert "cannot tell which columns are the two sides" in told
    assert "column numbers 0 to 2" in told
    assert "columns: [0, 1]" in told


@pytest.mark.parametrize(
    ("names", "languages"),
    [
        (["id", "en", "ko"], ("en", "ko")),
        (["id", "EN", "Ko_KR"], ("en", "ko-KR")),
        (["id", "en", "ko"], ("en-US", "ko-KR")),
        (["id", "eng", "kor"], ("en", "ko")),
        (["id", "English", "Korean"], ("en", "ko")),
        (["id", "source", "target"], ("en", "ko")),
        (["score", "source", "translation"], ("en", "ko")),
        (["id", "english", "non_english"], ("en", "ko")),
        (["id", "non_english", "english"], ("ko", "en")),
        (["text", "src", "tgt"], ("de", "ko")),
    ],
)
def test_columns_found_by_their_names(tmp_path, read, check, names, languages):
    path = tsv(tmp_path / "talk.tsv", [(str(number), *row) for number, row in enumerate(ROWS)], names)
    assert read(path, languages=languages) == ROWS
    assert check(path, languages=languages) == []


def test_a_header_is_no_row_whichever_way_the_columns_are_named(tmp_path, read, problem):
    path = tsv(tmp_path / "talk.tsv", ROWS, ["english", "korean"])
    assert read(path) == ROWS
    assert read(path, columns=("english", "korean")) == ROWS
    assert read(path, columns=(0, 1), header=True) == ROWS
    assert read(path, columns=(0, 1), header=False) == [("english", "korean"), *ROWS]
    told = problem(path, columns=(0, 1))
    assert "the first row looks like the names of the columns" in told
    assert "row 1" in told
    assert "header: true" in told


def test_english_tells_which_side_it_is(tmp_path, read):
    path = tsv(tmp_path / "talk.tsv", ROWS, ["english", "non_english"])
    assert read(path, languages=("ko", "en")) == [(ko, en) for en, ko in ROWS]


@pytest.mark.parametrize(
    ("columns", "told"),
    [(("en", "kr"), "no column 'kr'"), ((0, 7), "no column number 7"), ((1, 1), "the two sides are one column")],
)
def test_wrong_columns(tmp_path, problem, columns, told):
    path = tsv(tmp_path / "talk.tsv", ROWS, ["en", "ko"])
    assert told in problem(path, columns=columns, header=True)


def test_every_other_table(tmp_path, read, check):
    with open(tmp_path / "t.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["ko", "en", "id"], *([ko, en, 1] for en, ko in ROWS)])
    objects = [{"id": 1, "en": en, "ko": ko} for en, ko in ROWS]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in objects))
    nested = [{"id": 1, "translation": {"ko": ko, "en": en}} for en, ko in ROWS]
    (tmp_path / "nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in nested))
    pq.write_table(pa.Table.from_pylist(objects), tmp_path / "t.parquet")
    pq.write_table(pa.Table.from_pylist(nested), tmp_path / "nested.parquet")
    for name in ("t.csv", "t.jsonl", "nested.jsonl", "t.parquet", "nested.parquet"):
        assert read(tmp_path / name) == ROWS, name
        assert check(tmp_path / name) == [], name


def test_a_language_that_a_row_lacks(tmp_path, read, problem):
    path = tmp_path / "nested.jsonl"
    rows = [{"translation": {"en": "One.", "ko": "하나."}}, {"translation": {"en": "Two."}}, {"translation": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = problem(path, checked=False)
    assert "row 2" in told
    assert "a language is missing in this row" in told
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == [("One.", "하나.")]
    assert counts == {"bad_rows": 2}


def test_a_hub_data_set_of_translations(monkeypatch, read, check):
    asked, commit = [], "a" * 40

    def load_dataset(name, subset, **options):
        asked.append((name, subset, options["revision"]))
        rows = {"translation": [{"en": en, "ko": ko} for en, ko in ROWS]}
        return datasets.Dataset.from_dict(rows).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert check("owner/opus") == []
    assert asked == [], "a check looks nothing up"
    assert read("owner/opus", subset="en-ko", revision=commit, limit=2) == ROWS[:2]
    assert asked == [("owner/opus", "en-ko", commit)]


def test_rows_of_another_width_and_cells_that_are_no_text(tmp_path, read, problem):
    wide = tsv(tmp_path / "wide.tsv", [("One.", "하나."), ("Two.", "둘.", "둘."), ("Three.", "셋.")])
    assert "wide.tsv, row 2: this row has another number of columns" in problem(wide, checked=False)
    numbers = tmp_path / "numbers.jsonl"
    numbers.write_text('{"en": "One.", "ko": "하나."}\n{"en": 2, "ko": "둘."}\n{"en": "a\\u0000b", "ko": "셋."}\n{"en": null}\n')
    told = problem(numbers, checked=False)
    assert "numbers.jsonl, row 2: the side in en is no text that can be read" in told
    for path, bad in ((wide, 1), (numbers, 3)):
        counts = Counter()
        read(path, on_bad_row="skip", counts=counts)
        assert counts == {"bad_rows": bad}


def test_sources_that_are_no_parallel_text(tmp_path, problem):
    assert "python-docs has no translations" in problem("python-docs")
    assert "did you mean 'talk.tsv'" in problem(tsv(tmp_path / "talk.tsv", ROWS).with_name("talks.tsv"))
    lines = tmp_path / "lines.txt"
    lines.write_text("One.\n")
    assert "name the second file with `target`" in problem(lines)
    assert "no such file" in problem(tmp_path / "missing.txt")
    empty = tmp_path / "empty.tsv"
    empty.write_text("\n\n")
    assert "this source has no translations" in problem(empty)
    assert "this source has no translations" in problem(tsv(tmp_path / "names.tsv", [], ["en", "ko"]))
