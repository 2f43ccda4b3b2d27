"""Task models in torch: which class a saved folder asks for, and how to load it. Nothing is imported until one is loaded."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..files import read_json
from ..foreign import read_object
from ..loading import loading

AUTO = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
}
# Model types that transformers does not know -> the module whose classes their folders name. No folder can add to it.
OWN = {"distill-bilstm": "students.bilstm"}


def task_class(folder: Path) -> str | None:
    """The name of the class with a task head that a folder's config.json asks for; None for any other model.

    Args:
        folder: of a transformers model, or the one that an export's `onnx/` lies in.
    """
    if (folder / "modules.json").is_file() or not (folder / "config.json").is_file():
        return None
    named = read_object(folder / "config.json").get("architectures") or []
    return next((str(name) for name in named if str(name).endswith(tuple(AUTO))), None)


def load_task_model(folder: Path) -> Any:
    """A task model in fp32 on the CPU and in eval mode: local files, safetensors, no code from the folder.

    Raises:
        ModelError: the folder holds no task model, or it does not load.
    """
    import torch

    name = task_class(folder)
    if name is None:
        raise ModelError("this folder holds no task model", where=str(folder), expected=f"architectures: ...{', ...'.join(AUTO)}")
    own = OWN.get(str(read_json(folder / "config.json").get("model_type")))
    auto = next(auto for ending, auto in AUTO.items() if name.endswith(ending))
    with loading(folder, str(folder)):
        kind = getattr(importlib.import_module(own), name) if own else getattr(importlib.import_module("transformers"), auto)
        options = {} if own else {"trust_remote_code": False}
        model = kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, **options)
    return model.eval()
