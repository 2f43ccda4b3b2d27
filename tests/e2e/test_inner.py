"""Sentence encoders compared token by token: which tokenizers allow it."""

from __future__ import annotations

import json

import pytest
import tiny
from artefacts import log, read
from otherids import write_renamed

from distill.errors import ModelError, UserError

INNER = "stages=[{losses: [attention_mse, hidden_mse, embedding_layer_mse], max_steps: 1, batch_size: 16}]"


@pytest.mark.parametrize("vocabulary", ["null", "{min_count: 1}"])
def test_the_same_pieces_under_other_ids_are_compared(vocabulary, home, tmp_path, train):
    """The whole teacher with other ids: its inner states are the teacher's before it learns anything."""
    start = write_renamed(home / "teacher", tmp_path / "renamed")
    out = tmp_path / "run"
    train(out, f"student.from={start}", "student.layers=4", f"student.vocabulary={vocabulary}", INNER, "train.dropout=0")
    assert log(out)[0]["loss"] < 1e-6


def test_a_teacher_of_another_family_is_compared(tmp_path, home, train):
    teacher = write_renamed(tiny.saved(tmp_path / "plain", "mpnet"), tmp_path / "mpnet", inputs=["input_ids", "attention_mask"])
    out = tmp_path / "run"
    losses = "stages=[{losses: [embedding_cosine, hidden_mse], max_steps: 40, batch_size: 16, learning_rate: 1.0e-3}]"
    train(out, f"teacher.model={teacher}", "student.from=start", losses)
    told = [line["losses"]["hidden_mse"] for line in log(out) if "losses" in line]
    assert told[-1] < told[0]


@pytest.mark.parametrize("loss", ["hidden_mse", "minilm_v2"])
def test_other_pieces_are_refused(loss, home, tmp_path, train):
    start = tiny.saved(tmp_path / "letters", layers=2)
    tree = read(start / "tokenizer.json")
    tree["model"]["vocab"] = {p: i for p, i in tree["model"]["vocab"].items() if p.startswith("[") or len(p.strip("#")) == 1}
    (start / "tokenizer.json").write_text(json.dumps(tree), "utf-8")
    with pytest.raises(ModelError, match="token by token") as caught:
        train(tmp_path / "run", f"student.from={start}", f"stages=[{{losses: [{loss}], max_steps: 1}}]")
    assert "the same pieces" in caught.value.expected


def test_masked_tokens_need_one_tokenizer(home, tmp_path, train):
    """What is predicted there are ids."""
    teacher = tiny.write_masked_lm(tmp_path / "teacher")
    start = write_renamed(teacher, tmp_path / "renamed")
    with pytest.raises(ModelError, match="token by token") as caught:
        train(tmp_path / "run", f"teacher.model={teacher}", f"student.from={start}", "stages=[{losses: [mlm], max_steps: 1}]")
    assert "one tokenizer" in caught.value.expected


def test_vectors_are_shortened_to_less_than_they_are(home, tmp_path, train):
    with pytest.raises(UserError, match="cannot be shortened") as caught:
        train(tmp_path / "run", "stages=[{losses: [similarity_matrix], matryoshka: [4096, 8], max_steps: 1}]")
    assert (caught.value.where, caught.value.got) == ("stages.0.matryoshka", 4096)
