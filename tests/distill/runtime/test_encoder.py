"""The encoder on a graph whose vectors are known on paper."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path

import bag
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import DataError, ModelError, UserError
from distill.runtime import batches
from distill.runtime.encoder import load

SENTENCES = ["the cat sat on the mat", "a dog ran", "", "the dog", "a a a a a a a a", "cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bag.folder(tmp_path_factory.mktemp("bag") / "model", prompts={"query": "query : ", "none": ""})


@pytest.fixture(scope="module")
def encoder(folder):
    return load(folder, precision="fp32", threads=1)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
def test_vectors_and_their_order_do_not_depend_on_batches(encoder, batch_size):
    vectors = encoder.encode(SENTENCES, batch_size)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [bag.vector(text) for text in SENTENCES], rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.lists(st.sampled_from(bag.WORDS[5:]), max_size=20).map(" ".join), max_size=12), batch_size=st.integers(1, 5)
)
def test_any_list_of_sentences(encoder, texts, batch_size):
    expected = np.array([bag.vector(text) for text in texts], np.float32).reshape(len(texts), 3)
    np.testing.assert_allclose(encoder.encode(texts, batch_size), expected, rtol=1e-6)


def test_more_sentences_than_one_window_keep_their_order(encoder, monkeypatch):
    monkeypatch.setattr(batches, "BATCHES_PER_WINDOW", 2)
    texts = [" ".join(["cat"] * (number % 7) + ["dog"] * (number % 3)) for number in range(50)]
    expected = [bag.vector(text) for text in texts]
    np.testing.assert_allclose(encoder.encode(texts, 3), expected, rtol=1e-6)
    pieces = list(encoder.encode_stream(iter(texts), 3))
    assert [len(piece) for piece in pieces] == [6] * 8 + [2]
    np.testing.assert_allclose(np.concatenate(pieces), expected, rtol=1e-6)


def test_no_sentence_gives_no_row(encoder):
    assert encoder.encode([]).shape == (0, 3)
    assert list(encoder.encode_stream([])) == []


def test_any_unicode_is_text(encoder):
    texts = ["한국어 문장", "🙂\u200d", "\x00", "a\u0301", "\n\t "]
    assert np.isfinite(encoder.encode(texts)).all()


def test_long_sentences_are_cut_and_counted(folder):
    encoder = load(folder, "fp32", threads=1)
    texts = ["cat " * 40, "dog", "mat " * 14, "mat " * 15]
    np.testing.assert_allclose(encoder.encode(texts), [bag.vector(text) for text in texts], rtol=1e-6)
    assert encoder.truncated == 2


def test_prompts_by_name_by_text_and_by_default(tmp_path, folder):
    plain, asked = bag.vector("cat"), bag.vector("query : cat")
    encoder = load(folder, "fp32")
    np.testing.assert_allclose(encoder.encode(["cat"]), [plain])
    np.testing.assert_allclose(encoder.encode(["cat"], prompt="query"), [asked])
    np.testing.assert_allclose(encoder.encode(["cat"], prompt="query : "), [asked])
    np.testing.assert_allclose(next(encoder.encode_stream(["cat"], prompt="query")), [asked])
    default = load(bag.folder(tmp_path / "m", prompts={"query": "query : "}, default_prompt_name="query"), "fp32")
    np.testing.assert_allclose(default.encode(["cat"]), [asked])
    np.testing.assert_allclose(default.encode(["cat"], prompt=""), [plain])


def test_a_default_prompt_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="default prompt"):
        load(bag.folder(tmp_path / "m", default_prompt_name="query"), "fp32")


@pytest.mark.parametrize("text", ["a cat", b"a cat"])
def test_one_string_is_refused(encoder, text):
    with pytest.raises(UserError, match="one string"):
        encoder.encode(text)
    with pytest.raises(UserError, match="one string"):
        next(encoder.encode_stream(text))


@pytest.mark.parametrize("wrong", [None, 3, 2.5, ["cat"], b"cat"])
def test_what_is_no_text_is_named_by_its_number(encoder, wrong):
    with pytest.raises(UserError, match="sentence 1:"):
        encoder.encode(["cat", wrong])


def test_the_stream_counts_over_its_windows(encoder, monkeypatch):
    monkeypatch.setattr(batches, "BATCHES_PER_WINDOW", 1)
    with pytest.raises(UserError, match="sentence 5:"):
        list(encoder.encode_stream(["cat"] * 5 + [None], 2))


def test_a_lone_surrogate_is_named(encoder):
    with pytest.raises(DataError, match="sentence 1:"):
        encoder.encode(["cat", "bad \ud800 text"])


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "8"])
def test_a_batch_size_that_is_none(encoder, batch_size):
    with pytest.raises(UserError, match="batch_size"):
        encoder.encode(["cat"], batch_size)
    with pytest.raises(UserError, match="batch_size"):
        next(encoder.encode_stream(["cat"], batch_size))


@pytest.mark.parametrize("threads", [0, -2, 1.0, True])
def test_threads_that_are_none(folder, threads):
    with pytest.raises(UserError, match="threads"):
        load(folder, "fp32", threads=threads)


def test_a_graph_without_token_types_and_with_an_open_width(tmp_path):
    encoder = load(bag.folder(tmp_path / "m", inputs=2, dim="dim"), "fp32")
    assert encoder.dim == 3
    np.testing.assert_allclose(encoder.encode(["the cat"]), [bag.vector("the cat")])


def test_several_threads_at_once(folder):
    encoder = load(folder, "fp32", threads=1)
    texts = [("cat " * (number % 20)).strip() for number in range(200)]
    expected, wrong = np.array([bag.vector(text) for text in texts]), []

    def work():
        if not np.allclose(encoder.encode(texts, 7), expected):
            wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert encoder.truncated == 8 * sum(number % 20 > 14 for number in range(200))


def test_a_folder_that_is_not_there(tmp_path, folder):
    with pytest.raises(ModelError, match="no such folder"):
        load(tmp_path / "nothing")
    with pytest.raises(ModelError, match="a file is given"):
        load(folder / "onnx" / "model.onnx")
    run = tmp_path / "run"
    bag.folder(run / "student")
    with pytest.raises(ModelError, match="run folder") as caught:
        load(run)
    assert str(run / "student") in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["absent", "garbage"])
def test_a_file_that_is_missing_or_damaged(tmp_path, name, damage):
    path = bag.folder(tmp_path / "m")
    if damage == "absent":
        (path / name).unlink()
    else:
        (path / name).write_bytes(b"\xff{")
    with pytest.raises(ModelError, match=name):
        load(path, "fp32")


def test_the_length_limit_where_the_model_tells_it_elsewhere(tmp_path):
    path = bag.folder(tmp_path / "m")
    (path / "sentence_bert_config.json").unlink()
    (path / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "[PAD]"}, "model_max_length": 10**30}))
    assert load(path, "fp32").max_length == 64  # the position table's
    (path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 5}))
    encoder = load(path, "fp32")
    assert encoder.max_length == 5
    np.testing.assert_allclose(encoder.encode(["cat dog mat sat"]), [bag.vector("cat dog mat", max_length=5)])
    (path / "tokenizer_config.json").unlink()
    (path / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    with pytest.raises(ModelError, match="longest input"):
        load(path, "fp32")


def test_lower_casing_where_the_model_asks_for_it(tmp_path):
    path = bag.folder(tmp_path / "m")
    words = json.loads((path / "tokenizer.json").read_text())
    words["normalizer"] = None
    (path / "tokenizer.json").write_text(json.dumps(words))
    np.testing.assert_allclose(load(path, "fp32").encode(["CAT"]), [bag.vector("[UNK]")])
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16, "do_lower_case": True}))
    np.testing.assert_allclose(load(path, "fp32").encode(["CAT"]), [bag.vector("cat")])


def test_loads_from_a_home_path_and_leaves_the_folder_alone(monkeypatch):
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("HOME", home)
        path = bag.folder(Path(home) / "m")
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        load("~/m", "fp32").encode(["cat"])
        assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
        assert sorted(os.listdir(home)) == ["m"]
