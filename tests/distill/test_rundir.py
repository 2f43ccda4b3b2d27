"""The run folder: a stage runs when it has to and only then; nothing of somebody else's is touched."""

from __future__ import annotations

import json

import pytest

from distill.errors import RunError
from distill.files import lock, sha256_file
from distill.recipe import Recipe, normalise
from distill.rundir import RunDir


def recipe(**changes):
    tree = {
        "name": "tiny",
        "teacher": "owner/teacher",
        "data": {"train": "sentences.txt"},
        "student": {"layers": 2},
        "stages": [{"losses": ["embedding_cosine"]}],
        **changes,
    }
    return Recipe.model_validate(normalise(tree))


@pytest.fixture
def opened(tmp_path):
    """opened() is the run folder as a new process finds it."""

    def make(asked=None, *, force=False, path=tmp_path / "run"):
        folder = RunDir(path)
        folder.open(asked or recipe(), force=force)
        return folder

    return make


def manifest(folder):
    return json.loads((folder.path / "manifest.json").read_text("utf-8"))


class Work:
    """Makes out/a.txt and out/inner/b.txt, and counts how often."""

    def __init__(self, folder, text="made"):
        self.folder, self.text, self.calls = folder, text, 0

    def __call__(self):
        self.calls += 1
        (self.folder.path / "out" / "inner").mkdir(parents=True, exist_ok=True)
        (self.folder.path / "out" / "a.txt").write_text(self.text)
        (self.folder.path / "out" / "inner" / "b.txt").write_text(self.text)
        return {"calls": self.calls}


def test_a_stage_runs_once(opened):
    folder = opened()
    work = Work(folder)
    assert folder.stage("data", {"seed": 1}, ["out"], work) == {"calls": 1}
    assert folder.stage("data", {"seed": 1}, ["out"], work) == {"calls": 1}
    assert work.calls == 1


def test_a_later_process_knows_what_is_done(opened):
    first = opened()
    first.stage("data", {"seed": 1}, ["out"], Work(first))
    second = opened()
    work = Work(second)
    assert second.stage("data", {"seed": 1}, ["out"], work) == {"calls": 1}
    assert work.calls == 0
    assert second.outputs("data") == first.outputs("data")


def test_other_inputs_run_it_again(opened):
    folder = opened()
    work = Work(folder)
    for inputs in ({"seed": 1}, {"seed": 2}, {"seed": 2, "more": None}):
        folder.stage("data", inputs, ["out"], work)
    assert work.calls == 3
    assert [stage["name"] for stage in manifest(folder)["stages"]] == ["data"]


def test_another_version_of_the_toolkit_runs_it_again(opened, monkeypatch):
    folder = opened()
    work = Work(folder)
    folder.stage("data", {"seed": 1}, ["out"], work)
    monkeypatch.setattr("distill.rundir.__version__", "9.9.9")
    folder.stage("data", {"seed": 1}, ["out"], work)
    assert work.calls == 2


def change(path):
    (path / "out" / "a.txt").write_text("changed")


def remove(path):
    (path / "out" / "inner" / "b.txt").unlink()


def add(path):
    (path / "out" / "c.txt").write_text("new")


@pytest.mark.parametrize("tamper", [change, remove, add])
def test_outputs_that_were_tampered_with_are_made_again(opened, tamper):
    folder = opened()
    work = Work(folder)
    folder.stage("data", {"seed": 1}, ["out"], work)
    tamper(folder.path)
    folder.stage("data", {"seed": 1}, ["out"], work)
    assert work.calls == 2
    assert (folder.path / "out" / "a.txt").read_text() == "made"


def test_the_parts_of_other_stages_do_not_count(opened):
    folder = opened()
    work = Work(folder)
    folder.stage("training", {}, ["out!onnx!README.md"], work)
    (folder.path / "out" / "onnx").mkdir()
    (folder.path / "out" / "onnx" / "model.onnx").write_text("graph")
    (folder.path / "out" / "README.md").write_text("card")
    folder.stage("training", {}, ["out!onnx!README.md"], work)
    assert work.calls == 1
    (folder.path / "out" / "inner" / "README.md").write_text("a file of the stage, since it lies deeper")
    folder.stage("training", {}, ["out!onnx!README.md"], work)
    assert work.calls == 2


def test_the_manifest_tells_true_hashes(opened):
    folder = opened()
    folder.stage("data", {"seed": 1}, ["out"], Work(folder))
    (stage,) = manifest(folder)["stages"]
    assert stage["outputs"] == {
        "out/a.txt": sha256_file(folder.path / "out" / "a.txt"),
        "out/inner/b.txt": sha256_file(folder.path / "out" / "inner" / "b.txt"),
    }
    assert stage["facts"] == {"calls": 1}
    assert stage["seconds"] >= 0


def test_a_stage_that_fails_is_not_done(opened):
    folder = opened()

    def fail():
        (folder.path / "out").mkdir()
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        folder.stage("data", {}, ["out"], fail)
    assert manifest(folder)["stages"] == []
    work = Work(folder)
    folder.stage("data", {}, ["out"], work)
    assert work.calls == 1


def test_a_stage_that_ran_again_keeps_its_place(opened):
    folder = opened()
    for name in ("data", "training", "onnx"):
        folder.stage(name, {}, [], dict)
    folder.stage("data", {"seed": 2}, [], dict)
    assert [stage["name"] for stage in manifest(folder)["stages"]] == ["data", "training", "onnx"]


def begun(opened, asked=None):
    """A run that has made something."""
    folder = opened(asked)
    folder.stage("data", {"seed": 1}, ["out"], Work(folder))
    return folder


def test_another_recipe_is_refused_with_the_differences(opened):
    folder = begun(opened)
    before = manifest(folder)
    with pytest.raises(RunError, match="another recipe") as caught:
        opened(recipe(seed=7, student={"layers": [0, 2]}))
    assert caught.value.exit_code == 2
    assert "seed: 42 -> 7" in caught.value.got
    assert "student.layers: 2 -> [0, 2]" in caught.value.got
    assert "--out" in caught.value.hint
    assert "--force" in caught.value.hint
    assert manifest(folder) == before


def test_force_takes_the_folder_over_and_keeps_what_still_fits(opened):
    begun(opened)
    folder = opened(recipe(seed=7), force=True)
    assert manifest(folder)["seed"] == 7
    work = Work(folder)
    folder.stage("data", {"seed": 1}, ["out"], work)
    assert work.calls == 0
    folder.stage("data", {"seed": 7}, ["out"], work)
    assert work.calls == 1
    opened(recipe(seed=7))  # and is a run of that recipe from now on


@pytest.mark.parametrize("damage", [b"", b'{"stages": [', b"[]", "calls", "sha256"])
def test_of_a_damaged_manifest_nothing_is_used(opened, damage):
    """Facts of a stage lie in it alone: one changed digit of them would go into the report."""
    folder = begun(opened)
    path = folder.path / "manifest.json"
    text = path.read_text("utf-8")
    changed = {"calls": text.replace('"calls": 1', '"calls": 7'), "sha256": text.replace('"out/a.txt": "', '"out/a.txt": "0')}
    path.write_bytes(damage if isinstance(damage, bytes) else changed[damage].encode())
    before = path.read_bytes()
    assert before != text.encode()
    with pytest.raises(RunError, match="damaged") as caught:
        opened()
    assert "--force" in caught.value.hint
    assert path.read_bytes() == before
    again = opened(force=True)
    work = Work(again)
    assert again.stage("data", {"seed": 1}, ["out"], work) == {"calls": 1}
    assert work.calls == 1
    opened()


def test_a_recipe_that_was_mended_before_anything_was_made_needs_no_force(opened):
    opened()
    assert manifest(opened(recipe(seed=7)))["seed"] == 7


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_something_else_is_refused(tmp_path, opened, force):
    """Not with --force either: it says what a run may replace, and this is no run."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("two years")
    with pytest.raises(RunError, match="holds no run") as caught:
        opened(path=home, force=force)
    assert caught.value.got == "thesis.txt"
    assert [item.name for item in home.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path, opened):
    (tmp_path / "taken").write_text("text")
    with pytest.raises(RunError, match="a file stands where") as caught:
        opened(path=tmp_path / "taken")
    assert caught.value.exit_code == 2


def test_an_empty_folder_is_fine(tmp_path, opened):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".lock").write_text("")
    assert manifest(opened(path=tmp_path / "empty"))["name"] == "tiny"


def test_what_a_killed_write_left_is_swept_away(tmp_path, opened):
    folder = begun(opened)
    (folder.path / ".data.tmp-k3j2").mkdir()
    (folder.path / ".data.tmp-k3j2" / "train.parquet").write_bytes(b"half")
    (folder.path / "out" / ".a.txt.tmp-99").write_bytes(b"half")
    again = opened()
    assert not list(again.path.rglob("*.tmp-*"))
    work = Work(again)
    again.stage("data", {"seed": 1}, ["out"], work)
    assert work.calls == 0
    first = tmp_path / "first"  # killed while it wrote its first file
    first.mkdir()
    (first / ".manifest.json.tmp-1").write_bytes(b"{")
    assert sorted(item.name for item in opened(path=first).path.iterdir()) == ["manifest.json"]


def test_the_run_folder_is_refused_while_another_run_holds_it(tmp_path):
    """Before the teacher, the data or anything else is looked at."""
    import distill

    held = lock(tmp_path / "run" / ".lock", "this run folder", wait=False)
    with held, pytest.raises(RunError, match="this run folder is in use") as caught:
        distill.run(recipe(), out=tmp_path / "run", teacher=object(), train=["a", "b"])
    assert caught.value.exit_code == 2
    assert "pid " in caught.value.got
    assert [item.name for item in (tmp_path / "run").iterdir()] == [".lock"]


def test_a_refused_folder_gets_no_lock_file(tmp_path):
    import distill

    (tmp_path / "thesis.txt").write_text("two years")
    with pytest.raises(RunError, match="holds no run"):
        distill.run(recipe(), out=tmp_path, teacher=object(), train=["a", "b"])
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_manifest_holds_no_folder_of_this_machine(opened):
    """Two files of one name are told apart nevertheless."""
    one, other = ({"train": f"/home/{user}/secret/sentences.txt"} for user in ("ann", "bob"))
    folder = begun(opened, recipe(data=one, teacher="~/models/teacher"))
    text = (folder.path / "manifest.json").read_text("utf-8")
    assert "secret" not in text
    assert "~" not in text
    assert "sentences.txt" in text
    opened(recipe(data=one, teacher="~/models/teacher"))
    with pytest.raises(RunError, match="another recipe") as caught:
        opened(recipe(data=other, teacher="~/models/teacher"))
    assert "data.train" in caught.value.got
    assert "bob" not in caught.value.got


def test_the_end_is_noted_and_the_resume_state_goes(opened):
    folder = begun(opened)
    created = manifest(folder)["created"]
    assert manifest(folder)["finished"] is None
    folder.work.mkdir()
    (folder.work / "checkpoint").write_bytes(b"0")
    folder.finish({"cpu": "a fast one"})
    assert not folder.work.exists()
    assert manifest(folder)["finished"] >= created
    assert manifest(folder)["hardware"] == {"cpu": "a fast one"}
    assert manifest(opened())["created"] == created


def resolved_run(opened):
    """A run that was asked to choose its precision, and chose bf16; returns both recipes."""
    asked = recipe(data={"train": "/home/ann/sentences.txt"})
    chosen = asked.with_values(train={"precision": "bf16"})
    folder = begun(opened, asked)
    folder.write_recipe(asked)
    folder.write_recipe(chosen)
    return folder, asked, chosen


def test_the_resolved_recipe_is_the_run_that_wrote_it(opened):
    """`distill run runs/x/recipe.yaml --out runs/x` goes on with what was asked: the choice is not made a wish."""
    folder, asked, chosen = resolved_run(opened)
    before = manifest(folder)
    from distill.recipe_load import load_recipe

    again = RunDir(folder.path)
    assert load_recipe(folder.path / "recipe.yaml") == chosen != asked
    assert again.open(load_recipe(folder.path / "recipe.yaml"), force=False) == asked
    assert manifest(again) == before
    assert again.stage("data", {"seed": 1}, ["out"], Work(again)) == {"calls": 1}
    assert RunDir(folder.path).open(asked, force=False) == asked


@pytest.mark.parametrize("change", [{"precision": "fp32"}, {"precision": "bf16", "dropout": 0.1}])
def test_a_recipe_that_is_neither_the_asked_nor_the_resolved_one_is_refused(opened, change):
    _, asked, _ = resolved_run(opened)
    with pytest.raises(RunError, match="another recipe") as caught:
        opened(asked.with_values(train=change))
    assert f"train.precision: auto -> {change['precision']}" in caught.value.got


def test_the_resolved_recipe_in_another_folder_is_a_wish(opened, tmp_path):
    _, _, chosen = resolved_run(opened)
    assert RunDir(tmp_path / "other").open(chosen, force=False) == chosen
