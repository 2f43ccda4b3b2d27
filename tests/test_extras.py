"""What happens where an extra is not installed: every module imports or says which package it lacks; every command says which
extra to install, or does its work without it. Packages that are here are hidden from a process of its own."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import report_run

from distill.sealing import seal

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
IMPORTS = {
    "train": {"torch", "transformers", "sentence_transformers", "datasets", "accelerate", "textbrewer", "tensorboard", "onnx",
              "onnxscript", "onnx_ir", "safetensors", "pyarrow", "psutil", "scipy", "sklearn", "matplotlib", "jinja2", "regex",
              "fsspec"},
    "search": {"faiss"},
    "augment": {"kiwipiepy", "HanTa", "spacy"},
    "ray": {"ray"},
    "parallel": {"babel"},
}  # fmt: skip
"""Extra -> what it alone brings, as it is imported; tensorboard comes with TextBrewer."""
OTHERS = set().union(*IMPORTS.values()) - IMPORTS["train"]
NEEDING = [
    ("train", ["run", "mine.yaml"]),
    ("train", ["label", "mine.yaml"]),
    ("train", ["augment", "mine.yaml", "--out", "more.jsonl", "data.augment={method: masking}"]),
    ("augment", ["augment", "mine.yaml", "--out", "more.jsonl", "data.augment={method: tang, variants: 2}"]),
    ("train", ["sweep", "mine.yaml", "student.layers=1,2"]),
    ("train", ["export", "some/model", "--out", "made"]),
    ("train", ["measure", "weights"]),
    ("train", ["report", "one"]),
    ("train", ["compare", "one", "two"]),
]
WORKING = [
    ["ls"],
    ["show", "quickstart"],
    ["cp", "quickstart", "copy.yaml"],
    ["check", "mine.yaml"],
    ["verify", "one"],
    ["push", "one", "me/model"],
]
HIDING = """
import importlib.util, json, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Hidden())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in HIDDEN else real(name, *rest)
"""
MODULES = """
import importlib
found = {}
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
        found[name] = None
    except ModuleNotFoundError as error:
        found[name] = (error.name or str(error)).split(".")[0]
print(json.dumps(found))
"""
COMMAND = """
sys.argv = ["distill", *sys.argv[2:]]
from distill.cli import main
main()
"""


def start(program, hidden, *arguments, cwd):
    command = [sys.executable, "-c", HIDING + program, json.dumps(sorted(hidden)), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=300)


@cache
def modules():
    """Every module of the project."""
    return sorted(
        one.name
        for package in ("distill", "teachers", "students")
        for one in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
        if not one.name.endswith("__main__")
    )


def imported(hidden, tmp_path):
    done = start(MODULES, hidden, json.dumps(modules()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_extra_and_every_command_is_known_here():
    from distill.cli import app

    assert set(EXTRAS) == {*IMPORTS, "parquet", "tensorboard", "demo", "test", "dev"}
    elsewhere = {"encode", "predict"}  # tests/test_package.py
    commands = {one.name or one.callback.__name__ for one in app.registered_commands}
    assert {arguments[0] for arguments in [*WORKING, *(arguments for _, arguments in NEEDING)]} | elsewhere == commands


def test_the_base_install_imports_all_that_needs_no_more(tmp_path):
    found = imported(IMPORTS["train"] | OTHERS, tmp_path)
    assert len(found) > 300
    lacking = {name: package for name, package in found.items() if package}
    assert set(lacking.values()) <= IMPORTS["train"] | {"babel"}, lacking
    light = (
        "distill.runtime.",
        "distill.recipe",
        "distill.commands.",
        "distill.comparing.",
        "distill.report.",
        "distill.measure.",
    )
    single = {
        "distill.errors",
        "distill.files",
        "distill.cli",
        "distill.encoding",
        "distill.predicting",
        "teachers.spec",
        "students.spec",
    }
    assert not [name for name in lacking if name in single or name.startswith(light)]
    assert single <= set(found)


def test_with_the_extra_train_alone_every_module_imports(tmp_path):
    pytest.importorskip("torch")
    lacking = {name: package for name, package in imported(OTHERS, tmp_path).items() if package}
    assert lacking == {"distill.data.parallel.babel_messages": "babel"}  # its reader asks for Babel first


@pytest.fixture
def place(tmp_path):
    """A folder with a recipe, a model and two runs, none of which needs a package."""
    (tmp_path / "lines.txt").write_text("\n".join(f"sentence number {number}" for number in range(40)) + "\n", "utf-8")
    recipe = "name: mine\nteacher: some/teacher\ndata: {train: lines.txt}\nstudent: {kind: layers, layers: 1}\n"
    (tmp_path / "mine.yaml").write_text(recipe + "stages: [{losses: [embedding_cosine]}]\n", "utf-8")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    (tmp_path / "weights" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for name in ("one", "two"):
        run = report_run.Run(tmp_path / name)
        run.manifest |= {"finished": "now", "inputs": {}, "packages": {}}
        run.write()
        (run.folder / "student" / "onnx").mkdir(parents=True)
        (run.folder / "student" / "README.md").write_text("---\nlicense: mit\n---\n# A student\n", "utf-8")
        seal(run.folder)
    return tmp_path


@pytest.mark.parametrize(
    ("extra", "arguments"),
    NEEDING,
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_that_needs_an_extra_names_it(extra, arguments, place):
    done = start(COMMAND, IMPORTS["train"] | OTHERS, *arguments, cwd=place)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"pip install 'distill-toolkit[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    WORKING,
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_needs_none_works(arguments, place):
    done = start(COMMAND, IMPORTS["train"] | OTHERS, *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
