"""ls, cp, show and check."""

from __future__ import annotations

import yaml

from distill.recipe_load import recipe_names


def test_ls_lists_every_shipped_recipe_with_one_line(cli):
    code, out, _ = cli("ls")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == recipe_names()
    assert all(len(line.split()) > 5 for line in out.splitlines())


def test_show_prints_yaml_that_shows_the_same_again(cli, tmp_path):
    code, out, _ = cli("show", "quickstart", "student.layers=[0, 5]", "train.epochs=7")
    assert code == 0
    tree = yaml.safe_load(out)
    assert tree["student"]["layers"] == [0, 5]
    assert tree["stages"][0]["epochs"] == 7
    assert tree["train"]["patience"] == 4  # a default, written out
    file = tmp_path / "again.yaml"
    file.write_text(out)
    assert cli("show", file).out == out


def test_cp_copies_once_and_replaces_when_forced(cli, tmp_path):
    target = tmp_path / "mine.yaml"
    assert cli("cp", "quickstart", target).code == 0
    assert "name: quickstart" in target.read_text()
    target.write_text("mine")
    code, _, err = cli("cp", "quickstart", target)
    assert code == 2
    assert "--force" in err
    assert target.read_text() == "mine"
    assert cli("cp", "quickstart", target, "--force").code == 0
    assert cli("cp", "sbert-half", tmp_path).code == 0
    assert (tmp_path / "sbert-half.yaml").is_file()
    assert not list(tmp_path.glob(".*"))


def test_check_passes_a_good_recipe(cli):
    code, out, err = cli("check", "quickstart")
    assert (code, err) == (0, "")
    assert "quickstart: this recipe can run" in out


def test_check_tells_that_a_hub_model_would_be_fetched(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    code, out, _ = cli("check", "sbert-mini")
    assert code == 0
    assert "note: teacher.model: 'sentence-transformers/all-mpnet-base-v2'" in out
    (tmp_path / "models--sentence-transformers--all-mpnet-base-v2" / "snapshots" / "abc").mkdir(parents=True)
    assert "teacher.model" not in cli("check", "sbert-mini").out


def test_check_tells_every_mistake_at_once(cli, tmp_path):
    (tmp_path / "rows.csv").write_text("question,answer\nHow old is it?,Ten years.\n")
    code, _, err = cli(
        "check",
        "quickstart",
        "teacher.model=package:no_such_package",
        f"data.train={tmp_path / 'missing.txt'}",
        f"data.evaluate.sts.source={tmp_path / 'rows.csv'}",
        "data.evaluate.sts.columns=[question, answr, score]",
        "train.report_to=[tensorbord]",
    )
    assert code == 2
    assert "teacher.model" in err
    assert "data.train.0" in err
    assert "missing.txt" in err
    assert "data.evaluate.sts" in err
    assert "answer" in err  # the columns that are there
    assert "did you mean 'tensorboard'" in err


def test_check_tells_every_mistake_of_form_at_once(cli):
    code, _, err = cli("check", "quickstart", "student.layrs=2", "stages.0.schedule=liner", "measure.batch=[0]")
    assert code == 2
    assert "3 problems" in err
    assert "did you mean 'layers'" in err
    assert "did you mean 'linear'" in err
    assert "measure.batch.0" in err


def test_unknown_recipe_names_the_nearest(cli):
    code, _, err = cli("run", "quickstrat")
    assert code == 2
    assert "did you mean 'quickstart'" in err


def test_text_of_the_user_is_no_markup(cli):
    _, _, err = cli("run", "[red]x[/red]")
    assert "[red]x[/red]" in err
