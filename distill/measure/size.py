"""How large a model's weights are on disk, in decimal megabytes (1 MB = 1,000,000 bytes)."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError
from ..files import read_json

BYTES_PER_MB = 1_000_000


def file_mb(path: Path) -> float:
    """Size of a weights file, or of the safetensors that a model folder loads.

    Args:
        path: a file, or the folder of a transformers or sentence-transformers model. Of a folder count its own weights
            and those of the modules that modules.json names; ONNX files and other copies beside them do not.

    Returns:
        Megabytes, rounded to 3 decimals.

    Raises:
        ModelError: nothing is there, or the folder holds no safetensors.
    """
    if path.is_file():
        return round(path.stat().st_size / BYTES_PER_MB, 3)
    if not path.is_dir():
        raise ModelError("no such file or folder", where=str(path))
    files = weight_files(path)
    if not files:
        raise ModelError(
            "no weights to measure in this folder",
            where=str(path),
            got=", ".join(sorted(file.name for file in path.iterdir())) or "an empty folder",
            expected="*.safetensors",
            hint="save the model with safe_serialization",
        )
    return round(sum(file.stat().st_size for file in files) / BYTES_PER_MB, 3)


def weight_files(path: Path) -> list[Path]:
    """The safetensors that a model folder loads: its own and those of the modules in modules.json, sorted."""
    modules = path / "modules.json"
    names = [str(module.get("path", "")) for module in read_json(modules)] if modules.is_file() else []
    folders = {path, *(path / name for name in names)}
    return sorted({file for folder in folders for file in _weights(folder)})


def _weights(folder: Path) -> list[Path]:
    """model.safetensors where it is there, else every shard."""
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
