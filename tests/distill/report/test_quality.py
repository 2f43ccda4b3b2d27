"""The tables of quality: every kind of set, languages, smaller vectors; in Markdown and in HTML."""

from __future__ import annotations

import pytest

from distill.report.card import front_matter
from distill.report.html import to_html
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.quality import language_tables, quality_tables

MODELS = ("teacher", "student", "fp32", "fast", "faithful")
SETS = {
    "ko-search": ("retrieval", "ndcg@10", None, {"ndcg@10": 0.5, "mrr@10": 0.4, "asymmetric_ndcg@10": 0.45}),
    "tatoeba-ko": ("translation", "translation_accuracy", ["en", "ko"], {"accuracy_to_translation": 0.9, "mean_cosine": 0.7}),
    "tatoeba-de": ("translation", "translation_accuracy", ["en", "de"], {"accuracy_to_translation": 0.8}),
    "news-ko": ("translation", "translation_accuracy", ["en", "ko"], {"accuracy_to_translation": 0.7}),
    "reviews": ("transfer", "accuracy", ["en", "ko"], {"accuracy": 0.6, "per_label": {"good": {"f1": 0.61, "support": 9}}}),
}
VALUES = {"ko-search": 0.5, "tatoeba-ko": 0.9, "tatoeba-de": 0.8, "news-ko": 0.7, "reviews": 0.6}


@pytest.fixture
def report(run):
    """The report of a run whose recipe names a retrieval set first; the student has 0.05 less than the teacher everywhere."""
    tasks = {}
    for name, (kind, metric, languages, _) in SETS.items():
        tasks[name] = {"kind": kind, "metric": metric, "n": 100, **({"languages": languages} if languages else {})}
    run.quality["tasks"] |= tasks
    for model in MODELS:
        for name, (*_, details) in SETS.items():
            value = VALUES[name] - (0 if model == "teacher" else 0.05)
            row = {"value": value, "ci95": [value - 0.02, value + 0.02], "n": 100, "retained": value / VALUES[name]}
            run.quality["models"][model][name] = {**row, "details": details}
    run.recipe["data"]["evaluate"] = {name: {"source": f"{name}.tsv"} for name in [*SETS, "sts-test"]}
    rows = [(32, "float32", False, 0.80, 128), (32, "binary", True, 0.78, 4), (8, "int8", False, 0.7, 8)]
    names = ("dim", "precision", "rescore", "value", "bytes_per_vector")
    run.quality["models"]["student"]["sts-test"]["vectors"] = [
        {**dict(zip(names, row, strict=True)), "retained": row[3] / 0.8} for row in rows
    ]
    return build_report(run.write())


def table(tables, start):
    (found,) = [part for part in tables if part.title.startswith(start)]
    return found


def test_the_headline_is_the_first_sets(report):
    head = report.headline
    assert (head.task, head.metric, head.kind) == ("ko-search", "ndcg@10", "retrieval")
    assert head.retained == pytest.approx(0.45 / 0.5)
    assert "keeps 90.0 % of the teacher's quality (nDCG@10, ko-search)" in report.summary


def test_every_set_has_a_table_of_its_metrics(report):
    tables = quality_tables(report)
    search = table(tables, "ko-search")
    assert search.columns == ("Model", "nDCG@10", "MRR@10", "nDCG@10 in the teacher's index")
    assert search.rows[0] == ("teacher", "50.00", "40.00", "45.00")
    pairs = table(tables, "tatoeba-ko (en – ko), n = 100")
    assert pairs.columns == ("Model", "Text finds translation", "Mean cosine of text and translation")
    assert table(tables, "reviews (en – ko), F1 of each").rows[0][:2] == ("good", "9")


def test_languages_have_a_row_each_and_their_mean(report):
    (found,) = language_tables(report)
    assert found.title == "Translation retrieval by language, Translations found"
    assert found.columns == ("Languages", "Sets", *MODELS)
    assert [row[:4] for row in found.rows] == [
        ("en – ko", "tatoeba-ko, news-ko", "80.00", "75.00"),
        ("en – de", "tatoeba-de", "80.00", "75.00"),
        ("Mean of the languages", "–", "80.00", "75.00"),
    ]


def test_a_language_with_a_missing_value_has_no_mean(run, report):
    run.quality["models"]["fast"]["news-ko"] |= {"value": None, "ci95": None, "retained": None}
    (found,) = language_tables(build_report(run.write()))
    place = found.columns.index("fast")
    assert [row[place] for row in found.rows] == ["–", "75.00", "–"]


def test_smaller_vectors_are_rows(report):
    found = table(quality_tables(report), "sts-test, smaller vectors")
    assert found.columns == ("Model", "Dimensions", "Numbers", "Bytes a vector", "Spearman of cosine", "Retained")
    assert found.rows == (
        ("student", "32", "float32", "128", "80.00", "100.0 %"),
        ("student", "32", "binary, rescored", "4", "78.00", "97.5 %"),
        ("student", "8", "int8", "8", "70.00", "87.5 %"),
    )


def test_whole_vectors_alone_are_no_table(run, report):
    run.quality["models"]["student"]["sts-test"]["vectors"] = run.quality["models"]["student"]["sts-test"]["vectors"][:1]
    titles = [part.title for part in quality_tables(build_report(run.write()))]
    assert not [title for title in titles if "smaller vectors" in title]


def test_both_forms_show_the_same_rows(report):
    for shown in (to_markdown(report), to_html(report, ())):
        for words in ("Translation retrieval by language", "binary, rescored", "nDCG@10 in the teacher", "en – de"):
            assert words in shown
    again = report.model_validate_json(report.model_dump_json())
    assert again == report
    assert again.model("student").quality["sts-test"].vectors[1].rescore is True


def test_the_card_tells_the_hub_what_kind_a_set_is(report):
    results = {entry["dataset"]["name"]: entry["task"] for entry in front_matter(report)["model-index"][0]["results"]}
    assert results["ko-search"] == {"type": "information-retrieval", "name": "Information retrieval"}
    assert results["tatoeba-ko"] == {"type": "translation", "name": "Translation retrieval"}
    assert results["reviews"] == {"type": "text-classification", "name": "Transfer of a classifier"}
    assert results["sts-test"] == {"type": "sentence-similarity", "name": "Semantic textual similarity"}
