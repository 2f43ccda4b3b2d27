"""An environment for each client: a venv filled by pip, or a folder filled by npm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class InstallError(Exception):
    """The packages of a client cannot be installed here; says what the installer said."""


def python_environment(folder: Path, requirements: Sequence[str]) -> Path:
    """Make a venv with these packages, unless it is there with the same ones.

    Args:
        folder: of the venv.
        requirements: as pip takes them. Options for pip come from the variable PIP_ARGS.

    Returns:
        Its Python.

    Raises:
        InstallError: pip failed.
    """
    python = folder / "bin" / "python"
    if not _made(folder, requirements):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *os.environ.get("PIP_ARGS", "").split(), *requirements])
        _seal(folder, requirements)
    return python


def node_environment(folder: Path, packages: Sequence[str]) -> Path:
    """Install npm packages below a folder, unless they are there.

    No install script runs: onnxruntime-node's would fetch a CUDA build, and its CPU build is in the package.

    Returns:
        The folder, which has node_modules.

    Raises:
        InstallError: npm failed.
    """
    if not _made(folder, packages):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n', "utf-8")
        _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *packages], folder)
        _seal(folder, packages)
    return folder


def _made(folder: Path, packages: Sequence[str]) -> bool:
    """Whether an earlier call filled the folder with just these packages."""
    seal = folder / "packages.txt"
    return seal.is_file() and seal.read_text("utf-8").split("\n") == [*packages]


def _seal(folder: Path, packages: Sequence[str]) -> None:
    (folder / "packages.txt").write_text("\n".join(packages), "utf-8")


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InstallError(f"{command[0]} is not on this machine") from error
    if done.returncode:
        raise InstallError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
