"""The wheel is whole: it works from an empty folder, away from the checkout, with the light packages alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import bag
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("distill", "teachers", "students")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the checkout's own build folders do not leak into it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel alone in a folder of its own; what it depends on comes from this environment."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def test_every_file_of_the_packages_is_in_it(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert wanted <= inside
    assert {f"{package}/py.typed" for package in PACKAGES} <= inside
    assert {f"distill/recipes/{name}.yaml" for name in ("quickstart", "sbert-half", "sbert-mini")} <= inside
    assert "distill/report/templates/report.html" in inside


def test_nothing_else_is_in_it(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_base_install_is_light():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    assert names == {"numpy", "onnxruntime", "tokenizers", "pydantic", "pyyaml", "typer", "rich"}


def test_the_version_is_told_once(wheel):
    import distill

    assert wheel.name.startswith(f"distill_toolkit-{distill.__version__}-")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["ls"], "sbert-mini"),
        (["check", "quickstart"], "this recipe can run"),
        (["show", "sbert-mini"], "name: sbert-mini"),
        (["cp", "quickstart", "mine.yaml"], "mine.yaml"),
    ],
)
def test_it_works_from_an_empty_folder(installed, tmp_path, arguments, word):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    script = """
import sys
import distill
assert distill.__file__.startswith(sys.argv.pop(1)), distill.__file__
from distill.cli import main
main()
"""
    command = [sys.executable, "-c", script, str(installed), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert word in done.stdout


HEAVY = ("torch", "transformers", "sentence_transformers", "onnx", "pyarrow", "scipy", "psutil", "datasets")
WITHOUT = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name + " is blocked in this test", name=name)

sys.meta_path.insert(0, Blocker())
from distill.cli import main
main()
"""


def both_commands(run, place):
    """`distill encode` and `distill predict` on models whose answers are known on paper."""
    bag.folder(place / "encoder")
    bag.logits_folder(place / "classifier", labels={"0": "a", "1": "b", "2": "c"})
    (place / "in.txt").write_text("the cat sat\n\n")
    run("encode", "encoder", "in.txt", "-o", "out.npy", "--precision", "fp32")
    assert np.allclose(np.load(place / "out.npy"), [bag.vector("the cat sat"), bag.vector("")])
    run("predict", "classifier", "in.txt", "-o", "out.jsonl")
    assert [json.loads(line)["label"] for line in (place / "out.jsonl").read_text().splitlines()] == ["c", "c"]


def test_encode_and_predict_need_no_more_than_the_base_install(installed, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-c", WITHOUT, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    both_commands(run, tmp_path)


@pytest.mark.slow
def test_the_base_install_in_an_environment_of_its_own(wheel, tmp_path):
    """What `pip install distill-toolkit` brings is enough; skipped where pip finds no packages."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install the base packages here: {done.stderr.splitlines()[-1:]}")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    listed = subprocess.run(
        [str(venv / "bin" / "python"), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    assert not {line.partition("==")[0] for line in listed.splitlines()} & {"torch", "transformers", "onnx", "pyarrow"}

    def run(*arguments):
        command = [str(venv / "bin" / "distill"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    both_commands(run, tmp_path)


def test_the_public_names_are_found_and_spelled_right():
    import distill

    for name in distill.__all__:
        assert getattr(distill, name) is not None
    assert callable(distill.load_recipe)
    assert callable(distill.check_recipe)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = distill.nonsense
    assert dir(distill) == sorted(distill.__all__)


def test_no_public_name_is_hidden_by_a_module():
    """`import distill.x` puts the module x into the package: a function of that name would be gone."""
    import distill

    modules = {item.stem for item in (ROOT / "distill").iterdir() if item.suffix == ".py" or item.is_dir()}
    assert not modules & set(distill.__all__)
