"""STS numbers against hand values, scipy and sentence-transformers' own evaluator."""

import math

import numpy as np
import pytest
import tiny
from scipy import stats
from scipy.spatial import distance
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

from distill.evaluate.sts import evaluate_sts, pair_scores


def random_pairs(count=50, width=6, seed=0):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(count, width))
    gold = rng.integers(0, 6, count).astype(np.float64)
    return first, first * gold[:, None] / 5 + rng.normal(size=(count, width)), gold


def test_similarities_by_hand():
    found = pair_scores(np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[4.0, 3.0], [0.0, 2.0]]))
    assert found["cosine"].tolist() == pytest.approx([24 / 25, 0])
    assert found["dot"].tolist() == [24, 0]
    assert found["euclidean"].tolist() == pytest.approx([-math.sqrt(2), -math.sqrt(5)])
    assert found["manhattan"].tolist() == [-2, -3]


def test_every_number_is_that_of_scipy():
    first, second, gold = random_pairs()
    kinds = {"cosine": distance.cosine, "euclidean": distance.euclidean, "manhattan": distance.cityblock}
    similarity = {name: [-kind(a, b) for a, b in zip(first, second, strict=True)] for name, kind in kinds.items()}
    similarity["dot"] = [float(a @ b) for a, b in zip(first, second, strict=True)]
    found = evaluate_sts(first, second, gold, rounds=20)
    expected = {f"pearson_{name}": stats.pearsonr(values, gold).statistic for name, values in similarity.items()}
    expected |= {f"spearman_{name}": stats.spearmanr(values, gold).statistic for name, values in similarity.items()}
    assert found["details"] == pytest.approx(expected, abs=1e-12)
    assert found["value"] == found["details"]["spearman_cosine"]
    assert found["n"] == 50
    np.testing.assert_allclose(found["scores"], np.array(similarity["cosine"]) + 1)


@pytest.mark.parametrize("normalize", [True, False])
def test_sentence_transformers_finds_the_same(normalize):
    model = tiny.sentence_transformer(layers=1, normalize=normalize)
    first, second, gold = zip(*tiny.sts_rows(), strict=True)
    functions = ["cosine", "euclidean", "manhattan", "dot"]
    judge = EmbeddingSimilarityEvaluator(list(first), list(second), list(gold), similarity_fn_names=functions, write_csv=False)
    theirs = judge(model)
    found = evaluate_sts(model.encode(list(first)), model.encode(list(second)), np.array(gold), rounds=5)["details"]
    assert {name: theirs[name] for name in found} == pytest.approx(found, abs=1e-5)


def test_the_interval_holds_the_value_and_narrows_with_the_rows():
    widths = []
    for count in (40, 640):
        found = evaluate_sts(*random_pairs(count), rounds=200)
        low, high = found["ci95"]
        assert low < found["value"] < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)  # the square root of 16


def test_scale_and_shift_of_the_gold_scores_do_not_matter():
    first, second, gold = random_pairs()
    one, two = (evaluate_sts(first, second, scores, rounds=20) for scores in (gold, 100 - 20 * (5 - gold)))
    assert one["details"] == pytest.approx(two["details"])
    assert one["ci95"] == two["ci95"]


def test_a_collapsed_model_has_no_value():
    first, _, gold = random_pairs()
    alike = np.tile(first[:1], (50, 1))
    found = evaluate_sts(alike, alike, gold, rounds=20)
    assert math.isnan(found["value"])
    assert all(math.isnan(end) for end in found["ci95"])


def test_half_precision_and_zero_vectors_are_survived():
    first, second, gold = random_pairs()
    exact = evaluate_sts(first, second, gold, rounds=5)["value"]
    assert evaluate_sts(first.astype(np.float16), second.astype(np.float16), gold, rounds=5)["value"] == pytest.approx(
        exact, abs=0.01
    )
    assert pair_scores(np.zeros((2, 3)), np.ones((2, 3)))["cosine"].tolist() == [0, 0]
