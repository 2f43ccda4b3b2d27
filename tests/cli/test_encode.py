"""`distill encode`: one row per line, whole or not at all."""

from __future__ import annotations

import errno
import io
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import writers
from distill.encoding import encode_file
from distill.errors import DataError, RunError, UserError
from distill.reading import read_lines


class LengthEncoder:
    """Embeds a text as its length and its first code point: the right answer is known on paper."""

    dim = 2

    def encode_stream(self, sentences, batch_size=None, *, prompt=None, on_long="cut"):
        stream = iter(sentences)
        while part := list(islice(stream, (batch_size or 32) * 64)):
            if "broken" in part:
                raise UserError("broken")
            yield np.array([[len(text), ord(text[0]) if text else 0] for text in part], np.float32)


def test_row_i_is_line_i(tmp_path):
    file, out = tmp_path / "in.txt", tmp_path / "deep" / "out.npy"
    file.write_bytes("abc\r\n\nëé\u2028x\nlast".encode())
    assert encode_file(LengthEncoder(), file, out) == 4
    vectors = np.load(out)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[3, 97], [0, 0], [4, ord("ë")], [4, 108]]
    assert [item.name for item in out.parent.iterdir()] == ["out.npy"]


def test_many_windows(tmp_path):
    file, out = tmp_path / "in.txt", tmp_path / "out.npy"
    file.write_text("".join(f"{'x' * (number % 50)}\n" for number in range(1000)))
    encode_file(LengthEncoder(), file, out, batch_size=3)
    assert np.load(out)[:, 0].tolist() == [number % 50 for number in range(1000)]


def test_empty_file_gives_no_rows(tmp_path):
    (tmp_path / "in.txt").write_text("")
    encode_file(LengthEncoder(), tmp_path / "in.txt", tmp_path / "out.npy")
    assert np.load(tmp_path / "out.npy").shape == (0, 2)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "in.txt").write_text("fine\n" * 100 + "broken\n")
    (tmp_path / "out.npy").write_text("old")
    with pytest.raises(UserError):
        encode_file(LengthEncoder(), tmp_path / "in.txt", tmp_path / "out.npy", batch_size=1)
    assert (tmp_path / "out.npy").read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.txt", "out.npy"]


def test_a_full_disk_is_an_error_and_no_crash(tmp_path, monkeypatch):
    """A memory map would kill the process with SIGBUS instead: bytes are written as they come."""
    (tmp_path / "in.txt").write_text("fine\n" * 100)
    real = open

    class Full(io.FileIO):
        def write(self, data):
            if self.tell() > 300:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def opener(name, mode="r", **options):
        return Full(name, "wb") if mode == "wb" else real(name, mode, **options)

    monkeypatch.setattr(writers, "open", opener, raising=False)
    with pytest.raises(RunError, match=r"out\.npy: cannot write: the disk is full"):
        encode_file(LengthEncoder(), tmp_path / "in.txt", tmp_path / "out.npy", batch_size=1)
    assert [item.name for item in tmp_path.iterdir()] == ["in.txt"]


def test_a_folder_or_a_file_in_the_way_is_told_before_anything_is_encoded(tmp_path):
    (tmp_path / "in.txt").write_text("broken\n")
    with pytest.raises(RunError, match="a folder stands where a file is needed"):
        encode_file(LengthEncoder(), tmp_path / "in.txt", tmp_path)
    with pytest.raises(RunError, match="a file stands where a folder is needed"):
        encode_file(LengthEncoder(), tmp_path / "in.txt", tmp_path / "in.txt" / "out.npy")
    assert [item.name for item in tmp_path.iterdir()] == ["in.txt"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"))))
def test_lines_come_back_as_they_were_written(texts):
    raw = io.BytesIO("".join(text + "\n" for text in texts).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(raw))
        assert list(read_lines(Path("-"))) == texts


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "in.txt").write_bytes(b"\xef\xbb\xbfone\n")
    assert list(read_lines(tmp_path / "in.txt")) == ["one"]


def test_bad_bytes_and_missing_files_are_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes("one\ntwo\nd\xe9j\xe0\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt, row 3"):
        list(read_lines(tmp_path / "latin.txt"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["no-such-folder", "in.txt", "-o", "out.npy"], "no-such-folder"),
        ([".", "in.txt", "-o", "out.npy", "--precision", "fst"], "did you mean 'fast'"),
    ],
)
def test_mistakes_end_with_2(cli, monkeypatch, tmp_path, arguments, word):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("encode", *arguments)
    assert code == 2
    assert word in err
    assert not list(tmp_path.iterdir())
