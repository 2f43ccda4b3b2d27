import os
import subprocess
import sys
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.pipeline import run
from distill.processes import refuse_many_processes


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": ""}])
def test_one_process_is_fine(environment: dict[str, str]) -> None:
    refuse_many_processes(environment)


@pytest.mark.parametrize("size", ["0", "-1", "two", "1.5", "²"])
def test_what_is_no_number_of_processes_is_named(size: str) -> None:
    with pytest.raises(UserError, match=r"(?s)WORLD_SIZE.*got:.*expected: a whole number"):
        refuse_many_processes({"WORLD_SIZE": size})


def test_a_run_in_several_processes_is_refused_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UserError, match=r"(?s)process 1.*WORLD_SIZE=2.*torchrun"):
        run("quickstart", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_process_says_so_and_ends_with_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distill", "run", "quickstart", "--out", str(tmp_path / "run")]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    for rank in ("0", "1"):
        environment = {**os.environ, **paths, "WORLD_SIZE": "2", "RANK": rank}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert ended.returncode == 2, ended.stderr
        assert f"process {rank}" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()
