"""What a model says of each piece of its vocabulary alone."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import transformers

from distill.errors import ModelError
from students.pieces import frame_of, framed_pieces, ordinary_ids, piece_states, pieces_by_id


@pytest.fixture(scope="module", params=["bert", "roberta", "mpnet", "xlm-roberta"])
def encoder(request, tmp_path_factory):
    """An encoder with its tokenizer."""
    place = tiny.write_encoder(tmp_path_factory.mktemp("encoder"), request.param)
    return transformers.AutoModel.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)


@torch.no_grad()
def test_a_piece_has_the_state_that_it_has_as_a_text(encoder):
    model, tokenizer = encoder
    ids, states = piece_states(model, tokenizer, batch_size=7)
    assert states.shape == (len(ids), model.config.hidden_size)
    known, tried = {int(index): row for row, index in enumerate(ids)}, 0
    for word in " ".join(tiny.ENGLISH[:6]).split():
        read = tokenizer(word, return_tensors="pt")
        place = [at for at, index in enumerate(read["input_ids"][0].tolist()) if index in known]
        if len(place) == 1:
            index = int(read["input_ids"][0, place[0]])
            expected = model(**read).last_hidden_state[0, place[0]].numpy()
            np.testing.assert_allclose(states[known[index]], expected, atol=1e-5)
            tried += 1
    assert tried > 5


def test_special_tokens_are_no_pieces(encoder):
    _, tokenizer = encoder
    ids = ordinary_ids(tokenizer, pieces_by_id(tokenizer))
    assert not set(tokenizer.all_special_ids) & set(ids.tolist())
    assert (np.diff(ids) > 0).all()


def test_a_prompt_stands_behind_the_first_special_tokens(encoder):
    _, tokenizer = encoder
    ids = ordinary_ids(tokenizer, pieces_by_id(tokenizer))[:3]
    head, tail = frame_of(tokenizer)
    inputs = framed_pieces(tokenizer, ids, [5, 6])
    assert inputs["input_ids"].tolist() == [[*head, 5, 6, index, *tail] for index in ids]
    assert inputs["attention_mask"].all()


def test_the_mode_stays(encoder):
    model, tokenizer = encoder
    model.train()
    first = piece_states(model, tokenizer)[1]
    assert model.training
    np.testing.assert_array_equal(first, piece_states(model.eval(), tokenizer)[1])


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="fast tokenizer"):
        pieces_by_id(object())
