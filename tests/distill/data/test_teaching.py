"""What a sentence teacher is trained on, by the columns and the first row of a source."""

import json
from collections import Counter

import pytest

from distill.data.benchmarks_write import write_benchmark
from distill.data.teaching import check_teaching, read_teaching
from distill.errors import DataError
from distill.recipe import SourceSpec

NLI = [("A", "B", "entailment"), ("A", "C", "contradiction")]


def tsv(path, *lines):
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), "utf-8")
    return path


def read(path, objective, counts=None, on_bad_row="error", **options):
    counts = Counter() if counts is None else counts
    return read_teaching(SourceSpec(source=str(path), **options), objective, on_bad_row=on_bad_row, counts=counts)


def test_scored_pairs_by_name_by_number_and_by_format(tmp_path):
    wanted = {"sentence1": ["A"], "sentence2": ["B"], "score": [0.5]}
    named = tsv(tmp_path / "a.tsv", ("score", "sentence1", "sentence2"), (0.5, "A", "B"))
    bare = tsv(tmp_path / "b.tsv", ("A", "B", 0.5))
    write_benchmark(tmp_path / "c.tsv", "korsts", [("A", "B", 0.5)])
    assert read(named, "sts_cosine") == wanted
    assert read(bare, "sts_cosent") == wanted
    assert read(tmp_path / "c.tsv", "sts_cosine", format="korsts") == wanted
    assert read(named, "sts_cosine", columns=["sentence2", "sentence1", "score"])["sentence1"] == ["B"]


def test_labels_of_nli_in_any_case(tmp_path):
    path = tsv(tmp_path / "a.tsv", ("premise", "hypothesis", "gold_label"), ("A", "B", "Entailment"), ("A", "C", "NEUTRAL"))
    found = read(path, "nli_ranking")
    assert found == {"sentence1": ["A", "A"], "sentence2": ["B", "C"], "label": ["entailment", "neutral"]}


def test_other_labels_are_for_the_classifier_alone(tmp_path):
    path = tsv(tmp_path / "a.tsv", ("sentence1", "sentence2", "label"), ("A", "B", "same"), ("A", "C", "other"))
    assert read(path, "nli_softmax")["label"] == ["same", "other"]
    with pytest.raises(DataError, match="the objective nli_ranking cannot") as caught:
        read(path, "nli_ranking")
    assert caught.value.hint == "objectives that fit: nli_softmax, simcse"


def test_triplets_and_pairs_by_their_names_or_as_columns_of_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"negative": "C", "anchor": "A", "positive": "B"}) + "\n")
    wanted = {"anchor": ["A"], "positive": ["B"], "negative": ["C"]}
    assert read(path, "nli_ranking") == wanted
    assert read(path, "triplet", columns=["anchor", "positive", "negative"]) == wanted
    assert read(path, "nli_ranking", columns=["anchor", "positive"]) == {"anchor": ["A"], "positive": ["B"]}
    assert read(tsv(tmp_path / "b.tsv", ("A", "B", "C")), "simcse_nli") == wanted


def test_sentences_out_of_anything(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n")
    write_benchmark(tmp_path / "b.tsv", "kornli", NLI)
    write_benchmark(tmp_path / "c.txt", "nsmc", [("Good.", "positive")])
    assert read(tmp_path / "a.txt", "simcse") == {"text": ["One.", "Two."]}
    assert read(tmp_path / "c.txt", "simcse", format="nsmc") == {"text": ["Good."]}
    assert list(read(tmp_path / "b.tsv", "simcse", format="kornli")) == ["sentence1", "sentence2", "label"]
    monkeypatch.setattr("distill.data.teaching.read_sentences", lambda spec, **_: iter([f"{spec.source} sentence."]))
    assert read("python-docs", "simcse", limit=3) == {"text": ["python-docs sentence."]}
    with pytest.raises(DataError, match="cannot be trained"):
        read("python-docs", "sts_cosine")


@pytest.mark.parametrize(
    ("row", "objective", "expected"),
    [
        (("C", "D", 3.5), "sts_cosine", "a score from 0 to 1"),
        (("C", "D", -0.1), "sts_cosine", "a score from 0 to 1"),
        (("C", "D", "high"), "sts_cosine", "a score from 0 to 1"),
        ((" ", "D", 0.3), "sts_cosine", "a sentence"),
        (("C", "D", "-"), "nli_softmax", "one of the labels entailment, neutral, contradiction"),
        (("C", "D", "entails"), "nli_ranking", "one of the labels entailment, neutral, contradiction"),
    ],
)
def test_a_bad_row_stops_with_its_place_or_is_counted(row, objective, expected, tmp_path):
    third = 0.5 if objective == "sts_cosine" else "entailment"
    path = tsv(tmp_path / "a.tsv", ("sentence1", "sentence2", "label"), ("A", "B", third), row)
    with pytest.raises(DataError) as caught:
        read(path, objective)
    assert caught.value.where == f"{path}, row 3"
    assert caught.value.expected == expected
    counts = Counter()
    assert read(path, objective, counts, "skip")["sentence1"] == ["A"]
    assert counts["bad_rows"] == 1


def test_scores_of_five_points_are_told_about_the_formats(tmp_path):
    (problem,) = check_teaching(SourceSpec(source=str(tsv(tmp_path / "a.tsv", ("A", "B", 4.5)))), "sts_cosine")
    assert "format: stsb" in problem.hint


def test_a_check_reads_no_documentation(monkeypatch):
    monkeypatch.setattr("distill.data.teaching.read_sentences", lambda *_, **__: pytest.fail("this takes minutes"))
    assert check_teaching(SourceSpec(source="python-docs"), "simcse") == []
    assert "cannot be trained" in check_teaching(SourceSpec(source="python-docs"), "triplet")[0].message


def test_a_limit_counts_rows(tmp_path):
    write_benchmark(tmp_path / "a.tsv", "kornli", NLI)
    assert len(read(tmp_path / "a.tsv", "nli_softmax", format="kornli", limit=1)["label"]) == 1


@pytest.mark.parametrize("text", ["", "sentence1\tsentence2\tscore\n"])
def test_an_empty_source_is_told(text, tmp_path):
    (tmp_path / "a.tsv").write_text(text)
    (problem,) = check_teaching(SourceSpec(source=str(tmp_path / "a.tsv")), "sts_cosine")
    assert "empty" in problem.message
