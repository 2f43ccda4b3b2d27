from pathlib import Path

import pytest
import tiny
import torch

from distill.errors import ModelError
from students.build import save_student
from students.load import load


def test_a_student_comes_back_ready_to_use(tmp_path: Path) -> None:
    save_student(tiny.sentence_transformer(), tmp_path / "s")
    model = load(str(tmp_path / "s"))
    assert not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("missing", ["modules.json", "model.safetensors"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    save_student(tiny.sentence_transformer(), tmp_path / "s")
    (tmp_path / "s" / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        load(tmp_path / "s")


def test_damaged_weights_are_a_clear_error(tmp_path: Path) -> None:
    save_student(tiny.sentence_transformer(), tmp_path / "s")
    (tmp_path / "s" / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path / "s")
