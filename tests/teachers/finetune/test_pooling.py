"""Each pooling gives what its name says, and a plain SentenceTransformer loads what was saved."""

import numpy as np
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError
from teachers.finetune.pooling import freeze_constants, plain_encoder, pooling_name, reads_layers, with_pooling
from teachers.load import load_encoder

TEXTS = ["The old man walks.", "In the morning the quiet woman waits near the river.", "비가 온다"]
POOLINGS = ["mean", "cls", "max", "last4_concat", "last4_weighted"]


def by_hand(model, pooling):
    """float64 from transformers' own outputs, one text at a time: no padding at all."""
    rows = []
    for text in TEXTS:
        batch = model.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            layers = model.transformers_model(**batch, output_hidden_states=True).hidden_states
        last = [layer[0].double() for layer in layers[-4:]]
        row = {
            "mean": last[-1].mean(0),
            "cls": last[-1][0],
            "max": last[-1].max(0).values,
            "last4_concat": torch.cat([layer.mean(0) for layer in last]),
            "last4_weighted": torch.stack(last).mean(0).mean(0),
        }[pooling]
        rows.append(row / row.norm())
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_is_what_its_name_says_and_padding_never_counts(family, pooling):
    model = with_pooling(tiny.sentence_transformer(family, layers=5), pooling)
    expected = by_hand(model, pooling)
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=2e-6)
    assert model.get_embedding_dimension() == expected.shape[1]
    assert pooling_name(model) == pooling


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_plain_client_loads_it_without_code_of_ours(pooling, tmp_path):
    model = with_pooling(tiny.sentence_transformer(prompts={"query": "q: "}, default_prompt_name="query"), pooling)
    model.max_seq_length = 32
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    plain = SentenceTransformer(str(tmp_path / "m"), device="cpu", trust_remote_code=False)
    for loaded in (plain, load_encoder(str(tmp_path / "m"))):
        np.testing.assert_allclose(loaded.encode(TEXTS), model.encode(TEXTS), atol=1e-6)
        assert loaded.get_embedding_dimension() == model.get_embedding_dimension()
        assert loaded.max_seq_length == 32
        assert loaded.default_prompt_name == "query"


def test_weights_of_layers_are_weights():
    model = with_pooling(tiny.sentence_transformer(), "last4_weighted")
    with torch.no_grad():
        model[1].layer_weights.copy_(torch.tensor([0.0, 0.0, 0.0, 3.0]))
    np.testing.assert_allclose(model.encode(TEXTS), tiny.sentence_transformer().encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("pooling", ["last4_concat", "last4_weighted"])
def test_the_plain_encoder_is_the_mean_of_the_last_layer_and_leaves_the_other_alone(pooling):
    model = with_pooling(tiny.sentence_transformer(), pooling)
    before = model.encode(TEXTS)
    plain = plain_encoder(model)
    assert not reads_layers(plain)
    np.testing.assert_allclose(plain.encode(TEXTS), tiny.sentence_transformer().encode(TEXTS), atol=1e-6)
    np.testing.assert_array_equal(model.encode(TEXTS), before)


def test_another_pooling_replaces_one_over_layers():
    model = with_pooling(with_pooling(tiny.sentence_transformer(), "last4_concat"), "cls")
    np.testing.assert_allclose(model.encode(TEXTS), by_hand(model, "cls"), atol=2e-6)


def test_what_only_spells_the_joining_is_not_trained():
    model = with_pooling(tiny.sentence_transformer(), "last4_concat")
    freeze_constants(model)
    trained = {name.split(".")[0] for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"0"}
    weighted = with_pooling(tiny.sentence_transformer(), "last4_weighted")
    freeze_constants(weighted)
    assert weighted[1].layer_weights.requires_grad


def test_three_layers_are_too_few():
    with pytest.raises(ModelError, match="a model with 3"):
        with_pooling(tiny.sentence_transformer(layers=3), "last4_weighted")


def test_a_dense_behind_the_pooling_does_not_fit_wider_vectors():
    model = tiny.sentence_transformer(dim=16)
    with pytest.raises(ModelError, match="Dense"):
        with_pooling(model, "last4_concat")
    assert with_pooling(model, "cls").encode(TEXTS).shape == (3, 16)


def test_a_model_without_tokens_has_no_pooling():
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    model = SentenceTransformer(modules=[StaticEmbedding(tiny.tokenizer().backend_tokenizer, embedding_dim=8), Normalize()])
    with pytest.raises(ModelError, match="StaticEmbedding"):
        with_pooling(model, "mean")
