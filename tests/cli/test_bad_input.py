"""What bad input gets: one clear message, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import tiny

COLUMNS = "data.evaluate.sts.columns=[0, 1, 2]"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("model") / "teacher", layers=2)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_lines(tmp_path / "good.txt")
    return tmp_path


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


CASES = {
    "missing file": ({}, ["data.train=god.txt"], ["god.txt", "good.txt"]),
    "empty corpus": ({"in.txt": ""}, ["data.train=in.txt"], ["in.txt"]),
    "blank lines only": ({"in.txt": "\n \n\n"}, ["data.train=in.txt"], ["in.txt", "empty"]),
    "one sentence": ({"in.txt": "The only sentence here.\n"}, ["data.train=in.txt"], ["1"]),
    "the same sentence again and again": ({"in.txt": "The same sentence.\n" * 50}, ["data.train=in.txt"], ["duplicate"]),
    "wrong column": (
        {"in.csv": "question,answer\nHow old is it?,Ten years.\n"},
        ["data.train={source: in.csv, columns: [questoin]}"],
        ["in.csv", "questoin", "'question'"],
    ),
    "wrong encoding": (
        {"in.txt": "Fine here.\nAnd here.\nD\xe9j\xe0 vu.\n".encode("latin-1")},
        ["data.train=in.txt"],
        ["in.txt", "row 3"],
    ),
    "NaN score": (
        {"sts.csv": "A man eats.,A man dines.,4.0\nA dog runs.,It snows.,nan\n"},
        ["data.train=good.txt", "data.evaluate.sts=sts.csv", COLUMNS],
        ["sts.csv", "row 2", "nan"],
    ),
    "a score that is a word": (
        {"sts.csv": "A man eats.,A man dines.,4.0\nA dog runs.,It snows.,high\n"},
        ["data.train=good.txt", "data.evaluate.sts=sts.csv", COLUMNS],
        ["sts.csv", "row 2", "high"],
    ),
    "unknown package": ({}, ["data.train=good.txt", "teacher.model=package:no_such_model"], ["no_such_model", "pip install"]),
    "missing model folder": ({}, ["data.train=good.txt", "teacher.model=./teecher"], ["./teecher"]),
    "no model in the folder": ({"empty/readme.txt": "x"}, ["data.train=good.txt", "teacher.model=./empty"], ["empty"]),
    "hub unreachable": ({}, ["data.train=good.txt", "teacher.model=someone/no-such-model"], ["someone/no-such-model"]),
    "hub data unreachable": ({}, ["data.train=someone/no-such-data"], ["someone/no-such-data"]),
    "too few layers": ({}, ["data.train=good.txt", "student.layers=9"], ["9", "2"]),
    "a layer that is not there": ({}, ["data.train=good.txt", "student.layers=[0, 7]"], ["7"]),
    "too long": ({}, ["data.train=good.txt", "teacher.max_length=4000"], ["4000", "64"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(cli, place, teacher, case):
    files, overrides, words = CASES[case]
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        write(name, content)
    model = [] if any(text.startswith("teacher.model") for text in overrides) else [f"teacher.model={teacher}"]
    length = [] if "too long" in case else ["teacher.max_length=64"]
    code, out, err = cli("run", "quickstart", *model, *length, "student.layers=1", *overrides, "--quiet")
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    assert all(word in err for word in words), err
    nothing_half_written(place)


def nothing_half_written(place):
    """No student, no data, no report, no temporary file."""
    left = {item.name for item in (place / "runs" / "quickstart").glob("*")} if (place / "runs").exists() else set()
    assert left <= {"manifest.json", "recipe.yaml", ".lock"}
    assert not list(place.rglob("*.tmp-*"))


def test_a_mended_recipe_runs_in_the_folder_where_the_first_try_failed(cli, place, teacher):
    """A typing mistake must not cost a --force: nothing was made yet."""
    common = ["run", "quickstart", f"teacher.model={teacher}", "teacher.max_length=64", "data.train=good.txt", "--quiet"]
    assert cli(*common, "student.layers=9").code == 2
    code, _, err = cli(*common, "student.layers=8")
    assert code == 2
    assert "another recipe" not in err


def test_a_full_disk(cli, place, teacher, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = cli(
        "run", "quickstart", f"teacher.model={teacher}", "teacher.max_length=64", "student.layers=1", "data.train=good.txt"
    )
    assert code == 2
    assert "disk is full" in err
    assert "runs/quickstart" in err
    nothing_half_written(place)


def test_a_file_where_the_run_folder_should_be(cli, place, teacher):
    write("runs", "a file")
    code, _, err = cli("run", "quickstart", f"teacher.model={teacher}", "student.layers=1", "data.train=good.txt")
    assert code == 2
    assert "--out" in err


def test_a_folder_of_something_else(cli, place, teacher):
    write("thesis.txt", "precious")
    asked = f"teacher.model={teacher}", "student.layers=1", "data.train=good.txt"
    code, _, err = cli("run", "quickstart", *asked, "--out", place)
    assert code == 2
    assert "holds no run" in err
    assert (place / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_report_of_a_folder_that_holds_no_run(cli, place, content):
    (place / "runs").mkdir()
    if content is not None:
        write("runs/manifest.json", content)
    code, _, err = cli("report", "runs")
    assert code == 2
    assert "runs" in err
    assert not list(place.glob("runs/report*"))
