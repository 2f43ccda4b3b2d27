"""Compiled layers give the losses of plain ones, are taken where they pay, and leave nothing behind.

`aot_eager` follows and cuts the code as inductor does, without the C++ compiler, in a tenth of the time.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import toystudent
import toytask

from distill.data.collate import Collator
from distill.data.sampler import TokenBudgetBatches
from distill.data.tokens import TokenizedSentences
from distill.errors import UserError
from distill.train import compiling
from distill.train.compiling import CompiledLayers, Trial, compile_stage, layers_of, trial_batches
from distill.train.inner import InnerTeacher
from distill.train.objective import EmbeddingObjective

BATCHES = [(4, 9), (8, 17), (3, 24)]


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Nothing is kept from other tests; a short stage is worth a try."""
    if "inductor" not in request.node.name:
        monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    monkeypatch.setattr(compiling, "WORTH", 0.0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def made(losses: list[str], family: str = "bert") -> EmbeddingObjective:
    """An objective of a small student beside a teacher, in training."""
    recipe = toystudent.recipe(2, [{"losses": ["embedding_cosine", *losses]}])
    student, teacher = (tiny.sentence_transformer(family, layers=2, seed=seed) for seed in (1, 2))
    inner = InnerTeacher(teacher[0].auto_model).losses(student, recipe.stages[0], 3) if losses else None
    for module in student.modules():
        module.p = 0.0 if isinstance(module, torch.nn.Dropout) else getattr(module, "p", None)
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return EmbeddingObjective(student, None, recipe.stages[0].losses, teacher_normalizes=True, inner=inner).train()


def batches() -> list[dict[str, torch.Tensor]]:
    chance = torch.Generator().manual_seed(1)
    found = []
    for rows, tokens in BATCHES:
        mask = torch.ones(rows, tokens, dtype=torch.int64)
        mask[0, tokens // 2 :] = 0
        found.append(
            {
                "input_ids": torch.randint(5, 200, (rows, tokens), generator=chance),
                "attention_mask": mask,
                "teacher_embedding": torch.randn(rows, 32, generator=chance),
            }
        )
    return found


def losses_and_gradients(objective: EmbeddingObjective) -> tuple[list[float], list[torch.Tensor]]:
    losses = []
    for batch in batches():
        loss = objective(**batch)["loss"]
        loss.backward()
        losses.append(float(loss.detach()))
    found = [weight.grad.clone() for weight in objective.parameters() if weight.grad is not None]
    objective.zero_grad(set_to_none=True)
    return losses, found


def compile_it(objective: Any, path: Any, asked: Any = "auto", steps: int = 10**9) -> CompiledLayers | None:
    return compile_stage(asked, objective, batches, name="main", steps=steps, bf16=False, path=path / "compile.json")


@pytest.mark.parametrize("losses", [[], ["hidden_mse", "attention_mse", "minilm_v2"]])
def test_losses_and_gradients_are_those_of_plain_layers(losses, tmp_path):
    objective = made(losses)
    expected = losses_and_gradients(objective)
    with CompiledLayers(layers_of(objective)):
        found = losses_and_gradients(objective)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert len(layers_of(objective)) == (4 if losses else 2)
    objective.close()


@pytest.mark.slow
def test_losses_of_inductor_are_those_of_plain_layers(tmp_path):
    objective = made(["hidden_mse", "attention_mse"])
    expected = losses_and_gradients(objective)
    with CompiledLayers(layers_of(objective)):
        found = losses_and_gradients(objective)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    objective.close()


def test_a_trial_leaves_nothing_behind_and_is_remembered(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trial, "pays", lambda self, steps: False)
    objective = made([])
    before, state = copy.deepcopy(objective.state_dict()), torch.random.get_rng_state()
    assert compile_it(objective, tmp_path) is None
    assert "stage 'main' is not compiled: a step takes" in capsys.readouterr().err
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in objective.state_dict().items())
    assert all(weight.grad is None for weight in objective.parameters())
    assert not any("forward" in module.__dict__ for module in objective.modules())
    monkeypatch.setattr(compiling, "_try", lambda *args, **options: pytest.fail("chosen before"))
    assert compile_it(objective, tmp_path) is None


def test_what_pays_is_kept_for_training_and_not_for_judging(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trial, "pays", lambda self, steps: True)
    objective = made([])
    compiled = compile_it(objective, tmp_path)
    assert compiled is not None
    assert "stage 'main' is compiled: a step takes" in capsys.readouterr().err
    with compiled:
        torch._dynamo.utils.counters.clear()
        objective.eval()
        with torch.no_grad():
            objective(**batches()[0])
        assert not torch._dynamo.utils.counters["stats"]
        again = compile_it(objective, tmp_path)
        assert again is not None
        again.close()
    assert not any("forward" in module.__dict__ for module in objective.modules())


@pytest.mark.parametrize(
    ("eager", "compiled", "compiling_took", "steps", "expected"),
    [(0.10, 0.08, 30.0, 1000, False), (0.10, 0.08, 30.0, 2000, True), (0.10, 0.11, 0.0, 10**6, False)],
)
def test_it_pays_where_all_steps_save_more_than_it_took(eager, compiled, compiling_took, steps, expected):
    trial = Trial(eager, compiled, compiling_took)
    assert trial.pays(steps) is expected
    assert str(trial).startswith(f"a step takes {compiled * 1000:.0f} ms compiled, 100 ms as it is")


def test_a_short_stage_is_not_tried(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiling, "WORTH", 60.0)
    monkeypatch.setattr(compiling, "CompiledLayers", lambda layers: pytest.fail("too short"))
    assert compile_it(made([]), tmp_path, steps=3) is None
    assert "not compiled, since it takes about 0 s as it is" in capsys.readouterr().err


def break_graph(objective: EmbeddingObjective) -> None:
    """Code that no graph holds, as a hook of somebody's could have it."""
    layer = objective.student[0].auto_model.encoder.layer[0]
    layer.output.register_forward_hook(lambda *_: torch._dynamo.graph_break())


def no_layers(objective: EmbeddingObjective) -> None:
    objective.student = torch.nn.Sequential()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (break_graph, "a layer cannot be compiled as one graph"),
        (no_layers, "no layers that can be compiled"),
    ],
)
def test_what_cannot_be_compiled_is_refused_or_with_auto_told(harm, words, tmp_path, capsys):
    objective = made([])
    harm(objective)
    with pytest.raises(UserError, match=rf"stages.main: train.compile: .*{words}"):
        compile_it(objective, tmp_path, asked=True)
    assert not any("forward" in module.__dict__ for module in objective.modules())
    if harm is not no_layers:
        assert compile_it(objective, tmp_path) is None
        assert f"stage 'main' is not compiled: {words}" in capsys.readouterr().err


def test_other_losses_are_noticed(tmp_path, monkeypatch, capsys):
    def mix(output: Any) -> Any:
        return output.roll(1, 0) if isinstance(output, torch.Tensor) else (output[0].roll(1, 0), *output[1:])

    monkeypatch.setattr(torch, "compile", lambda plain, **_: lambda *args, **options: mix(plain(*args, **options)))
    objective = made([])
    with pytest.raises(UserError, match="compiled layers give other losses"):
        compile_it(objective, tmp_path, asked=True)
    assert compile_it(objective, tmp_path) is None
    assert "is not compiled: compiled layers give other losses" in capsys.readouterr().err


def test_captures_that_compiling_would_lose_are_told(tmp_path, capsys):
    """MPNet's queries are heard by hooks inside the layer."""
    objective = made(["minilm_v2"], "mpnet")
    compiled = compile_it(objective, tmp_path)
    said = capsys.readouterr().err
    if compiled is None:
        assert "is not compiled: " in said
    else:  # a version of torch that keeps them
        compiled.close()
    losses_and_gradients(objective)
    objective.close()


def test_a_missing_compiler_is_named(tmp_path, monkeypatch, capsys):
    from torch._inductor.exc import InvalidCxxCompiler

    def missing(*args: Any, **options: Any) -> Any:
        raise InvalidCxxCompiler

    monkeypatch.setattr(torch, "compile", lambda plain, **options: missing)
    objective = made([])
    with pytest.raises(UserError, match=r"no C\+\+ compiler is here(.|\n)*CXX"):
        compile_it(objective, tmp_path, asked=True)
    assert compile_it(objective, tmp_path) is None
    assert "is not compiled: no C++ compiler is here" in capsys.readouterr().err


def test_a_layer_that_breaks_later_runs_as_it_is_where_auto_chose(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trial, "pays", lambda self, steps: True)
    objective = made([])
    compiled = compile_it(objective, tmp_path)
    assert compiled is not None
    torch._dynamo.reset()
    break_graph(objective)
    with compiled:
        losses_and_gradients(objective)
    assert "layers are not compiled any more: a layer cannot be compiled" in capsys.readouterr().err


def test_several_processes_are_refused_or_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiling, "world", lambda: 2)
    assert compile_it(made([]), tmp_path) is None
    assert "compiled layers train in one process (2 processes)" in capsys.readouterr().err


@pytest.mark.parametrize("tokens", [None, 64])
def test_batches_of_a_trial_go_from_short_to_long(tokens):
    rows = TokenizedSentences(tiny.SENTENCES[:60], tiny.tokenizer(), 64)
    budget = None if tokens is None else TokenBudgetBatches(rows.lengths, tokens, 8, 1)
    made = trial_batches(rows, Collator(0, False), 8, budget)
    widths = [batch["input_ids"].shape[1] for batch in made]
    assert len(made) == compiling.SHAPES
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == max(rows.lengths)
    assert "row" not in made[0]


def test_a_compiled_training_has_the_loss_curve_of_a_plain_one(tmp_path):
    texts, dev = tiny.SENTENCES[:40], tiny.SENTENCES[200:216]
    teacher = tiny.sentence_transformer(layers=4, dim=toystudent.DIM)
    vectors = [np.asarray(teacher.encode(part, show_progress_bar=False)) for part in (texts, dev)]
    curves = []
    for asked in (False, True):
        recipe = toystudent.recipe(2, [{"losses": ["embedding_cosine", "hidden_mse"]}], compile=asked, dropout=0.0)
        student = toystudent.student(recipe, tiny.sentence_transformer(layers=4, seed=5))
        home = tmp_path / str(asked)
        facts = toystudent.train(recipe, student, home, (texts, dev), vectors, InnerTeacher(teacher[0].auto_model))
        assert facts["compile"] is facts["stages"][0]["compiled"] is asked
        lines = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
        curves.append([line["loss"] for line in lines if "loss" in line])
    assert len(curves[0]) > 3
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


def test_what_a_recipe_may_ask_for():
    for value in (False, True, "auto"):
        assert toystudent.recipe(1, [{}], compile=value).train.compile == value
    for value in ("maybe", 1, None):
        with pytest.raises(ValueError, match="compile"):
            toystudent.recipe(1, [{}], compile=value)
    with pytest.raises(ValueError, match=r"train\.compile belongs to train\.engine trainer"):
        toytask.recipe([{"losses": ["kl_divergence"]}], compile=True, engine="textbrewer")
