import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import tiny

from distill.errors import ModelError
from teachers.folder import check_folder
from teachers.load import load_encoder


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def test_good_folders_pass(tmp_path: Path) -> None:
    assert check_folder(tiny.saved(tmp_path / "st"), "x") is False
    assert check_folder(tiny.write_encoder(tmp_path / "plain"), "x") is True


def test_an_empty_folder_and_one_level_too_high(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in this folder"):
        check_folder(tmp_path, "x")
    tiny.saved(tmp_path / "inside")
    with pytest.raises(ModelError, match="folder 'inside'"):
        check_folder(tmp_path, "x")


@pytest.mark.parametrize("part", ["", "2_Dense"])
def test_pickled_weights_are_refused_and_not_read(tmp_path: Path, part: str) -> None:
    folder = tiny.saved(tmp_path / "m", dim=16)
    (folder / part / "model.safetensors").unlink()
    (folder / part / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "went-off")))
    with pytest.raises(ModelError, match="pickled"):
        load_encoder(str(folder))
    assert not (tmp_path / "went-off").exists()


def test_modules_with_code_of_their_own_are_refused_and_not_run(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[1]["type"] = "custom.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "custom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    with pytest.raises(ModelError, match=r"(?s)not run.*custom\.Pooling"):
        load_encoder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_unknown_kinds_with_and_without_code(tmp_path: Path) -> None:
    folder = tiny.write_encoder(tmp_path / "m")
    edit(folder / "config.json", model_type="brt")
    with pytest.raises(ModelError, match=r"(?s)unknown kind.*'bert'"):
        check_folder(folder, "x")
    edit(folder / "config.json", model_type="brand_new", auto_map={"AutoModel": "modeling.New"})
    with pytest.raises(ModelError, match="such code is not run"):
        check_folder(folder, "x")


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m")
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    with pytest.raises(ModelError, match="adapter"):
        check_folder(folder, "x")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '[{"idx": 0}]', '["a"]'])
def test_a_damaged_module_list(tmp_path: Path, text: str) -> None:
    folder = tiny.saved(tmp_path / "m")
    (folder / "modules.json").write_text(text, "utf-8")
    with pytest.raises(ModelError, match="damaged"):
        check_folder(folder, "x")


def test_missing_weights_and_config(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        check_folder(folder, "x")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        check_folder(folder, "x")
