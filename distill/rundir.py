"""The run folder: paths, manifest, and which stages are done already."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import __version__
from .errors import RunError
from .files import atomic_write, disk_errors, fingerprint, read_json, sha256_file, sha256_folder, write_json
from .measure.hardware import installed
from .progress import changed, note
from .recipe import Recipe
from .recipe_load import to_yaml
from .report.words import public_name
from .sealing import hub_commits, input_hashes, manifest_hash
from .stopping import stop_if_asked

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
        through: the stages that this process has been through, whether it ran them or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.student = path / "student"
        self.data = path / "data"
        self.work = path / "work"
        self.log = path / "log.jsonl"
        self.manifest: dict[str, Any] = {}
        self.through: list[str] = []

    def open(self, recipe: Recipe, *, force: bool) -> Recipe:
        """Begin a run here, or go on with the one that is here.

        Returns:
            The recipe to run: as asked, but where it is the resolved recipe of the run that is here, what that run was
            asked for (so that `distill run runs/x/recipe.yaml --out runs/x` changes nothing).

        Raises:
            RunError: the folder holds another recipe's run and `force` is not given, or cannot be written.
        """
        self.refuse_foreign()
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        asked = hidden(recipe.to_dict())
        if (self.path / "manifest.json").exists():
            self.manifest = self._read(force=force)
            before = self.manifest.get("asked", {})
            if before != asked and asked == self.manifest.get("resolved"):
                asked_for = {"precision": before["teacher"].get("precision", "fp32")}
                recipe = recipe.with_values(train=before["train"]).resolved(teacher=asked_for)
                asked = hidden(recipe.to_dict())
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
        _sweep(self.path)
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
            "resolved": self.manifest.get("resolved"),
            "inputs": input_hashes(recipe),
            "stages": self.manifest.get("stages", []),
        }
        self._save()
        return recipe

    def _read(self, *, force: bool) -> dict[str, Any]:
        """The manifest that is here; of a damaged one nothing is used, so with `force` every stage runs again."""
        path = self.path / "manifest.json"
        try:
            found = read_json(path)
            if isinstance(found, dict) and found.get("seal", manifest_hash(found)) == manifest_hash(found):
                return found
            got: object = "what its seal does not fit"
        except RunError as error:
            got = error.got
        if not force:
            raise RunError(
                "this file is damaged, so what is done already is not known",
                where=str(path),
                got=got,
                hint="the same command with --force runs every stage again",
            )
        note("run: manifest.json is damaged; every stage runs again (--force)")
        return {}

    def refuse_foreign(self) -> None:
        """Look whether a run may be made here. Writes nothing.

        Raises:
            RunError: a file is in the way, or a folder that holds something else than a run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError("a file stands where the run folder is needed", where=str(self.path), hint="choose another with --out")
        if not self.path.is_dir() or (self.path / "manifest.json").exists():
            return
        foreign = sorted(item.name for item in self.path.iterdir() if item.name != ".lock" and not _torn(item))
        if foreign:
            raise RunError(
                "this folder is not empty and holds no run",
                where=str(self.path),
                got=", ".join(foreign[:5]),
                hint="choose another folder with --out",
            )

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the resolved recipe, runnable again as it is."""
        self.manifest["resolved"] = hidden(recipe.to_dict())
        self._save()
        atomic_write(self.path / "recipe.yaml", to_yaml(recipe))

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        work: Callable[[], dict[str, Any]],
        *,
        everyone: bool = False,
    ) -> dict[str, Any]:
        """Run a stage, unless its inputs are those of last time and its outputs are whole.

        Args:
            name: of the stage.
            inputs: JSON values that decide the outputs.
            outputs: files and folders below the run folder that the stage makes. A folder may name parts that other
                stages own: `student!onnx!README.md`.
            work: makes the outputs and returns facts for the manifest.
            everyone: whether of several processes each works, and not the first alone: see `distill.sharing`.

        Returns:
            The facts.
        """
        key = fingerprint({"stage": name, "toolkit": __version__, **inputs})
        done = next((entry for entry in self.manifest["stages"] if entry["name"] == name), None)
        if done and done["key"] == key and done["outputs"] == self._hashes(outputs):
            note(f"{name}: unchanged")
            self.through.append(name)
            return dict(done["facts"])
        stop_if_asked()  # a signal that a library swallowed
        changed()
        start = time.perf_counter()
        facts = work()
        entry = {
            "name": name,
            "seconds": round(time.perf_counter() - start, 2),
            "key": key,
            "outputs": self._hashes(outputs),
            "facts": facts,
        }
        stages = [entry if other["name"] == name else other for other in self.manifest["stages"]]
        self.manifest["stages"] = stages if entry in stages else [*stages, entry]
        self._save()
        self.through.append(name)
        return facts

    def outputs(self, name: str) -> dict[str, str]:
        """Path -> sha256 of what a finished stage made."""
        return dict(next(entry["outputs"] for entry in self.manifest["stages"] if entry["name"] == name))

    def finish(self, hardware: Mapping[str, Any]) -> None:
        """Note the end of the run, the machine it was measured on, and the commit of what came from the hub."""
        read: dict[str, str] = next(
            (entry["facts"].get("hub", {}) for entry in self.manifest["stages"] if entry["name"] == "data"), {}
        )
        hub = hub_commits(self.manifest["resolved"], read)
        self.manifest |= {"finished": _now(), "hardware": dict(hardware), "hub": hub}
        self._save()
        shutil.rmtree(self.work, ignore_errors=True)

    def _save(self) -> None:
        self.manifest["seal"] = manifest_hash(self.manifest)
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
    return installed(PACKAGES)


def hidden(value: Any) -> Any:
    """A JSON value with the folders of this machine left out: of a path the name, and a hash that tells it from others."""
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item) for item in value]
    path = isinstance(value, str) and value.startswith(("/", "~"))
    return f"{public_name(value)} ({fingerprint(value)[:8]})" if path else value


def _torn(item: Path) -> bool:
    """Whether an item was left behind by a write that was cut off."""
    return item.name.startswith(".") and ".tmp-" in item.name


def _sweep(folder: Path) -> None:
    """Remove what writes that were cut off have left."""
    for item in [item for item in folder.rglob(".*") if _torn(item)]:
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


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
