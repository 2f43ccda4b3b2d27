"""Retrieval sets out of documents, queries and judgements."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from distill.data.evaluation import RetrievalSet, read_set, texts_of
from distill.errors import DataError
from distill.recipe import EvaluationSpec

DOCUMENTS = [
    {"_id": "d1", "title": "Cats", "text": "They sleep. A lot!"},
    {"_id": "d2", "title": "", "text": "Dogs bark."},
    {"_id": 3, "title": None, "text": "Rain."},
]
QUERIES = [{"_id": "q1", "text": "Who sleeps?"}, {"_id": "q2", "text": "Who barks?"}, {"_id": "q3", "text": "Who sings?"}]
JUDGED = ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0", "q2\td2\t1", "q2\t3\t0.5"]


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return {"source": str(path)}


@pytest.fixture
def files(tmp_path):
    """The recipe's words for files of these rows, as BEIR writes them."""

    def make(documents=DOCUMENTS, queries=QUERIES, judged=JUDGED, **more):
        (tmp_path / "test.tsv").write_text("\n".join(judged) + "\n", "utf-8")
        return {
            "kind": "retrieval",
            **lines(tmp_path / "corpus.jsonl", documents),
            "queries": lines(tmp_path / "queries.jsonl", queries),
            "relevance": {"source": str(tmp_path / "test.tsv")},
            **more,
        }

    return make


def read(values, on_bad_row="error", counts=None):
    spec = EvaluationSpec.model_validate(values)
    return read_set(spec, on_bad_row=on_bad_row, counts=Counter() if counts is None else counts)


def test_three_files_become_one_set(files):
    counts = Counter()
    found = read(files(languages=["ko", "en"]), counts=counts)
    assert found == RetrievalSet(
        query_ids=["q1", "q2"],
        queries=["Who sleeps?", "Who barks?"],
        document_ids=["d1", "d2", "3"],
        documents=["Cats They sleep. A lot!", "Dogs bark.", "Rain."],
        relevance={0: {0: 2.0}, 1: {1: 1.0, 2: 0.5}},
        languages=("ko", "en"),
    )
    assert counts == {"unjudged_queries": 1}
    assert list(texts_of(found)) == [*found.queries, *found.documents]


def test_columns_by_name_leave_the_title_out(files):
    assert read(files(columns=["_id", "text"])).documents[0] == "They sleep. A lot!"


def test_sentences_belong_to_their_documents_and_are_not_trained_on(files):
    found = read(files(unit="sentence"))
    units, owners = found.units()
    assert units == ["Cats They sleep.", "A lot!", "Dogs bark.", "Rain."]
    assert owners.tolist() == [0, 0, 1, 2]
    assert {"A lot!", "Cats They sleep. A lot!"} <= set(texts_of(found))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"documents": [*DOCUMENTS, {"_id": "d1", "title": "", "text": "Again."}]}, r"corpus\.jsonl, row 4"),
        ({"documents": [*DOCUMENTS, {"_id": "d9", "title": " ", "text": ""}]}, r"corpus\.jsonl, row 4"),
        ({"documents": [*DOCUMENTS, {"_id": 1.5, "title": "", "text": "x"}]}, r"corpus\.jsonl, row 4"),
        ({"queries": [*QUERIES, {"_id": "q2", "text": "Again?"}]}, r"queries\.jsonl, row 4"),
        ({"judged": [*JUDGED, "q9\td1\t1"]}, r"test\.tsv, row 6"),
        ({"judged": [*JUDGED, "q1\td9\t1"]}, r"test\.tsv, row 6"),
        ({"judged": [*JUDGED, "q1\td1\t1"]}, r"test\.tsv, row 6"),
        ({"judged": [*JUDGED, "q3\td1\tmuch"]}, r"test\.tsv, row 6"),
        ({"judged": [*JUDGED, "q3\td1\t-1"]}, r"test\.tsv, row 6"),
        ({"judged": [*JUDGED, "q3\td1"]}, r"test\.tsv, row 6"),
    ],
)
def test_bad_rows_are_named_or_counted(files, change, where):
    with pytest.raises(DataError, match=where) as caught:
        read(files(**change))
    assert caught.value.exit_code == 2
    counts = Counter()
    assert read(files(**change), "skip", counts) == read(files())
    assert counts["bad_rows"] == 1


def test_an_unknown_id_says_where_it_should_be(files):
    with pytest.raises(DataError, match="'q9'") as caught:
        read(files(judged=[*JUDGED, "q9\td1\t1"]))
    assert "queries.jsonl" in caught.value.expected


def test_judgements_of_what_a_limit_cuts_off_are_passed_over(files):
    values = files(limit=2)
    values["queries"] |= {"limit": 1}
    found = read(values)
    assert (found.query_ids, found.document_ids, found.relevance) == (["q1"], ["d1", "d2"], {0: {0: 2.0}})


def test_queries_without_a_relevant_document_alone_are_refused(files):
    with pytest.raises(DataError, match="no query has a relevant document"):
        read(files(judged=[JUDGED[0], "q1\td1\t0"]))


@pytest.mark.parametrize(
    ("rows", "options", "wanted"),
    [
        (["a\tone text", "b\tother text"], {}, ["a", "b"]),
        (["x\ta\tone text", "y\tb\tother text"], {"columns": [1, 2]}, ["a", "b"]),
        (["docid\tcontents\ttext_length", "a\tone text\t8", "b\tother text\t10"], {"header": True}, ["a", "b"]),
    ],
)
def test_documents_of_tables(files, tmp_path, rows, options, wanted):
    (tmp_path / "docs.tsv").write_text("\n".join(rows) + "\n")
    values = files(judged=[JUDGED[0], "q1\ta\t1"]) | {"source": str(tmp_path / "docs.tsv"), **options}
    found = read(values)
    assert found.document_ids == wanted
    assert found.documents == ["one text", "other text"]


def test_columns_that_cannot_be_told_are_listed(files, tmp_path):
    (tmp_path / "docs.tsv").write_text("a\tb\tc\n")
    with pytest.raises(DataError, match="cannot tell which columns are the id and the text"):
        read(files() | {"source": str(tmp_path / "docs.tsv")})
    with pytest.raises(DataError, match="query id, the document id and the score"):
        read(files(judged=["q1\td1"]))


def test_ids_stand_once():
    with pytest.raises(DataError, match="a document id stands twice"):
        RetrievalSet(["q"], ["x"], ["d", "d"], ["y", "z"], {0: {0: 1.0}})


@pytest.mark.parametrize("relevance", [{}, {0: {}}, {0: {0: 0.0}}, {0: {2: 1.0}}, {0: {0: 1.0}, 1: {0: 1.0}}])
def test_relevance_fits_queries_and_documents(relevance):
    with pytest.raises(DataError):
        RetrievalSet(["q"], ["x"], ["d", "e"], ["y", "z"], relevance)
