"""Which checkpoints a killed run may go on from."""

from __future__ import annotations

import pytest

from distill.train.checkpoints import MARK, is_whole, newest_whole, seal, step_of


@pytest.fixture
def checkpoint(tmp_path):
    def make(step, *, sealed=True):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "inner").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights" * 100)
        (folder / "inner" / "optimizer.pt").write_bytes(b"moments" * 100)
        if sealed:
            seal(folder)
        return folder

    return make


def test_a_sealed_folder_is_whole(checkpoint):
    assert is_whole(checkpoint(5))


def test_without_its_mark_a_folder_is_not(checkpoint):
    assert not is_whole(checkpoint(5, sealed=False))


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def change(folder):
    file = folder / "inner" / "optimizer.pt"
    file.write_bytes(b"x" + file.read_bytes()[1:])


def lose(folder):
    (folder / "inner" / "optimizer.pt").unlink()


def gain(folder):
    (folder / "stray.bin").write_bytes(b"?")


def tear_mark(folder):
    mark = folder / MARK
    mark.write_bytes(mark.read_bytes()[:20])


def empty_mark(folder):
    (folder / MARK).write_text("{}")


def binary_mark(folder):
    (folder / MARK).write_bytes(b"\xff\xfe\x00")


DAMAGE = [truncate, change, lose, gain, tear_mark, empty_mark, binary_mark]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_not_whole(checkpoint, damage):
    folder = checkpoint(5)
    damage(folder)
    assert not is_whole(folder)


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_newest_whole_one_is_taken_and_the_damaged_are_removed(checkpoint, tmp_path, damage):
    older, newer = checkpoint(9), checkpoint(10)  # by number: "checkpoint-9" sorts after "checkpoint-10"
    damage(newer)
    unmarked = checkpoint(11, sealed=False)
    assert newest_whole(tmp_path) == older
    assert older.is_dir()
    assert not newer.exists()
    assert not unmarked.exists()


def test_the_highest_step_wins(checkpoint, tmp_path):
    for step in (100, 20, 3):
        checkpoint(step)
    found = newest_whole(tmp_path)
    assert step_of(found) == 100
    assert len(list(tmp_path.iterdir())) == 3


def test_nothing_to_go_on_from(tmp_path):
    assert newest_whole(tmp_path) is None
    assert newest_whole(tmp_path / "absent") is None
