"""A signal or a full disk in any stage: it is told, nothing is lost, and the same command ends as if nothing had been."""

from __future__ import annotations

import errno
import itertools
import os
import signal

import pytest

import distill
from distill import exits, files, proving, stopping
from distill.rundir import RunDir
from distill.sealing import result_hashes

STAGES = ("teacher", "data", "signals", "training", "student", "onnx", "parity", "quality", "measure")
TIMED = ("measure.json", "report.json", "report.md", "report.html", "samples.csv", "student/README.md")


@pytest.fixture
def command(at_home, recipe_file, no_stopwatch, monkeypatch, capsys):
    """command(out): `distill run` in this process; its exit code and what it said."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(out):
        def work():
            exits.resumes()
            distill.run(recipe_file, ["export.presets=[fp32]", "train.epochs=1"], out=out)

        with pytest.raises(SystemExit) as end:
            exits.run(work)
        return end.value.code, capsys.readouterr().err

    yield run
    stopping.listen()  # forgets the signal
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def whole(command, tmp_path):
    """What a run without a fault ends with."""
    assert command(tmp_path / "whole")[0] == 0
    return results(tmp_path / "whole")


def results(out):
    assert not (out / "work").exists()
    return {name: digest for name, digest in result_hashes(out).items() if name not in TIMED}


@pytest.mark.slow
def test_a_signal_in_every_stage(command, whole, monkeypatch, tmp_path):
    out, stage, build = tmp_path / "run", RunDir.stage, proving.build_report
    signals = itertools.cycle((signal.SIGINT, signal.SIGTERM))
    for target in (*STAGES, "report"):
        number = next(signals)

        def struck(self, name, inputs, outputs, work, target=target, number=number, **options):
            def first():
                signal.raise_signal(number)
                return work()

            return stage(self, name, inputs, outputs, first if name == target else work, **options)

        with monkeypatch.context() as patch:
            patch.setattr(RunDir, "stage", struck)
            if target == "report":
                patch.setattr(proving, "build_report", lambda path, number=number: signal.raise_signal(number) or build(path))
            code, said = command(out)
        assert code == 128 + number, (target, said)
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
        assert "internal error" not in said
    assert command(out)[0] == 0
    assert results(out) == whole


@pytest.mark.slow
def test_a_disk_that_is_full_at_ever_later_writes(command, whole, monkeypatch, tmp_path):
    out, fsync = tmp_path / "run", os.fsync
    for count in itertools.count(1, 3):
        writes = itertools.count(1)

        def full(handle, writes=writes, count=count):
            if next(writes) >= count:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", full)
            code, said = command(out)
        if code == 0:
            break
        assert code == 2, said
        assert "the disk is full" in said
        assert "run the same command again" in said
        if (out / "manifest.json").exists():  # what earlier stages made is as it was
            made = [stage["outputs"] for stage in files.read_json(out / "manifest.json")["stages"]]
            told = {name: digest for outputs in made for name, digest in outputs.items()}
            assert told.items() <= result_hashes(out).items()
    assert count > 10
    assert results(out) == whole
