"""Labelling on a Ray of this machine: the files are those of labelling without it, also when a worker is killed."""

from __future__ import annotations

import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest
import tiny
from labellers import kill_ray_workers

import distill
from distill.cluster import Cluster, Hands, RayTeacher, _told, share
from distill.errors import MissingExtra, ModelError, RunError, UserError
from distill.files import sha256_folder
from teachers.load import load_teacher
from teachers.spec import TeacherSpec

RECIPE = {
    "name": "tiny",
    "teacher": {"model": "teacher"},
    "data": {"train": "sentences.txt"},
    "student": {"layers": 1},
    "stages": [{"losses": ["embedding_cosine"]}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a teacher and sentences; Ray's workers find the packages of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.chdir(tmp_path)
    tiny.saved(tmp_path / "teacher", layers=2, hidden=32)
    tiny.write_lines(tmp_path / "sentences.txt")
    return tmp_path


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[ray\]"):
        Cluster("auto")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray answers there"),
        ("ray://127.0.0.1:1", "no Ray answers there"),
        ("nonsense", "no address of Ray"),
        ("", "no address of Ray"),
    ],
)
def test_an_address_where_nobody_is(address: str, words: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=words):
        Cluster(address)


def node(**resources: float) -> dict[str, Any]:
    return {"Alive": True, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([node(CPU=8), node(CPU=4)], None, (2, 4, 0)),
        ([node(CPU=8), node(CPU=4)], 5, (5, 1, 0)),
        ([node(CPU=8)], 2, (2, 4, 0)),
        ([node(CPU=8, GPU=2), node(CPU=4)], None, (2, 1, 1)),
        ([node(CPU=8, GPU=2)], 6, (6, 1, 0.333)),
        ([node(CPU=8), {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}], None, (1, 8, 0)),
    ],
)
def test_what_each_worker_gets(nodes: list[dict[str, Any]], workers: int | None, expected: tuple[float, ...]) -> None:
    count, needs = share(nodes, workers)
    assert (count, needs["num_cpus"], needs["num_gpus"]) == expected


def test_more_workers_than_cpus_are_refused() -> None:
    with pytest.raises(UserError, match="at most 4"):
        share([node(CPU=4)], 5)


def test_nobody_asks_when_the_cluster_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits for an answer when Ray shuts down aborts the process at its next connection."""
    gone, asked = threading.Event(), threading.Event()
    waiting: set[int] = set()
    at_the_end: list[set[int]] = []

    class Actor:
        def __getattr__(self, name: str) -> Any:
            return types.SimpleNamespace(remote=lambda *arguments: name)

    def get(name: str) -> None:
        if name == "load":
            return
        waiting.add(threading.get_ident())
        asked.set()
        gone.wait(30)
        time.sleep(0.2)
        waiting.remove(threading.get_ident())
        raise RuntimeError("the worker is gone")

    kind = types.SimpleNamespace(options=lambda **needs: types.SimpleNamespace(remote=lambda *arguments: Actor()))
    ray = types.SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **options: None,
        nodes=lambda: [node(CPU=2)],
        remote=lambda cls: kind,
        wait=lambda names: (names[:1], names[1:]),
        get=get,
        kill=lambda actor: gone.set(),
        shutdown=lambda: at_the_end.append(set(waiting)),
        exceptions=types.SimpleNamespace(RayTaskError=KeyError, RayError=KeyError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    heard: list[BaseException] = []

    def ask() -> None:
        try:
            hands.ask("embed")
        except RuntimeError as error:
            heard.append(error)

    with Cluster("local") as cluster:
        hands = Hands(cluster, object)
        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(30)
    assert at_the_end == [set()]
    thread.join(30)
    assert [str(error) for error in heard] == ["the worker is gone"]


def test_many_processes_and_labelled_tasks_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {**RECIPE, "task": "classification", "stages": [{"losses": ["kl_divergence"]}]}
    with pytest.raises(UserError, match="in its run"):
        distill.label(task)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="labelling on Ray runs in one process"):
        distill.label(RECIPE, ray="local")


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_the_files_are_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("teachers.shards.BLOCK", 16)
    monkeypatch.setenv("DISTILL_CACHE", str(home / "plain"))
    assert distill.label(RECIPE, out="runs/plain") == {"computed": 420, "reused": 0}

    monkeypatch.setenv("DISTILL_CACHE", str(home / "ray"))
    answered, lock, killed, embed = 0, threading.Lock(), [], RayTeacher.embed

    def killing(self: RayTeacher, texts: list[str]) -> Any:
        nonlocal answered
        vectors = embed(self, texts)
        with lock:
            answered += 1
            if answered == 3:
                killed.extend(kill_ray_workers("Worker"))
        return vectors

    monkeypatch.setattr(RayTeacher, "embed", killing)
    assert distill.label(RECIPE, ray="local", workers=2) == {"computed": 420, "reused": 0}
    assert len(killed) == 2
    assert answered == 26 + 2  # 402 and 18 sentences by sixteen: what was done is not done again
    left, right = (sha256_folder(home / place / "signals") for place in ("ray", "plain"))
    assert left == right
    assert distill.label(RECIPE) == {"computed": 0, "reused": 420}


@pytest.mark.slow
def test_what_a_worker_cannot_do_is_told(home: Path) -> None:
    ray = pytest.importorskip("ray")
    spec = TeacherSpec(model="teacher")
    key = load_teacher(spec).fingerprint()
    local = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "log_to_driver": False}
    ray.init(num_cpus=1, object_store_memory=512 * 2**20, configure_logging=False, **local)
    try:
        unknown = r"Ray worker on .*: this machine cannot load the teacher\n.*nowhere"
        with Cluster("auto") as cluster, pytest.raises(ModelError, match=unknown):
            cluster.teacher(TeacherSpec(model="./nowhere"), key).embed(["a"])
        with Cluster("auto") as cluster, pytest.raises(ModelError, match="another model under the teacher's name"):
            cluster.teacher(spec, {**key, "weights": "other"}).embed(["a"])
        with Cluster("auto") as cluster:
            teacher = cluster.teacher(spec, key)
            teacher.embed(["a"])
            cluster.close()
            with pytest.raises(RunError, match="Ray's workers failed"):
                teacher.embed(["a"])
        assert ray.is_initialized()  # the caller's is used, and left
    finally:
        ray.shutdown()


def test_a_package_that_the_workers_lack_is_named() -> None:
    ray = pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"a package is missing .*\n.*No module named 'teachers'"), _told(ray):
        raise ray.exceptions.RayError("The actor died: ModuleNotFoundError: No module named 'teachers'")
