"""Each objective's loss has the value that its formula gives, and data that do not fit are told what would."""

import numpy as np
import pytest
import tiny
import torch

from distill.errors import DataError, ModelError
from teachers.finetune.objectives import RANKING, SCALE, arrange, make_loss
from teachers.finetune.rows import ACCEPTS, fitting
from teachers.spec import SentenceStage

A = ["The old man walks.", "A quiet woman waits.", "The doctor reads."]
B = ["The old man runs.", "A woman sleeps.", "A dog laughs."]
C = ["The committee laughs.", "A friendly dog runs.", "The night was long."]
SCORED = {"sentence1": A, "sentence2": B, "score": [0.9, 0.5, 0.0]}
NLI = {"sentence1": [*A, *A], "sentence2": [*B, *C], "label": ["entailment"] * 3 + ["contradiction"] * 3}


def stage(objective, **options):
    return SentenceStage(name="s", objective=objective, data=("d",), **options)


def value(objective, columns, labels=(), model=None, **options):
    """The loss of all rows as one batch, and the unit vectors of each column in float64."""
    model = model or tiny.sentence_transformer(normalize=False)
    loss = make_loss(stage(objective, **options), model, labels)
    texts = [name for name in columns if name not in ("score", "label")]
    last = [name for name in columns if name not in texts]
    target = torch.tensor(columns[last[0]]) if last else None
    model.eval()
    with torch.no_grad():
        found = float(loss([model.preprocess(columns[name]) for name in texts], target))
    vectors = [model.encode(columns[name]).astype(np.float64) for name in texts]
    return found, vectors, loss


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_sts_cosine_is_the_squared_error_of_the_cosine():
    found, (a, b), _ = value("sts_cosine", SCORED)
    assert found == pytest.approx(np.mean((cosine(a, b) - np.array(SCORED["score"])) ** 2), rel=1e-4)


def test_sts_cosent_punishes_cosines_in_the_wrong_order():
    found, (a, b), _ = value("sts_cosent", SCORED, scale=5.0)
    cos, score = cosine(a, b), SCORED["score"]
    terms = [np.exp(5 * (cos[j] - cos[i])) for i in range(3) for j in range(3) if score[i] > score[j]]
    assert found == pytest.approx(np.log1p(sum(terms)), rel=1e-4)


def test_nli_softmax_classifies_u_v_and_their_difference():
    columns = {"sentence1": A, "sentence2": B, "label": [0, 1, 2]}
    found, (u, v), loss = value("nli_softmax", columns, labels=["a", "b", "c"])
    weight, bias = (part.detach().numpy().astype(np.float64) for part in (loss.classifier.weight, loss.classifier.bias))
    logits = np.concatenate([u, v, np.abs(u - v)], axis=1) @ weight.T + bias
    assert found == pytest.approx(np.mean(np.log(np.exp(logits).sum(1)) - logits[range(3), [0, 1, 2]]), rel=1e-4)
    assert weight.shape == (3, 96)


@pytest.mark.parametrize("objective", ["nli_ranking", "simcse_nli"])
@pytest.mark.parametrize("scale", [None, 5.0])
def test_ranking_is_a_softmax_over_every_positive_and_negative_of_the_batch(objective, scale):
    found, (a, p, n), _ = value(objective, {"anchor": A, "positive": B, "negative": C}, scale=scale)
    logits = (scale or SCALE) * cosine(a[:, None], np.concatenate([p, n])[None])
    assert found == pytest.approx(np.mean(np.log(np.exp(logits).sum(1)) - logits[range(3), range(3)]), rel=1e-4)


def test_triplet_is_a_hinge_of_cosine_distances():
    found, (a, p, n), _ = value("triplet", {"anchor": A, "positive": B, "negative": C}, margin=0.3)
    assert found == pytest.approx(np.maximum(cosine(a, n) - cosine(a, p) + 0.3, 0).mean(), rel=1e-4)


def test_simcse_sees_a_sentence_twice_under_different_dropout():
    model = tiny.sentence_transformer()
    loss = make_loss(stage("simcse"), model)
    features = [model.preprocess(A), model.preprocess(A)]
    torch.manual_seed(0)
    model.train()
    a, b = (loss.model({**part})["sentence_embedding"] for part in features)
    assert (a - b).abs().max() > 1e-3


def test_simcse_refuses_a_model_without_dropout():
    model = tiny.sentence_transformer()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with pytest.raises(ModelError, match="this model has none"):
        make_loss(stage("simcse"), model)
    make_loss(stage("simcse_nli"), model)


def test_nli_rows_become_what_each_objective_reads():
    assert arrange("nli_softmax", {"d": NLI}, 0).labels == ("contradiction", "entailment")
    assert arrange("nli_softmax", {"d": NLI}, 0).columns["label"] == [1, 1, 1, 0, 0, 0]
    ranking = arrange("nli_ranking", {"d": NLI}, 0)
    assert list(ranking.columns) == ["anchor", "positive", "negative"]
    assert len(ranking) == 6  # both directions
    for objective in ("simcse_nli", "triplet"):
        assert arrange(objective, {"d": NLI}, 0).columns == {"anchor": A, "positive": B, "negative": C}
    texts = arrange("simcse", {"d": NLI, "e": {"text": [*A, "One more."]}}, 0)
    assert texts.columns["anchor"] == texts.columns["positive"]
    assert texts.columns["anchor"] == [*A, *B, *C, "One more."]


def test_sources_are_joined_and_counts_added():
    more = {"sentence1": ["X", "Y"], "sentence2": ["Z", "W"], "label": ["entailment", "neutral"]}
    made = arrange("nli_ranking", {"d": NLI, "e": more}, 0)
    assert made.counts == {"premises": 5, "without_entailment": 1, "without_contradiction": 1}
    assert made == arrange("nli_ranking", {"d": NLI, "e": more}, 0)


@pytest.mark.parametrize(
    ("objective", "columns", "fit"),
    [
        ("sts_cosine", NLI, "nli_softmax, nli_ranking, triplet, simcse, simcse_nli"),
        ("nli_ranking", SCORED, "sts_cosine, sts_cosent, simcse"),
        ("triplet", {"text": A}, "simcse"),
        ("simcse_nli", {"anchor": A, "positive": B}, "nli_ranking, simcse"),
    ],
)
def test_data_that_lack_something_are_told_what_fits(objective, columns, fit):
    with pytest.raises(DataError, match=f"the objective {objective} cannot") as caught:
        arrange(objective, {"d": columns}, 0)
    assert caught.value.where == "data.teaching.d"
    assert caught.value.hint == f"objectives that fit: {fit}"


def test_every_objective_of_the_recipe_is_known():
    names = set(SentenceStage.model_fields["objective"].annotation.__args__)
    assert names == set(ACCEPTS)
    assert names > RANKING
    assert fitting(["nothing"]) == []


@pytest.mark.parametrize(
    ("objective", "sources", "words"),
    [
        ("sts_cosine", {"d": {**SCORED, "score": [0.5, 1.2, 0.1]}}, "out of range"),
        ("nli_ranking", {"d": {**NLI, "label": ["entails"] * 6}}, "no label of natural language inference"),
        ("nli_softmax", {"d": {**NLI, "label": ["entailment"] * 6}}, "two labels"),
        ("nli_ranking", {"d": NLI, "e": {"anchor": A, "positive": B}}, "cannot be joined"),
        ("simcse", {"d": {"text": ["one"]}}, "too few rows"),
        ("sts_cosine", {"d": {"sentence1": [], "sentence2": [], "score": []}}, "too few rows"),
    ],
)
def test_bad_rows_are_told(objective, sources, words):
    with pytest.raises(DataError, match=words) as caught:
        arrange(objective, sources, 0)
    assert "data.teaching.d" in caught.value.where
