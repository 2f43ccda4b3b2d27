"""What a stage will take is known before: what autograd keeps of a few rows, scaled to the batch."""

from __future__ import annotations

import gc
import weakref

import pytest
import tiny
import torch
import toytask

from distill.evaluate.scoring import make_collator
from distill.recipe_stages import StageSpec
from distill.train.memory import Memory, saved_bytes, stage_memory, tell_memory
from distill.train.task import TaskObjective


def objective_of():
    stage = StageSpec.model_validate({"losses": [{"name": "hard_label"}]})
    return TaskObjective(toytask.classifier(2), stage.losses, "classification").eval()


def batch_of(rows):
    batch = make_collator("classification", tiny.tokenizer())([toytask.features("train")[row] for row in rows])
    batch.pop("row")
    return batch


def test_what_is_kept_grows_with_the_batch_and_the_length():
    objective, row = objective_of(), toytask.features("train")[0]
    one, four = (saved_bytes(objective, batch_of([0] * count)) for count in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.02)
    width, layers, tokens = 32, 2, len(row["input_ids"])
    assert one > 4 * tokens * width * layers * 8  # queries, keys, values, two norms, two inputs, twice the width inside: in fp32


def test_the_whole_batch_is_what_the_few_rows_say():
    objective, rows = objective_of(), toytask.features("train")
    collate = make_collator("classification", tiny.tokenizer())
    longest = sorted(range(len(rows)), key=lambda row: -rows.lengths[row])[:16]
    before = torch.random.get_rng_state()
    found = stage_memory(objective, rows, collate, 16, bf16=False)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not objective.training
    assert found.batch == pytest.approx(saved_bytes(objective, batch_of(longest)) / 1e6, rel=0.25)  # rows differ in length
    assert found.training == sum(weight.numel() for weight in objective.parameters()) * 12 / 1e6


def test_nothing_is_left_of_the_rows_that_were_run():
    objective = objective_of()
    weights = [weakref.ref(weight) for weight in objective.parameters()]
    saved_bytes(objective, batch_of([0, 1]))
    del objective
    gc.collect()
    assert [weight() for weight in weights if weight() is not None] == []


@pytest.mark.parametrize(("free", "warned"), [(100.0, True), (1000.0, False)])
def test_a_stage_that_does_not_fit_is_told(free, warned, capsys):
    tell_memory(Memory(now=50, training=40, batch=200, free=free), "main", 64)
    told = " ".join("".join(capsys.readouterr()).split())
    assert "takes about 290 MB of memory at most (50 now, 40 for the optimizer, 200 for 64 of the longest rows)" in told
    assert ("stages.main.batch_size" in told) == warned
