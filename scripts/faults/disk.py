#!/usr/bin/env python3
"""A disk that is full, read-only or loses bytes, at random places of a run: is it told, and does the run go on to the same bytes?

    OMP_NUM_THREADS=1 python scripts/faults/disk.py --work FOLDER [--seed 0] [--table scripts/faults/results/disk.json]

`disk full`: run, cache and temporary files lie on a small filesystem of their own (tmpfs; needs root, or user namespaces), which
is filled up at an instant of each stage. The run must end with 2 and say what is full and how to go on; what earlier stages made
must still have the hashes that the manifest tells. Then there is room again and the same command goes on.
`truncated`, `flipped`, `emptied`, `removed`: one file of a whole run, or of one that was killed in its training, is damaged, and
the same command is started. Nothing that is damaged may be used.
`read-only`, `missing`: run folder, cache, temporary folder or an input is so when the run starts.
At the end of each the files are compared with those of a run without faults. See kill.py for the runs and the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import tiny_runs

TITLE = "Disks that are full, read-only or lose bytes"
INSIDE = "DISTILL_FAULTS_MOUNTS"
SIZE_MB = 128
FILLS = 2
"""Of each stage."""
TORN = 24
"""Damaged files of each recipe."""
HANGS = 900.0
LEAVE = (0, 4096, 65536)
"""Bytes that a full disk still has."""
UNTOUCHED = (".lock", "lock")
Row = dict[str, Any]


def mount(folder: Path, options: str = f"size={SIZE_MB}m") -> Path:
    """An empty filesystem of its own at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    return folder


def fill(folder: Path, leave: int) -> Path:
    """Take all room but `leave` bytes of a filesystem; the file that takes it."""
    filler = folder / "filler"
    with open(filler, "wb") as stream:
        size = 0
        while (free := _free(folder)) > leave:
            with contextlib.suppress(OSError):  # the run took some of it meanwhile
                os.posix_fallocate(stream.fileno(), size, free - leave)
                size += free - leave
    return filler


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def finished(start: tiny_runs.Start) -> tiny_runs.Start:
    """A start that has ended; one that hangs is killed."""
    if not start.wait(HANGS):
        start.send(signal.SIGKILL)
        start.wait()
    return start


def told(start: tiny_runs.Start, words: str) -> str | None:
    """What is wrong with how a start ended that cannot go on; None: it ended with 2, said `words` and what to try."""
    said = start.said()
    if start.code == 2 and words in said and "try:" in said and "Traceback" not in said:
        return None
    return f"ended with {start.code}: {said[-1500:]}"


def broken(out: Path) -> list[str]:
    """Files of finished stages that are not as the manifest tells."""
    from distill.files import sha256_file

    try:
        stages = json.loads((out / "manifest.json").read_text("utf-8"))["stages"]
    except FileNotFoundError:
        return []
    files = {name: digest for stage in stages for name, digest in stage["outputs"].items() if digest != "absent"}
    return [name for name, digest in files.items() if not (out / name).is_file() or sha256_file(out / name) != digest]


def going_on(home: Path, recipe: str, out: Path, environment: dict[str, str], *arguments: str) -> Row:
    """The same command once more, without a fault: what its row tells."""
    last = finished(tiny_runs.Start(home, recipe, out, environment=environment, arguments=arguments))
    lost = None if last.code == 0 else f"going on ended with {last.code}: {last.said()[-1500:]}"
    return {"lost": lost, "differs": [] if last.code else tiny_runs.compare(home / f"whole-{recipe}", out)}


def full(home: Path, recipe: str, seconds: dict[str, float], chance: Callable[[int], random.Random], done: int) -> Iterator[Row]:
    """A disk that is full in each stage in turn."""
    disk = mount(home / f"disk-{recipe}")
    out, places = disk / f"full-{recipe}", {"TMPDIR": str(disk / "tmp")}
    (disk / "tmp").mkdir()
    stages = [name for name in tiny_runs.STAGES[recipe].split() for _ in range(FILLS)]
    for number, target in list(enumerate(stages))[done:]:
        draw = chance(number)
        start = tiny_runs.Start(home, recipe, out, environment=places)
        start.until(target)
        short = {**seconds, tiny_runs.CHECKPOINT: tiny_runs.CHECKPOINT_SECONDS}[target]
        start.wait(draw.random() * short)
        hit, filler = (None if start.ended() else start.stage()), fill(disk, draw.choice(LEAVE))
        finished(start)
        lost = None if start.code == 0 else told(start, "full")
        if lost is None and (bad := broken(out)):
            lost = f"not as the manifest tells: {bad}"
        filler.unlink()
        yield {"aimed": target, "hit": hit, "code": start.code, "said": start.said().splitlines()[-3:-2], "lost": lost}
    yield {"end": True, **going_on(home, recipe, out, places)}
    subprocess.run(["umount", "-l", str(disk)], check=True)


def half(home: Path, recipe: str) -> Path:
    """A run that was killed when its training had written some checkpoints."""
    out = home / f"half-{recipe}"
    if not out.exists():
        start = tiny_runs.Start(home, recipe, out)
        while not start.ended() and len(list(out.glob("work/*/*/checkpoint-*/complete.json"))) < 2:
            time.sleep(0.002)
        start.send(signal.SIGKILL)
        start.wait()
    return out


def damage(file: Path, how: str, draw: random.Random) -> None:
    """Truncate, change, empty or remove a file."""
    data = file.read_bytes()
    if how == "removed":
        file.unlink()
    elif how == "emptied" or not data:
        file.write_bytes(b"")
    elif how == "truncated":
        file.write_bytes(data[: draw.randrange(len(data))])
    else:
        place = draw.randrange(len(data))
        file.write_bytes(data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :])


def torn(home: Path, recipe: str, seconds: dict[str, float], chance: Callable[[int], random.Random], done: int) -> Iterator[Row]:
    """One file that is damaged, of a whole run or one that was killed."""
    from distill.files import sha256_file

    states = [home / f"whole-{recipe}", half(home, recipe)]
    for number in range(done, TORN):
        draw, state = chance(number), states[number % 2]
        out = home / f"torn-{recipe}"
        for place in (out, Path(f"{out}.cache")):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(state, out)
        if Path(f"{state}.cache").exists():  # not yet, where the teacher was still being trained
            shutil.copytree(f"{state}.cache", f"{out}.cache")
        files = [file for place in (out, Path(f"{out}.cache")) for file in sorted(place.rglob("*")) if file.is_file()]
        files = [file for file in files if file.name not in UNTOUCHED]
        folder = draw.choice(sorted({file.parent for file in files}))  # each stage's files are as likely as another's
        file = draw.choice([file for file in files if file.parent == folder])
        how = ("truncated", "flipped", "emptied", "removed", "flipped")[number % 5]
        if file.name == "manifest.json" and how == "removed":  # then this is no run any more, and left alone
            how = "emptied"
        damage(file, how, draw)
        wrong = sha256_file(file) if file.exists() else None
        row: Row = {"kind": how, "file": _named(file, out), "state": state.name.split("-")[0], "hit": _owner(file, out)}
        start = finished(tiny_runs.Start(home, recipe, out))
        row |= {"code": start.code}
        if start.code == 2 and "try:" in start.said():  # told, and how to go on
            row |= going_on(home, recipe, out, {}, "--force") if "--force" in start.said() else {"lost": start.said()[-1500:]}
        else:
            row |= {"lost": None if start.code == 0 else f"ended with {start.code}: {start.said()[-1500:]}"}
            row |= {"differs": [] if start.code else tiny_runs.compare(home / f"whole-{recipe}", out)}
        if wrong and file.is_relative_to(out) and file.exists() and sha256_file(file) == wrong:
            row["lost"] = row["lost"] or "the damaged file is still there"
        yield row


def _named(file: Path, out: Path) -> str:
    return (
        file.relative_to(out).as_posix() if file.is_relative_to(out) else f"cache/{file.relative_to(f'{out}.cache').as_posix()}"
    )


def _owner(file: Path, out: Path) -> str:
    """The stage that made a file."""
    name = _named(file, out)
    if name.startswith("cache/"):
        return "signals"
    stages = json.loads((out / "manifest.json").read_text("utf-8", "replace"))["stages"] if file.name != "manifest.json" else []
    owner = next((stage["name"] for stage in stages if name in stage["outputs"]), None)
    if owner == "onnx" and file.name != "model.onnx":
        return tiny_runs.QUANTIZING
    work = tiny_runs.CHECKPOINT if name.startswith("work/") else "report"
    return owner or ("start" if name in ("manifest.json", "recipe.yaml") else work)


def away(home: Path, recipe: str, seconds: dict[str, float], chance: Callable[[int], random.Random], done: int) -> Iterator[Row]:
    """Folders that are read-only or not there, for a run that has begun and one that has not."""
    disk = mount(home / f"away-{recipe}")
    for number, (name, state) in enumerate([(name, state) for name in AWAY for state in ("new", "half")]):
        out = disk / f"away-{number}"
        if state == "half":
            shutil.copytree(half(home, recipe), out)
        (cache := Path(f"{out}.cache")).mkdir()
        (disk / "tmp").mkdir(exist_ok=True)
        places = {"TMPDIR": str(disk / "tmp")}
        words, spoil, mend = AWAY[name](home, recipe, out, cache, places)
        spoil()
        start = finished(tiny_runs.Start(home, recipe, out, environment=places))
        lost = None if start.code == 0 else told(start, words)
        said = start.said()
        mend()
        row = {"kind": name, "state": state, "hit": "start", "code": start.code, "said": said.splitlines()[:1], "lost": lost}
        after = going_on(home, recipe, out, {"TMPDIR": str(disk / "tmp")}) if number >= done else {}
        if number >= done:
            yield {**row, **after, "lost": lost or after["lost"]}
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _read_only(place: str) -> Callable[..., tuple[str, Callable[[], None], Callable[[], None]]]:
    def kind(home: Path, recipe: str, out: Path, cache: Path, places: dict[str, str]) -> Any:
        folder = {"run": out, "cache": cache, "tmp": Path(places["TMPDIR"])}[place]
        folder.mkdir(exist_ok=True)

        def spoil() -> None:
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)

        def mend() -> None:
            subprocess.run(["umount", "-l", str(folder)], check=True)

        return "read-only", spoil, mend

    return kind


def _missing_temporary(home: Path, recipe: str, out: Path, cache: Path, places: dict[str, str]) -> Any:
    places["TMPDIR"] = str(out.parent / "nowhere")
    return "temporary", lambda: None, lambda: None


def _missing_input(home: Path, recipe: str, out: Path, cache: Path, places: dict[str, str]) -> Any:
    file = home / {"embedding": "sentences.txt", "task": "rows.tsv"}[recipe]
    other = file.with_suffix(".away")
    return file.name, lambda: file.rename(other), lambda: other.rename(file)


def _file_in_the_way(home: Path, recipe: str, out: Path, cache: Path, places: dict[str, str]) -> Any:
    cache.rmdir()
    return "a file stands where", lambda: cache.write_text("mine"), cache.unlink


AWAY = {
    "run folder read-only": _read_only("run"),
    "cache read-only": _read_only("cache"),
    "temporary folder read-only": _read_only("tmp"),
    "temporary folder missing": _missing_temporary,
    "input missing": _missing_input,
    "file in place of the cache": _file_in_the_way,
}
GROUPS = {"disk full": full, "damaged": torn, "away": away}


def main() -> None:
    """Go through every group of every recipe that the table does not hold whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs; kept, to go on in")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=tiny_runs.ROOT / "scripts/faults/results/disk.json")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS), help="groups (default: all)")
    options = parser.parse_args()
    if INSIDE not in os.environ:  # mounts that are seen by nobody else, and are gone when this ends
        os.environ[INSIDE] = "1"
        alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        os.execvp(alone[0], [*alone, sys.executable, *sys.argv])
    tiny_runs.warm()
    home = options.work.absolute() / "home"
    table, seconds = tiny_runs.Table(options.table, TITLE), tiny_runs.references(options.work.absolute())
    for recipe in tiny_runs.RECIPES:
        for name, group in ((name, GROUPS[name]) for name in options.only):
            about = {"kind": name, "recipe": recipe, "seed": options.seed, "chain": f"{name}, {recipe}"}
            mine = [row for row in table.rows if (row["chain"], row["seed"]) == (about["chain"], options.seed)]
            if any(row.get("end") for row in mine):
                continue
            key = f"{options.seed}-{name}-{recipe}"
            for row in group(home, recipe, seconds[recipe], lambda number, key=key: random.Random(f"{key}-{number}"), len(mine)):
                table.add({**about, **row})
                print(json.dumps(table.rows[-1])[:400], flush=True)
            if not table.rows[-1].get("end"):
                table.add({**about, "end": True})
    print(table.path.with_suffix(".md").read_text("utf-8"))
    sys.exit(int(any(row.get("lost") or row.get("differs") for row in table.rows)))


if __name__ == "__main__":
    main()
