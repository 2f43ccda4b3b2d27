"""The token table: a mean of rows, alike for padded batches, for flat ones, and for whoever loads the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from distill.errors import ModelError
from students.load import load
from students.save import save_student
from students.table import TokenTable, plain_tokenizer, with_token_table

SIZE = len(tiny.tokenizer())
TEXTS = [*tiny.SENTENCES[:6], "", "   ", " ".join(tiny.SENTENCES[:12]), "[CLS] zzz [UNK]"]


def table(max_length: int = 64, dim: int = 8) -> TokenTable:
    weights = torch.randn(SIZE, dim, generator=torch.Generator().manual_seed(0))
    return TokenTable(plain_tokenizer(tiny.tokenizer(), max_length), weights, max_length)


def model(max_length: int = 64) -> SentenceTransformer:
    return SentenceTransformer(modules=[table(max_length), Normalize()], device="cpu").eval()


MODULE = table()
ROWS = MODULE.embedding.weight.detach().numpy()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, SIZE - 1), max_size=9), min_size=1, max_size=5), st.integers(0, 3))
def test_a_text_is_the_mean_of_its_rows_in_either_form(texts: list[list[int]], extra: int) -> None:
    width = max(map(len, texts)) + extra
    ids = torch.full((len(texts), width), 5)
    mask = torch.zeros((len(texts), width), dtype=torch.int64)
    for line, tokens in enumerate(texts):
        ids[line, : len(tokens)], mask[line, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64), 1
    padded = MODULE({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].detach().numpy()
    starts = torch.tensor(np.cumsum([0, *map(len, texts)])[:-1])
    flat = torch.tensor([token for tokens in texts for token in tokens], dtype=torch.int64)
    bags = MODULE({"input_ids": flat, "offsets": starts})["sentence_embedding"].detach().numpy()
    by_hand = np.stack([ROWS[tokens].mean(0) if tokens else np.zeros(8) for tokens in texts])
    np.testing.assert_allclose(padded, by_hand, atol=1e-6)
    np.testing.assert_allclose(bags, by_hand, atol=1e-6)


def test_only_rows_of_the_text_get_a_gradient() -> None:
    module = table()
    ids, mask = torch.tensor([[7, 8, 9]]), torch.tensor([[1, 1, 0]])
    module({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].sum().backward()
    moved = module.embedding.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert moved == [7, 8]


def test_an_empty_text_is_zero_and_never_nan() -> None:
    for texts in ([""], ["", " "], ["", "A small dog waits."]):
        vectors = model().encode(texts)
        assert np.isfinite(vectors).all()
        assert not vectors[0].any()
    assert vectors[1].any()


def test_no_special_tokens_and_no_token_types() -> None:
    features = table().preprocess(["A small dog", "dog"], prompt="a ")
    assert set(features) == {"input_ids", "attention_mask"}
    assert features["attention_mask"].sum(1).tolist() == [4, 2]
    plain = Tokenizer.from_str(tiny.tokenizer().backend_tokenizer.to_str())
    expected = plain.encode("a A small dog", add_special_tokens=False).ids
    assert features["input_ids"][0].tolist() == expected


def test_the_longest_input_can_be_set() -> None:
    whole = model()
    assert whole.max_seq_length == 64
    whole.max_seq_length = 3
    assert whole.preprocess(["a small dog waits for the train"])["input_ids"].shape == (1, 3)


def test_a_folder_gives_equal_vectors_to_everyone(tmp_path: Path) -> None:
    ours = model(max_length=12)
    save_student(ours, tmp_path / "s")
    expected = ours.encode(TEXTS)
    again, plain = load(tmp_path / "s"), SentenceTransformer(str(tmp_path / "s"), device="cpu")
    assert isinstance(again[0], TokenTable)
    assert type(plain[0]) is StaticEmbedding
    assert again.max_seq_length == 12
    np.testing.assert_array_equal(again.encode(TEXTS), expected)
    np.testing.assert_allclose(plain.encode(TEXTS), expected, atol=1e-6)
    save_student(again, tmp_path / "t")
    for file in (tmp_path / "s").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "t" / file.relative_to(tmp_path / "s")).read_bytes(), file.name


def test_what_the_files_say(tmp_path: Path) -> None:
    save_student(model(max_length=12), tmp_path / "s")

    def read(name: str) -> dict:
        return json.loads((tmp_path / "s" / name).read_text("utf-8"))

    assert [row["type"].removeprefix("sentence_transformers.models.") for row in read("modules.json")] == [
        "StaticEmbedding",
        "Normalize",
    ]
    assert read("config.json") == {"model_type": "static", "vocab_size": SIZE, "hidden_size": 8, "pad_token_id": 0}
    assert read("sentence_bert_config.json")["max_seq_length"] == 12
    assert read("tokenizer.json")["post_processor"] is None
    assert read("tokenizer.json")["truncation"]["max_length"] == 12
    assert read("tokenizer.json")["padding"] is None
    assert AutoTokenizer.from_pretrained(tmp_path / "s").model_max_length == 12
    assert {file.suffix for file in (tmp_path / "s").rglob("*.*")} == {".json", ".safetensors"}


def test_a_static_model_of_others_becomes_a_token_table() -> None:
    weights = torch.randn(SIZE, 8, generator=torch.Generator().manual_seed(1))
    theirs = SentenceTransformer(
        modules=[StaticEmbedding(tiny.tokenizer(), embedding_weights=weights), Normalize()], device="cpu"
    ).eval()
    ours = with_token_table(theirs)
    assert type(theirs[0]) is StaticEmbedding
    assert ours.max_seq_length == 8192
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    assert with_token_table(ours) is ours
    transformer = tiny.sentence_transformer(layers=1)
    assert with_token_table(transformer) is transformer


def test_lower_case_before_the_tokenizer() -> None:
    backend = Tokenizer.from_str(tiny.tokenizer().backend_tokenizer.to_str())
    backend.normalizer = None
    assert plain_tokenizer(backend, 8)("DOG")["input_ids"] != plain_tokenizer(backend, 8)("dog")["input_ids"]
    assert plain_tokenizer(backend, 8, lower=True)("DOG")["input_ids"] == plain_tokenizer(backend, 8)("dog")["input_ids"]


def test_tokenizers_that_cannot_serve() -> None:
    with pytest.raises(ModelError, match="fast tokenizer"):
        plain_tokenizer(object(), 8)
    data = json.loads(tiny.tokenizer().backend_tokenizer.to_str())
    data["model"]["vocab"] = {piece.replace("[PAD]", "[NOT]"): index for piece, index in data["model"]["vocab"].items()}
    data["added_tokens"] = []
    data["post_processor"] = None
    with pytest.raises(ModelError, match="padding token"):
        plain_tokenizer(Tokenizer.from_str(json.dumps(data)), 8)
