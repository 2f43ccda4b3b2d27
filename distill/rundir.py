"""The run folder: paths, manifest, and which stages are done already."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from . import __version__
from .errors import RunError
from .files import atomic_write, disk_errors, fingerprint, read_json, sha256_file, sha256_folder, write_json
from .progress import note
from .recipe import Recipe
from .recipe_load import to_yaml

PACKAGES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "safetensors",
)


class RunDir:
    """One run on disk.

    Args:
        path: the run folder.

    Attributes:
        manifest: what manifest.json holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.student = path / "student"
        self.data = path / "data"
        self.work = path / "work"
        self.log = path / "log.jsonl"
        self.manifest: dict[str, Any] = {}

    def open(self, recipe: Recipe, *, force: bool) -> None:
        """Begin a run here, or go on with the one that is here.

        Raises:
            RunError: the folder holds another recipe's run and `force` is not given, or cannot be written.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        asked = recipe.to_dict()
        known = self.path / "manifest.json"
        if known.exists():
            self.manifest = read_json(known)
            before = self.manifest.get("asked", {})
            made = any(entry["outputs"] for entry in self.manifest.get("stages", []))
            if before != asked and made:
                if not force:
                    raise RunError(
                        "this folder holds a run of another recipe",
                        where=str(self.path),
                        got=", ".join(_differences(before, asked)) or "a run of another version",
                        hint="give this run another folder with --out or another name=, "
                        "or replace what changed in this one with --force",
                    )
                note("run: the recipe changed; stages that it touches run again (--force)")
        elif any(item.name != ".lock" for item in self.path.iterdir()):
            raise RunError(
                "this folder is not empty and holds no run",
                where=str(self.path),
                got=", ".join(sorted(item.name for item in self.path.iterdir())[:5]),
                hint="choose another folder with --out",
            )
        self.manifest = {
            "schema_version": 1,
            "name": recipe.name,
            "seed": recipe.seed,
            "toolkit": __version__,
            "created": self.manifest.get("created", _now()),
            "finished": None,
            "packages": versions(),
            "hardware": self.manifest.get("hardware", {}),
            "asked": asked,
            "stages": self.manifest.get("stages", []),
        }
        self._save()

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the resolved recipe, runnable again as it is."""
        atomic_write(self.path / "recipe.yaml", to_yaml(recipe))

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        work: Callable[[], dict[str, Any]],
    ) -> dict[str, Any]:
        """Run a stage, unless its inputs are those of last time and its outputs are whole.

        Args:
            name: of the stage.
            inputs: JSON values that decide the outputs.
            outputs: files and folders below the run folder that the stage makes. A folder may name parts that other
                stages own: `student!onnx!README.md`.
            work: makes the outputs and returns facts for the manifest.

        Returns:
            The facts.
        """
        key = fingerprint({"stage": name, "toolkit": __version__, **inputs})
        done = next((entry for entry in self.manifest["stages"] if entry["name"] == name), None)
        if done and done["key"] == key and done["outputs"] == self._hashes(outputs):
            note(f"{name}: unchanged")
            return dict(done["facts"])
        start = time.perf_counter()
        facts = work()
        entry = {
            "name": name,
            "seconds": round(time.perf_counter() - start, 2),
            "key": key,
            "outputs": self._hashes(outputs),
            "facts": facts,
        }
        others = [other for other in self.manifest["stages"] if other["name"] != name]
        self.manifest["stages"] = [*others, entry]
        self._save()
        return facts

    def outputs(self, name: str) -> dict[str, str]:
        """Path -> sha256 of what a finished stage made."""
        return dict(next(entry["outputs"] for entry in self.manifest["stages"] if entry["name"] == name))

    def finish(self, hardware: Mapping[str, Any]) -> None:
        """Note the end of the run and the machine it was measured on."""
        self.manifest |= {"finished": _now(), "hardware": dict(hardware)}
        self._save()
        shutil.rmtree(self.work, ignore_errors=True)

    def _save(self) -> None:
        write_json(self.path / "manifest.json", self.manifest)

    def _hashes(self, outputs: Sequence[str]) -> dict[str, str]:
        """Path -> sha256; a file that is not there has no entry."""
        found: dict[str, str] = {}
        for output in outputs:
            name, *skipped = output.split("!")
            path = self.path / name
            if path.is_dir():
                found |= {f"{name}/{file}": digest for file, digest in sha256_folder(path, skip=tuple(skipped)).items()}
            elif path.is_file():
                found[name] = sha256_file(path)
            else:
                found[name] = "absent"
        return found


def versions() -> dict[str, str]:
    """Versions of the packages that decide a run's results, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Dotted paths where two recipes differ, with both values, at most six."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted({*before, *after}):
            found += _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        return found[:6]
    return [] if before == after else [f"{path}: {before} -> {after}"]
