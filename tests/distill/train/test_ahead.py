"""Batches that are made ahead are those that would have been made in their turn, and nothing is left of who makes them."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.train import stages, trainer
from distill.train.ahead import Ahead


def makers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@given(st.lists(st.integers(), max_size=9), st.integers(0, 4))
@settings(deadline=None)
def test_order_and_end_are_those_of_the_iterator(values, count):
    ahead = Ahead(iter(values), count)
    assert list(ahead) == values
    assert makers() == []
    with pytest.raises(StopIteration):
        next(ahead)


def test_the_first_is_made_by_who_asks_and_the_others_before_they_are_asked_for():
    made, third = [], threading.Event()

    def values():
        for number in range(9):
            made.append(threading.current_thread())
            if number == 3:
                third.set()
            yield number

    ahead = Ahead(values(), 2)
    assert next(ahead) == 0
    assert made == [threading.current_thread()]  # nothing else has been begun
    assert next(ahead) == 1
    assert third.wait(10)  # when one was taken, two and three were begun
    assert threading.current_thread() not in made[1:]
    ahead.close()
    assert len(made) <= 5
    assert makers() == []


def test_an_error_comes_in_its_turn():
    def values():
        yield from (0, 1)
        raise KeyError("row 2")

    ahead = Ahead(values())
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(KeyError, match="row 2"):
        next(ahead)
    ahead.close()
    assert makers() == []


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation": 3}, {"stages": [{"batch_tokens": 120}]}])
def test_training_has_the_same_bits_with_and_without(train, monkeypatch, options):
    found = {}
    for count in (0, 2):
        monkeypatch.setattr(stages, "DistillTrainer", partial(trainer.DistillTrainer, ahead=count))
        found[count] = train(f"ahead-{count}", **options)
    assert found[0].log == found[2].log
    assert all(torch.equal(weight, found[2].weights[name]) for name, weight in found[0].weights.items())


class Late(Ahead):
    """Asks for every batch late: at the end of an epoch it is still on its way to the end."""

    def __init__(self, values, count):
        super().__init__(self._late(values), count)

    def _late(self, values):
        while True:
            time.sleep(0.03)
            try:
                yield next(values)
            except StopIteration:
                return


def test_a_late_thread_does_not_change_the_order_of_the_next_epoch(train, monkeypatch):
    monkeypatch.setattr(stages, "DistillTrainer", partial(trainer.DistillTrainer, ahead=0))
    expected = train("ahead-0", stages=[{"epochs": 4}])
    monkeypatch.setattr(stages, "DistillTrainer", trainer.DistillTrainer)
    monkeypatch.setattr(trainer, "Ahead", Late)
    assert train("late", stages=[{"epochs": 4}]).log == expected.log
    assert makers() == []


def test_no_thread_outlives_a_training_that_failed(train, monkeypatch):
    seen = []

    def fail(self, args, state, control, **kwargs):
        if state.global_step == 3:
            seen.extend(makers())
            raise KeyError("in step 3")

    monkeypatch.setattr(trainer.StageCallback, "on_step_end", fail)
    with pytest.raises(KeyError, match="in step 3"):
        train()
    assert len(seen) == 1
    assert makers() == []
