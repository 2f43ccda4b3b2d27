"""`distill verify`: a single flipped byte anywhere is found, and what may differ is only told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny

from distill.errors import RunError
from distill.sealing import MANIFEST, PASSING, local_inputs
from distill.verifying import verify_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A working folder with a finished run in runs/one: made once, copied by the tests that damage it."""
    import distill

    home = tmp_path_factory.mktemp("verify")
    patch = pytest.MonkeyPatch()
    patch.chdir(home)
    tiny.saved(home / "teacher", layers=3, hidden=32)
    tiny.write_lines(home / "sentences.txt")
    tiny.write_sts(home / "sts.csv", tiny.sts_rows(20))
    recipe = {
        "name": "one",
        "teacher": {"model": "teacher"},
        "data": {"train": "sentences.txt", "evaluate": {"sts": "sts.csv"}},
        "student": {"layers": 1},
        "stages": [{"losses": ["embedding_cosine"], "max_steps": 3, "batch_size": 16, "learning_rate": 1e-3}],
        "train": {"precision": "fp32"},
        "measure": {"batch": [1], "sequence": [8], "min_runs": 3, "min_seconds": 0},
    }
    distill.run(recipe, out=home / "runs" / "one")
    patch.undo()
    return home


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    """A copy of the working folder, which is the current one."""
    copy = tmp_path / "home"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


def flip(path: Path, place: float) -> None:
    """Turn one bit of the byte at a share of the file's length."""
    raw = bytearray(path.read_bytes())
    raw[int(place * (len(raw) - 1))] ^= 1
    path.write_bytes(raw)


def test_a_finished_run_is_as_it_was(home):
    found = verify_run("runs/one")
    assert found.passed, found.changed
    assert found.inputs == 3
    assert found.notes == ()
    files = [file.name for file in Path("runs/one").rglob("*") if file.is_file()]
    assert found.files == len([name for name in files if name not in {MANIFEST, ".lock"}])


def told(run: Path, name: str) -> bool:
    """Whether a changed file is named; a manifest may also be no JSON any more, or say that the run has not ended."""
    try:
        return any(line.startswith(f"{name}: changed") for line in verify_run(run).changed)
    except RunError:
        return name == MANIFEST


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_flipped_bit_in_any_file_is_found(home, place):
    run = Path("runs/one")
    files = [file for file in sorted(run.rglob("*")) if file.is_file() and file.relative_to(run).parts[0] not in PASSING]
    assert len(files) > 15
    for file in files:
        before = file.read_bytes()
        flip(file, place)
        name = file.relative_to(run).as_posix()
        assert told(run, name), name
        file.write_bytes(before)
    assert verify_run(run).passed


def test_what_is_missing_and_what_is_new_is_named(home):
    Path("runs/one/parity.json").unlink()
    Path("runs/one/student/extra.bin").write_bytes(b"x")
    assert verify_run("runs/one").changed == (
        "parity.json: missing",
        "student/extra.bin: was not there when the run ended",
    )


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("sentences.txt", "data.train.0.source"),
        ("sts.csv", "data.evaluate.sts.source"),
        ("teacher/model.safetensors", "teacher.model"),
    ],
)
def test_an_input_that_changed_is_named(home, file, place):
    flip(Path(file), 0.5)
    found = verify_run("runs/one")
    assert len(found.changed) == 1
    assert found.changed[0].startswith(f"input {place}: changed: ")


def test_an_input_that_is_elsewhere_is_a_note(home):
    Path("sentences.txt").rename("other.txt")
    found = verify_run("runs/one")
    assert found.passed
    assert found.notes == ("input data.train.0.source: not on this machine, or not at its place",)


def test_other_versions_are_notes(home, monkeypatch):
    real = json.loads(Path("runs/one/manifest.json").read_text())["packages"]
    monkeypatch.setattr("distill.verifying.versions", lambda: {**real, "numpy": "0.1"})
    found = verify_run("runs/one")
    assert found.passed
    assert found.notes == (f"numpy {real['numpy']}: here 0.1",)


def test_a_manifest_that_was_edited_to_fit_is_found(home):
    """Whoever changes a file and its hash has to forge the seal as well; a seal is no signature, and says so in the docs."""
    path = Path("runs/one/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"]["parity.json"] = "0" * 64
    path.write_text(json.dumps(manifest))
    assert verify_run("runs/one").changed[0] == "manifest.json: changed: it is not what was sealed"


def test_a_report_that_is_written_again_is_sealed_again(home):
    from distill.report.model import build_report
    from distill.sealing import seal_again

    run, words = Path("runs/one"), ("report.md", "report.html", "samples.csv")
    made = {name: (run / name).read_bytes() for name in words}
    built = build_report(run)
    built.save(run)
    assert {name: (run / name).read_bytes() for name in words} == made
    for name in words:  # as another version of the toolkit would write them
        (run / name).write_text("other")
    assert verify_run(run).changed == tuple(f"{name}: changed" for name in sorted(words))
    seal_again(run)
    assert verify_run(run).passed


def test_sealing_reports_again_does_not_hide_what_else_changed(home):
    from distill.sealing import seal_again

    flip(Path("runs/one/parity.json"), 0.5)
    seal_again(Path("runs/one"))
    assert verify_run("runs/one").changed == ("parity.json: changed",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "this file is damaged"),
        ("[]", "this file is damaged"),
        ("{}", "this run has not ended"),
        (None, "this folder holds no run"),
    ],
)
def test_a_folder_that_cannot_be_verified(tmp_path, content, expected):
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(RunError, match=expected):
        verify_run(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(RunError, match="there is no run folder here"):
        verify_run(tmp_path / "none")


def test_words_that_are_no_paths_are_no_inputs(home):
    from distill.recipe_load import load_recipe

    asked = {"name": "x", "teacher": {"model": "owner/name"}, "data": {"train": "python-docs"}, "student": {}}
    assert local_inputs(load_recipe({**asked, "stages": [{"losses": ["embedding_cosine"]}]})) == {}
