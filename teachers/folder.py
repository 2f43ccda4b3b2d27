"""Model folders: what is in them, looked at before anything is loaded, and fetched from the hub without code."""

from __future__ import annotations

import logging
from pathlib import Path

from distill.errors import ModelError, nearest
from distill.foreign import read_json, read_object
from distill.modelfolder import PICKLES, check_model_files, refuse_pickle

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
        ModelError: there is no model in it, or one that would need custom code, pickled weights or a second model; see
            `distill.modelfolder.check_model_files` for what else is refused.
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
    check_model_files(folder, name)
    if not listing.exists():
        _check_transformer(folder, name)
        return True
    for row in read_json(listing, name):
        if row["type"].endswith(".Transformer"):
            _check_transformer(folder / row.get("path", ""), name)
    return False


def _check_transformer(folder: Path, name: str) -> None:
    """Refuse a transformers folder that needs custom code, is an adapter or has no safetensors."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = read_object(folder / "config.json", name)
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING:
        custom = "auto_map" in config
        raise ModelError(
            "this model needs code that came with it, and such code is not run" if custom else "unknown kind of model",
            where=name,
            got=f"model_type {kind!r}",
            expected="a model_type that transformers knows",
            hint=None if custom else nearest(str(kind), CONFIG_MAPPING),
        )
    if "auto_map" in config:
        logger.warning("%s comes with code of its own, which is not run: transformers' own '%s' is used", name, kind)
    if any(folder.glob("*.safetensors")):
        return
    if pickled := sorted(file.name for kind in PICKLES for file in folder.glob(kind)):
        refuse_pickle(name, pickled[0])
    raise ModelError("there are no weights in this folder", where=name, expected="model.safetensors")


def transformer_folder(folder: Path) -> Path:
    """Where the transformer lies: older sentence-transformers keep it in a folder of its own."""
    listing = folder / "modules.json"
    if (folder / "config.json").is_file() or not listing.is_file():
        return folder
    return folder / str(next((row.get("path", "") for row in read_json(listing)), ""))


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
