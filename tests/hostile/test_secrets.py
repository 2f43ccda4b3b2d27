"""What is told to whom: no token in anything that is written or shown, and no connection that nobody asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from distill.errors import ModelError, redact, shorten
from distill.recipe_check_names import hub_commit
from distill.sealing import hub_commits

ROOT = Path(__file__).parents[2]
SECRET = "odd-secret-7f3a9c21"
WATCH = """
import os, sys

def watch(event, found):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") and not isinstance(found[1], str):
        with open(os.environ["WATCHED"], "a") as stream:
            stream.write(f"{event} {found}\\n")
        raise OSError("no network here")

sys.addaudithook(watch)
"""
IMPORTS = """
import distill, distill.cli, distill.pipeline, distill.proving, distill.tasks.run, distill.pushing, distill.search
import distill.runtime.kinds, distill.report.model, distill.comparing.compare, distill.sweeping, distill.teaching
import teachers.load, teachers.heads, students.load, students.heads
for command in ("app", "running", "measuring", "exporting", "pushing"):
    __import__(f"distill.commands.{command}")
"""


def python(place: Path, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with every connection refused and noted in `watched`, and a token in the environment."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"PYTHONPATH": str(ROOT), "WATCHED": str(place / "watched"), "HF_HOME": str(place / "hub")} | environment
    (place / "watched").write_text("")
    command = [sys.executable, "-c", WATCH + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=place, check=False, env=variables)


def test_importing_opens_no_connection(tmp_path):
    done = python(tmp_path, IMPORTS)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "watched").read_text() == ""


def test_telemetry_is_off(tmp_path):
    program = "import distill, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    assert python(tmp_path, program).stdout.split() == ["True"]


@pytest.mark.parametrize("first", ["distill", "distill.runtime.kinds", "distill.cli", "distill.measure.worker"])
def test_onnxruntime_leaves_no_trace_of_the_machine(first, tmp_path):
    """Its library, which no watch of Python's sees, would keep a name of the machine and a queue of events beside it."""
    (tmp_path / "tmp").mkdir()
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    done = python(tmp_path, f"import {first}, onnxruntime; onnxruntime.SessionOptions()", **places)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["watched"]


RECIPE = {
    "name": "tiny",
    "teacher": {"model": "teacher"},
    "data": {"train": "sentences.txt"},
    "student": {"layers": 1},
    "stages": [{"losses": ["embedding_cosine"], "max_steps": 2, "batch_size": 16}],
    "train": {"precision": "fp32"},
    "export": {"presets": ["fp32"]},
    "measure": {"batch": [1], "sequence": [16], "min_runs": 3, "min_seconds": 0},
}


@pytest.mark.slow
def test_a_whole_run_shows_no_token_and_opens_no_connection(tmp_path):
    tiny.saved(tmp_path / "teacher", layers=2)
    tiny.write_lines(tmp_path / "sentences.txt")
    (tmp_path / "tiny.yaml").write_text(json.dumps(RECIPE))
    program = "from distill.cli import main; main()"
    tokens = dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), SECRET) | {"DISTILL_CACHE": str(tmp_path / "cache")}
    for arguments in (["run", "tiny.yaml"], ["report", "runs/tiny"], ["push", "runs/tiny", "me/tiny"], ["verify", "runs/tiny"]):
        done = python(tmp_path, program, *arguments, **tokens)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert (tmp_path / "watched").read_text() == ""
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 30
    assert [str(file) for file in files if SECRET.encode() in file.read_bytes()] == []


def test_a_hub_that_cannot_be_reached_shows_no_token(tmp_path):
    program = "from distill.cli import main; main()"
    place = {"HF_TOKEN": SECRET, "HF_ENDPOINT": f"https://user:{SECRET}@127.0.0.1:9"}
    tiny.write_lines(tmp_path / "sentences.txt")
    arguments = ["run", "quickstart", "teacher.model=owner/none", "data.train=sentences.txt"]
    done = python(tmp_path, program, *arguments, **place)
    assert done.returncode == 2, done.stderr
    assert "cannot be reached" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefGHIJ1234",
        "Authorization: Bearer abc.def-ghi",
        f"token {SECRET}",
        "https://user:pass@host/x",
        "https://tok@host/x",
    ],
)
def test_secrets_in_errors(monkeypatch, text):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    told = [redact(text), shorten(text), str(ModelError("x", got=text))]
    for part in ("abcdefGHIJ1234", "abc.def-ghi", SECRET, "pass@", "tok@"):
        assert all(part not in one for one in told)


def test_addresses_and_mail_stay():
    assert redact("see https://huggingface.co/a/b or mail a@b.org") == "see https://huggingface.co/a/b or mail a@b.org"


def test_the_commit_of_a_hub_model_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tmp_path / "models--owner--name" / "refs").mkdir(parents=True)
    (tmp_path / "models--owner--name" / "refs" / "main").write_text(commit)
    (tmp_path / "models--owner--name" / "snapshots" / "ffff").mkdir(parents=True)
    assert hub_commit("owner/name") == commit
    assert hub_commit("owner/name", "ffff") == "ffff"
    assert hub_commit("owner/name", "v2") is None
    assert hub_commit("owner/name", "../../x") is None
    resolved = {"teacher": {"model": "owner/name", "revision": None}, "student": {"from": "teacher"}, "data": {"train": [{}]}}
    assert hub_commits(resolved, {}) == {"teacher.model": commit}


def test_the_commit_of_a_hub_data_set_is_known():
    sources = [{"source": "owner/rows", "revision": "v1"}, {"source": "rows.txt", "revision": None}]
    found = hub_commits(
        {"data": {"train": sources, "dev": {"share": 0.1}}}, {"owner/rows@v1": "ab" * 20, "owner/rows@main": "cd" * 20}
    )
    assert found == {"data.train.0.source": "ab" * 20}
