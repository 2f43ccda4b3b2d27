"""What stored predictions tell: intervals, tests, parts, disagreements; and predictions that are missing or damaged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_page import Page
from report_run import predict

from distill.report.disagreements import agreement_examples, disagreements
from distill.report.html import to_html
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.slices import slices


@pytest.fixture
def told(run):
    predict(run)
    return run, build_report(run.write())


def test_every_model_is_tested_against_the_teacher(told):
    _, report = told
    for name in ("student", "fp32", "fast", "faithful"):
        quality = report.model(name).quality["sts-test"]
        low, high = quality.retained_ci95
        assert low < quality.value / report.model("teacher").quality["sts-test"].value < high
        against = quality.against_teacher
        assert against.ci95[0] < against.difference < against.ci95[1]
        assert 0 < against.p <= 1
    assert report.model("teacher").quality["sts-test"].against_teacher is None
    assert report.model("fast").quality["agreement"].against_teacher is None


def test_the_paired_interval_is_narrower_than_two_that_know_nothing_of_each_other(told):
    _, report = told
    low, high = report.model("fast").quality["sts-test"].against_teacher.ci95
    assert high - low < 0.1, "each value alone has an interval of 0.1"


def test_the_worst_examples_are_those_that_moved_furthest(told):
    run, report = told
    (found,) = [part for part in report.disagreements if part.task == "sts-test"]
    assert (found.model, found.kind, found.n, len(found.examples)) == ("fast", "sts", 120, 20)
    read = {
        name: pq.read_table(run.folder / "predictions" / "sts-test" / f"{name}.parquet")["cosine"].to_numpy()
        for name in ("teacher", "fast")
    }
    moved = np.abs(*(np.diff([np.argsort(np.argsort(read[name])) for name in ("teacher", "fast")], axis=0)))
    assert [round(example.size * 119) for example in found.examples] == sorted(moved.tolist(), reverse=True)[:20]
    first = found.examples[0]
    assert first.student == f"{read['fast'][first.row]:.3f}"
    assert first.texts[1] == f"Second sentence {first.row}"


def test_parts_by_length_hold_every_example_once(told):
    _, report = told
    parts = [part for part in report.slices if part.by == "length"]
    assert sum(part.n for part in parts) == 120
    assert 2 <= len(parts) <= 4
    assert all(part.difference_ci95[0] <= part.student - part.teacher <= part.difference_ci95[1] for part in parts)


def test_the_pages_show_them(told):
    _, report = told
    for form in (to_html(report), to_markdown(report)):
        for words in ("Against the teacher", "Where student and teacher disagree", "sts-test, by length", "Second sentence"):
            assert words in form


def test_texts_can_be_kept_out(run):
    predict(run)
    run.recipe["report"] = {"examples": 0}
    report = build_report(run.write())
    assert report.disagreements == ()
    assert report.slices
    assert "Second sentence" not in to_html(report) + to_markdown(report)


def test_a_run_without_predictions_is_reported_without_them(run):
    report = build_report(run.write())
    assert (report.slices, report.disagreements, report.problems) == ((), (), ())


def test_damaged_predictions_are_told_and_the_others_count(told):
    run, _ = told
    (run.folder / "predictions" / "sts-test" / "fast.parquet").write_bytes(b"PAR1 torn")
    report = build_report(run.folder)
    (problem,) = report.problems
    assert (problem.file, problem.what, problem.place) == ("predictions/sts-test", "damaged", "fast.parquet")
    assert [part.task for part in report.disagreements] == ["agreement"], "those of 'fast' on this set are lost"
    assert report.model("student").quality["sts-test"].against_teacher is not None
    assert "predictions/sts-test is damaged (fast.parquet)" in to_html(report)


def test_predictions_of_another_evaluation_are_not_used(told):
    run, _ = told
    run.quality["models"]["fast"]["sts-test"]["value"] -= 0.01
    quality = build_report(run.write()).model("fast").quality["sts-test"]
    assert quality.retained_ci95 is None


def test_other_examples_are_not_compared(told):
    run, _ = told
    place = run.folder / "predictions" / "sts-test" / "fast.parquet"
    columns = pq.read_table(place).to_pydict()
    columns["sentence1"][3] = "something else"
    pq.write_table(pa.table(columns), place)
    report = build_report(run.folder)
    assert report.model("fast").quality["sts-test"].against_teacher is None
    assert report.model("student").quality["sts-test"].against_teacher is not None
    assert not [part for part in report.disagreements if part.task == "sts-test"]


@pytest.mark.parametrize(
    "columns", [{"a": [1]}, {"cosine": ["x"], "score": [None], "sentence1": ["a"], "sentence2": ["b"]}, {"score": []}]
)
def test_columns_of_something_else_are_no_error(told, columns):
    run, _ = told
    for place in (run.folder / "predictions" / "sts-test").iterdir():
        pq.write_table(pa.table(columns), place)
    report = build_report(run.folder)
    assert report.model("fast").quality["sts-test"].against_teacher is None
    to_html(report)


def labelled(prediction, confidence=None, score=None):
    n = len(prediction)
    columns = {"text": [f"text {row}" for row in range(n)], "label": ["a"] * n, "prediction": prediction}
    columns["score"] = score or [float(guess == "a") for guess in prediction]
    return columns | ({"confidence": confidence} if confidence else {})


def test_labels_differ_the_surest_first():
    teacher = labelled(["a", "a", "a", "b"], [0.9, 0.99, 0.9, 0.9])
    student = labelled(["b", "b", "a", "b"], [0.5, 0.8, 0.9, 0.9])
    found = disagreements("test", "classification", teacher, student, model="fast")
    assert [(example.row, example.teacher, example.student, example.gold) for example in found.examples] == [
        (1, "a", "b", "a"),
        (0, "a", "b", "a"),
    ]
    assert (found.differing, found.n) == (2, 4)


def test_runs_made_before_confidences_were_kept_are_told_in_order():
    found = disagreements("test", "classification", labelled(["a", "a"]), labelled(["b", "b"]), model="fast")
    assert [example.row for example in found.examples] == [0, 1]


def test_tags_are_shown_with_their_words():
    def side(tags):
        return {"words": ["Ann met Bo", "in Rome"], "label": ["B-P O B-P", "O B-L"], "prediction": tags, "score": [1.0, 1.0]}

    found = disagreements("test", "tokens", side(["B-P O B-P", "O B-L"]), side(["B-P O O", "O B-L"]), model="fast")
    (example,) = found.examples
    assert (example.teacher, example.student, example.gold) == ("Ann/B-P Bo/B-P", "Ann/B-P", "Ann/B-P Bo/B-P")


def test_answers_show_all_that_are_right():
    def side(answer, score):
        return {"question": ["who?"], "answers": [["Ann", "Ann B."]], "prediction": [answer], "score": [score]}

    found = disagreements("test", "spans", side("Ann", 1.0), side(None, 0.0), model="fast")
    (example,) = found.examples
    assert (example.teacher, example.student, example.gold) == ("Ann", "", "Ann | Ann B.")


def test_retrieval_shows_the_queries_that_lost_most():
    teacher, student = ({"query": ["x", "y", "z"], "ndcg@10": scores} for scores in ([1.0, 0.5, 0.2], [0.4, 0.5, 0.9]))
    found = disagreements("test", "retrieval", teacher, student, model="fast")
    assert [(example.row, example.size) for example in found.examples] == [(0, 0.6)]


def test_agreement_shows_the_furthest_sentences():
    student = {"sentence": ["a", "b", "c"], "cosine_to_teacher": [0.9, 0.2, None]}
    found = agreement_examples("agreement", student, model="fast")
    assert [(example.row, example.student) for example in found.examples] == [(1, "0.200"), (0, "0.900")]
    assert found.differing == 1


def test_parts_by_label_and_language():
    n = 60
    columns = labelled(["a"] * n, score=[float(row % 2) for row in range(n)])
    columns["label"] = ["a" if row < 45 else "b" if row < 55 else "c" for row in range(n)]
    columns["language"] = ["en" if row % 3 else "ko" for row in range(n)]
    found = slices("test", "classification", columns, columns, model="fast")
    labels = {part.name: part for part in found if part.by == "label"}
    assert [(part.n, part.student is None) for part in labels.values()] == [(45, False), (10, False), (5, True)]
    assert labels["b"].difference_ci95 == (0.0, 0.0)
    assert {part.name: part.n for part in found if part.by == "language"} == {"en": 40, "ko": 20}


def test_the_page_is_not_longer_than_it_must_be(run):
    predict(run, texts=["word " * 5000])
    page = Page(to_html(build_report(run.write())))
    assert max(map(len, page.text)) < 20_000
    assert any(text.endswith("…") for text in page.text)
