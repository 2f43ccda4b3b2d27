"""Load a student that was saved."""

from __future__ import annotations

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError
from distill.files import expand
from distill.loading import check_whole, loading
from distill.modelfolder import check_model_files

from .table import with_token_table


def load(path: str | Path) -> SentenceTransformer:
    """The student in `path`, in fp32 and eval mode, from safetensors and local files alone.

    Args:
        path: a `student` folder of a run.

    Raises:
        ModelError: there is no student, or it is damaged.
    """
    folder = expand(path)
    for name in ("modules.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError("there is no student in this folder", where=str(path), expected=f"a folder with {name}")
    check_model_files(folder, str(path))
    with loading(folder, str(path), "this student cannot be loaded"):
        model = SentenceTransformer(
            str(folder),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    if model.transformers_model is not None:
        check_whole(model.transformers_model, folder, str(path))
    return with_token_table(model, folder).eval()
