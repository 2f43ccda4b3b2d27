"""scripts/train_sbert_teacher.py as a program of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "train_sbert_teacher.py"


def script(*arguments, cwd):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


def test_help_has_an_example(tmp_path):
    done = script("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "python scripts/train_sbert_teacher.py sbert-nli-sts" in done.stdout


@pytest.mark.slow
def test_it_trains_and_prints_the_table(tmp_path):
    tiny.saved(tmp_path / "teacher")
    tiny.write_sts(tmp_path / "sts.csv", tiny.sts_rows(60))
    tiny.write_sts(tmp_path / "test.csv", tiny.sts_rows(12, seed=9))
    done = script(
        "sbert-sts",
        "teacher={model: teacher, max_length: 64}",
        "teacher.finetune.stages=[{name: sts, objective: sts_cosine, data: [sts], max_steps: 2, batch_size: 8}]",
        "teacher.finetune.precision=fp32",
        "data.teaching.sts={source: sts.csv, format: stsb}",
        "data.train=sts.csv",
        "data.train.0.format=stsb",
        "data.evaluate={test: {source: test.csv, format: stsb}}",
        "data.select=null",
        "--out",
        "run",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "| test | before | 12 |" in done.stdout
    assert "| test | sts | 12 |" in done.stdout
    assert done.stdout.rstrip().endswith("written: run/teacher")
    assert (tmp_path / "run" / "teacher" / "modules.json").is_file()
    assert len(json.loads((tmp_path / "run" / "teacher.json").read_text())["rows"]) == 2


def test_a_recipe_without_a_teacher_to_train_exits_2(tmp_path):
    done = script("sbert-half", cwd=tmp_path)
    assert done.returncode == 2
    assert "trains no sentence teacher" in done.stderr
