"""What the runtime gives is what sentence-transformers gives."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from distill.runtime.encoder import load

LONG = " ".join(tiny.SENTENCES[:30])
TEXTS = [*tiny.SENTENCES[:40], "", "   ", "UPPER case", "ㅋㅋ 안녕하세요!", "a", LONG]


# RoBERTa counts positions from the padding id and has no token types; BERT has them. The Dense module is a kept bridge.
@pytest.fixture(scope="module", params=["bert", "roberta"])
def pair(request, tmp_path_factory):
    """A sentence-transformer and the folder that it was exported to."""
    from distill.export.onnx import write_presets

    options = {"dim": 48, "prompts": {"query": "question: "}, "default_prompt_name": "query"} if request.param == "bert" else {}
    folder = tmp_path_factory.mktemp(request.param) / "model"
    model = tiny.sentence_transformer(request.param, layers=2, **options)
    model.save_pretrained(str(folder), create_model_card=False)
    write_presets(model, folder, ("fp32", "fast"), 20)
    return model, folder


def test_fp32_equals_torch(pair):
    model, folder = pair
    encoder = load(folder, "fp32", threads=1)
    expected = model.encode(TEXTS, batch_size=8)
    assert encoder.dim == expected.shape[1]
    np.testing.assert_allclose(encoder.encode(TEXTS, 8), expected, atol=1e-5)
    assert encoder.truncated == 1
    assert encoder.max_length == model.max_seq_length
    if model.prompts.get("query"):
        np.testing.assert_allclose(encoder.encode(TEXTS, prompt=""), model.encode(TEXTS, prompt=""), atol=1e-5)
        assert np.abs(encoder.encode(TEXTS, prompt="") - expected).max() > 1e-2


def test_int8_is_close_to_torch(pair):
    model, folder = pair
    encoder = load(folder, "fast", threads=1)
    cosines = (encoder.encode(TEXTS, 8) * model.encode(TEXTS, batch_size=8)).sum(axis=1)
    assert cosines.mean() > 0.97
