"""Two processes that share each batch have the losses, steps and checkpoints of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import together
from hypothesis import given
from hypothesis import strategies as st

from distill.data.sampler import LengthBucketSampler
from distill.train.share import BatchParts

WORKER = str(Path(together.__file__))


def assert_same_curve(one: Path, other: Path) -> None:
    """Every number of the two logs, line by line, within 1e-4."""
    left, right = together.read_log(one), together.read_log(other)
    assert [(line["stage"], line["step"]) for line in left] == [(line["stage"], line["step"]) for line in right]
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            if isinstance(value, dict):
                assert b[name] == pytest.approx(value, rel=1e-4, abs=1e-4), (a["step"], name)
            elif isinstance(value, float):
                assert b[name] == pytest.approx(value, rel=1e-4, abs=1e-5), (a["step"], name)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Every case, trained by two processes."""
    home = tmp_path_factory.mktemp("two")
    ended = together.launch(2, WORKER, str(home), *together.CASES)
    assert ended.returncode == 0, ended.stderr
    return home


@pytest.mark.slow
@pytest.mark.parametrize("case", together.CASES)
def test_two_processes_have_the_loss_curve_of_one(two, tmp_path, case):
    together.prepared(case)(tmp_path)
    assert_same_curve(tmp_path, two / case)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_training_goes_on_from_its_checkpoint(two, tmp_path):
    ended = together.launch(2, WORKER, str(tmp_path), "states", TOGETHER_DIE="13")
    assert ended.returncode != 0
    assert len(together.read_log(tmp_path / "states")) < len(together.read_log(two / "states"))
    assert (tmp_path / "states" / "work" / "main" / "checkpoint-10" / "complete.json").exists()
    ended = together.launch(2, WORKER, str(tmp_path), "states")
    assert ended.returncode == 0, ended.stderr
    assert "goes on at step 10" in ended.stderr
    assert_same_curve(two / "states", tmp_path / "states")


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_the_parts_of_the_processes_make_up_each_batch_in_order(rows, batch, world, epoch):
    def sampler() -> LengthBucketSampler:
        made = LengthBucketSampler([7 * n % 5 for n in range(rows)], batch, seed=1)
        made.set_epoch(epoch)
        return made

    parts = [BatchParts(sampler(), batch, rank, world) for rank in range(world)]
    steps = [list(part) for part in parts]
    assert {len(found) for found in steps} == {len(parts[0])}
    order = []
    for batches in zip(*steps, strict=True):
        theirs = [[index for index in part if index >= 0] for part in batches]
        assert max(map(len, theirs)) - min(map(len, theirs)) <= 1
        assert all(batches), "every process has something to run"
        order += [index for part in theirs for index in part]
    assert order == list(sampler())
