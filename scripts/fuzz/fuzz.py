#!/usr/bin/env python3
"""Fuzz what reads files of anybody's, for some time each.

    python scripts/fuzz/fuzz.py [--seconds 600] [--seed 0] [--corpus DIR] [TARGET...]

Targets: recipe, table, translations, config (files of a model folder), words (tokenizers), onnx; without a name all of them. With
atheris installed inputs are led by coverage (libFuzzer) and each may take ten seconds and 2 GB; without it they are sound inputs
that were changed at random. An input that ends in anything but a value or one of our errors, or that takes too long, is
written to the corpus folder as crash-* and ends the run of its target with 1. The last line tells how many inputs each
target has read.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS_EACH = 10
MEGABYTES = 2048
PIECES = [b"", b"\0", b"\xff", b'"', b"'", b"{", b"}", b"[" * 50, b"&a ", b"*a", b"<<: ", b"!!python/object:x ", b"1e999"]
PIECES += [b"-1", b"9" * 30, b"\n", b"\t", b"\\", b"\\ud800", b"<!ENTITY a 'b'>", b"&a;", b"../", b"null", b"true", b"\xc0\xaf"]


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few random changes: bytes, pieces that readers stumble over, parts doubled, moved or cut."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, to = sorted(chance.choices(range(len(made) + 1), k=2))
        way = chance.randrange(5)
        if way == 0 and at < len(made):
            made[at] = chance.randrange(256)
        elif way == 1:
            made[at:at] = chance.choice(PIECES)
        elif way == 2:
            made[at:to] = b""
        elif way == 3:
            made[at:at] = made[at:to][:2000]
        else:
            made[at:to] = chance.choice(PIECES)
    return bytes(made[:100_000])


def by_chance(target: Callable[[bytes], None], seeds: list[bytes], seconds: float, seed: int, corpus: Path) -> int:
    """Change sound inputs at random until the time is over.

    Returns:
        The number of inputs.

    Raises:
        SystemExit: one ended in another way than it may.
    """
    chance, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = changed(chance.choice(seeds), chance)
        start = time.monotonic()
        try:
            target(data)
        except BaseException:
            _found(data, corpus, traceback.format_exc())
        if time.monotonic() - start > SECONDS_EACH:
            _found(data, corpus, f"more than {SECONDS_EACH} s")
        count += 1
    return count


def _found(data: bytes, corpus: Path, why: str) -> None:
    file = corpus / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
    file.write_bytes(data)
    print(why, file=sys.stderr)
    sys.exit(f"{file}: this input ends in another way than it may")


def by_coverage(name: str, seconds: float, seed: int, corpus: Path) -> int:
    """The same by atheris, in a process of its own, which is what libFuzzer wants."""
    command = [sys.executable, __file__, "--atheris", name, str(corpus), f"-max_total_time={int(seconds)}", f"-seed={seed + 1}"]
    command += [f"-timeout={SECONDS_EACH}", f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={corpus}/", "-print_final_stats=1"]
    command += ["-max_len=100000", "-verbosity=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    told = [line.split()[-1] for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
    return int(told[0]) if told else 0


def _atheris(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["distill", "yaml", "babel"]):
        import targets
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name])
    atheris.Fuzz()


def main() -> None:
    sys.path.insert(0, str(HERE))
    if sys.argv[1:2] == ["--atheris"]:
        _atheris(sys.argv[2], sys.argv[3:])
        return
    import targets

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets.TARGETS))
    parser.add_argument("--seconds", type=float, default=600, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="folder of inputs, one for each target in it")
    asked = parser.parse_args()
    unknown = set(asked.targets) - targets.TARGETS.keys()
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(targets.TARGETS)}")
    try:
        import atheris  # noqa: F401

        guided = True
    except ImportError:
        guided = False
    counts = {}
    for name in asked.targets or targets.TARGETS:
        corpus = asked.corpus.resolve() / name
        corpus.mkdir(parents=True, exist_ok=True)
        seeds = targets.seeds(name)
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number:02}").write_bytes(seed)
        if guided:
            counts[name] = by_coverage(name, asked.seconds, asked.seed, corpus)
        else:
            counts[name] = by_chance(targets.TARGETS[name], seeds, asked.seconds, asked.seed, corpus)
        print(f"{name}: {counts[name]:,} inputs, {asked.seconds:g} s, by {'coverage' if guided else 'chance'}: nothing found")
    print("total", sum(counts.values()))


if __name__ == "__main__":
    main()
