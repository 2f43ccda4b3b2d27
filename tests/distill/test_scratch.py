"""Temporary folders: made and gone, or refused in words."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from distill import scratch
from distill.errors import RunError


@pytest.fixture
def temporary(monkeypatch):
    """temporary(path): where temporary files go from now on, as a new process would see it."""

    def point(path: Path) -> None:
        monkeypatch.setenv("TMPDIR", str(path))
        monkeypatch.setattr(tempfile, "tempdir", None)

    return point


def test_it_is_empty_and_goes(temporary, tmp_path):
    temporary(tmp_path)
    with scratch.scratch("measure") as place:
        assert place.parent == tmp_path
        assert place.name.startswith("distill-measure-")
        assert not list(place.iterdir())
        (place / "file").write_text("x")
    assert not list(tmp_path.iterdir())


def test_an_error_inside_is_its_own(temporary, tmp_path):
    temporary(tmp_path)
    with pytest.raises(FileNotFoundError, match="mine"), scratch.scratch("try"):
        raise FileNotFoundError("mine")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_not_passed_over(temporary, tmp_path):
    """Python would go on to /tmp without a word."""
    temporary(tmp_path / "nowhere")
    with pytest.raises(RunError, match="missing") as caught:
        scratch.check_scratch()
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "TMPDIR" in caught.value.hint


def test_a_folder_that_goes_while_a_run_is_on(temporary, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(gone))
    with pytest.raises(RunError, match="missing"):
        scratch.check_scratch()


def test_a_read_only_disk_is_told(temporary, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    temporary(tmp_path)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(RunError, match=r"no temporary folder: .*read-only") as caught:
        scratch.check_scratch()
    assert "TMPDIR" in caught.value.hint
