"""A run that was killed and started again ends with the weights, bit for bit, and the log of one that never was."""

from __future__ import annotations

import shutil
import signal

import pytest
import torch

from distill import stopping
from distill.errors import GateError
from distill.train import arguments, judges, stages, trainer


class Killed(BaseException):
    """As sudden as a signal: nothing catches it on the way out."""


def killed(train, folder, step, stage="main", **options):
    """Train, and die at the end of an optimizer step, before it is judged or saved."""
    before = trainer.StageCallback.on_step_end

    def die(self, args, state, control, **kwargs):
        before(self, args, state, control, **kwargs)
        if state.global_step == step and args.output_dir.endswith(stage):
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.StageCallback, "on_step_end", die)
        with pytest.raises(Killed):
            train(folder, **options)


def assert_same(one, other):
    assert one.weights.keys() == other.weights.keys()
    different = [name for name in one.weights if not torch.equal(one.weights[name], other.weights[name])]
    assert different == []
    assert one.log == other.log


def checkpoints(tmp_path, folder, stage="main"):
    return sorted(int(item.name.split("-")[1]) for item in (tmp_path / folder / "work" / stage).glob("checkpoint-*"))


def dropouts(student):
    return {module.p for module in student.model.modules() if isinstance(module, torch.nn.Dropout)}


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (18, {}),  # checkpoint 15, in the middle of the second epoch
        (14, {"evaluate_every": 12}),  # checkpoint 12, between two epochs
        (8, {"gradient_accumulation": 2, "stages": [{"epochs": 3}]}),  # 6 steps an epoch; checkpoint 5
        (22, {"stages": [{"schedule": "cosine", "losses": ["pair_order", "embedding_mse"]}], "patience": 9}),
    ],
)
def test_a_killed_run_ends_as_if_it_never_was(train, tmp_path, step, options):
    whole = train("whole", **options)
    assert dropouts(whole.student) == {0.1}  # else this would be easy
    killed(train, "killed", step, **options)
    assert checkpoints(tmp_path, "killed")
    again = train("killed", **options)
    assert again.facts["stages"][0]["resumed_at"] == step - step % int(options.get("evaluate_every", 5))
    assert whole.facts["stages"][0]["best_step"] == again.facts["stages"][0]["best_step"]
    assert_same(whole, again)


def test_a_checkpoint_between_two_log_lines_keeps_what_was_summed(train, monkeypatch):
    """Lines at 4, 8, 12, 16, 20: the one at 16 holds step 13 to 15, which were trained before the kill."""
    monkeypatch.setattr(arguments, "LOG_LINES", 8)
    options = {"evaluate_every": 5}
    whole = train("whole", **options)
    assert [entry["step"] for entry in whole.log if "loss" in entry][:4] == [4, 8, 12, 16]
    killed(train, "killed", 18, **options)
    assert_same(whole, train("killed", **options))


@pytest.mark.parametrize(("number", "step"), [(signal.SIGINT, 7), (signal.SIGTERM, 10), (signal.SIGTERM, 36)])
def test_a_signal_saves_the_step_that_it_falls_into(train, tmp_path, monkeypatch, number, step):
    monkeypatch.setattr(arguments, "LOG_LINES", 8)
    whole = train("whole")
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    before = trainer.DistillTrainer.compute_loss

    def struck(self, *args, **options):
        if self.state.global_step == step - 1:
            signal.raise_signal(number)
        return before(self, *args, **options)

    stopping.listen()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(trainer.DistillTrainer, "compute_loss", struck)
            with pytest.raises(stopping.Stopped) as caught:
                train("stopped")
    finally:
        stopping.listen()  # forgets the signal
        for name, handler in handlers.items():
            signal.signal(name, handler)
    assert caught.value.exit_code == 128 + number
    assert checkpoints(tmp_path, "stopped")[-1] == step
    again = train("stopped")
    assert again.facts["stages"][0]["resumed_at"] == step
    assert_same(whole, again)


def test_killed_twice(train, tmp_path):
    whole = train("whole")
    killed(train, "killed", 8)
    killed(train, "killed", 23)
    assert_same(whole, train("killed"))


def test_killed_before_the_first_checkpoint(train, tmp_path):
    whole = train("whole")
    killed(train, "killed", 3)
    assert checkpoints(tmp_path, "killed") == []
    assert_same(whole, train("killed"))


def test_a_torn_checkpoint_is_not_gone_on_from(train, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        script(patch, {10: 0.9})
        whole = train("whole")
        killed(train, "killed", 18)
        assert checkpoints(tmp_path, "killed") == [10, 15]
        torn = tmp_path / "killed" / "work" / "main" / "checkpoint-15" / "optimizer.pt"
        torn.write_bytes(torn.read_bytes()[:-100])
        again = train("killed")
    assert again.facts["stages"][0]["resumed_at"] == 10
    assert_same(whole, again)


def test_the_run_folder_may_move_in_between(train, tmp_path):
    """The best checkpoint is found again, although its old path is written in the trainer's state."""
    with pytest.MonkeyPatch.context() as patch:
        script(patch, {5: 0.9})
        whole = train("whole")
    with pytest.MonkeyPatch.context() as patch:
        script(patch, {5: 0.9})
        killed(train, "killed", 18)
        shutil.move(tmp_path / "killed", tmp_path / "elsewhere")
        again = train("elsewhere")
    assert again.facts["stages"][0]["best_step"] == 5
    assert_same(whole, again)


def script(patch, best):
    """Dev metric by optimizer step: as told, else 0.5."""
    plain = trainer.DistillTrainer.evaluate

    def judge(self, *args, **kwargs):
        def values(student, teacher):
            value = best.get(self.state.global_step, 0.5)
            return {"agreement_spearman": value, "agreement_cosine": 0.5, "similarity_spread": 1.0, "teacher_spread": 1.0}

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(judges, "quick_agreement", values)
            return plain(self, *args, **kwargs)

    patch.setattr(trainer.DistillTrainer, "evaluate", judge)


@pytest.mark.parametrize(
    "options",
    [
        {"stages": [{"max_steps": 17, "schedule": "constant"}]},
        {"stages": [{"schedule": "constant"}]},
        {"stages": [{"schedule": "constant"}], "patience": 2},
    ],
    ids=["inside an epoch", "at the end of an epoch", "stopped early"],
)
def test_killed_after_the_last_checkpoint(train, tmp_path, options):
    """Everything is trained and only the final weights are not written: not one step more is made."""
    best = {10: 0.9}
    with pytest.MonkeyPatch.context() as patch:
        script(patch, best)
        whole = train("whole", **options)
        with pytest.MonkeyPatch.context() as death:
            death.setattr(stages, "atomic_folder", lambda path: (_ for _ in ()).throw(Killed()))
            with pytest.raises(Killed):
                train("killed", **options)
        again = train("killed", **options)
    facts, expected = again.facts["stages"][0], whole.facts["stages"][0]
    assert whole.facts["stages"][0]["best_step"] == 10
    for name in ("steps", "planned_steps", "epochs", "best_step", "best_value", "stopped"):
        assert facts[name] == expected[name], name
    assert_same(whole, again)


def test_a_best_checkpoint_that_is_lost_is_trained_again(train, tmp_path):
    """The newest checkpoint alone would end with weights that are not the best ones, and say that they are."""
    with pytest.MonkeyPatch.context() as patch:
        script(patch, {5: 0.9})
        whole = train("whole")
        killed(train, "killed", 18)
        (tmp_path / "killed" / "work" / "main" / "checkpoint-5" / "model.safetensors").unlink()
        again = train("killed")
    assert again.facts["stages"][0]["best_step"] == 5
    assert_same(whole, again)


def test_a_finished_stage_is_not_trained_again(train, tmp_path):
    two = [{"name": "first", "epochs": 1}, {"name": "second", "epochs": 2, "losses": ["pair_order", "embedding_cosine"]}]
    whole = train("whole", stages=two)
    killed(train, "killed", 18, stage="second", stages=two)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        run_stage = stages._run_stage
        patch.setattr(
            stages, "_run_stage", lambda recipe, stage, *a, **k: seen.append(stage.name) or run_stage(recipe, stage, *a, **k)
        )
        again = train("killed", stages=two)
    assert seen == ["second"]
    assert [stage["name"] for stage in again.facts["stages"]] == ["first", "second"]
    assert_same(whole, again)


def test_a_collapse_is_told_again_when_the_run_is_started_again(train):
    """The checkpoint before it is whole, so the second try gets there by itself."""

    with pytest.MonkeyPatch.context() as patch:
        script(patch, {10: float("nan")})
        for _ in range(2):
            with pytest.raises(GateError, match="step 10"):
                train("again")
