"""Training on the teacher's stored inner states: the same losses, and no teacher."""

from __future__ import annotations

import functools
import json

import inner
import numpy as np
import pytest
import tiny
import torch
import toystudent
import toytask

from distill.data.collate import Collator
from distill.data.tokens import TokenizedSentences
from distill.errors import ModelError
from distill.recipe import Recipe, normalise
from distill.recipe_losses import INNER
from distill.recipe_stages import StageSpec
from distill.train.engine import TrainingData, train_student
from distill.train.inner import InnerTeacher
from distill.train.stored import Said, store_states, with_states
from students.build import build_student
from students.spec import LayersSpec
from teachers.state_rows import row_key

KEY = {"weights": "those of tests/inner.py"}
STAGES = [
    {
        "name": "inner",
        "epochs": 1.5,
        "losses": [{"name": "hidden_mse", "projection": "per_layer"}, "embedding_layer_mse", "attention_mse"],
    },
    {"name": "both", "epochs": 1, "losses": ["minilm_v1", {"name": "kl_divergence", "temperature": 2}]},
]


@functools.cache
def rows(family="bert"):
    return TokenizedSentences([*inner.TEXTS, *tiny.SENTENCES[:9]], tiny.tokenizer(family), 64)


def batch_of(collate, picked=(0, 1, 2, 5, 7)):
    batch = collate([rows()[row] for row in picked])
    batch.pop("row")
    return batch


def losses_of(student, names, teacher, **values):
    stage = StageSpec.model_validate({"losses": [{"name": name} if isinstance(name, str) else name for name in names], **values})
    return teacher.losses(student, stage, 0)


def compare(student, losses, batch):
    with torch.no_grad():
        student(**{name: batch[name] for name in ("input_ids", "attention_mask")})
        return losses(batch)


ATTENTION = {"name": "match", "layer_T": 3, "layer_S": 1, "feature": "attention", "loss": "attention_mse", "weight": 1.0}
HIDDEN = {**ATTENTION, "layer_T": 2, "feature": "hidden", "loss": "hidden_mse", "proj": ["linear", 32, 32]}


@pytest.mark.parametrize("name", [*sorted(INNER), ATTENTION, HIDDEN])
def test_stored_states_give_the_losses_of_the_teacher_beside(name, monkeypatch):
    """Padded to 64 as well: a padded token never changes a loss."""
    student = tiny.sentence_transformer("bert", layers=2, hidden=32, seed=3)[0].auto_model
    teacher = InnerTeacher(inner.fresh("bert"), key=KEY)
    losses, pad = losses_of(student, [name], teacher), Collator(0, False)
    live = compare(student, losses, batch_of(pad))
    kept = store_states(teacher, losses, rows(), pad, "fp32")
    half = store_states(teacher, losses, rows(), pad, "fp16")
    monkeypatch.setattr(losses, "run_teacher", lambda *_: pytest.fail("the teacher runs"))
    for collate in (pad, Collator(0, False, 64)):
        found = compare(student, losses, batch_of(with_states(collate, kept)))
        torch.testing.assert_close(found, live, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(compare(student, losses, batch_of(with_states(pad, half))), live, rtol=2e-2, atol=1e-5)
    losses.close()


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "deberta-v2", "albert"])
def test_other_families(family):
    student = inner.fresh(family)
    teacher = InnerTeacher(inner.fresh(family), key={"family": family})
    names = ["attention_mse", "hidden_mse", "embedding_layer_mse"]
    losses, pad = losses_of(student, names, teacher, layer_map=[[1, 0], [3, 1]]), Collator(0, False)
    picked = [rows(family)[row] for row in (1, 4)]
    live = compare(student, losses, pad(picked))
    kept = store_states(teacher, losses, rows(family), pad, "fp32")
    found = compare(student, losses, with_states(Collator(0, False, 32), kept)(picked))
    torch.testing.assert_close(found, live, rtol=1e-4, atol=1e-6)


def test_the_teacher_reads_the_ids_it_knows():
    """A trimmed vocabulary: the store goes by the teacher's ids, so that other trimmings find what is there."""
    ids = torch.randperm(len(tiny.tokenizer()), generator=torch.Generator().manual_seed(0))
    for mapping, read, expected in ((ids, rows(), (12, 0)), (None, Mapped(ids), (0, 12))):
        teacher = InnerTeacher(inner.fresh("bert"), mapping, key={"trimmed": True})
        losses = losses_of(inner.fresh("bert"), ["hidden_mse"], teacher)
        kept = store_states(teacher, losses, read, Collator(0, False), "fp32")
        assert (kept.estimate.new, kept.estimate.reused) == expected


class Mapped:
    def __init__(self, ids):
        self.ids, self.lengths = ids.numpy(), rows().lengths

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, row):
        return {"input_ids": self.ids[rows()[row]["input_ids"]], "row": row}


def test_one_run_gives_states_and_logits():
    model, student, pad = toytask.classifier(4, seed=7), toytask.classifier(2), Collator(0, False)
    said = Said(lambda inputs: model(**inputs).logits, lambda row, tokens: row)
    teacher = InnerTeacher(model, key={"said": True}, said=said, batch_size=4)
    store_states(teacher, losses_of(student, ["hidden_mse"], teacher), rows(), pad, "fp32")
    assert len(said.rows) == len(rows())
    batch = batch_of(pad, range(len(rows())))
    with torch.no_grad():
        wanted = model(**batch).logits.numpy()
    for row, expected in enumerate(wanted):
        np.testing.assert_allclose(said.rows[row_key(rows()[row]["input_ids"])], expected, atol=1e-5)


def train(folder, numbers="fp32"):
    """Every run has models of its own, as every process has; the student has dropout."""
    student, teacher = toytask.classifier(2, hidden=48, seed=1), toytask.classifier(4, seed=7)
    return toytask.train(folder, STAGES, student=student, teacher=teacher, store_states=numbers)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))


def test_a_run_on_stored_states_learns_what_one_beside_the_teacher_learns(tmp_path, own_cache):
    live, stored = train(tmp_path / "live", None), train(tmp_path / "stored")
    for one, other in zip(live.log, stored.log, strict=True):
        if "losses" in one:
            assert other["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert [stage["stored_states"] for stage in live.facts["stages"]] == [None, None]
    told = stored.facts["stages"][0]["stored_states"]
    assert told["rows"] == told["computed"] == len({tuple(toytask.features("train")[row]["input_ids"]) for row in range(160)})
    assert told["bytes"] > 0


def test_no_step_runs_the_teacher(tmp_path, own_cache, monkeypatch):
    """The dev loss that a stage without predictions is judged by does not run it either."""
    train(tmp_path / "first")
    monkeypatch.setattr("distill.train.inner.InnerLosses.run_teacher", lambda *_: pytest.fail("the teacher runs"))
    again = train(tmp_path / "again")
    assert [stage["stored_states"]["computed"] for stage in again.facts["stages"]] == [0, 0]


def test_a_state_that_is_too_large_for_fp16_is_told(own_cache):
    teacher = InnerTeacher(inner.fresh("bert"), key={"large": True})
    with torch.no_grad():
        teacher.encoder.encoder.layer[3].output.LayerNorm.weight.fill_(1e6)
    student = inner.fresh("bert")
    with pytest.raises(ModelError, match="float16"):
        store_states(teacher, losses_of(student, ["hidden_mse"], teacher), rows(), Collator(0, False), "fp16")


def test_a_sentence_encoder_learns_the_same(tmp_path, own_cache):
    """Beside losses between sentence vectors; the student's modules get no states to read."""
    start = tiny.sentence_transformer(layers=3, hidden=32, seed=5)
    vectors = [start.encode(texts, show_progress_bar=False) for texts in (toytask.TRAIN, toytask.DEV)]
    found = {}
    for numbers in (None, "fp32"):
        tree = {
            "name": "toy",
            "teacher": "unused",
            "data": {"train": "unused.txt"},
            "student": {"layers": 2},
            "stages": [{"losses": ["embedding_cosine", "hidden_mse"], "batch_size": 16, "epochs": 1}],
            "train": {"precision": "fp32", "store_states": numbers},
        }
        student = build_student(
            LayersSpec(layers=2), start, teacher_dim=32, teacher_normalizes=True, teacher_prompt="", max_length=64, seed=0
        )
        facts = train_student(
            Recipe.model_validate(normalise(tree)),
            student,
            TrainingData(toytask.TRAIN, toytask.DEV, lambda rows: vectors[0][rows], vectors[1]),
            teacher_normalizes=True,
            work=tmp_path / str(numbers) / "work",
            log=tmp_path / str(numbers) / "log.jsonl",
            inner=InnerTeacher(inner.fresh("bert"), key={"sentences": True}),
        )
        found[numbers] = (facts["stages"][0], student.model.state_dict())
    assert found["fp32"][0]["stored_states"]["bytes"] > 0
    for name, weight in found[None][1].items():
        torch.testing.assert_close(found["fp32"][1][name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("losses", "values", "words"),
    [
        (["hard_label"], {}, "no stage has a loss between inner states"),
        (["hidden_mse", "hard_label"], {"engine": "textbrewer"}, "train.engine trainer"),
    ],
)
def test_recipes_that_make_no_sense(losses, values, words):
    with pytest.raises(ValueError, match=words):
        toytask.recipe([{"losses": losses}], store_states="fp32", **values)


def test_masked_tokens_are_other_tokens_at_every_step():
    stage = {"losses": ["mlm", "hidden_cosine"]}
    tree = {"name": "toy", "teacher": "x", "data": {"train": "x.txt"}, "student": {"layers": 2}, "stages": [stage]}
    with pytest.raises(ValueError, match="masks other tokens"):
        Recipe.model_validate(normalise({**tree, "train": {"store_states": "fp16"}}))


def test_general_distillation_is_chosen_by_its_dev_loss(tmp_path, own_cache):
    """MiniLM v2 leaves the end of the student's last layer as it was: its vectors say nothing, and no collapse is seen."""
    start = tiny.sentence_transformer(layers=3, hidden=32, seed=5)
    teacher = tiny.sentence_transformer(layers=4, hidden=32, seed=7)
    vectors = [start.encode(texts, show_progress_bar=False) for texts in (toytask.TRAIN, toytask.DEV)]
    stage = {"losses": ["minilm_v2"], "epochs": 1, "batch_size": 16, "learning_rate": 1e-3}
    found = {}
    for numbers in (None, "fp32"):
        home = tmp_path / str(numbers)
        home.mkdir()
        recipe = toystudent.recipe(2, [stage], store_states=numbers, dropout=0.0)
        student = toystudent.student(recipe, start)
        with torch.no_grad():  # all sentences are one to whoever looks at the vectors
            student.model.transformers_model.encoder.layer[-1].output.LayerNorm.weight.zero_()
        beside = InnerTeacher(teacher[0].auto_model, key={"general": True})
        facts = toystudent.train(recipe, student, home, (toytask.TRAIN, toytask.DEV), vectors, beside)
        lines = [json.loads(line) for line in (home / "log.jsonl").read_text("utf-8").splitlines()]
        losses = {line["step"]: line["dev"]["loss"] for line in lines if "dev" in line}
        (told,) = facts["stages"]
        assert told["select_by"] == "loss"
        assert told["best_step"] == min(losses, key=losses.get)
        assert told["best_value"] == min(losses.values()) < max(losses.values())
        assert told["layer_map"] == [[3, 1]]
        found[numbers] = losses
    assert found["fp32"] == pytest.approx(found[None], rel=1e-4)
