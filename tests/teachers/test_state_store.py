"""Inner states on disk: each row once, exact sizes known before, whole shards or none, the same numbers back."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import ModelError, RunError
from teachers import state_store as module
from teachers.state_rows import Part, row_key
from teachers.state_store import StateStore

PARTS = (Part("hidden_states.1", None, 5), Part("attention_scores.0", 2, None), Part("values.1", 2, 3))
LENGTHS = [3, 7, 1, 4, 7, 2, 9, 5]
FP32 = np.dtype(np.float32)


def truth(part, row, tokens):
    """What our make-believe teacher gives for a row."""
    return np.random.default_rng([row, len(part.name)]).normal(size=part.shape(tokens)).astype(np.float32)


class Fake:
    """A teacher that counts, and fills padding with what must never come back."""

    def __init__(self, lengths, die_after=None):
        self.lengths, self.die_after = lengths, die_after
        self.seen = []

    def __call__(self, rows):
        if self.die_after is not None and len(self.seen) >= self.die_after:
            raise KeyboardInterrupt
        self.seen += rows
        width = max(self.lengths[row] for row in rows)
        found = {}
        for part in PARTS:
            found[part.name] = np.full((len(rows), *part.shape(width)), 1e6, np.float32)
            for line, row in enumerate(rows):
                value = truth(part, row, self.lengths[row])
                found[part.name][(line, *map(slice, value.shape))] = value
        return found


def keys_of(lengths):
    return [row_key(np.full(tokens, row)) for row, tokens in enumerate(lengths)]


def label(folder, teacher, lengths=LENGTHS, dtype=FP32, **options):
    return StateStore(folder, {"weights": "abc"}, PARTS, dtype).label(keys_of(lengths), lengths, teacher, batch_size=2, **options)


def check(stored, lengths, rows, width, **close):
    found = stored.batch(rows, width)
    for part in PARTS:
        wanted = np.zeros((len(rows), *part.shape(width)), np.float32)
        for line, row in enumerate(rows):
            value = truth(part, row, lengths[row])
            wanted[(line, *map(slice, value.shape))] = value
        assert found[part.name].dtype == np.float32
        np.testing.assert_allclose(found[part.name], wanted, **(close or {"rtol": 0, "atol": 0}))


def written(folder):
    return sum(file.stat().st_size for file in folder.glob("states/*/*/*"))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.data())
def test_every_row_comes_back_with_zeros_for_padding(tmp_path_factory, lengths, data):
    stored = label(tmp_path_factory.mktemp("store"), Fake(lengths), lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    check(stored, lengths, rows, max(lengths) + 2)


@pytest.mark.parametrize("dtype", [FP32, np.dtype(np.float16)])
def test_the_size_is_known_to_the_byte_before_it_begins(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    teacher, told = Fake(LENGTHS), []

    def announce(estimate):
        assert not teacher.seen
        told.append(estimate)

    stored = label(tmp_path, teacher, dtype=dtype, announce=announce)
    assert told[0].new == len(LENGTHS)
    assert told[0].bytes_new == written(tmp_path)
    label(tmp_path, teacher, dtype=dtype, announce=told.append)
    assert (told[1].new, told[1].bytes_new, told[1].bytes_reused) == (0, 0, written(tmp_path))
    check(stored, LENGTHS, range(len(LENGTHS)), 9, rtol=0 if dtype == FP32 else 2**-11, atol=0 if dtype == FP32 else 1e-7)


def test_a_row_is_read_once_however_often_it_stands_there(tmp_path):
    teacher = Fake([*LENGTHS, *LENGTHS])
    store = StateStore(tmp_path, {"weights": "abc"}, PARTS, FP32)
    stored = store.label([*keys_of(LENGTHS), *keys_of(LENGTHS)], [*LENGTHS, *LENGTHS], teacher, batch_size=2)
    assert sorted(teacher.seen) == list(range(len(LENGTHS)))
    for name, values in stored.batch([1, 1 + len(LENGTHS)], 9).items():
        np.testing.assert_array_equal(values[0], values[1], err_msg=name)


def test_a_killed_labelling_goes_on_with_the_same_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    whole = Fake(LENGTHS)
    label(tmp_path / "whole", whole)
    first = Fake(LENGTHS, die_after=5)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / "killed", first)
    assert not list(tmp_path.glob("killed/states/*/.*.tmp-*"))
    second = Fake(LENGTHS)
    check(label(tmp_path / "killed", second), LENGTHS, range(len(LENGTHS)), 9)
    assert [*first.seen[:3], *second.seen] == whole.seen  # the shard that was whole is not read again
    for one, other in zip(*(sorted((tmp_path / name).glob("states/*/*/*")) for name in ("whole", "killed")), strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("file", ["values.npy", "keys.npy", "lengths.npy", "complete.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_a_damaged_shard_is_made_again(tmp_path, monkeypatch, file, harm):
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    label(tmp_path, Fake(LENGTHS))
    harmed = sorted(tmp_path.glob(f"states/*/*/{file}"))[0]
    content = harmed.read_bytes()
    if harm == "gone":
        harmed.unlink()
    else:
        harmed.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:] if harm == "flip" else content[:-5])
    teacher = Fake(LENGTHS)
    check(label(tmp_path, teacher), LENGTHS, range(len(LENGTHS)), 9)
    if harm != "flip" or file != "keys.npy":  # keys that are nobody's are of no row that is asked for
        assert 0 < len(teacher.seen) <= 3


def test_no_room_is_told_before_the_teacher_reads(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(10**9, 10**9, module.MARGIN + 100))
    teacher = Fake(LENGTHS)
    with pytest.raises(RunError) as error:
        label(tmp_path, teacher)
    assert not teacher.seen
    assert "MB free" in str(error.value)
    assert "fp16" in str(error.value)


@pytest.mark.parametrize(("value", "hint"), [(1e5, "fp32"), (np.nan, "weights")])
def test_what_the_numbers_cannot_hold_is_refused(tmp_path, value, hint):
    class Broken(Fake):
        def __call__(self, rows):
            found = super().__call__(rows)
            found["values.1"][0, 0, 0, 0] = value
            return found

    with pytest.raises(ModelError) as error:
        label(tmp_path, Broken(LENGTHS), dtype=np.dtype(np.float16))
    assert hint in str(error.value.hint)
    assert not written(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"teacher": {"weights": "other"}}, {"parts": PARTS[:2]}, {"dtype": np.dtype(np.float16)}],
    ids=lambda found: next(iter(found)),
)
def test_another_teacher_other_states_or_numbers_are_another_store(tmp_path, change):
    asked = {"teacher": {"weights": "abc"}, "parts": PARTS, "dtype": FP32}
    stores = [StateStore(tmp_path, **how) for how in (asked, asked | change)]
    assert stores[0].folder != stores[1].folder


def test_the_name_of_a_row_tells_its_texts_apart():
    ids = np.array([2, 5, 3])
    names = {row_key(ids), row_key(ids[:2]), row_key(ids, np.zeros(3)), row_key(ids, np.array([0, 0, 1]))}
    assert len(names) == 4
    assert row_key(ids.astype(np.int64)) == row_key(ids.astype(np.int32))
