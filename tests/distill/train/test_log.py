"""log.jsonl after an interruption: what will be trained again is not there twice, and a torn line stops nobody."""

from __future__ import annotations

import json

import pytest

from distill.train.log import StepLog


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def steps(path):
    return [(entry["stage"], entry["step"]) for entry in lines(path)]


def filled(path, *, stage="main", count=6):
    log = StepLog(path, stage)
    for step in range(1, count + 1):
        log.write(step=step, loss=1 / step, losses={"embedding_cosine": 1 / step})
    return path


def test_lines_hold_what_was_written(tmp_path):
    log = StepLog(tmp_path / "log.jsonl", "main")
    log.write(step=3, epoch=0.5, loss=0.25, losses={"embedding_mse": 0.25})
    log.write(step=3, epoch=0.5, dev={"agreement_spearman": 0.9})
    assert lines(tmp_path / "log.jsonl") == [
        {"stage": "main", "step": 3, "epoch": 0.5, "loss": 0.25, "losses": {"embedding_mse": 0.25}},
        {"stage": "main", "step": 3, "epoch": 0.5, "dev": {"agreement_spearman": 0.9}},
    ]


def test_later_lines_are_dropped_on_resume(tmp_path):
    path = filled(tmp_path / "log.jsonl")
    StepLog(path, "main", resume_step=4).write(step=5, loss=0.0)
    assert steps(path) == [("main", step) for step in (1, 2, 3, 4, 5)]
    assert lines(path)[-1]["loss"] == 0.0


def test_a_stage_that_starts_anew_keeps_the_lines_of_other_stages(tmp_path):
    path = filled(tmp_path / "log.jsonl", stage="first", count=3)
    filled(path, stage="second", count=2)
    StepLog(path, "second")
    assert steps(path) == [("first", 1), ("first", 2), ("first", 3)]


@pytest.mark.parametrize("torn", ['{"stage": "main", "st', '"a string"', "[1, 2]", "null", '{"step": 2}', '{"stage": "main"}'])
def test_a_torn_line_is_dropped(tmp_path, torn):
    path = filled(tmp_path / "log.jsonl", count=2)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(torn)
    StepLog(path, "main", resume_step=2).write(step=3)
    assert steps(path) == [("main", 1), ("main", 2), ("main", 3)]


def test_bytes_torn_inside_a_letter_are_dropped(tmp_path):
    path = filled(tmp_path / "log.jsonl", count=2)
    with open(path, "ab") as stream:
        stream.write('{"stage": "main", "step": 3, "note": "학'.encode()[:-1])
    StepLog(path, "main", resume_step=3).write(step=4)
    assert steps(path) == [("main", 1), ("main", 2), ("main", 4)]


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    log = StepLog(tmp_path / "log.jsonl", "main")
    with pytest.raises(ValueError, match="JSON compliant"):
        log.write(step=1, loss=float("nan"))
    assert lines(tmp_path / "log.jsonl") == []


def losses(path):
    return [(entry["step"], entry.get("spike")) for entry in map(json.loads, path.read_text("utf-8").splitlines())]


def test_a_loss_that_jumps_is_told_and_marked(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    values = [2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 7.5, 1.0, 5.0]
    log = StepLog(path, "main")
    for step, value in enumerate(values[:6]):
        log.write(step=step, loss=value)
    log = StepLog(path, "main", resume_step=5)  # goes on: what is usual is read from the lines
    for step, value in list(enumerate(values))[6:]:
        log.write(step=step, loss=value)
    assert losses(path) == [*((step, None) for step in range(6)), (6, 7.5), (7, None), (8, None)]
    assert "loss 7.5 at step 6 is 7.5 times the median of the last 6 lines" in " ".join(capsys.readouterr().err.split())


def test_a_loss_near_nothing_does_not_jump(tmp_path):
    """Where everything is learned the last digits go up and down."""
    path = tmp_path / "log.jsonl"
    log = StepLog(path, "main")
    for step, value in enumerate([1.0, *[1e-9] * 8, 1e-7, 0.0]):
        log.write(step=step, loss=value)
    assert {spike for _, spike in losses(path)} == {None}
