"""From blocks of times to a row, by hand."""

from __future__ import annotations

import pytest

from distill.measure.rows import Block, Machine, disturbance, disturbed, latency_row, noise, offline_row, percentile, ratio_to

CALM = Machine(cores=4, all_cores=4)


def calm(*wall, **more):
    return Block(tuple(wall), cpu_ms=sum(wall), **more)


def row(blocks, threads=1, machine=CALM, ratio=None, sequence=32):
    return latency_row(4, sequence, threads, blocks, machine, ratio)


def test_a_row_by_hand():
    assert row([calm(1.0, 2.0, 2.0), calm(2.0, 2.0, round=1)]) == {
        "batch": 4,
        "sequence": 32,
        "threads": 1,
        "p50_ms": 2.0,
        "p50_ci95": None,  # two blocks tell nothing of the spread
        "p90_ms": 2.0,
        "p99_ms": None,
        "cpu_ms": 1.8,  # (5 + 4) / 5
        "n": 5,
        "blocks": 2,
        "sentences_per_s": 2000.0,  # 4 in 2 ms
        "tokens_per_s": 64000.0,
        "ratio": None,
        "noisy": False,
        "noise": [],
        "energy_mj": None,
        "samples_ms": [1.0, 2.0, 2.0, 2.0, 2.0],
        "block_runs": [3, 2],
        "block_places": [[0, 0, 0], [0, 0, 1]],
    }


def test_text_of_its_own_lengths_by_hand():
    found = row([calm(1.0, 9.0, sentences=2, tokens=30)], sequence=None)
    assert (found["sentences_per_s"], found["tokens_per_s"]) == (200.0, 3000.0)  # in 10 ms
    assert not found["noisy"]  # long sentences take longer: that is no noise


def test_throughput_by_hand():
    blocks = [calm(5.0, 5.0, sentences=8, tokens=80, joules=0.2), calm(10.0, sentences=2, tokens=20, joules=0.3)]
    found = offline_row(4, None, 1, blocks, CALM, None)
    assert (found["sentences_per_s"], found["tokens_per_s"], found["seconds"], found["sentences"]) == (500.0, 5000.0, 0.02, 10)
    assert found["energy_mj"] == 50.0
    assert found["n"] == 3


@pytest.mark.parametrize(("n", "known"), [(99, False), (100, True)])
def test_p99_needs_a_hundred_runs(n, known):
    assert (row([calm(*[1.0] * n)])["p99_ms"] is not None) is known


def test_percentiles_lie_between_two_values():
    assert percentile([10.0, 20.0], 50) == 15.0
    assert percentile([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 90) == 9.0


def test_a_ratio_by_hand_pairs_rounds():
    """The third round was four times slower for both: it does not count for one of them more."""
    reference = [calm(4.0, round=0), calm(5.0, round=1), calm(16.0, round=2), calm(99.0, round=9)]
    own = [calm(2.0, round=0), calm(2.5, round=1), calm(8.0, round=2), calm(1.0, round=7)]
    found = ratio_to("teacher", reference, own, lambda block: block.typical_ms)
    assert found == {"to": "teacher", "value": 2.0, "ci95": None, "half_width": None, "blocks": 3}
    assert ratio_to("teacher", reference, [calm(1.0, round=7)], lambda block: block.typical_ms) is None


def test_the_same_work_done_more_often_is_no_slower():
    once, twice = calm(2.0, 2.0, sweeps=1), calm(2.0, 2.0, 2.0, 2.0, sweeps=2)
    assert ratio_to("x", [once], [twice], lambda block: block.work_ms)["value"] == 1.0


@pytest.mark.parametrize(
    ("block", "threads", "noisy"),
    [
        (calm(1.0, 1.0, 1.0), 1, False),
        (Block((1.0, 1.0, 1.0), cpu_ms=2.4), 1, True),  # waited a fifth of its time
        (Block((1.0, 1.0, 1.0), cpu_ms=2.6), 1, False),
        (Block((1.0, 1.0, 1.0), cpu_ms=2.4), 2, False),  # with threads, CPU time tells nothing
    ],
)
def test_a_block_that_waited_for_its_core(block, threads, noisy):
    assert disturbed(block, threads) is noisy
    assert row([block], threads)["noisy"] is noisy


def test_one_block_of_four_may_be_disturbed():
    waited = Block((1.0,), cpu_ms=0.1)
    assert not row([waited, *[calm(1.0)] * 3])["noisy"]
    found = row([waited, waited, *[calm(1.0)] * 3])
    assert found["noise"] == ["other work held the core in 2 of 5 blocks"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"others": 1.0, "steal": 0.0}, None),
        ({"others": 1.6, "steal": 0.0}, "other work kept 1.6 cores busy"),  # of three that are left
        ({"others": 0.0, "steal": 0.2}, "other virtual machines took 5% of the time"),
        ({"others": None, "steal": None}, None),
    ],
)
def test_what_others_did_meanwhile(more, reason):
    found = noise([calm(1.0, seconds=1.0, **more)], 1, CALM, None)
    assert found == ([] if reason is None else [reason])


def test_slow_runs_and_passes_that_disagree():
    assert row([calm(1.0, 1.0, 1.0, 1.6, 1.6)])["noise"] == ["the slow runs take 1.6 times the median"]
    assert not row([calm(1.0, 1.0, 1.0, 1.4, 1.4)])["noisy"]
    assert row([calm(1.0, 1.0), calm(1.3, 1.3, passing=1)])["noise"] == ["two passes differ by 30%"]
    assert not row([calm(1.0, 1.0), calm(1.1, 1.1, passing=1)])["noisy"]
    assert not row([calm(1.0, 1.0), calm(1.3, 1.3, round=1)])["noisy"]  # rounds of one pass may


def test_a_busy_machine_too_many_threads_and_a_ratio_that_is_not_known():
    assert row([calm(1.0)], machine=Machine(4, 4, busy=True))["noise"] == ["the machine had more to do than it has cores"]
    assert row([calm(1.0)], threads=5)["noise"] == ["5 threads on 4 cores"]
    wide = {"to": "x", "value": 2.0, "ci95": [1.8, 2.2], "half_width": 0.1, "blocks": 10}
    assert row([calm(1.0)], ratio=wide)["noise"] == ["the ratio is known to ±10% only"]
    assert not row([calm(1.0)], ratio={**wide, "half_width": 0.05})["noisy"]


def test_the_worst_sign_decides_which_attempt_is_calmer():
    signs = disturbance([calm(1.0, seconds=1.0, others=3.0, steal=0.06)], 1, CALM)
    assert signs == {"held": 0.0, "others": 2.0, "steal": pytest.approx(0.5)}
