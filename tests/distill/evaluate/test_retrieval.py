"""Retrieval numbers against hand values, a plain sort and sentence-transformers' own evaluator."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from distill.errors import UserError
from distill.evaluate.retrieval import best_parts, evaluate_retrieval, pessimistic_ranks

RANDOM = np.random.default_rng(0)
QUERIES, DOCUMENTS = RANDOM.normal(size=(12, 6)), RANDOM.normal(size=(150, 6))
RELEVANCE = {row: {int(name): 1.0 for name in RANDOM.choice(150, 1 + row % 4, replace=False)} for row in range(12)}


def judged(*arguments, **options):
    """All numbers, without the score of each query, which is an array."""
    found = evaluate_retrieval(*arguments, rounds=5, **options)
    assert found["value"] == pytest.approx(found.pop("scores").mean())
    return found


def fan(*degrees):
    """Unit vectors in the plane."""
    return np.array([[math.cos(math.radians(x)), math.sin(math.radians(x))] for x in degrees])


def test_every_number_by_hand():
    # documents by similarity to the query at 0 degrees: 0, 1, 2, 3, 4
    documents, query = fan(5, 10, 20, 30, 40), fan(0)
    found = evaluate_retrieval(query, documents, {0: {1: 3.0, 3: 1.0, 4: 0.0}}, k=3, rounds=10)
    ideal = 3 / math.log2(2) + 1 / math.log2(3)
    assert found["details"] == pytest.approx(
        {"ndcg@3": 3 / math.log2(3) / ideal, "mrr@3": 1 / 2, "recall@3": 1 / 2, "recall@100": 1.0, "map": (1 / 2 + 2 / 4) / 2}
    )
    assert found["value"] == found["details"]["ndcg@3"]
    assert found["n"] == 1


def test_the_gain_is_linear_as_in_trec_eval():
    documents, query = fan(5, 10), fan(0)
    found = evaluate_retrieval(query, documents, {0: {0: 1.0, 1: 2.0}}, rounds=2)
    assert found["value"] == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))


def test_sentence_transformers_finds_the_same(tmp_path):
    judge = InformationRetrievalEvaluator(
        {str(row): str(row) for row in RELEVANCE},
        {str(row): str(row) for row in range(len(DOCUMENTS))},
        {str(row): {str(name) for name in names} for row, names in RELEVANCE.items()},
        precision_recall_at_k=[10, 100],
        map_at_k=[150],
        mrr_at_k=[10],
        write_csv=False,
    )

    class Vectors:
        similarity_fn_name = "cosine"

        def similarity(self, first, second):
            return torch.nn.functional.normalize(first, dim=1) @ torch.nn.functional.normalize(second, dim=1).T

        def encode_query(self, texts, **_):
            return torch.tensor(QUERIES[[int(text) for text in texts]])

        def encode_document(self, texts, **_):
            return torch.tensor(DOCUMENTS[[int(text) for text in texts]])

    model = Vectors()
    judge.score_functions = {"cosine": model.similarity}
    theirs = judge.compute_all_metrics(model)["cosine"]
    found = evaluate_retrieval(QUERIES, DOCUMENTS, RELEVANCE, rounds=2)["details"]
    assert found == pytest.approx(
        {
            "ndcg@10": theirs["ndcg@k"][10],
            "mrr@10": theirs["mrr@k"][10],
            "recall@10": theirs["recall@k"][10],
            "recall@100": theirs["recall@k"][100],
            "map": theirs["map@k"][150],
        }
    )


def test_ties_are_broken_against_the_model():
    # Five equal documents: the relevant two come last, the more relevant one last of all.
    same = np.repeat(fan(30), 5, axis=0)
    found = evaluate_retrieval(fan(0), same, {0: {0: 2.0, 1: 1.0}}, k=5, rounds=2)["details"]
    assert found["mrr@5"] == 1 / 4
    assert found["ndcg@5"] == pytest.approx((1 / math.log2(5) + 2 / math.log2(6)) / (2 + 1 / math.log2(3)))


def test_a_collapsed_model_finds_nothing():
    found = evaluate_retrieval(np.ones((5, 4)), np.ones((400, 4)), {row: {row: 1.0} for row in range(5)}, rounds=2)
    assert found["value"] == 0
    assert found["details"]["map"] == pytest.approx(1 / 400)


def test_equal_documents_tie_wherever_they_lie():
    """A product of matrices may round a row by its place; this must not let one of two equal documents win."""
    vectors = np.repeat(RANDOM.normal(size=(1, 97)), 301, axis=0).astype(np.float32)
    found = [evaluate_retrieval(vectors[:1], vectors, {0: {row: 1.0}}, rounds=2)["details"]["map"] for row in (0, 150, 300)]
    assert found == [1 / 301] * 3


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_ranks_are_those_of_a_plain_sort(data):
    scores = np.array(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=20)), float)
    count = data.draw(st.integers(1, len(scores)))
    relevant = np.array(data.draw(st.permutations(range(len(scores)))))[:count]
    gains = np.array(data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count)), float)
    gain_of = dict(zip(relevant.tolist(), gains, strict=True))
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], gain_of.get(row, 0)))
    found = pessimistic_ranks(scores, relevant, gains)
    assert sorted(found) == sorted(order.index(row) + 1 for row in relevant)
    by_rank = sorted(zip(found, scores[relevant], gains, strict=True))
    expected = sorted((order.index(row) + 1, scores[row], gain_of[row]) for row in relevant.tolist())
    assert by_rank == expected  # rank, score and gain agree; equal ones may change places


def test_a_document_is_as_near_as_its_best_part():
    parts, owners = fan(80, 10, 40, 60), np.array([0, 1, 0, 1])
    found = evaluate_retrieval(fan(35), parts, {0: {0: 1.0}}, owners=owners, rounds=2)
    assert found["details"]["mrr@10"] == 1.0  # 40 degrees is a part of document 0
    assert found["details"]["recall@10"] == 1.0
    assert best_parts(np.array([[1.0, 4.0, 3.0, 2.0]]), np.array([1, 0, 1, 0]), 2).tolist() == [[4.0, 3.0]]


def test_parts_that_are_documents_change_nothing():
    plain = judged(QUERIES, DOCUMENTS, RELEVANCE)
    assert judged(QUERIES, DOCUMENTS, RELEVANCE, owners=np.arange(150)) == plain
    doubled = np.repeat(DOCUMENTS, 2, axis=0)
    assert judged(QUERIES, doubled, RELEVANCE, owners=np.repeat(np.arange(150), 2)) == plain


def test_the_order_of_documents_and_their_length_change_nothing():
    plain = judged(QUERIES, DOCUMENTS, RELEVANCE)
    order = RANDOM.permutation(150)
    moved = {
        row: {int(np.flatnonzero(order == name)[0]): gain for name, gain in names.items()} for row, names in RELEVANCE.items()
    }
    assert judged(QUERIES, DOCUMENTS[order], moved) == plain
    assert judged(3 * QUERIES, DOCUMENTS * RANDOM.uniform(1, 5, (150, 1)), RELEVANCE) == plain


def test_queries_without_relevant_documents_are_left_out():
    more = {**RELEVANCE, 12: {}, 13: {5: 0.0, 6: -1.0}}
    queries = np.concatenate([QUERIES, RANDOM.normal(size=(2, 6))])
    assert judged(queries, DOCUMENTS, more) == judged(QUERIES, DOCUMENTS, RELEVANCE)


def test_the_interval_holds_the_value_narrows_and_is_seeded():
    widths = []
    for times in (1, 16):
        relevance = {row + 12 * copy: names for copy in range(times) for row, names in RELEVANCE.items()}
        found = evaluate_retrieval(np.tile(QUERIES, (times, 1)), DOCUMENTS, relevance, rounds=300)
        low, high = found["ci95"]
        assert low < found["value"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3
    one, two = (evaluate_retrieval(QUERIES, DOCUMENTS, RELEVANCE, rounds=50, seed=seed)["ci95"] for seed in (1, 2))
    assert one != two


def test_what_is_no_number_gives_no_number():
    broken = DOCUMENTS.copy()
    broken[3, 2] = np.nan
    found = evaluate_retrieval(QUERIES, broken, RELEVANCE, rounds=5)
    assert all(math.isnan(value) for value in [found["value"], *found["ci95"], *found["details"].values()])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"documents": DOCUMENTS[:, :5]}, "queries [12, 6], documents [150, 5]"),
        ({"k": 0}, "k must be at least 1"),
        ({"relevance": {12: {0: 1.0}}}, "0 to 11"),
        ({"relevance": {0: {150: 1.0}}}, "0 to 149"),
        ({"relevance": {0: {0: 0.0}}}, "no query has a relevant document"),
        ({"owners": np.arange(1, 151)}, "from 0 without gaps"),
        ({"owners": np.arange(149)}, "149 owners"),
    ],
)
def test_mistakes_are_named(change, words):
    arguments = {"queries": QUERIES, "documents": DOCUMENTS, "relevance": RELEVANCE, **change}
    with pytest.raises(UserError) as caught:
        evaluate_retrieval(arguments.pop("queries"), arguments.pop("documents"), arguments.pop("relevance"), **arguments)
    assert words in str(caught.value)
