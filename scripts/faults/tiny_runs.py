"""What the fault harnesses share: two small recipes, how a run is started and watched, and what it must end with.

Starts are forks of a process that has imported everything, since an import takes longer than most stages; a start that is to be
hit while it imports is a process of its own (`cold`), as is the run that all others are compared with.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT, QUANTIZING = "checkpoint", "quantizing"
"""Parts of the stages `training` and `onnx` that are told from files."""
CHECKPOINT_SECONDS = 0.01
"""About how long one checkpoint takes to write."""
STAGES = {
    "embedding": "start teacher data signals training checkpoint student onnx quantizing parity quality measure report",
    "task": "start data finetune teacher training checkpoint student onnx quantizing parity quality measure report",
}
"""Recipe -> its stages in order."""
NAMES = {
    "start": "start, imports",
    "teacher": "teacher loaded",
    "data": "data, augmentation",
    "signals": "labelling",
    "finetune": "teacher fine-tuned",
    "training": "training",
    "checkpoint": "checkpoint written",
    "student": "student saved",
    "onnx": "ONNX export",
    "quantizing": "quantizing",
    "parity": "parity",
    "quality": "quality",
    "measure": "measuring",
    "report": "report, seal",
}
TIMED = ("manifest.json", "measure.json", "report.json", "report.md", "report.html", "samples.csv", "student/README.md")
"""Files that hold seconds, dates or bytes of memory."""
_MEASURE = {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0, "passes": 1, "rounds": 1, "repeats": 0}
_TRAIN = {"precision": "fp32", "evaluate_every": 0.25}
_QUICK = {"batch_size": 16, "learning_rate": 1.0e-3}
RECIPES: dict[str, dict[str, Any]] = {
    "embedding": {
        "name": "tiny",
        "teacher": {"model": "teacher"},
        "data": {
            "train": "sentences.txt",
            "evaluate": {"sts": "sts.csv"},
            "augment": {"method": "vocabulary_mix", "sentences": 400, "share": 0.9, "max_words": 10, "words": False},
        },
        "student": {"layers": 2},
        "stages": [
            {"name": "first", "losses": ["embedding_cosine"], "epochs": 1, **_QUICK},
            {"name": "second", "losses": ["similarity_matrix"], "epochs": 1, **_QUICK},
        ],
        "train": _TRAIN,
        "measure": _MEASURE,
    },
    "task": {
        "name": "tiny",
        "task": "classification",
        "teacher": {"model": "encoder", "max_length": 64, "finetune": {"epochs": 1, **_QUICK}},
        "data": {"train": "rows.tsv", "dev": {"share": 0.2}, "evaluate": {"test": "test-rows.tsv"}},
        "student": {"layers": 2},
        "stages": [
            {"name": "inner", "losses": ["hidden_mse"], "epochs": 1, **_QUICK},
            {"name": "prediction", "losses": ["kl_divergence", "hard_label"], "epochs": 1, **_QUICK},
        ],
        "train": _TRAIN,
        "export": {"presets": ["fp32", "fast"]},
        "measure": _MEASURE,
    },
}


def make_home(folder: Path) -> Path:
    """A working folder with models, text, labelled rows and `NAME.yaml` of every recipe; made by a process of its own."""
    if not (folder / "task.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        code = f"import sys; sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(Path(__file__).parent)!r}, {str(ROOT)!r}]\n"
        subprocess.run([sys.executable, "-c", code + "import tiny_runs; tiny_runs.fill_home()"], cwd=folder, check=True)
    return folder


def fill_home() -> None:
    """See `make_home`; in the working directory."""
    import tiny

    here = Path()
    tiny.saved(here / "teacher", layers=4, hidden=32)
    tiny.write_encoder(here / "encoder", layers=3, hidden=48)
    tiny.write_lines(here / "sentences.txt")
    tiny.write_sts(here / "sts.csv", tiny.sts_rows(40))
    tiny.write_task(here, "classification", 0, 200)
    tiny.write_task(here, "classification", 200, None, "test-rows.tsv")
    for name, recipe in RECIPES.items():
        (here / f"{name}.yaml").write_text(json.dumps(recipe), "utf-8")


class Start:
    """One start of `distill run` in a session of its own, so that every process that comes of it can be found.

    Args:
        home: working folder.
        recipe: of `RECIPES`.
        out: run folder; the cache is `<out>.cache`, what is said goes to `NAME.err` in `home`.
        cold: a new process instead of a fork.
        environment: further variables.
        arguments: further ones of `distill run`.
    """

    def __init__(
        self,
        home: Path,
        recipe: str,
        out: Path,
        *,
        cold: bool = False,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.out, self.recipe, self.since, self.code = out, recipe, time.time(), None
        self.errors = home / f"{out.name}.err"
        values = {"DISTILL_CACHE": f"{out}.cache", "HF_HUB_OFFLINE": "1", **(environment or {})}
        arguments = ["run", f"{recipe}.yaml", "--out", str(out), *arguments]
        # The clock of files is coarser than that of `time`: without this a file written at once would look older.
        time.sleep(0.02)
        if cold:
            command = [sys.executable, "-m", "distill", *arguments]
            with open(self.errors, "w", encoding="utf-8") as told:
                process = subprocess.Popen(
                    command,
                    cwd=home,
                    env={**os.environ, **values, "PYTHONPATH": str(ROOT)},
                    stdout=subprocess.DEVNULL,
                    stderr=told,
                    start_new_session=True,
                )
            self.pid, process.returncode = process.pid, 0  # it is waited for below
        else:
            self.pid = os.fork()
            if self.pid == 0:
                _become(home, arguments, values, self.errors)

    def ended(self) -> bool:
        """Whether the process is gone; `code` is set then, below 0 by a signal."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = 1e9) -> bool:
        """Wait until it ends, so many seconds at most; whether it did."""
        end = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() >= end:
                return False
            time.sleep(min(0.002, seconds))
        return True

    def send(self, number: int) -> None:
        """Send a signal to the process alone."""
        if not self.ended():
            os.kill(self.pid, number)

    def said(self) -> str:
        """What it wrote to stderr."""
        return self.errors.read_text("utf-8", "replace")

    def stage(self) -> str:
        """The stage that it is in: the first that the manifest of this start does not tell."""
        return stage_of(self.out, STAGES[self.recipe].split(), self.since)

    def until(self, target: str) -> None:
        """Wait until it is in a stage, or past it, or has ended."""
        order = STAGES[self.recipe].split()
        while not self.ended() and order.index(self.stage()) < order.index(target):
            time.sleep(0.001)

    def processes(self) -> list[int]:
        """Processes of its session that are alive."""
        return [pid for pid, session in sessions() if session == self.pid and pid != self.pid]


def _become(home: Path, arguments: Sequence[str], values: Mapping[str, str], errors: Path) -> None:
    """In the fork: be `distill`."""
    os.setsid()
    os.chdir(home)
    os.environ.update(values)
    if "TMPDIR" in values:
        tempfile.tempdir = values["TMPDIR"]
    told = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(told, 2)
    sys.argv = ["distill", *arguments]
    code = 70
    try:
        from distill.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
        sys.stderr.flush()
    finally:
        os._exit(code)


def warm() -> None:
    """Import what a run imports, so that forks need not."""
    sys.path.insert(0, str(ROOT))
    import_module("distill")  # first of all: it turns the telemetry of the others off
    import matplotlib.figure  # noqa: F401
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401
    import torch

    import distill.cli
    import distill.pipeline
    import distill.recipe_check  # noqa: F401

    torch.set_num_threads(1)


def sessions() -> Iterator[tuple[int, int]]:
    """Process and its session, of all processes that are no zombies."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(folder.name), int(fields[3])


def stage_of(out: Path, order: list[str], since: float) -> str:
    """The stage of `order` that a run which began at `since` is in."""
    try:
        file = out / "manifest.json"
        if file.stat().st_mtime < since:
            return "start"
        made = {entry["name"] for entry in json.loads(file.read_text("utf-8"))["stages"]}
    except (OSError, ValueError):
        return "start"
    found = next((name for name in order[1:] if name not in {*made, CHECKPOINT, QUANTIZING}), "report")
    if found == "training" and any(not (item / "complete.json").exists() for item in out.glob("work/*/*/checkpoint-*")):
        return CHECKPOINT
    if found == "onnx" and any(item.stat().st_mtime >= since for item in out.glob("student/onnx/model.onnx")):
        return QUANTIZING
    return found


def durations(start: Start) -> dict[str, float]:
    """Seconds of every stage of a start, as an onlooker sees them; waits for its end."""
    seen, last = defaultdict[str, float](float), time.monotonic()
    while not start.ended():
        stage = start.stage()
        time.sleep(0.003)
        now = time.monotonic()
        seen[stage] += now - last
        last = now
    if start.code:
        sys.exit(f"a run without a fault ended with {start.code}:\n{start.said()}")
    return {name: round(seen[name], 3) for name in STAGES[start.recipe].split()}


def references(work: Path) -> dict[str, dict[str, float]]:
    """Whole runs of every recipe in `work`, kept from call to call; seconds of their stages.

    Each recipe goes through twice, cold and as a fork; the two must be equal.
    """
    home = make_home(work / "home")
    kept = work / "whole.json"
    if kept.exists():
        found = json.loads(kept.read_text("utf-8"))
        if found["source"] != source():
            sys.exit(f"the code has changed since {kept} was written: remove {work} and its table, or name another folder")
        return found["seconds"]
    seconds = {}
    for recipe in RECIPES:
        cold = Start(home, recipe, home / f"whole-{recipe}", cold=True)
        importing = durations(cold)["start"]
        fork = Start(home, recipe, home / f"fork-{recipe}")
        seconds[recipe] = {**durations(fork), "cold": importing}
        if differing := compare(cold.out, fork.out):
            sys.exit(f"two runs without a fault differ: {differing}")
    kept.write_text(json.dumps({"source": source(), "seconds": seconds}), "utf-8")
    return seconds


def source() -> str:
    """A short hash of the code that runs."""
    digest = hashlib.sha256()
    for package in ("distill", "teachers", "students"):
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def compare(whole: Path, out: Path) -> list[str]:
    """Names of files that differ between two runs or are in one alone, and of what was left behind."""
    sys.path.insert(0, str(ROOT))
    from distill.sealing import result_hashes

    one, other = result_hashes(whole), result_hashes(out)
    names = [name for name in sorted({*one, *other}) if name not in TIMED and one.get(name) != other.get(name)]
    places = [out, Path(f"{out}.cache")]
    torn = [file.relative_to(place).as_posix() for place in places for file in place.rglob("*") if ".tmp-" in file.name]
    return list(dict.fromkeys(names + torn)) + (["work"] if (out / "work").exists() else [])


class Table:
    """Rows of a harness, written again after each one; they are read when it begins, so that it goes on.

    Args:
        path: of the JSON file; `.md` of the same name stands beside it.
        title: of the page.
    """

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.title = path, title
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if found and found["source"] != source():
            sys.exit(f"the rows in {path} are of other code: move them away, or name another table")
        self.rows: list[dict[str, Any]] = found.get("rows", [])

    def add(self, row: dict[str, Any]) -> None:
        """Append a row and write both files."""
        from distill.files import atomic_write
        from distill.measure.hardware import environment
        from distill.rundir import versions

        self.rows.append(row)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        hardware = {name: value for name, value in environment().items() if name != "packages"}
        head = {"source": source(), "hardware": hardware, "packages": versions()}
        atomic_write(self.path, json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n ]\n}\n")
        atomic_write(self.path.with_suffix(".md"), summary(self.title, self.rows, head))


def summary(title: str, rows: list[dict[str, Any]], head: Mapping[str, Any]) -> str:
    """The rows as Markdown: a row that has `hit` is a fault, one that has `end` the end of a chain."""
    hit = Counter((row["kind"], row["hit"]) for row in rows if row.get("hit"))
    ends = [row for row in rows if row.get("end")]
    wrong = [row for row in rows if row.get("lost")]
    differ = [row for row in rows if row.get("differs")]
    kinds = sorted({kind for kind, _ in hit})
    lines = [f"# {title}", ""]
    lines += [
        f"Faults: {sum(hit.values())} in {len({(row['recipe'], row['chain']) for row in rows})} runs, {len(ends)} of which have "
        f"ended; lost: {len(wrong)}; runs that differ: {len(differ)}.",
        "",
    ]
    lines += [f"| stage that was hit | {' | '.join(kinds)} |", "| --- |" + " ---: |" * len(kinds)]
    stages = [name for name in NAMES if any(hit[kind, name] for kind in kinds)]
    lines += [f"| {NAMES[name]} | {' | '.join(str(hit[kind, name]) for kind in kinds)} |" for name in stages]
    hardware, packages = head["hardware"], head["packages"]
    names = ("torch", "transformers", "onnxruntime", "numpy")
    lines += [
        "",
        f"{hardware['cpu']}, {hardware.get('cores')} cores; " + ", ".join(f"{n} {packages.get(n)}" for n in names) + ".",
    ]
    return "\n".join(lines) + "\n"
