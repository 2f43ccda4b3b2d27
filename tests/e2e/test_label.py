"""`distill label`: a run as far as the signals, which a run, or another machine, then finds."""

from __future__ import annotations

import json

import pytest

import distill
from distill.errors import UserError


def test_a_run_goes_on_where_label_ended(at_home, recipe_file, train, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "run"
    assert distill.label(recipe_file, ["export.presets=[fp32]"], out=out) == {"computed": 352, "reused": 0}
    stages = [stage["name"] for stage in json.loads((out / "manifest.json").read_text())["stages"]]
    assert stages == ["teacher", "data", "signals"]
    assert distill.label(recipe_file, ["export.presets=[fp32]"], out=out) == {"computed": 0, "reused": 352}
    capsys.readouterr()
    train(out)
    assert "signals: unchanged" in capsys.readouterr().err


def test_another_machine_finds_the_labels_at_a_url(at_home, recipe_file, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_SIGNALS_URL", f"file://{tmp_path}/bucket/")
    for machine, expected in (("a", {"computed": 352, "reused": 0}), ("b", {"computed": 0, "reused": 352})):
        monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / machine))
        assert distill.label(recipe_file, out=tmp_path / f"run-{machine}") == expected
    stored = [sorted(path.name for path in (tmp_path / machine).rglob("*.npy")) for machine in ("a", "b", "bucket")]
    assert stored[0] == stored[1] == stored[2] != []


def test_a_url_that_cannot_be_used_is_told_before_any_work(at_home, recipe_file, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_SIGNALS_URL", "nowhere://bucket")
    for command in (distill.label, distill.run):
        with pytest.raises(UserError, match="DISTILL_SIGNALS_URL=nowhere://bucket"):
            command(recipe_file, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
