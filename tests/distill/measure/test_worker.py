"""The process that holds a model: its timing loop, its queue, and its talk with the one who asks."""

from __future__ import annotations

import gc
import io
import json
import time
from types import SimpleNamespace

import bag
import pytest

from distill.errors import DistillError, ModelError
from distill.files import write_json
from distill.measure import models, process, worker


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch):
    monkeypatch.setattr(worker, "WARM_UP_SECONDS", 0.0)


def test_runs_and_seconds_are_both_met():
    calls = []
    wall, _ = worker.timed([lambda: calls.append(1)], 7, 0.0)
    assert len(wall) == len(calls) == 7
    wall, _ = worker.timed([lambda: time.sleep(0.01)], 1, 0.1)
    assert sum(wall) >= 80
    assert len(wall) > 1


def test_several_calls_are_run_equally_often():
    calls = []
    wall, _ = worker.timed([lambda: calls.append("a"), lambda: calls.append("b")], 3, 0.0)
    assert calls == ["a", "b", "a", "b"]
    assert len(wall) == 4


def test_a_call_that_takes_no_time_ends_nevertheless(monkeypatch):
    monkeypatch.setattr(worker, "MOST_RUNS", 50)
    assert len(worker.timed([lambda: None], 1, 60.0)[0]) == 50


def test_wall_time_counts_sleep_and_cpu_time_does_not():
    wall, cpu = worker.timed([lambda: time.sleep(0.005)], 5, 0.0)
    assert min(wall) >= 5
    assert cpu < 0.5 * sum(wall)


def test_the_warm_up_lasts_as_long_as_it_should(monkeypatch):
    monkeypatch.setattr(worker, "WARM_UP_SECONDS", 0.05)
    calls = []
    worker.warm_up([lambda: (calls.append(1), time.sleep(0.005))])
    assert len(calls) > worker.WARM_UP_RUNS


def test_the_garbage_collector_is_off_while_timing_and_on_afterwards():
    seen = []
    worker.timed([lambda: seen.append(gc.isenabled())], 2, 0.0)
    assert seen[-2:] == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        worker.timed([lambda: 1 / 0 if not gc.isenabled() else None], 2, 0.0)
    assert gc.isenabled()


def bench(tmp_path, scope="model", texts=(), file="fp32", more=()):
    folder = bag.folder(tmp_path / "student")
    write_json(tmp_path / "texts.json", list(texts))
    spec = {"format": "onnx", "path": str(folder / "onnx" / bag.FILES[file]), "home": str(folder), "threads": 1, "scope": scope}
    ids = {"vocabulary": len(bag.WORDS), "special": [0, 1, 2, 3, 4]}
    further = [{**spec, **ids, "path": str(folder / "onnx" / bag.FILES[name])} for name in more]
    return worker.Bench({**spec, **ids, "more": further, "texts": str(tmp_path / "texts.json"), "started": time.monotonic()})


def test_a_case_of_each_kind(tmp_path):
    made = bench(tmp_path, texts=["a cat", "dog ran on the mat"])
    hello = made.hello()
    assert 0 < hello["load_ms"] < hello["start_ms"]
    assert made.case("full", "full", [[4, 4]])["tokens"] == [8]
    assert made.case("lengths", "lengths", [[4, 6], [8]])["tokens"] == [10, 8]
    assert made.case("texts", "texts", [[0], [0, 1]])["tokens"] == [4, 11]  # two special tokens each
    assert len(made.block("texts", [1, 0], 1, 0.0)["wall_ms"]) == 2
    assert made.bye()["peak_rss_mb"] > 10


@pytest.mark.parametrize("scope", ["model", "end_to_end"])
def test_what_is_timed_is_the_model(tmp_path, scope):
    made = bench(tmp_path, scope, ["a cat", "dog ran on the mat"])
    made.case("texts", "texts", [[0, 1]])
    (vectors,) = made.runs["texts"][0]()
    assert vectors.tolist() == [pytest.approx(bag.vector(text)) for text in ("a cat", "dog ran on the mat")]


@pytest.mark.parametrize("scope", ["model", "end_to_end"])
def test_several_models_run_one_after_the_other(tmp_path, scope):
    """Each reads the text itself; tokens are counted once, and loading takes what both take."""
    made = bench(tmp_path, scope, ["a cat"], more=["fp32"])
    assert made.case("texts", "texts", [[0]])["tokens"] == [4]
    told = made.runs["texts"][0]()
    assert [vectors[0].tolist() for (vectors,) in told] == [pytest.approx(bag.vector("a cat"))] * 2
    assert made.case("full", "full", [[4, 4]])["tokens"] == [8]
    assert made.hello()["load_ms"] == sum(one.load_ms for one in made.loaded)
    assert len(made.loaded) == 2


def test_shorter_rows_are_masked(tmp_path):
    """A row of 3 tokens gives the same vector alone and beside a row of 9."""
    from distill.measure.inputs import lengths_batch

    arrays = lengths_batch([3, 9], len(bag.WORDS), (0, 1, 2, 3, 4))
    assert arrays["attention_mask"].sum(axis=1).tolist() == [3, 9]
    (loaded,) = bench(tmp_path).loaded
    (both,) = loaded.prepare(arrays)()
    (alone,) = loaded.prepare({name: array[:1, :3] for name, array in arrays.items()})()
    assert both[0] == pytest.approx(alone[0])


def test_requests_wait_for_each_other_and_never_for_the_asker(tmp_path):
    """Three requests at once and one much later: the second and third wait, the fourth does not."""
    made = bench(tmp_path)
    made.runs["slow"] = [lambda: time.sleep(0.02)]
    answer = made.serve("slow", [0, 0, 0, 0], [0.0, 0.0, 0.0, 0.2], 10.0)
    start, end = answer["start"], answer["end"]
    assert start[1] >= end[0] >= 0.02
    assert start[2] >= end[1] >= 0.04
    assert start[3] >= 0.2
    assert all(late >= 0 for late in (start[3] - 0.2, *start[:3]))
    answer = made.serve("slow", [0] * 50, [0.0] * 50, 0.05)
    assert 1 < len(answer["end"]) < 10  # given up


def test_it_answers_line_by_line_until_goodbye():
    bench = SimpleNamespace(double=lambda x: {"is": 2 * x}, bye=lambda: {})
    lines = [{"do": "double", "x": 2}, {"do": "double", "x": 5}, {"do": "bye"}, {"do": "double", "x": 7}]
    answers = io.StringIO()
    worker.answer_all(bench, io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), answers)
    assert answers.getvalue().split("\n") == ['{"is": 4}', '{"is": 10}', "{}", ""]


def test_compiling_is_told_apart(tmp_path):
    """The first calls of a compiled model are its compiling; a usual call is not counted."""
    made = bench(tmp_path)
    made.compiled = True
    slow = iter([0.05])
    made._group = lambda kind, group: (lambda: time.sleep(next(slow, 0.001)), 4)
    worker_checked, worker.checked = worker.checked, lambda run, compiled: run()
    try:
        answer = made.case("x", "full", [[4]])
    finally:
        worker.checked = worker_checked
    assert 30 < answer["compile_ms"] <= answer["first_ms"]


def test_a_compiler_that_fails_is_the_models_error():
    def fails():
        raise RuntimeError("no such header")

    with pytest.raises(ModelError, match="no such header"):
        models.checked(fails, True)
    with pytest.raises(RuntimeError):
        models.checked(fails, False)


def test_the_compiler_is_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler is not there" in models.compiler_missing()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert "g++ or clang++" in models.compiler_missing()


def test_the_words_of_a_dead_process():
    error = process.worker_error("fast", 2, -9, "one\ntwo\nthree\nfour\n")
    assert "its last words: two | three | four" in str(error)
    assert "out of memory" in str(error)
    assert error.exit_code == 3
    error = process.worker_error("fast", 1, 2, "this file is damaged")
    assert isinstance(error, ModelError)


def test_a_real_process_is_asked_and_dies_with_its_reason(monkeypatch, tmp_path):
    """A numpy.py beside the user must not be imported; the budget must reach OpenMP before it starts."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    environment = process.worker_environment(2, tmp_path)
    assert {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"2"}
    assert environment["HF_HUB_OFFLINE"] == "1"
    folder = bag.folder(tmp_path / "student")
    spec = {"format": "onnx", "path": str(folder / "onnx" / "model.onnx"), "home": str(folder), "scope": "model"}
    (tmp_path / "scratch").mkdir()
    asked = process.Worker("fp32", 1, {**spec, "vocabulary": 15, "special": []}, tmp_path / "scratch", tmp_path)
    try:
        asked.ask("case", key="x", kind="full", groups=[[4]])
        assert len(asked.ask("block", key="x", groups=[0], min_runs=3, min_seconds=0.0)["wall_ms"]) >= 3
        with pytest.raises(DistillError, match="KeyError"):
            asked.ask("block", key="no such case", groups=[0], min_runs=3, min_seconds=0.0)
    finally:
        asked.kill()
    assert asked.process.poll() is not None
