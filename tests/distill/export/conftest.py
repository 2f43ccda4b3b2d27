"""Each family is exported once, for all workers of a test run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny
from sentence_transformers import SentenceTransformer

PRESETS = ("fp32", "fast", "faithful")


class Exported(NamedTuple):
    """A model in torch, and the folder that it was exported to."""

    model: SentenceTransformer
    folder: Path

    def onnx(self, preset: str = "fp32") -> Path:
        from distill.export.quantize import FILES

        return self.folder / "onnx" / FILES[preset]


def build(family: str) -> SentenceTransformer:
    """The small model that is exported for `family`: the same weights every time. Bert has a bridge behind the pooling."""
    layers = 2 if family in ("bert", "modernbert", "albert") else 1  # local after global attention, shared weights
    return tiny.sentence_transformer(family, layers=layers, dim=24 if family == "bert" else None)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """exported(family) -> Exported, every preset; made at the first call."""
    from distill.export.onnx import write_presets
    from distill.export.parity import check_parity, probe_sentences
    from distill.files import atomic_folder, lock, write_json
    from students.build import save_student

    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "exported"
    models: dict[str, SentenceTransformer] = {}

    def get(family: str) -> Exported:
        model = models.setdefault(family, build(family))
        with lock(root / f"{family}.lock", "a test's export", wait=True):
            if not (root / family).exists():
                with atomic_folder(root / family) as folder:
                    save_student(model, folder)
                    write_presets(model, folder, PRESETS, 20)
                    write_json(folder / "parity.json", check_parity(model, folder, PRESETS, probe_sentences(48)))
        return Exported(model, root / family)

    return get
