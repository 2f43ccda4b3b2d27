"""Workers on a Ray cluster, and teachers at work there: each machine computes vectors, this process alone keeps them."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from teachers.spec import TeacherSpec

from .errors import DistillError, MissingExtra, ModelError, RunError, UserError, shorten
from .files import expand
from .progress import note

RESTARTS = 3
"""How often Ray starts a worker again that died, and asks it again what it did not answer."""
PATIENCE = 20.0
"""Seconds without a worker after which that is said."""
LET_GO = 60
"""Seconds that threads have to hear that their workers are gone; on a crowded machine that took more than ten."""
LOCAL_MEMORY = 512 << 20
"""Bytes for Ray's store of objects where it is started for one command alone: what is on its way are blocks of 256 texts."""


class Cluster:
    """A connection to Ray. Where the caller has made one already (`ray.init`), that one is used and left.

    Args:
        address: of a running cluster (`auto`, HOST:PORT, `ray://HOST:PORT`), or `local`, which starts Ray on this machine.
        workers: models at work; None: one a GPU, or where there is none one a machine, with all of its cores.

    Raises:
        MissingExtra: Ray is not installed.
        UserError: no Ray answers at the address, or it has too few GPUs and CPUs for the workers.

    Attributes:
        workers: how many there are.
        needs: what each asks Ray for.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("ray", "ray", "work on a Ray cluster") from error
        self._ray: Any = ray
        self._actors: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._asking, self._nobody = 0, threading.Condition()
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address)
        try:
            self.workers, self.needs = share(ray.nodes(), workers)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers, and let go of the cluster once no thread asks them any more.

        A thread that still waited for an answer would find itself in the next connection of this process, where Ray aborts.
        """
        self._stop()
        with self._nobody:
            self._nobody.wait_for(lambda: self._asking == 0, timeout=LET_GO)  # they hear that their workers are gone
        if self._ours:
            self._ray.shutdown()

    def _stop(self) -> None:
        """Stop the workers that there are."""
        while self._actors:
            with contextlib.suppress(Exception):  # one that is gone, on a cluster that may be gone
                self._ray.kill(self._actors.pop())
        while self._threads:  # they wait for workers to load, and hear that these are gone
            self._threads.pop().join(timeout=LET_GO)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Within the block a thread asks workers: until it has left, the cluster is held."""
        with self._nobody:
            self._asking += 1
        try:
            yield
        finally:
            with self._nobody:
                self._asking -= 1
                self._nobody.notify_all()

    def teacher(self, spec: TeacherSpec, key: dict[str, Any]) -> RayTeacher:
        """A teacher of which every worker has a copy.

        Args:
            spec: names it so that each machine finds it: a hub id, an installed package, or a folder that all see.
            key: the fingerprint that it must have there too.
        """
        return RayTeacher(self, spec.model_copy(update={"model": from_any_folder(spec.model)}), key)

    def start(self, kind: type[Any], arguments: Sequence[Any], gather: Callable[[Any, list[Any]], None]) -> Any:
        """Make workers of a kind, and a thread that gathers them as they have loaded what they need. Returns Ray itself.

        Those there were before give way: they are no longer asked, and may hold every GPU.
        """
        self._stop()
        made = self._ray.remote(kind).options(
            **self.needs, max_restarts=RESTARTS, max_task_retries=RESTARTS, scheduling_strategy="SPREAD"
        )
        started = [made.remote(*arguments) for _ in range(self.workers)]
        self._actors += started
        thread = threading.Thread(target=gather, args=(self._ray, started), daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._ray


class Hands:
    """The workers of one kind on a cluster; they are started when they are first asked.

    A worker that dies is started again by Ray, up to three times, and asked again.

    Args:
        cluster: where they work.
        kind: their class; it has a method `load`, which may be called more than once.
        arguments: of the class.
    """

    def __init__(self, cluster: Cluster, kind: type[Any], *arguments: Any) -> None:
        self._cluster, self._kind, self._arguments = cluster, kind, arguments
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ray: Any = None

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of whichever worker is free gives; called from as many threads as there are workers.

        Raises:
            ModelError: a worker cannot load what it needs, or finds something else under its name.
            RunError: the cluster is gone, or a worker died too often.
        """
        with self._cluster.asking():
            with self._lock:
                if self._ray is None:
                    self._ray = self._cluster.start(self._kind, self._arguments, self._gather)
            worker = self._next()
            try:
                with _told(self._ray):
                    return self._ray.get(getattr(worker, method).remote(*arguments))
            finally:
                self._idle.put(worker)

    def _gather(self, ray: Any, started: list[Any]) -> None:
        """Put each worker among the idle ones as soon as it has loaded; of one that cannot the error."""
        loading = {actor.load.remote(): actor for actor in started}
        while loading:
            try:
                done, _ = ray.wait(list(loading))
                actor = loading.pop(done[0])
                ray.get(done[0])
            except Exception as error:
                self._idle.put(error)
                return
            self._idle.put(actor)

    def _next(self) -> Any:
        found: Any = None
        try:
            found = self._idle.get(timeout=PATIENCE)
        except queue.Empty:
            asked = ", ".join(f"{name}={value:g}" for name, value in self._cluster.needs.items())
            note(f"waiting for the first of {self._cluster.workers} Ray workers ({asked} each)")
            found = self._idle.get()
        if isinstance(found, Exception):
            self._idle.put(found)  # for the other threads, which would wait for ever
            with _told(self._ray):
                raise found
        return found


class RayTeacher:
    """One teacher on a cluster.

    Attributes:
        count: of the workers.
    """

    def __init__(self, cluster: Cluster, spec: TeacherSpec, key: dict[str, Any]) -> None:
        self.count = cluster.workers
        self._hands = Hands(cluster, Worker, spec, key)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of some texts from whichever worker is free; see `Hands.ask`.

        Returns:
            float32 [len(texts), d].
        """
        vectors: np.ndarray = self._hands.ask("embed", list(texts))
        return vectors


class Worker:
    """Runs on a machine of the cluster: a copy of the teacher.

    Args:
        spec: names it; its precision is fp32 or bf16, whichever the machine that asks has chosen.
        key: the fingerprint that it must have.
    """

    def __init__(self, spec: TeacherSpec, key: dict[str, Any]) -> None:
        self._spec, self._key = spec, key
        self._teacher: Any = None

    def load(self) -> None:
        """Load the teacher, if that has not been done since this worker was started.

        Raises:
            ModelError: it cannot be loaded here, or is another one.
        """
        if self._teacher is not None:
            return
        from teachers.load import load_teacher

        host = f"Ray worker on {socket.gethostname()}"
        try:
            teacher = load_teacher(self._spec)
        except DistillError as error:
            raise ModelError(
                "this machine cannot load the teacher",
                where=host,
                got=error.message if error.where is None else f"{error.where}: {error.message}",
                expected="a model that every machine finds: a hub id, an installed package, or a folder that all see",
                hint=error.hint,
            ) from None
        if teacher.fingerprint() != self._key:
            raise ModelError(
                "this machine has another model under the teacher's name",
                where=host,
                got=self._spec.model,
                expected="weights, tokenizer and settings as on the machine that asks",
                hint="copy the model folder anew, or name a commit in teacher.revision",
            )
        self._teacher = teacher

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of some texts, float32 [n, d]."""
        self.load()
        spec = self._spec
        vectors: np.ndarray = self._teacher.embed(texts, batch_size=spec.batch_size, precision=spec.precision)
        return vectors


def share(nodes: Sequence[dict[str, Any]], workers: int | None) -> tuple[int, dict[str, float]]:
    """How many workers a cluster gets, and what each of them asks for.

    Args:
        nodes: as `ray.nodes` tells them.
        workers: as asked for; None: one a GPU, or where there is none one a machine.

    Returns:
        Their number, and {"num_cpus", "num_gpus"} of each.

    Raises:
        UserError: there are not so many CPUs.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    cpus = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU", 0) >= 1]
    gpus = int(sum(machine.get("GPU", 0) for machine in machines))
    count = workers or gpus or len(cpus)
    if not cpus or count > sum(cpus):
        raise UserError("Ray has too few CPUs for these workers", where="--workers", got=count, expected=f"at most {sum(cpus)}")
    if gpus:
        return count, {"num_cpus": 1, "num_gpus": 1 if count <= gpus else int(1000 * gpus / count) / 1000}
    each = -(-count // len(cpus))  # on one machine, where they are spread evenly
    return count, {"num_cpus": max(1, min(cpus) // each), "num_gpus": 0}


def from_any_folder(name: str) -> str:
    """A file or folder as it is found from any folder, since that of the workers is another; any other name as it stands."""
    path = expand(name)
    return str(path.resolve()) if os.path.exists(path) else name  # a name too long for a path is no error here


def _connect(ray: Any, address: str) -> None:
    """Start Ray on this machine, or connect to one that runs.

    Raises:
        UserError: it cannot be started, or none answers.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address not in ("auto", "local") and not (host and port.isascii() and port.isdigit()):
        raise UserError(
            "this is no address of Ray", where="--ray", got=address, expected="auto, local, HOST:PORT or ray://HOST:PORT"
        )
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    hint = "start one with `ray start --head`, or take --ray local for this machine alone"
    try:
        if address == "local":
            hint = "look at what Ray says in /tmp/ray/session_latest/logs"
            options |= {"include_dashboard": False, "object_store_memory": LOCAL_MEMORY, "_node_ip_address": "127.0.0.1"}
        elif address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()  # Ray itself would try for minutes
        ray.init(**options)
    except Exception as error:
        raise UserError("no Ray answers there", where=f"--ray {address}", got=shorten(error), hint=hint) from error


@contextlib.contextmanager
def _told(ray: Any) -> Iterator[None]:
    """Turn what Ray says of its workers into an error of ours."""
    try:
        yield
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, DistillError):
            raise cause from None
        missing = re.search(r"No module named '[\w.]+'", str(error))
        if missing:
            raise UserError(
                "a package is missing where Ray's workers run",
                got=missing[0],
                hint="pip install 'distill-toolkit[ray]' on every machine, in the environment of Ray",
            ) from error
        raise RunError(
            "Ray's workers failed",
            got=shorten(f"{type(error).__name__}: {error}", 400),
            hint="run the same command again: what was finished is kept",
        ) from error
