"""Model folders: what is in them, looked at before anything is loaded, and fetched from the hub without code."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from distill.errors import ModelError, nearest

logger = logging.getLogger(__name__)

_DOWNLOAD = ["*.json", "*.txt", "*.model", "*.safetensors"]
_SKIP = ["onnx/*", "openvino/*", "*.msgpack", "*.bin", "*.py"]


def check_folder(folder: Path, name: str) -> bool:
    """Look at a model folder without loading it.

    Args:
        folder: what `SentenceTransformer` will be given.
        name: what the user called it, for errors.

    Returns:
        True for a plain Hugging Face encoder, False for a sentence-transformers model.

    Raises:
        ModelError: there is no model in it, or one that would need custom code, pickled weights or a second model.
    """
    listing = folder / "modules.json"
    if not listing.exists() and not (folder / "config.json").exists():
        nested = sorted(file.parent.name for file in (*folder.glob("*/modules.json"), *folder.glob("student/config.json")))
        raise ModelError(
            "there is no model in this folder",
            where=name,
            expected="modules.json (sentence-transformers) or config.json (transformers)",
            hint=f"it is in the folder '{nested[0]}' there" if nested else None,
        )
    if not listing.exists():
        _check_transformer(folder, name)
        return True
    modules = _json(listing, name)
    if not isinstance(modules, list) or not modules or not all(isinstance(row, dict) and "type" in row for row in modules):
        raise ModelError("modules.json is damaged", where=name, expected="a list of modules with idx, name, path and type")
    for row in modules:
        kind, part = str(row["type"]), folder / str(row.get("path", ""))
        if not kind.startswith("sentence_transformers."):
            raise ModelError(
                "this model needs code that came with it, and such code is not run",
                where=name,
                got=kind,
                expected="modules of sentence-transformers itself",
            )
        if kind.rsplit(".", 1)[-1] == "Transformer":
            _check_transformer(part, name)
        else:
            _check_weights(part, name, needed=False)
    return False


def _check_transformer(folder: Path, name: str) -> None:
    """Refuse a transformers folder that needs custom code, is an adapter or has no safetensors."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if (folder / "adapter_config.json").exists():
        raise ModelError("this is an adapter, not a whole model", where=name, hint="merge it into its base model and save that")
    config = _json(folder / "config.json", name)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in CONFIG_MAPPING:
        custom = isinstance(config, dict) and "auto_map" in config
        raise ModelError(
            "this model needs code that came with it, and such code is not run" if custom else "unknown kind of model",
            where=name,
            got=f"model_type {kind!r}",
            expected="a model_type that transformers knows",
            hint=None if custom else nearest(str(kind), CONFIG_MAPPING),
        )
    if "auto_map" in config:
        logger.warning("%s comes with code of its own, which is not run: transformers' own '%s' is used", name, kind)
    _check_weights(folder, name, needed=True)


def _check_weights(folder: Path, name: str, *, needed: bool) -> None:
    """Refuse a folder that holds pickled weights and no safetensors, or none where some are needed."""
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in folder.glob(kind))
    if pickled:
        raise ModelError(
            "only pickled weights are there, and loading them could run code",
            where=name,
            got=pickled[0],
            expected="model.safetensors",
            hint="save the model again with save_pretrained() in a place where you trust it",
        )
    if needed:
        raise ModelError("there are no weights in this folder", where=name, expected="model.safetensors")


def _json(path: Path, name: str) -> Any:
    """The JSON value in a file of a model folder."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path.name} is missing", where=name) from error
    except ValueError as error:
        raise ModelError(f"{path.name} is damaged", where=name, got=error, expected="JSON") from error


def download(model: str, revision: str | None) -> Path:
    """Fetch a hub model into the local cache; code and pickled weights are left where they are.

    Args:
        model: hub id.
        revision: commit, tag or branch.

    Returns:
        The folder in the cache.

    Raises:
        ModelError: no such model or revision, or the hub cannot be reached and the cache does not have it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_DOWNLOAD, ignore_patterns=_SKIP))
    except RevisionNotFoundError as error:
        raise ModelError("the model on the hub has no such revision", where=model, got=revision) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            "no folder and no public model on the hub has this name",
            where=model,
            hint="check the spelling; for a private or gated model set HF_TOKEN",
        ) from error
    except Exception as error:  # no network, a proxy, offline mode: the client raises many kinds
        raise ModelError(
            "no folder has this name, and the hub cannot be reached",
            where=model,
            got=f"{type(error).__name__}: {error}",
            hint="give a folder, or go online once so that the model is in the local cache",
        ) from error
