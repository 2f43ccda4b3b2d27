"""Is a run what it was when it ended? Every file, every input and the versions of packages against its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DistillError, RunError
from .files import read_json
from .recipe import Recipe
from .recipe_load import load_recipe
from .report.read import check_run
from .rundir import versions
from .sealing import MANIFEST, input_hashes, local_inputs, manifest_hash, result_hashes


@dataclass(frozen=True)
class Verification:
    """What `verify_run` found.

    Attributes:
        files: how many files of the run were compared.
        inputs: how many models and data sets.
        changed: what is not as it was, a line each: the run cannot be relied on.
        notes: what differs beside it: other versions of packages, inputs that are not on this machine.
    """

    files: int
    inputs: int
    changed: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every file and every input that is here is as it was."""
        return not self.changed


def verify_run(run: Path | str) -> Verification:
    """Compare a finished run with its manifest. Nothing is written.

    Args:
        run: the run folder, on any machine.

    Returns:
        What is as it was and what is not.

    Raises:
        RunError: there is no run, its manifest is damaged, or it has not ended.
    """
    folder = Path(run)
    manifest = _manifest(folder)
    changed, told = _files(folder, manifest), _mapping(manifest, "files")
    inputs, notes = _mapping(manifest, "inputs"), []
    recipe = _recipe(folder)
    if recipe is None:
        notes.append("recipe.yaml cannot be read, so the inputs it names were not compared")
        compared = 0
    else:
        found = input_hashes(recipe)
        compared = len(inputs.keys() & found.keys())
        other = [place for place, digest in inputs.items() if found.get(place, digest) != digest]
        changed += [f"input {place}: changed: {local_inputs(recipe)[place]}" for place in other]
        notes += [f"input {place}: not on this machine, or not at its place" for place in inputs.keys() - found.keys()]
    notes += _versions(_mapping(manifest, "packages"))
    return Verification(len(told), compared, tuple(changed), tuple(sorted(notes)))


def changed_files(run: Path | str) -> tuple[str, ...]:
    """What of a finished run's files is not as it was when the run ended, a line each; its inputs are not looked at.

    Args:
        run: the run folder, on any machine.

    Raises:
        RunError: there is no run, its manifest is damaged, or it has not ended.
    """
    return tuple(_files(Path(run), _manifest(Path(run))))


def _manifest(folder: Path) -> dict[str, Any]:
    check_run(folder)
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict):
        raise RunError("this file is damaged", where=str(folder / MANIFEST), got=repr(manifest), expected="a JSON object")
    if not manifest.get("finished") or "files" not in manifest:
        raise RunError(
            "this run has not ended, or an older version made it: there is nothing to compare it with",
            where=str(folder),
            hint="run the same command again; it goes on",
        )
    return manifest


def _mapping(manifest: Mapping[str, Any], key: str) -> dict[str, str]:
    """A part of the manifest that maps names to texts; what is damaged of it counts as nothing, and the seal tells."""
    value = manifest.get(key)
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def _files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    told, found = _mapping(manifest, "files"), result_hashes(folder)
    lines = [] if manifest.get("seal") == manifest_hash(manifest) else [f"{MANIFEST}: changed: it is not what was sealed"]
    lines += [f"{name}: changed" for name in told if name in found and found[name] != told[name]]
    lines += [f"{name}: missing" for name in told if name not in found]
    return lines + [f"{name}: was not there when the run ended" for name in found if name not in told]


def _recipe(folder: Path) -> Recipe | None:
    try:
        return load_recipe(folder / "recipe.yaml")
    except DistillError:
        return None


def _versions(told: Mapping[str, str]) -> list[str]:
    here = versions()
    return [f"{name} {told[name]}: here {here.get(name, 'not installed')}" for name in told if here.get(name) != told[name]]
