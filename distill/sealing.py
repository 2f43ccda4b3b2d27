"""What a run went in with and came out with, by sha256: the part of manifest.json that `distill verify` goes by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .data.hub import commit_key
from .errors import DistillError
from .files import expand, read_json, sha256_file, sha256_folder, write_json
from .locating import is_hub_id, locate_model
from .recipe import Recipe
from .recipe_check_names import hub_commit

MANIFEST = "manifest.json"
PASSING = frozenset({".lock", "work"})
"""Top-level names of a run folder that are no result."""
REPORTS = ("report.json", "report.md", "report.html", "samples.csv")
"""What `distill report` writes."""
_PATHS = frozenset({"source", "second", "target", "model", "from", "vectors", "vocabulary", "documents", "queries", "relevance"})
"""Keys of a recipe whose value may be a path."""
_PARTS = ("teacher", "data", "student")


def local_inputs(recipe: Recipe) -> dict[str, Path]:
    """Dotted place in the recipe -> file or folder, of every model and data set of a recipe that lies on this machine."""
    values = recipe.to_dict()
    return {place: path for part in _PARTS for place, path in _found(values.get(part), part)}


def input_hashes(recipe: Recipe) -> dict[str, str]:
    """Dotted place in the recipe -> sha256 of what is there; of a folder that of the hashes of its files."""
    known: dict[Path, str] = {}
    return {place: known.setdefault(path, _digest(path)) for place, path in local_inputs(recipe).items()}


def hub_commits(resolved: Any, read: Mapping[str, str], place: str = "") -> dict[str, str]:
    """Dotted place in a resolved recipe -> commit of the hub model or data set that is named there.

    Args:
        resolved: the recipe. Models are looked up in the local cache.
        read: commits of the data sets that were read, as `data.hub.read_commits` gives them.
        place: where `resolved` stands.
    """
    if isinstance(resolved, (list, tuple)):
        resolved = dict(enumerate(resolved))
    found: dict[str, str] = {}
    for key, item in resolved.items() if isinstance(resolved, Mapping) else ():
        here = f"{place}.{key}".lstrip(".")
        if key in ("model", "from") and isinstance(item, str):
            named = is_hub_id(item) and (key, item) != ("from", "teacher") and _path(item) is None
            commit = hub_commit(item, resolved.get("revision")) if named else None
            found |= {here: commit} if commit else {}
        elif key == "source" and isinstance(item, str):
            commit = read.get(commit_key(item, resolved.get("revision")))
            found |= {here: commit} if commit else {}
        else:
            found |= hub_commits(item, read, here)
    return found


def seal(folder: Path) -> None:
    """Note the sha256 of every file of a finished run, and of the manifest itself.

    Args:
        folder: of the run. Called last, and again by whatever writes one of its files afterwards.
    """
    manifest = read_json(folder / MANIFEST)
    manifest["files"] = result_hashes(folder)
    manifest["seal"] = manifest_hash(manifest)
    write_json(folder / MANIFEST, manifest)


def seal_again(folder: Path, names: Sequence[str] = REPORTS) -> None:
    """After some files of a sealed run were written anew: note their sha256, and leave what is told of every other as it is.

    Args:
        folder: of the run; one that was never sealed, or whose manifest was changed since, is left alone.
        names: relative paths of the files.
    """
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest.get("files"), dict) or manifest.get("seal") != manifest_hash(manifest):
        return  # a manifest that other hands changed stays so
    manifest["files"] |= {name: sha256_file(folder / name) for name in names if (folder / name).is_file()}
    manifest["seal"] = manifest_hash(manifest)
    write_json(folder / MANIFEST, manifest)


def result_hashes(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file of a run but the manifest and what is no result."""
    found = sha256_folder(folder, skip=tuple(PASSING))
    return {name: digest for name, digest in found.items() if name != MANIFEST}


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest's content without its seal."""
    content = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    files = sha256_folder(path)
    return hashlib.sha256(json.dumps(files, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _found(value: Any, place: str) -> Iterator[tuple[str, Path]]:
    """Every path in a part of a recipe, with where it stands."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _PATHS and isinstance(item, str):
                path = None if (key, item) == ("from", "teacher") else _path(item)  # the teacher, not a folder of that name
                if path is not None:
                    yield f"{place}.{key}", path
            else:
                yield from _found(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _found(item, f"{place}.{number}")


def _path(text: str) -> Path | None:
    """The file or folder that a text names, or None: a hub id, the installed documentation, a word that is no path."""
    try:
        path = expand(locate_model(text) if text.startswith("package:") else text)
        return path if path.exists() else None
    except (DistillError, OSError, ValueError, RuntimeError):  # no package, a name too long, a NUL, no home
        return None
