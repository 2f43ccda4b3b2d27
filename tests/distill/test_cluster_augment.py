"""Augmentation on a Ray of this machine: the bytes are those without it, also when workers and the command itself are killed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from labellers import kill_ray_workers

from distill.augmenting import augment_recipe
from distill.cluster import Hands
from distill.cluster_augment import BlockWorker, _absolute, _named
from distill.data.augment.base import Example
from distill.data.augment.crew import opened
from distill.data.augment.make import Maker, maker_for, spec_of
from distill.data.augment.stream import write_augmented
from distill.errors import ModelError
from distill.recipe_load import load_recipe

RECIPE = {
    "name": "tiny",
    "teacher": {"model": "teacher"},
    "data": {"train": "sentences.txt", "augment": {"method": "masked_lm", "model": "masked", "variants": 2, "p": 0.5}},
    "student": {"layers": 1},
    "stages": [{"losses": ["embedding_cosine"]}],
}
GLOVE = "red 1 0\nblue 0.9 0.1\ngreen 0.8 0.3\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a masked LM, vectors and sentences; Ray's workers find the packages of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.chdir(tmp_path)
    tiny.write_masked_lm(tmp_path / "masked", layers=1)
    tiny.write_lines(tmp_path / "sentences.txt", tiny.SENTENCES[:200])
    (tmp_path / "glove.txt").write_text(GLOVE, "utf-8")
    return tmp_path


@pytest.mark.slow
def test_killed_workers_and_a_killed_command_lose_nothing_and_the_bytes_are_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setitem(write_augmented.__kwdefaults__, "block", 16)  # thirteen blocks
    recipe = load_recipe(RECIPE)
    monkeypatch.setenv("DISTILL_CACHE", str(home / "plain-cache"))
    augment_recipe(recipe, home / "plain.jsonl")

    monkeypatch.setenv("DISTILL_CACHE", str(home / "ray-cache"))
    asked: list[str] = []
    killed: list[int] = []
    ask, lock = Hands.ask, threading.Lock()

    def killing(self: Hands, method: str, *arguments: Any) -> Any:
        with lock:
            asked.append(method)
            number = len(asked)
        if number == 8:
            raise RuntimeError("the command is killed")
        found = ask(self, method, *arguments)
        if number == 3:
            killed.extend(kill_ray_workers("BlockWorker"))
        return found

    monkeypatch.setattr(Hands, "ask", killing)
    out = home / "more.jsonl"
    with pytest.raises(RuntimeError, match="the command is killed"):
        augment_recipe(recipe, out, ray="local", workers=2)
    assert killed
    assert not out.exists()
    kept = len(list((home / "more.jsonl.parts").glob("*.jsonl")))
    assert 0 < kept < 13
    asked[:] = ["before"] * 10
    report = augment_recipe(recipe, out, ray="local", workers=2)
    assert asked[10:] == ["augment"] * (13 - kept)
    assert report["speed"]["examples"] == 200 - 16 * kept
    assert out.read_bytes() == (home / "plain.jsonl").read_bytes()
    assert not (home / "more.jsonl.parts").exists()


def vectors(source: str) -> Maker:
    return maker_for(spec_of("word_vectors", {"vectors": source, "p": 1.0, "candidates": 1, "variants": 1}), lambda: ())


def test_a_worker_finds_files_from_any_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = vectors("glove.txt")
    away = home / "away"
    away.mkdir()
    everywhere = replace(maker, spec=_absolute(maker.spec))
    worker = BlockWorker(everywhere, 1, _named(maker))
    monkeypatch.chdir(away)
    rows, account = opened(worker.augment([Example("red")], False))
    assert account.rows == 2
    assert b'"text": "blue"' in rows
    masked = spec_of("masked_lm", {"model": "klue/bert-base"})
    assert _absolute(masked) == masked  # a hub id stays one


def test_a_worker_without_the_files_says_on_which_machine(home: Path) -> None:
    maker = vectors("glove.txt")
    (home / "glove.txt").unlink()
    with pytest.raises(ModelError, match=r"(?s)Ray worker on .*cannot augment.*glove\.txt.*no such file.*expected"):
        BlockWorker(maker, 1, {}).load()


def test_a_worker_with_other_files_under_the_name_is_refused(home: Path) -> None:
    maker = vectors("glove.txt")
    key = _named(maker)
    (home / "glove.txt").write_text(GLOVE.replace("blue", "pink"), "utf-8")
    with pytest.raises(ModelError, match=r"(?s)Ray worker on .*other variants.*another vectors under the same name"):
        BlockWorker(maker, 1, key).load()
