"""Evaluation sets out of files: what is read, what is refused by file and row, what may not be trained on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from distill.data.evaluation import TransferSet, TranslationSet, kind_of, parallel_of, read_set, set_values, texts_of
from distill.data.evaluation_sets import sources_of_set
from distill.data.sources import ScoredPairs
from distill.errors import DataError
from distill.recipe import EvaluationSpec


def write(path, *rows, sep="\t"):
    path.write_text("".join(sep.join(map(str, row)) + "\n" for row in rows), "utf-8")
    return str(path)


def read(counts=None, on_bad_row="error", **values):
    spec = EvaluationSpec.model_validate(values)
    return read_set(spec, on_bad_row=on_bad_row, counts=Counter() if counts is None else counts)


HEAD = ("sentence1", "sentence2", "score")
ENGLISH = [HEAD, ("A cat.", "A dog.", 2.5), ("It rains.", "It pours.", 4), ("One.", "Two.", 0)]
KOREAN = [HEAD, ("고양이.", "개.", 2.5), ("비가 온다.", "비가 쏟아진다.", 4), ("하나.", "둘.", 0)]


@pytest.fixture
def sts(tmp_path):
    """Names of an English file and of its Korean translation, made of these rows."""

    def make(english=ENGLISH, korean=KOREAN):
        return {"source": write(tmp_path / "en.tsv", *english), "second": write(tmp_path / "ko.tsv", *korean)}

    return make


def test_sentence_2_of_a_cross_lingual_set_comes_from_the_second_file(sts):
    found = read(**sts(), languages=["en", "ko"])
    assert isinstance(found, ScoredPairs)
    assert found.sentences1 == ["A cat.", "It rains.", "One."]
    assert found.sentences2 == ["개.", "비가 쏟아진다.", "둘."]
    assert found.scores.tolist() == [2.5, 4, 0]
    assert found.languages == ("en", "ko")


def test_without_a_second_file_both_sentences_are_of_the_source(sts):
    found = read(source=sts()["source"], languages=["en", "en"])
    assert found.sentences2 == ["A dog.", "It pours.", "Two."]
    assert found.languages == ("en", "en")


def test_the_limit_holds_for_both_files(sts):
    assert read(**sts(), limit=2).sentences2 == ["개.", "비가 쏟아진다."]


@pytest.mark.parametrize("factor", [0.2, 20])
def test_another_unit_of_the_scores_is_no_difference(sts, factor):
    other = [HEAD, *((a, b, factor * score) for a, b, score in KOREAN[1:])]
    assert read(**sts(korean=other)).scores.tolist() == [2.5, 4, 0]


@pytest.mark.parametrize(("row", "score"), [(1, 1.0), (2, 3.0), (3, 1.5)])
def test_a_score_that_differs_names_file_and_row(sts, row, score):
    other = [*KOREAN]
    other[row] = (*other[row][:2], score)
    with pytest.raises(DataError, match=rf"ko\.tsv, row {row + 1}: the two files score the same row differently") as caught:
        read(**sts(korean=other))
    assert f"expected: {ENGLISH[row][2]:g}, as in" in str(caught.value)


def test_rows_in_another_order_are_not_aligned(sts):
    with pytest.raises(DataError, match="not aligned"):
        read(**sts(korean=[HEAD, *KOREAN[:0:-1]]))


@pytest.mark.parametrize(("english", "korean", "short"), [(ENGLISH, KOREAN[:3], "ko"), (ENGLISH[:2], KOREAN, "en")])
def test_differing_numbers_of_rows_name_the_shorter_file_and_its_end(sts, english, korean, short):
    with pytest.raises(DataError, match=rf"{short}\.tsv, after {min(len(english), len(korean)) - 1} rows: .*number of rows"):
        read(**sts(english, korean))


@pytest.mark.parametrize("side", ["english", "korean"])
def test_a_bad_row_of_one_file_is_left_out_of_both(sts, side):
    rows = {"english": [*ENGLISH], "korean": [*KOREAN]}
    rows[side][2] = ("x", "y", "none")
    files = sts(**rows)
    with pytest.raises(DataError, match="row 3: bad value"):
        read(**files)
    counts = Counter()
    found = read(counts, "skip", **files)
    assert (found.sentences1, found.sentences2, counts["bad_rows"]) == (["A cat.", "One."], ["개.", "둘."], 1)


def test_translations_of_a_table_and_of_two_text_files_are_the_same(tmp_path):
    rows = [("A cat sleeps.", "고양이가 잔다."), ("It rains.", "비가 온다.")]
    table = write(tmp_path / "pairs.tsv", *rows)
    sides = [write(tmp_path / f"text.{name}", *([row[side]] for row in rows)) for side, name in enumerate(("en", "ko"))]
    wanted = TranslationSet([row[0] for row in rows], [row[1] for row in rows], ("en", "ko"))
    assert read(kind="translation", source=table, columns=[0, 1], languages=["en", "ko"]) == wanted
    assert read(kind="translation", source=sides[0], second=sides[1], format="txt", languages=["en", "ko"]) == wanted
    assert list(texts_of(wanted)) == [*wanted.sources, *wanted.translations]


def test_two_text_files_of_different_length_are_refused(tmp_path):
    one, two = write(tmp_path / "a.en", ["x y"], ["z"]), write(tmp_path / "a.ko", ["가 나"])
    with pytest.raises(DataError, match=r"a\.(en|ko)"):
        read(kind="translation", source=one, second=two, languages=["en", "ko"])


def test_one_translation_is_too_few(tmp_path):
    with pytest.raises(DataError, match="too few translations"):
        read(kind="translation", source=write(tmp_path / "a.tsv", ("cat", "고양이")), columns=[0, 1], languages=["en", "ko"])


@pytest.mark.parametrize("values", [{"format": "txt"}, {"format": "korsts"}, {"format": "csv", "second": "b.csv"}])
def test_formats_that_hold_no_translations_are_named(values):
    spec = EvaluationSpec.model_validate({"kind": "translation", "source": "a", "languages": ["en", "ko"], **values})
    with pytest.raises(DataError, match="no source of translations") as caught:
        parallel_of(spec)
    assert values["format"] in str(caught.value)


FIT = [("text", "label"), ("Good film.", "positive"), ("Bad film.", "negative"), ("Fine.", "positive"), ("Awful.", "negative")]


@pytest.fixture
def transfer(tmp_path):
    def make(test, fit=FIT):
        files = {"source": write(tmp_path / "test.tsv", *test), "fit": {"source": write(tmp_path / "fit.tsv", *fit)}}
        return {"kind": "transfer", "languages": ["en", "ko"], **files}

    return make


def test_labels_of_a_transfer_set_are_matched_by_name(transfer):
    found = read(**transfer([("text", "label"), ("나쁘다.", "negative"), ("좋다.", "positive"), ("최고.", "positive")]))
    assert isinstance(found, TransferSet)
    assert [found.names[label] for label in found.labels] == ["negative", "positive", "positive"]
    assert [found.names[label] for label in found.fit_labels] == ["positive", "negative", "positive", "negative"]
    assert list(texts_of(found)) == ["나쁘다.", "좋다.", "최고."], "what the classifier is fitted on may be trained on"


def test_a_transfer_set_may_test_one_label_and_learns_two(transfer):
    found = read(**transfer([("text", "label"), ("좋다.", "positive"), ("최고.", "positive")]))
    assert [found.names[label] for label in found.labels] == ["positive", "positive"]


def test_labels_that_no_fit_text_has_are_refused(transfer):
    """Numbers in one file and names in the other must not be matched by their order."""
    with pytest.raises(DataError, match="never learns") as caught:
        read(**transfer([("text", "label"), ("나쁘다.", 0), ("좋다.", 1)]))
    assert "0, 1" in str(caught.value)
    assert "negative, positive" in str(caught.value)


def test_a_fit_text_that_is_tested_is_left_out_and_counted(transfer):
    counts = Counter()
    found = read(counts, **transfer([("text", "label"), ("good FILM", "positive"), ("나쁘다.", "negative")]))
    assert found.fit_texts == ["Bad film.", "Fine.", "Awful."]
    assert found.fit_labels.tolist() == [0, 1, 0]
    assert counts["fit_in_test"] == 1


def test_a_fit_file_that_is_the_test_file_leaves_nothing(transfer):
    with pytest.raises(DataError, match="too few fit texts are left"):
        read(**transfer(FIT))


def test_every_source_of_a_set_is_named():
    fit, queries, judged = ({"source": f"{name}.tsv"} for name in ("fit", "queries", "judged"))
    sets = [
        ({"source": "a.tsv", "second": "b.tsv"}, {"": "a.tsv", "second": "b.tsv"}),
        ({"source": "a.tsv", "kind": "transfer", "fit": fit}, {"": "a.tsv", "fit": "fit.tsv"}),
        (
            {"source": "a.tsv", "kind": "retrieval", "queries": queries, "relevance": judged},
            {"": "a.tsv", "queries": "queries.tsv", "relevance": "judged.tsv"},
        ),
    ]
    for values, wanted in sets:
        found = sources_of_set(EvaluationSpec.model_validate(values))
        assert {name: source.source for name, source in found.items()} == wanted


@pytest.mark.parametrize(
    "make",
    [
        lambda: TranslationSet(["a"], ["b"]),
        lambda: TranslationSet(["a", "b"], ["c"]),
        lambda: TransferSet(["a", "b"], np.array([0, 0]), ["c"], np.array([0]), ("x", "y")),
        lambda: TransferSet(["a", "b"], np.array([0, 1]), ["c"], np.array([2]), ("x", "y")),
        lambda: TransferSet(["a", "b"], np.array([0, 1]), [], np.array([], dtype=int), ("x", "y")),
    ],
)
def test_sets_that_cannot_be_judged_are_not_made(make):
    with pytest.raises(DataError):
        make()


def test_the_values_of_a_set_are_json_and_tell_sets_apart():
    one = TransferSet(["a", "b"], np.array([0, 1]), ["c"], np.array([1]), ("x", "y"), ("en", "ko"))
    other = TransferSet(["a", "b"], np.array([0, 1]), ["c"], np.array([0]), ("x", "y"), ("en", "ko"))
    pairs = ScoredPairs(["a", "b"], ["c", "d"], np.array([1.0, 2.0]))
    written = [json.dumps(set_values(rows)) for rows in (one, other, pairs)]
    assert len(set(written)) == 3
    assert json.dumps(set_values(one)) == written[0]
    assert [kind_of(rows) for rows in (one, pairs)] == ["transfer", "sts"]


def test_reading_sets_loads_no_torch(sts):
    code = (
        "import sys; from collections import Counter; from distill.data.evaluation import read_set\n"
        "from distill.recipe import EvaluationSpec\n"
        f"read_set(EvaluationSpec.model_validate({sts()!r}), on_bad_row='error', counts=Counter())\n"
        "assert not {'torch', 'sklearn', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
