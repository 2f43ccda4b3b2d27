"""The processes of a run share its blocks: the variants of one, each block made once, and none that is there already."""

from __future__ import annotations

import pytest
import together
import toyaugment

from distill.data.augment.parts import Parts
from distill.data.augment.stream import augment_in_blocks
from distill.data.augment.together import augment_together
from distill.errors import RunError
from distill.processes import rank

EXAMPLES = toyaugment.examples(70, labels=False)
WANTED = list(augment_in_blocks(EXAMPLES, toyaugment.Make()(), 1, block=16))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr("distill.data.augment.together.BLOCK", 16)


class Make:
    """Makes augmenters, and remembers for which process; one that is told to be is killed at its n-th block."""

    def __init__(self, die_at=None):
        self.made, self.blocks, self.die_at = [], [], die_at

    def __call__(self):
        self.made.append(rank())
        augmenter = toyaugment.Make()()
        counted = augmenter.augment_counted

        def augment_counted(examples, rng):
            if len(self.blocks) == self.die_at:
                raise KeyboardInterrupt
            self.blocks.append((rank(), examples[0].row // 16))
            return counted(examples, rng)

        augmenter.augment_counted = augment_counted
        return augmenter


def vary(tmp_path, make, examples=EXAMPLES, seed=1, settings="s"):
    return list(augment_together(examples, make, seed, Parts(tmp_path / "augment"), settings=settings))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_processes_share_the_blocks_and_each_gets_what_one_would_make(count, tmp_path, monkeypatch):
    make = Make()
    assert together.in_threads(count, lambda: vary(tmp_path, make), monkeypatch) == [WANTED] * count
    assert sorted(make.blocks, key=lambda made: made[1]) == [(number % count, number) for number in range(5)]
    assert sorted(make.made) == list(range(min(count, 5)))
    again = Make()
    assert vary(tmp_path, again) == WANTED  # another number of processes finds the same parts
    assert again.made == []


def test_pairs_come_back(tmp_path):
    examples = toyaugment.examples(20, pairs=True, labels=False)
    wanted = [row for made, _ in augment_in_blocks(examples, toyaugment.Make()(), 1) for row in made]
    assert [row for made, _ in vary(tmp_path, toyaugment.Make(), examples) for row in made] == wanted


def test_a_killed_process_goes_on_with_the_blocks_it_had(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        vary(tmp_path, Make(die_at=3))
    make = Make()
    assert vary(tmp_path, make) == WANTED
    assert [number for _, number in make.blocks] == [3, 4]
    assert "3 of 5 parts were there already" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "kept"), [({"seed": 2}, 0), ({"settings": "t"}, 0), ({"examples": EXAMPLES[:40]}, 2)])
def test_what_was_made_otherwise_is_made_again(change, kept, tmp_path):
    vary(tmp_path, Make())
    make = Make()
    vary(tmp_path, make, **change)
    assert len(make.blocks) == (5 if kept == 0 else 1)


def test_a_damaged_part_is_made_again(tmp_path):
    vary(tmp_path, Make())
    part = tmp_path / "augment.parts" / "00000002.jsonl"
    part.write_bytes(part.read_bytes()[:-20])
    make = Make()
    assert vary(tmp_path, make) == WANTED
    assert make.blocks == [(0, 2)]


def test_a_part_that_another_process_has_not_written_where_this_one_looks_is_told(tmp_path, monkeypatch):
    """Two machines, each with a folder of its own under the same name."""

    def alone():
        return vary(tmp_path / str(rank()), toyaugment.Make())

    first, second = together.in_threads(2, alone, monkeypatch)
    errors = [error for error in (first, second) if "is missing, damaged" in str(error)]
    assert errors, (first, second)
    for error in errors:
        assert isinstance(error, RunError)
        assert all(word in str(error) for word in ("augment.parts", "got:", "expected:", "one file system"))
