"""The engine behind the masked LM: whole logits as the oracle, one result in any batch, long texts, ties."""

from __future__ import annotations

import re

import pytest
import tiny
import tiny_mlm
import torch
from transformers import AutoModelForMaskedLM

from distill.data.augment.masked_lm import MaskedLMMethod
from distill.data.augment.masked_lm_engine import MaskedLM, _top
from distill.errors import ModelError

TEXTS = [*tiny.SENTENCES[:30], "Dog, dog; the (river) won't  stop: dog's PARK!", "책을"]


def candidates(method, text):
    (plan,) = method.prepare([text])
    return {word.text: set(words) for word, words in plan.slots}


@pytest.fixture(scope="module")
def random_lm(tmp_path_factory):
    return str(tiny_mlm.write(tmp_path_factory.mktemp("lm")))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_candidates_are_those_of_the_whole_logits(tmp_path, family):
    folder = str(tiny_mlm.write(tmp_path, family=family))
    method = MaskedLMMethod(folder, candidates=5, rows="word", sees_original=False)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = method._model.tokenizer
    text = "A young woman is reading a book in the morning."
    ids = tokenizer(text)["input_ids"]
    place = tokenizer.convert_ids_to_tokens(ids).index("woman")
    masked = torch.tensor([[tokenizer.mask_token_id if index == place else value for index, value in enumerate(ids)]])
    logits = model(input_ids=masked, attention_mask=torch.ones_like(masked)).logits[0, place]
    names = tokenizer.convert_ids_to_tokens(logits.argsort(descending=True).tolist())
    words = [name for name in names if re.fullmatch("[a-z]{2,}", name)]
    assert candidates(method, text)["woman"] == set(words[:5])


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "albert", "xlm-roberta"])
def test_a_sentence_a_row_is_a_mask_beside_the_sentence(tmp_path, family):
    """What a mask sees, by hand: for a sentence of which one word is asked, the mask stands in a row by itself."""
    folder = str(tiny_mlm.write(tmp_path, family=family))
    together = MaskedLMMethod(folder, candidates=5, rows="sentence", cache=False)
    text = "A young woman is reading a book in the morning."
    found = candidates(together, text)
    engine = together._model
    ids = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    alone = [engine._logits(list(engine._layout.rows(0, ids, [place])))[0] for place in range(len(ids))]
    both = engine._logits(list(engine._layout.rows(0, ids, list(range(len(ids))))))
    torch.testing.assert_close(both, torch.stack(alone), rtol=1e-4, atol=1e-4)
    assert len(found["woman"]) == 5


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "deberta-v2"])
def test_architectures_that_cannot_do_a_sentence_a_row(tmp_path, family):
    folder = str(tiny_mlm.write(tmp_path, family=family))
    with pytest.raises(ModelError, match=r"rows: word"):
        MaskedLMMethod(folder, rows="sentence")


@pytest.mark.parametrize("rows", ["word", "sentence"])
def test_the_size_of_a_batch_changes_nothing(random_lm, rows):
    made = []
    for tokens in (1, 64, 700, 100_000):
        method = MaskedLMMethod(random_lm, candidates=7, rows=rows, batch_tokens=tokens, cache=False)
        made.append(method.prepare(TEXTS))
    assert made[0] == made[1] == made[2] == made[3]
    method = MaskedLMMethod(random_lm, candidates=7, rows=rows, cache=False)
    for size in (1, 7):
        assert [plan for at in range(0, len(TEXTS), size) for plan in method.prepare(TEXTS[at : at + size])] == made[0]


@pytest.mark.parametrize("rows", ["word", "sentence"])
def test_ties_are_settled_by_the_row_alone(random_lm, rows, monkeypatch):
    """With all rows counted as ties, every result comes from a row alone, and is the same."""
    method = MaskedLMMethod(random_lm, candidates=7, rows=rows, cache=False)
    usual = method.prepare(TEXTS)
    monkeypatch.setattr("distill.data.augment.masked_lm_engine._NEAR", 1e9)
    assert method.prepare(TEXTS) == usual


def test_equal_logits_go_to_the_lower_id(random_lm):
    engine = MaskedLM(random_lm)
    with torch.no_grad():
        for weight in engine._model.get_output_embeddings().parameters():
            weight.zero_()
    method = MaskedLMMethod(random_lm, candidates=3, cache=False)
    method._model = engine
    names = engine.tokenizer.convert_ids_to_tokens(range(engine.outputs))
    words = [name for name in names if re.fullmatch("[a-z]{2,}", name)]
    assert candidates(method, "woman")["woman"] == set(words[:3])


def test_a_long_text_is_read_in_windows(random_lm):
    text = " ".join(tiny.ENGLISH[:40])
    for rows in ("word", "sentence"):
        method = MaskedLMMethod(random_lm, rows=rows, cache=False)
        (plan,) = method.prepare([text])
        assert len(plan.slots) > 150
        assert all(len(words) == 15 for _, words in plan.slots)


def test_bf16_runs(random_lm):
    plans = MaskedLMMethod(random_lm, precision="bf16", rows="sentence", cache=False).prepare(TEXTS)
    assert all(len(words) == 15 for plan in plans for _, words in plan.slots if words[0].isascii())


@pytest.mark.parametrize(("width", "k"), [(30_522, 16), (1000, 3), (130, 16), (64, 5), (5000, 1)])
def test_the_fast_search_for_the_best_is_topk(width, k):
    logits = torch.randn(5, width, generator=torch.Generator().manual_seed(width))
    logits[0, 10:] = -torch.inf
    values, ids = _top(logits, k)
    assert torch.equal(values, logits.topk(k).values)
    finite = values.isfinite()
    assert torch.equal(logits.gather(1, ids)[finite], values[finite])
