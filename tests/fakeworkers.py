"""Measuring processes that are none: they answer as they are told, at once."""

from __future__ import annotations

from distill.errors import DistillError


class FakeWorkers:
    """In place of `rounds.Worker`: notes what is asked of whom, and answers with times of its own.

    Args:
        times: variant -> function of (case key, number of the block) that gives the wall times of a block.
        cpu: share of the wall time that was CPU time, or a function of how many processes were started that gives it.
        dies: variant -> what it dies at: "hello", "case", "block" or "bye".
    """

    def __init__(self, times, cpu=1.0, dies=None):
        self.times, self.cpu, self.dies = times, cpu, dies or {}
        self.asked: list[tuple[str, str, str]] = []
        self.started: list[str] = []
        self.killed: list[str] = []
        self.specs: dict[str, dict] = {}
        self.blocks: dict[tuple[str, str], int] = {}

    def __call__(self, name, threads, spec, scratch, cache):
        self.started.append(name)
        self.specs[name] = {**spec, "threads": threads}
        assert scratch.is_dir()
        if self.dies.get(name) == "hello":
            raise DistillError("the measuring process died", where=name)
        return _Worker(self, name)


class _Worker:
    pid = 2**22 + 1  # no process has this number

    def __init__(self, home, name):
        self.home, self.name = home, name
        self.hello = {"load_ms": 10.0 * len(home.started), "start_ms": 100.0, "base_mb": 50.0}

    def ask(self, does, **values):
        home = self.home
        home.asked.append((self.name, does, values.get("key", "")))
        if home.dies.get(self.name) == does:
            raise DistillError("the measuring process died", where=self.name, got="its last words: oh")
        if does == "case":
            tokens = [sum(group) for group in values["groups"]]
            return {"first_ms": 7.0, "compile_ms": 900.0 if home.specs[self.name]["compiled"] else None, "tokens": tokens}
        if does == "serve":
            return self._serve(values["times"], values["limit"])
        number = home.blocks[self.name, values["key"]] = home.blocks.get((self.name, values["key"]), -1) + 1
        wall = [float(value) for value in home.times[self.name](values["key"], number)]
        share = home.cpu(len(home.started)) if callable(home.cpu) else home.cpu
        return {"wall_ms": wall, "cpu_ms": share * sum(wall)}

    def _serve(self, times, limit):
        service, free, start, end = self.home.times[self.name]("serve", 0)[0] / 1000, 0.0, [], []
        for time in times:
            free = max(free, time)
            if free >= limit:
                break
            start.append(free)
            free += service
            end.append(free)
        return {"start": start, "end": end, "cpu_ms": 1.0}

    def watch_threads(self, key):
        return {"budget": 1, "running_most": 1, "running_mean": 1.0, "cpu_per_wall": 1.0, "kept": True}

    def close(self):
        return {"peak_rss_mb": 100.0 + 10.0 * len(self.home.started)}

    def kill(self):
        self.home.killed.append(self.name)
