"""The token ids that are timed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import ModelError
from distill.measure.inputs import InputFacts, random_batch, read_facts


@given(st.integers(1, 5), st.integers(1, 40), st.integers(8, 500), st.sets(st.integers(0, 7), max_size=7))
def test_ids_are_ordinary_and_full_length(batch, sequence, vocabulary, special):
    arrays = random_batch(batch, sequence, vocabulary, tuple(special))
    assert set(arrays) == {"input_ids", "attention_mask", "token_type_ids"}
    assert all(array.shape == (batch, sequence) and array.dtype == np.int64 for array in arrays.values())
    assert arrays["attention_mask"].all()
    assert not arrays["token_type_ids"].any()
    assert arrays["input_ids"].min() >= 0
    assert arrays["input_ids"].max() < vocabulary
    assert not set(arrays["input_ids"].ravel().tolist()) & special


def test_ids_are_the_same_each_time_and_various():
    first, second = (random_batch(4, 64, 1000, (0, 1))["input_ids"] for _ in range(2))
    assert (first == second).all()
    assert len(set(first.ravel().tolist())) > 150


def write(folder, config, added=()):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": list(added)}))
    return folder


def test_facts_of_a_folder(tmp_path):
    added = [{"id": 3, "special": True}, {"id": 0, "special": True}, {"id": 9, "special": False}]
    write(tmp_path, {"vocab_size": 50, "max_position_embeddings": 512, "model_type": "bert"}, added)
    assert read_facts(tmp_path) == InputFacts(50, (0, 3), 512)


@pytest.mark.parametrize(("pad", "longest"), [(1, 512), (0, 513)])
def test_roberta_counts_positions_from_the_padding_id(tmp_path, pad, longest):
    write(tmp_path, {"vocab_size": 50, "max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": pad})
    assert read_facts(tmp_path).longest == longest


def test_a_transformer_in_a_folder_of_its_own(tmp_path):
    (tmp_path / "modules.json").write_text(json.dumps([{"path": "0_Transformer"}, {"path": "1_Pooling"}]))
    write(tmp_path / "0_Transformer", {"vocab_size": 50})
    assert read_facts(tmp_path) == InputFacts(50, (), None)


def test_folders_that_tell_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        read_facts(tmp_path)
    write(tmp_path, {"hidden_size": 3})
    with pytest.raises(ModelError, match="vocabulary"):
        read_facts(tmp_path)
