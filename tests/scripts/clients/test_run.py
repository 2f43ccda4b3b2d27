"""The command, what the programs are given, and the environments, without making one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

import distill

ROOT = Path(__file__).resolve().parents[3]


def test_help_has_an_example_and_names_every_client(clients):
    done = subprocess.run([sys.executable, str(clients / "run.py"), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "python scripts/clients/run.py " in done.stdout
    assert "browser" in done.stdout


def test_an_unknown_client_is_refused_before_anything_is_made(tmp_path, capsys):
    import run

    with pytest.raises(SystemExit) as stopped:
        run.main(["fastembedd", "--work", str(tmp_path)])
    assert stopped.value.code == 2
    assert "unknown client fastembedd" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_ends_with_2(tmp_path, capsys, monkeypatch):
    import run

    monkeypatch.delenv("DISTILL_BENCH_MODELS", raising=False)
    assert run.main(["fastembed", "--work", str(tmp_path / "w"), "--models", "e5", "--out", str(tmp_path / "o")]) == 2
    assert "DISTILL_BENCH_MODELS" in capsys.readouterr().err


def test_every_client_has_its_program_and_pinned_packages(clients):
    import run

    for name, client in run.CLIENTS.items():
        assert (clients / client.program).is_file(), name
        if client.environment != "light":
            assert all("==" in package or package.rpartition("@")[2][0].isdigit() for package in client.packages), name
    shared = [client.packages for client in run.CLIENTS.values() if client.environment == "js"]
    assert len(set(shared)) == 1


def test_a_program_is_given_no_reference(tmp_path):
    import run

    values = {"torch": {"single": [[0.1234567, 1.0]], "batch": [[0.1234567, 1.0]]}}
    made = {
        "name": "m",
        "kind": "embedding",
        "inputs": ["a"],
        "prompt": "",
        "pooled": True,
        "torch": True,
        "labels": [],
        "limit": 8,
    }
    given = run.job([{**made, "values": values, "answers": {}}], tmp_path)
    assert given["models"][0]["dim"] == 2
    assert "1234567" not in json.dumps(given["models"])


def test_a_client_that_cannot_be_installed_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    import environments
    import run

    def fail(*_):
        raise environments.InstallError("no such package")

    monkeypatch.setattr(run, "python_environment", fail)
    result = run.prove("fastembed", [], tmp_path)
    assert result["error"] == "no such package"
    assert result["rows"] == []


def test_an_environment_is_made_once_for_the_same_packages(tmp_path, monkeypatch):
    import environments

    ran = []
    monkeypatch.setattr(
        environments, "_run", lambda command, folder=None: (tmp_path / "e").mkdir(exist_ok=True) or ran.append(command[-1])
    )
    environments.python_environment(tmp_path / "e", ["a==1"])
    environments.python_environment(tmp_path / "e", ["a==1"])
    assert ran == [str(tmp_path / "e"), "a==1"]
    environments.python_environment(tmp_path / "e", ["a==2"])
    assert ran[2:] == [str(tmp_path / "e"), "a==2"]


def test_an_installer_that_fails_or_is_missing_is_told(tmp_path):
    import environments

    with pytest.raises(environments.InstallError, match="not on this machine"):
        environments._run(["no-such-installer"])
    with pytest.raises(environments.InstallError, match="oops"):
        environments._run([sys.executable, "-c", "import sys; sys.exit('oops')"])


def test_the_lines_of_the_readme_give_what_the_runtime_gives(tmp_path):
    import client_onnxruntime as client

    model = tiny.sentence_transformer(dim=24)
    model.max_seq_length = 12
    distill.export_onnx(model, tmp_path / "m", presets=("fp32",))
    texts = [*tiny.SENTENCES[:5], "", "dog " * 50]
    code = client.lines((ROOT / "README.md").read_text("utf-8"))
    found = client.run(code, str(tmp_path / "m"), "model.onnx", texts)
    np.testing.assert_allclose(found, distill.load(tmp_path / "m", precision="fp32").encode(texts, batch_size=7), atol=1e-6)


def test_a_program_takes_the_models_of_its_kind_from_a_job_of_all_kinds(tmp_path):
    import client_onnxruntime as client

    reader = {"name": "r", "kind": "spans", "inputs": [["q", "c"]], "prompt": ""}
    assert client.ask({"readme": str(ROOT / "README.md"), "models": [reader]}) == []


def test_changed_lines_of_the_readme_are_told():
    import client_onnxruntime as client

    with pytest.raises(SystemExit, match="0 blocks"):
        client.lines("# Title\n\n    import numpy\n")
    with pytest.raises(SystemExit, match="changed"):
        client.run("x = 1\n", "folder", "model.onnx", [])


def test_warnings_and_log_records_are_kept():
    import logging
    import warnings

    import asking

    with asking.warnings_kept() as said:
        warnings.warn("one", stacklevel=1)
        logging.getLogger("some.library").warning("two %s", 2)
        logging.getLogger("some.library").info("three")
    assert sorted(said) == ["one", "two 2"]
    assert asking.tried({"name": "m"}, "w", "fp32", lambda: 1 / 0)["error"] == "ZeroDivisionError: division by zero"
