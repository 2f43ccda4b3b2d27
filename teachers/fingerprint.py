"""What decides the vectors of an encoder, as hashes: the key of everything that is kept of its outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import nn


def model_fingerprint(model: SentenceTransformer) -> dict[str, Any]:
    """Hashes of the weights, tokenizer and encoder config, and every module's settings, as JSON values."""
    modules = [
        {"type": type(module).__name__, **{key: str(value) for key, value in _module_config(module).items()}} for module in model
    ]
    return {
        "weights": weights_sha256(model),
        "tokenizer": tokenizer_sha256(model),
        "config": "" if model.config is None else config_sha256(model.config),
        "modules": modules,
    }


def tokenizer_sha256(model: Any) -> str:
    """`definition_sha256` of `model.tokenizer`."""
    return definition_sha256(model.tokenizer)


def definition_sha256(tokenizer: Any) -> str:
    """sha256 of the definition of a tokenizer, without the padding and truncation that happen to be set."""
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(tokenizer, "to_str"):
        return hashlib.sha256(repr(tokenizer).encode("utf-8")).hexdigest()
    tree = json.loads(tokenizer.to_str())
    tree["padding"] = tree["truncation"] = None
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode("utf-8")).hexdigest()


def _module_config(module: Any) -> dict[str, Any]:
    """A module's own settings."""
    return module.get_config_dict() if hasattr(module, "get_config_dict") else {}


def weights_sha256(model: nn.Module) -> str:
    """sha256 over the name, shape and bytes of every weight."""
    digest = hashlib.sha256()
    for key, weight in sorted(model.state_dict().items()):
        digest.update(f"{key} {weight.dtype} {tuple(weight.shape)}\n".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def config_sha256(config: Any, leave_out: Iterable[str] = ()) -> str:
    """sha256 of a transformers config, without what names a place or a version, and without the keys of `leave_out`."""
    tree = config.to_dict()
    for key in ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", *leave_out):
        tree.pop(key, None)
    return hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode("utf-8")).hexdigest()
