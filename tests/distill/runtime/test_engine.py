"""Threads, forks, pickles, abandoned streams: the encoder keeps giving the vectors that are known on paper."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import bag
import numpy as np
import pytest

from distill.errors import DataError, ModelError
from distill.runtime import Encoder
from distill.runtime import batches as batches_module

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [("cat dog " * (number % 7)).strip() for number in range(120)]
VECTORS = np.array([bag.vector(text) for text in TEXTS], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bag.folder(tmp_path_factory.mktemp("engine") / "model")


@pytest.fixture
def encoder(folder):
    """Two workers, which the batches of `TEXTS` keep busy."""
    return Encoder.load(folder, "fp32", threads=2)


def encode_small(encoder):
    return encoder.encode(TEXTS, batch_tokens=40)


def test_batches_side_by_side_keep_their_order(encoder):
    np.testing.assert_allclose(encode_small(encoder), VECTORS, rtol=1e-6)
    assert set(encoder._engine._sessions) == {"wide", "narrow"}


def test_a_single_batch_opens_no_second_session(encoder):
    encoder.encode(["cat"])
    assert set(encoder._engine._sessions) == {"wide"}
    alone = Encoder.load(encoder.folder, "fp32", threads=1)
    encode_small(alone)
    assert set(alone._engine._sessions) == {"wide"}


def test_threads_that_share_a_model(encoder):
    wrong = []

    def work():
        if not np.allclose(encode_small(encoder), VECTORS):
            wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def in_child(encoder, queue):
    queue.put((os.getpid(), encode_small(encoder)))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_model_that_was_used_works_in_a_child_and_on_in_the_parent(encoder, way):
    encode_small(encoder)
    context = multiprocessing.get_context(way)
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns that a process with threads is forked
        child = context.Process(target=in_child, args=(encoder, queue))
        child.start()
    try:
        pid, found = queue.get(timeout=120)
    finally:
        child.join(30)
        if child.is_alive():
            child.kill()
    assert child.exitcode == 0
    assert pid != os.getpid()
    np.testing.assert_allclose(found, VECTORS, rtol=1e-6)
    np.testing.assert_allclose(encode_small(encoder), VECTORS, rtol=1e-6)


def test_a_fork_while_another_thread_encodes(encoder):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            encode_small(encoder)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            children = [context.Process(target=in_child, args=(encoder, queue)) for _ in range(3)]
            for child in children:
                child.start()
        for _ in children:
            np.testing.assert_allclose(queue.get(timeout=120)[1], VECTORS, rtol=1e-6)
        for child in children:
            child.join(30)
    finally:
        stop.set()
        worker.join()


FORKED = """
import gc, os, sys, warnings
import bag
from distill.runtime import Encoder

warnings.simplefilter("ignore")
encoder = Encoder.load(sys.argv[1], "fp32", threads=2)
texts = ["cat dog " * (number % 7) for number in range(120)]
before = encoder.encode(texts, batch_tokens=40)
pid = os.fork()
if pid == 0:
    same = bool((encoder.encode(texts, batch_tokens=40) == before).all())
    del encoder
    gc.collect()
    os._exit(7 if same else 1)
del encoder
gc.collect()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_process_may_forget_the_model(folder):
    """onnxruntime, freed there, would wait for the parent's threads, or crash (its pull request 31961)."""
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", FORKED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=place, timeout=120, check=False)
    assert done.stdout.split() == ["7"], done.stderr


def test_pickled_and_back(encoder):
    encoder.encode(["cat " * 40])
    twin = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_allclose(encode_small(twin), VECTORS, rtol=1e-6)
    assert (twin.precision, twin.dim, twin.truncated, repr(twin)) == ("fp32", 3, 1, repr(encoder))


def test_a_file_that_is_gone_is_an_error_of_the_copy(tmp_path):
    path = bag.folder(tmp_path / "m")
    raw = pickle.dumps(Encoder.load(path, "fp32"))
    (path / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx"):
        pickle.loads(raw).encode(["cat"])


def test_a_generator_that_raises_gives_what_came_before(encoder, monkeypatch):
    monkeypatch.setattr(batches_module, "WINDOW_ROWS", 50)

    def broken():
        yield from TEXTS[:70]
        raise OSError("the disk is gone")

    found = []
    with pytest.raises(OSError, match="disk is gone"):
        found.extend(encoder.encode_stream(broken(), batch_tokens=40))
    np.testing.assert_allclose(np.concatenate(found), VECTORS[:70], rtol=1e-6)
    np.testing.assert_allclose(encode_small(encoder), VECTORS, rtol=1e-6)


def test_a_stream_that_nobody_ends(encoder, monkeypatch):
    monkeypatch.setattr(batches_module, "WINDOW_ROWS", 50)
    taken = []

    def endless():
        for number in range(10**9):
            taken.append(number)
            yield TEXTS[number % len(TEXTS)]

    stream = encoder.encode_stream(endless(), batch_tokens=40)
    np.testing.assert_allclose(next(stream), VECTORS[:50], rtol=1e-6)
    assert len(taken) <= 150
    stream.close()
    gc.collect()
    np.testing.assert_allclose(encode_small(encoder), VECTORS, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_too_long_is_an_error_where_it_is_asked_for(folder, threads):
    encoder = Encoder.load(folder, "fp32", threads=threads)
    with pytest.raises(DataError, match="sentence 1:") as caught:
        encoder.encode(["cat", "cat " * 20, "dog"], on_long="error")
    assert "22 tokens" in str(caught.value)
    assert encoder.truncated == 0
    np.testing.assert_allclose(encoder.encode(["cat " * 14], on_long="error"), [bag.vector("cat " * 14)], rtol=1e-6)
