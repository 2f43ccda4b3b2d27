"""What is measured: a model in one format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import ModelError
from ..files import expand
from ..modelfolder import check_model_files
from ..progress import note
from ..runtime.precision import FILES, GATES, failed_gates
from .size import weight_files

EXPORTS = {file: preset for preset, file in FILES.items()}


@dataclass(frozen=True)
class Variant:
    """One model in one format.

    Attributes:
        name: unique among those measured together: teacher, student, fp32, fast, faithful.
        role: teacher, student or export.
        format: torch or onnx.
        path: torch: the folder of a sentence-transformers or transformers model, or the id of a hub model that is in
            the local cache. onnx: the .onnx file.
        folder: onnx: holds config.json and tokenizer.json; None: two levels above the file.
        weights: file or folder whose size is reported; None: `path`.
        revision: of a hub model.
        compiled: torch: timed through `torch.compile`.
        more: further models that it consists of, torch too: every call runs one after the other, and bytes are those of all.
    """

    name: str
    role: Literal["teacher", "student", "export"]
    format: Literal["torch", "onnx"]
    path: str | Path
    folder: Path | None = None
    weights: Path | None = None
    revision: str | None = None
    compiled: bool = False
    more: tuple[Variant, ...] = ()

    @property
    def every(self) -> tuple[Variant, ...]:
        """The models that it consists of, this one first."""
        return (replace(self, more=()), *self.more)

    def location(self) -> Path:
        """Where the model lies on this machine, as an absolute path.

        Raises:
            ModelError: it is not there; nothing is downloaded.
        """
        path = expand(self.path)
        if self.format == "onnx":
            if not path.is_file():
                raise ModelError("no such ONNX file", where=str(self.path))
            return path.resolve()
        if path.is_dir():
            return path.resolve()
        return _cached(str(self.path), self.revision)

    def home(self) -> Path:
        """The folder that holds config.json and tokenizer.json."""
        if self.format == "torch":
            return self.location()
        return expand(self.folder).resolve() if self.folder is not None else self.location().parent.parent

    def shown_path(self, root: Path) -> str:
        """The path for a report: relative to `root` where it lies below, else the name alone; a hub id as it is."""
        if self.more:
            return " + ".join(one.shown_path(root) for one in self.every)
        path = expand(self.path)
        if not path.exists():
            return str(self.path)
        path, root = path.resolve(), root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def find_variants(path: str | Path, *, role: Literal["teacher", "student"] = "student", exports: bool = True) -> list[Variant]:
    """What there is to measure at a path.

    Args:
        path: a run folder (its student is taken), a model folder (its torch weights, and the files in `onnx/`), a
            single .onnx file, or the id of a hub model in the local cache.
        role: what the torch model is.
        exports: False leaves the files in `onnx/` out.

    Returns:
        The torch model first, if there is one, named after its role; then the ONNX files: fp32, fast, faithful, others
        by their file's name. A file that failed its parity gate is left out, with a note.

    Raises:
        ModelError: nothing to measure is there, or the one file that is named failed its parity gate.
    """
    place = expand(path)
    if place.suffix == ".onnx":
        found = Variant(EXPORTS.get(place.name, place.stem), "export", "onnx", place)
        found.location()
        if _failed(place):
            raise ModelError(
                "this file failed its parity gate, and no speed is told of such a file",
                where=str(path),
                got=f"{GATES} beside it says so",
                hint="export the model again, or look at parity.json",
            )
        return [found]
    if place.is_file():
        raise ModelError(
            "this is a file, and no model",
            where=str(path),
            expected="a run folder, a model folder, a file that ends in .onnx, or a hub model in the local cache",
        )
    if not place.is_dir():
        found = Variant(role, role, "torch", path)
        found.location()
        return [found]
    if not (place / "config.json").is_file() and not (place / "modules.json").is_file() and (place / "student").is_dir():
        place = place / "student"
    check_model_files(place, str(path))
    variants = [Variant(role, role, "torch", place)] if weight_files(place) else []
    files = sorted((place / "onnx").glob("*.onnx"), key=lambda file: ([*EXPORTS, file.name].index(file.name), file.name))
    failed = [file.name for file in files if exports and _failed(file)]
    if failed:
        note(f"measuring: {', '.join(failed)} failed the parity gate: no speed is told of such a file")
    if exports:
        files = [file for file in files if file.name not in failed]
        variants += [Variant(EXPORTS.get(file.name, file.stem), "export", "onnx", file) for file in files]
    if not variants:
        raise ModelError(
            "nothing to measure in this folder",
            where=str(path),
            got=", ".join(sorted(item.name for item in place.iterdir())) or "an empty folder",
            expected="safetensors, or onnx/*.onnx",
        )
    return variants


def with_compiled(variants: Sequence[Variant]) -> list[Variant]:
    """The same, each torch model followed by itself through `torch.compile`."""
    found = []
    for variant in variants:
        found.append(variant)
        if variant.format == "torch":
            found.append(replace(variant, name=f"{variant.name} compiled", compiled=True))
    return found


def _failed(file: Path) -> bool:
    """Whether the export says that this file failed its gate."""
    if file.parent.name != "onnx":
        return False
    return EXPORTS.get(file.name) in failed_gates(file.parent.parent)


def _cached(model: str, revision: str | None) -> Path:
    """The folder of a hub model in the local cache."""
    error: Exception | None = None
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except Exception as reason:  # a dozen kinds: not cached, no valid id, no package
        error = reason
    raise ModelError(
        "this model is not on this machine",
        where=model,
        expected="a model folder, or a hub model in the local cache",
        hint="measuring downloads nothing: give a folder, or load the model once before",
    ) from error
