"""The exported folder in the hands of those who use it: onnxruntime, distill.load, SentenceTransformer."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import tiny
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

import distill

TEXTS = [*tiny.SENTENCES[:12], "", " ".join(tiny.SENTENCES[:9])]
FAMILIES = ("bert", "mpnet", "modernbert")


@pytest.mark.parametrize("family", FAMILIES)
def test_distill_load_and_sentence_transformers_agree(exported, family):
    found = exported(family)
    expected = found.model.encode(TEXTS)
    np.testing.assert_allclose(SentenceTransformer(str(found.folder), device="cpu").encode(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(distill.load(found.folder, precision="fp32").encode(TEXTS), expected, atol=1e-4)
    for precision, gate in (("fast", 0.98), ("faithful", 0.999)):
        vectors = distill.load(found.folder, precision=precision).encode(TEXTS)
        assert (vectors * expected).sum(1).mean() >= gate


@pytest.mark.parametrize("family", FAMILIES)
def test_ten_lines_of_plain_onnxruntime(exported, family):
    found = exported(family)
    tokenizer = Tokenizer.from_file(str(found.folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")
    tokenizer.enable_truncation(64)
    session = onnxruntime.InferenceSession(found.onnx(), providers=["CPUExecutionProvider"])
    rows = tokenizer.encode_batch(TEXTS)
    every = {
        "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
        "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
        "token_type_ids": np.array([row.type_ids for row in rows], dtype=np.int64),
    }
    (vectors,) = session.run(["sentence_embedding"], {node.name: every[node.name] for node in session.get_inputs()})
    np.testing.assert_allclose(vectors, found.model.encode(TEXTS), atol=1e-4)
