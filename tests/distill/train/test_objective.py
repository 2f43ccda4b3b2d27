"""Loss and parts, and which vector each kind of loss looks at. The student here is a table: one row a sentence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from distill.losses.embedding import embedding_contrastive, embedding_cosine
from distill.losses.relation import similarity_matrix
from distill.recipe import EmbeddingCosine, EmbeddingMSE, PairOrder, SimilarityMatrix
from distill.recipe_losses import EmbeddingContrastive
from distill.train.objective import EmbeddingObjective


class Table(nn.Module):
    """Looks a sentence's vector up by its first token."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows, dtype=torch.float32))

    def forward(self, features):
        return {"sentence_embedding": self.rows[features["input_ids"][:, 0]]}


def features(count):
    ids = torch.arange(count)[:, None]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def bridge(rows):
    made = nn.Linear(len(rows[0]), len(rows))
    with torch.no_grad():
        made.weight.copy_(torch.tensor(rows, dtype=torch.float32))
        made.bias.zero_()
    return made


ALL = [
    EmbeddingCosine(name="embedding_cosine", weight=0.5),
    EmbeddingMSE(name="embedding_mse", weight=2.0),
    SimilarityMatrix(name="similarity_matrix", weight=3.0),
    PairOrder(name="pair_order", weight=0.25, margin=0.1),
]


def test_the_parts_add_up_to_the_loss():
    torch.manual_seed(0)
    teacher = nn.functional.normalize(torch.randn(6, 5), dim=-1)
    objective = EmbeddingObjective(Table(torch.randn(6, 5).tolist()), None, ALL, teacher_normalizes=True)
    found = objective(teacher, **features(6))
    parts = {name: value for name, value in found.items() if name != "loss"}
    assert list(parts) == ["embedding_cosine", "embedding_mse", "similarity_matrix", "pair_order"]
    assert all(value > 0 for value in parts.values())
    assert float(found["loss"]) == pytest.approx(sum(map(float, parts.values())), abs=1e-6)
    assert found["loss"].requires_grad
    assert not any(value.requires_grad for value in parts.values())


def test_each_part_carries_its_weight():
    """By hand: cos = 0 for both rows, squared distance 2; the teacher's rows are orthogonal, the student's alike."""
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    student = Table([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = EmbeddingObjective(student, None, ALL[:3], teacher_normalizes=True)(teacher, **features(2))
    assert float(found["embedding_cosine"]) == pytest.approx(0.5 * 1)
    assert float(found["embedding_mse"]) == pytest.approx(2 * 2)
    assert float(found["similarity_matrix"]) == pytest.approx(3 * (1 - 0) ** 2)


def test_the_margin_of_the_recipe_reaches_the_loss():
    teacher = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    table = Table(teacher.tolist())
    parts = [
        float(
            EmbeddingObjective(table, None, [PairOrder(name="pair_order", margin=m)], teacher_normalizes=True)(
                teacher, **features(3)
            )["loss"]
        )
        for m in (0.0, 0.5)
    ]
    assert parts[0] == 0
    assert parts[1] > 0.01


def test_with_a_dropped_bridge_pointwise_losses_see_its_output():
    """The student's (1, 0) is mapped onto the teacher's (0, 0, 1): no distance is left."""
    teacher = torch.tensor([[0.0, 0.0, 1.0]])
    mapped = bridge([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0]])
    found = EmbeddingObjective(Table([[1.0, 0.0]]), mapped, ALL[:2], teacher_normalizes=True)(teacher, **features(1))
    assert float(found["embedding_cosine"]) == pytest.approx(0, abs=1e-6)
    assert float(found["embedding_mse"]) == pytest.approx(0, abs=1e-6)  # scaled to length 1 like the teacher's


def test_the_bridge_keeps_its_length_where_the_teacher_has_a_free_one():
    teacher = torch.tensor([[0.0, 0.0, 4.0]])
    mapped = bridge([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0]])
    found = EmbeddingObjective(Table([[1.0, 0.0]]), mapped, [EmbeddingMSE(name="embedding_mse")], teacher_normalizes=False)(
        teacher, **features(1)
    )
    assert float(found["loss"]) == pytest.approx((5 - 4) ** 2)


def test_with_a_dropped_bridge_relational_losses_see_the_vector_that_ships():
    """The bridge merges the two sentences; the shipped vectors are 60 degrees apart, as the teacher's are."""
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.5, math.sqrt(0.75), 0.0]])
    student = Table([[0.0, 1.0], [math.sqrt(0.75), 0.5]])
    merging = bridge([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    losses = [SimilarityMatrix(name="similarity_matrix"), PairOrder(name="pair_order")]
    found = EmbeddingObjective(student, merging, losses, teacher_normalizes=True)(teacher, **features(2))
    assert float(found["similarity_matrix"]) == pytest.approx(0, abs=1e-6)
    found["loss"].backward()
    assert merging.weight.grad is None


def test_a_kept_bridge_is_part_of_the_vector_that_ships():
    """Kept, the bridge is a module of the student: relational losses see what it makes, and train it."""
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.5, math.sqrt(0.75), 0.0]])
    merging = bridge([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])

    class Kept(Table):
        def __init__(self, rows):
            super().__init__(rows)
            self.linear = merging

        def forward(self, features):
            return {"sentence_embedding": self.linear(super().forward(features)["sentence_embedding"])}

    objective = EmbeddingObjective(
        Kept([[0.0, 1.0], [math.sqrt(0.75), 0.5]]), None, [SimilarityMatrix(name="similarity_matrix")], teacher_normalizes=True
    )
    found = objective(teacher, **features(2))
    assert float(found["loss"]) == pytest.approx((1 - 0.5) ** 2, abs=1e-6)
    found["loss"].backward()
    assert merging.weight.grad is not None


def test_student_and_bridge_learn_and_the_teacher_does_not():
    teacher = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], requires_grad=True)
    student, mapped = Table([[1.0, 0.2], [0.3, 1.0]]), bridge([[0.5, 0.1], [0.2, 0.3], [0.1, 0.4]])
    EmbeddingObjective(student, mapped, ALL, teacher_normalizes=True)(teacher, **features(2))["loss"].backward()
    assert student.rows.grad.abs().sum() > 0
    assert mapped.weight.grad.abs().sum() > 0
    assert teacher.grad is None


def test_matryoshka_averages_relational_losses_over_lengths_and_leaves_the_others():
    torch.manual_seed(1)
    rows, teacher = torch.randn(5, 8), nn.functional.normalize(torch.randn(5, 8), dim=-1)
    losses = [EmbeddingCosine(name="embedding_cosine"), SimilarityMatrix(name="similarity_matrix", weight=2.0)]
    found = EmbeddingObjective(Table(rows.tolist()), None, losses, teacher_normalizes=True, matryoshka=(4, 2))(
        teacher, **features(5)
    )
    each = [float(similarity_matrix(rows[:, :width], teacher)) for width in (8, 4, 2)]
    assert float(found["similarity_matrix"]) == pytest.approx(2 * sum(each) / 3, rel=1e-5)
    assert float(found["embedding_cosine"]) == pytest.approx(float(embedding_cosine(rows, teacher)), rel=1e-5)
    assert len(set(each)) == 3


def test_the_contrastive_loss_takes_its_temperature_from_the_recipe():
    torch.manual_seed(2)
    rows, teacher = torch.randn(5, 4), torch.randn(5, 4)
    found = {}
    for temperature in (0.05, 1.0):
        loss = EmbeddingContrastive(name="embedding_contrastive", temperature=temperature)
        objective = EmbeddingObjective(Table(rows.tolist()), None, [loss], teacher_normalizes=True)
        found[temperature] = float(objective(teacher, **features(5))["loss"])
        assert found[temperature] == pytest.approx(float(embedding_contrastive(rows, teacher, temperature=temperature)), rel=1e-5)
    assert found[0.05] != found[1.0]
