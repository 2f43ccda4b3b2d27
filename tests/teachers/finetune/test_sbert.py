"""Training a sentence encoder: it learns, keeps its best weights, and goes on after an interruption as if there had been none."""

import json
import shutil

import numpy as np
import pytest
import tiny
import torch

from distill.errors import GateError, ModelError
from distill.train import checkpoints
from distill.train.log import StepLog
from teachers.finetune.batches import LengthBatches
from teachers.finetune.objectives import arrange
from teachers.finetune.pooling import with_pooling
from teachers.finetune.sbert import Surroundings, finetune_encoder
from teachers.fingerprint import weights_sha256
from teachers.spec import SentenceFinetuneSpec

TEXTS = tiny.ENGLISH[:48]
PAIRS = {"sentence1": TEXTS[:40], "sentence2": TEXTS[8:48], "score": [i % 5 / 4 for i in range(40)]}
NLI = {
    "sentence1": TEXTS[:40],
    "sentence2": TEXTS[1:41],
    "label": [("entailment", "neutral", "contradiction")[i % 3] for i in range(40)],
}
RANKED = {"anchor": TEXTS[:16], "positive": TEXTS[16:32], "negative": TEXTS[32:48]}
ROWS = {"sts_cosine": PAIRS, "sts_cosent": PAIRS, "nli_softmax": NLI, "nli_ranking": RANKED, "triplet": RANKED}
ROWS |= {"simcse": {"text": TEXTS}, "simcse_nli": RANKED}


class NoBar:
    def tick(self):
        pass

    def close(self):
        pass


def train(folder, objectives, *, model=None, dev=None, after=dict, said=None, stage=None, **options):
    """Stages named by their objectives, two batches of 16 an epoch; facts, and the model."""
    model = model or tiny.sentence_transformer()
    common = {"batch_size": 16, "learning_rate": 1e-3, "epochs": 2, **(stage or {})}
    stages = [{"name": name, "objective": name, "data": ["d"], **common} for name in objectives]
    spec = SentenceFinetuneSpec(stages=stages, evaluate_every=0.5, **options)
    rows = {name: arrange(name, {"d": ROWS[name]}, 0) for name in objectives}
    around = Surroundings(
        work=folder / "work",
        checkpoints=checkpoints,
        log=lambda stage, step: StepLog(folder / "log.jsonl", stage, step),
        bar=lambda steps, title: NoBar(),
        say=(said if said is not None else []).append,
        dev=dev,
        after=after,
    )
    facts = finetune_encoder(model, spec, rows, around, precision="fp32", seed=7)
    return facts, model


@pytest.mark.parametrize("objective", sorted(ROWS))
def test_every_objective_trains_and_writes_its_curve(objective, tmp_path):
    before = weights_sha256(tiny.sentence_transformer())
    (facts,), model = train(tmp_path, [objective])
    assert weights_sha256(model) != before
    assert facts["steps"] == facts["planned_steps"] > 1
    assert facts["best_step"] is None
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, facts["steps"] + 1))
    assert lines[-1]["loss"] == facts["last_loss"]
    assert not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_scores_are_learned(tmp_path):
    """Cosines of the training pairs come closer to their scores."""
    from distill.evaluate.sts import pair_scores

    def error(model):
        cosines = pair_scores(model.encode(PAIRS["sentence1"]), model.encode(PAIRS["sentence2"]))["cosine"]
        return float(np.mean((cosines - np.array(PAIRS["score"])) ** 2))

    before = error(tiny.sentence_transformer())
    _, model = train(tmp_path, ["sts_cosine"], stage={"epochs": 6})
    assert error(model) < 0.6 * before


def test_what_it_keeps_is_the_best_on_dev(tmp_path):
    seen = []
    model = tiny.sentence_transformer()

    def dev():
        seen.append(weights_sha256(model))
        return [0.1, 0.9, 0.3, 0.2, 0.2, 0.1, 0.0][len(seen) - 1]

    (facts,), _ = train(tmp_path, ["sts_cosine"], model=model, dev=dev)
    assert (facts["best_value"], facts["best_step"]) == (0.9, 4)
    assert weights_sha256(model) == seen[1]
    told = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["dev"]["sts_spearman"] for line in told if "dev" in line] == [0.1, 0.9, 0.3]


class Killed(Exception):
    pass


@pytest.mark.parametrize("objective", ["nli_softmax", "nli_ranking", "sts_cosine"])
def test_a_killed_training_goes_on_as_if_it_had_not_been(objective, tmp_path):
    """The classifier of the softmax objective among it, and the second epoch's order of rows."""
    stage = {"epochs": 3, "batch_size": 8 if objective == "nli_ranking" else 16}
    _, whole = train(tmp_path / "whole", [objective], dev=lambda: 0.5, stage=stage)
    calls = []

    def dies():
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        return 0.5

    with pytest.raises(Killed):
        train(tmp_path / "cut", [objective], dev=dies, stage=stage)
    said = []
    (facts,), model = train(tmp_path / "cut", [objective], dev=lambda: 0.5, said=said, stage=stage)
    assert facts["resumed_at"] == 3 * max(1, round(facts["planned_steps"] / 6))
    assert "goes on at step" in said[0]
    assert weights_sha256(model) == weights_sha256(whole)
    steps = [[json.loads(line)["step"] for line in (tmp_path / one / "log.jsonl").open()] for one in ("whole", "cut")]
    assert steps[0] == steps[1]


def test_a_damaged_checkpoint_is_not_trusted(tmp_path):
    with pytest.raises(GateError):
        train(tmp_path, ["sts_cosine"], dev=iter([0.5, 0.5, float("nan")]).__next__)
    newest = max((tmp_path / "work" / "sts_cosine").glob("checkpoint-*"), key=checkpoints.step_of)
    (newest / "model.safetensors").write_bytes(b"torn")
    (facts,), _ = train(tmp_path, ["sts_cosine"], dev=lambda: 0.5)
    assert facts["resumed_at"] == checkpoints.step_of(newest) - 2


def test_a_stage_that_is_done_is_not_run_again(tmp_path):
    first, model = train(tmp_path, ["nli_ranking", "sts_cosine"], after=lambda: {"told": 1})
    assert [facts["told"] for facts in first] == [1, 1]
    shutil.rmtree(tmp_path / "work" / "sts_cosine")
    said = []
    second, again = train(tmp_path, ["nli_ranking", "sts_cosine"], after=lambda: {"told": 2}, said=said)
    assert said == ["teacher: stage 'nli_ranking' is done already"]
    assert [facts["told"] for facts in second] == [1, 2]
    assert weights_sha256(again) == weights_sha256(model)
    assert not list((tmp_path / "work").rglob("checkpoint-*"))
    assert not list((tmp_path / "work").rglob("*.bin"))


def test_stages_go_on_from_each_other(tmp_path):
    _, both = train(tmp_path / "a", ["nli_ranking", "sts_cosine"])
    _, one = train(tmp_path / "b", ["nli_ranking"])
    _, after = train(tmp_path / "c", ["sts_cosine"], model=one)
    assert weights_sha256(both) == weights_sha256(after)


def test_the_word_table_can_be_left_alone(tmp_path):
    _, model = train(tmp_path, ["sts_cosine"], freeze_embeddings=True)
    table = model.transformers_model.get_input_embeddings().weight
    fresh = tiny.sentence_transformer()
    assert torch.equal(table, fresh.transformers_model.get_input_embeddings().weight)
    assert weights_sha256(model) != weights_sha256(fresh)
    assert table.requires_grad


def test_weights_of_layers_learn_and_what_spells_the_joining_does_not(tmp_path):
    _, weighted = train(tmp_path / "a", ["sts_cosine"], model=with_pooling(tiny.sentence_transformer(), "last4_weighted"))
    assert (weighted[1].layer_weights - 1).abs().max() > 5e-3
    joined = with_pooling(tiny.sentence_transformer(), "last4_concat")
    fixed = {name: value.clone() for name, value in joined.state_dict().items() if not name.startswith("0.")}
    _, joined = train(tmp_path / "b", ["sts_cosine"], model=joined)
    assert len(fixed) == 7
    assert all(torch.equal(joined.state_dict()[name], value) for name, value in fixed.items())


def test_a_collapsed_teacher_stops(tmp_path):
    with pytest.raises(GateError, match="collapsed") as caught:
        train(tmp_path, ["sts_cosine"], dev=lambda: float("nan"))
    assert caught.value.where == "teacher stage 'sts_cosine', step 2"


def test_a_loss_that_is_no_number_stops(tmp_path):
    with pytest.raises(GateError, match="finite"):
        train(tmp_path, ["sts_cosine"], stage={"learning_rate": 0.99, "epochs": 200}, model=_broken())


def _broken():
    model = tiny.sentence_transformer()
    with torch.no_grad():
        model.transformers_model.get_input_embeddings().weight[5:].fill_(float("nan"))
    return model


def test_half_precision_weights_are_refused(tmp_path):
    with pytest.raises(ModelError, match="fp32"):
        train(tmp_path, ["sts_cosine"], model=tiny.sentence_transformer().half())


def test_batches_hold_every_row_once_and_similar_lengths(tmp_path):
    from datasets import Dataset

    texts = ["x" * (1 + (7 * i) % 101) for i in range(203)]
    data = Dataset.from_dict({"a": texts, "score": [0.0] * 203})
    sampler = LengthBatches(data, 8, False, ["score"], seed=3)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(203))
    assert len(batches) == len(sampler) == 26
    spread = np.mean([np.ptp([len(texts[row]) for row in batch]) for batch in batches])
    assert spread < 10
    assert batches == list(LengthBatches(data, 8, False, ["score"], seed=3))
    sampler.set_epoch(1)
    assert batches != list(sampler)
    assert len(list(LengthBatches(data, 8, True, ["score"], seed=3))) == 25
