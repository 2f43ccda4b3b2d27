"""The bench beside TextBrewer runs, and what it compares is the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "scripts" / "bench"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "textbrewer.json"
    command = [sys.executable, str(BENCH / "textbrewer_speed.py"), "--small", "--threads", "1", "--results", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text("utf-8")), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_system_has_a_row_and_the_last_line_is_the_summary(result):
    written, last = result
    assert set(written["rows"]) == {
        "textbrewer_dynamic",
        "textbrewer_padded",
        "loop_dynamic",
        "distill_live",
        "distill_live_bf16",
        "distill_stored",
        "distill_stored_bf16",
    }
    assert last == {name: written[name] for name in last}
    assert last["ratio_on_the_fly"]["median"] > 0
    assert last["ratio_dynamic"]["median"] > 0
    assert last["stored_mb"] > 0
    assert written["small"] is True


@pytest.mark.slow
def test_the_systems_train_the_same(result):
    written, _ = result
    losses = {name: row["final_loss"]["median"] for name, row in written["rows"].items()}
    theirs = losses["textbrewer_dynamic"]
    assert losses["textbrewer_padded"] == pytest.approx(theirs, rel=1e-4)  # padding alone
    assert losses["loop_dynamic"] == pytest.approx(theirs, rel=2e-3)  # probabilities against scores
    assert losses["distill_live"] == pytest.approx(theirs, rel=1e-2)  # and other batches
    assert losses["distill_stored"] == pytest.approx(losses["distill_live"], rel=1e-3)
