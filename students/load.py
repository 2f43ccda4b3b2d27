"""Load a student that was saved."""

from __future__ import annotations

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError

from .table import with_token_table


def load(path: str | Path) -> SentenceTransformer:
    """The student in `path`, in fp32 and eval mode, from safetensors and local files alone.

    Args:
        path: a `student` folder of a run.

    Raises:
        ModelError: there is no student, or it is damaged.
    """
    folder = Path(path).expanduser()
    for name in ("modules.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError("there is no student in this folder", where=str(path), expected=f"a folder with {name}")
    try:
        model = SentenceTransformer(
            str(folder),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    except Exception as error:  # the libraries raise many kinds here: each means that this folder does not load
        raise ModelError("this student cannot be loaded", where=str(path), got=f"{type(error).__name__}: {error}") from error
    return with_token_table(model, folder).eval()
