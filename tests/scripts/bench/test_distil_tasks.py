"""The parts of the benchmark of labelled tasks that need no run: what is left to do, and what the table says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts" / "bench"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import distil_tasks

        yield distil_tasks
    finally:
        sys.path.remove(str(SCRIPTS))


def run(params, scores="1 0", ms=None):
    values = [float(value) for value in scores.split()]
    value = sum(values) / len(values)
    test = {"metric": "accuracy", "value": value, "ci95": [0.0, 1.0], "n": len(values), "retained": 1.0}
    model = {"test": test, "params": params, "embedding_params": 1, "file_mb": 1.0, "p50_ms": ms}
    return {
        "models": {"teacher": {**model, "params": 100, "p50_ms": ms and 4 * ms}, "student": model, "fast": model},
        "gates": {"fp32": True, "fast": True, "faithful": True},
        "timed": ms is not None,
        "scores": scores,
        "environment": {"cpu": "a", "cores": 2, "packages": {"torch": "2"}},
    }


KNOWN = {
    "a-labels": {"set": "sst2", "teacher": "minilm"},
    "a-kd": {"set": "sst2few", "teacher": "minilm"},
    "b-labels": {"set": "nsmc", "teacher": "e5"},
}


def test_a_row_is_done_once_for_every_seed(bench):
    found = {"a-labels": {"42": run(10)}}
    assert bench.to_do(["a-labels", "a-kd"], [42, 43], found, KNOWN, False) == [("a-labels", 43), ("a-kd", 42), ("a-kd", 43)]


def test_every_shape_is_timed_once(bench):
    found = {"a-labels": {"42": run(10)}, "a-kd": {"42": run(10)}, "b-labels": {"42": run(10)}}
    assert bench.to_do(list(KNOWN), [42], found, KNOWN, True) == [("a-labels", 42), ("b-labels", 42)]
    found["a-kd"]["42"] = run(10, ms=2.0)
    assert bench.to_do(list(KNOWN), [42], found, KNOWN, True) == [("b-labels", 42)]


def test_rows_of_a_shape_share_its_milliseconds(bench):
    found = {"a-labels": {"42": run(10)}, "a-kd": {"42": run(10, "1 1", ms=2.0)}, "b-labels": {"42": run(10)}}
    lines = {line["row"]: line for line in bench.table(found, KNOWN)}
    assert (lines["a-labels"]["int8_ms"], lines["a-labels"]["teacher_ms"]) == (2.0, 8.0)
    assert "int8_ms" not in lines["b-labels"]
    assert lines["a-kd"]["difference_to"] == "a-labels"
    assert lines["a-kd"]["difference"]["difference"] == 0.5
    text = bench.markdown(list(lines.values()), found)
    assert text.count("2.00 (4x)") == 2


def test_a_file_that_failed_its_gate_is_not_in_the_table(bench):
    failed = run(10, "1 1", ms=2.0)
    failed["gates"]["fast"] = False
    failed["models"]["faithful"] = {**failed["models"]["fast"], "file_mb": 3.0, "p50_ms": 4.0}
    failed["models"]["fast"] = {**failed["models"]["fast"], "file_mb": None, "p50_ms": None}
    found = {"a-labels": {"42": failed}}
    (line,) = bench.table(found, KNOWN)
    assert (line["int8_preset"], line["int8_mb"], line["int8_ms"]) == ("faithful", 3.0, 4.0)
    assert "(faithful)" in bench.markdown([line], found)


def test_what_a_row_is_compared_to_is_there(bench):
    known = bench.rows()
    named = {name: row for name, row in known.items() if "against" in row}
    assert named
    for name, row in named.items():
        assert known[row["against"]]["set"] == row["set"], name


@pytest.fixture(scope="module")
def phrases(bench):
    import distil_tasks_phrases

    return distil_tasks_phrases


HELD_OUT = ["a rollicking ride , with jaw dropping action sequences and striking villains", "the café lrb b rrb ut closed"]


def test_phrases_are_written_as_sentences_are(phrases):
    assert (
        phrases.plain("A jaw-dropping café ( b ) ut -- closed , `` so '' .")
        == "a jaw dropping cafe lrb b rrb ut closed , ` so ''"
    )
    assert phrases.plain(" .") == ""
    assert phrases.words("it 's 24/7 , ` so '") == ["it", "s", "24", "7", "so"]


@pytest.mark.parametrize(
    "known",
    [
        "jaw-dropping action sequences",
        "ride , with jaw-dropping action sequences , striking villains .",
        "the café ( b ) ut",
        "... with jaw dropping action sequences",
        "it is a rollicking ride with jaw-dropping stunts",
    ],
)
def test_no_part_of_a_held_out_sentence_is_left(phrases, known):
    assert phrases.as_sentences([known, "striking action"], [], HELD_OUT) == ["striking action"]
    assert phrases.as_written(["striking villains"], HELD_OUT) == []


def test_phrases_come_once_and_whole_training_sentences_never(phrases):
    found = phrases.as_sentences(["Well made .", "well-made", "good , really good .", "..."], ["good really good"], HELD_OUT)
    assert found == ["well made"]
    assert phrases.as_written(["b", "a-b", "b"], HELD_OUT[:1]) == ["b", "a-b"]


def test_a_row_with_teachers_of_its_own_keeps_a_share_of_their_mean(bench):
    first, second = run(10, "1 1"), run(10, "1 0")
    first["models"]["teacher"]["test"] = {**first["models"]["teacher"]["test"], "value": 1.0}
    second["models"]["teacher"]["test"] = {**second["models"]["teacher"]["test"], "value": 0.9}
    (line,) = bench.table({"a-labels": {"42": first, "43": second}}, KNOWN)
    assert line["teacher"] == pytest.approx(0.95)
    assert line["retained"] == pytest.approx(0.75 / 0.95)


def test_a_seed_has_the_teacher_it_asks_for(bench, tmp_path):
    for name in ("sst2-teacher-mpnet", "sst2-teacher-mpnet-43"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").touch()
    row = {"set": "sst2", "teacher": "mpnet"}
    assert bench.teacher_of(row, 43, {}, tmp_path, tmp_path) == str(tmp_path / "sst2-teacher-mpnet" / "teacher")
    own = {**row, "own_teacher": True}
    assert bench.teacher_of(own, 42, {}, tmp_path, tmp_path) == str(tmp_path / "sst2-teacher-mpnet" / "teacher")
    assert bench.teacher_of(own, 43, {}, tmp_path, tmp_path) == str(tmp_path / "sst2-teacher-mpnet-43" / "teacher")
