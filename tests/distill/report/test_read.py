"""A run folder that is incomplete or damaged gives one clear error that names the file, whatever is wrong with it."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import RunError
from distill.report.read import check_run, read_log, read_recipe, read_run

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["schema_version", "models", "step", "a"]), inner)
    ),
    max_leaves=8,
)
SAME_FOLDER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_whole_run_is_read(run):
    files = read_run(run.write())
    assert files.recipe["name"] == "quickstart"
    assert files.quality.of("fast")["sts-test"].value == 0.8012
    assert files.parity.models["fast"].nodes == {"MatMulInteger": 18}
    assert files.measure.variants[0].latency[0].p50_ms == 14.4
    assert sum(bool(line.dev) for line in files.log) == 11


def test_no_folder(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        read_run(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["recipe.yaml", "manifest.json", "quality.json", "parity.json", "measure.json", "log.jsonl"])
@pytest.mark.parametrize("damage", [None, b"", b'{"schema', b"\xff\xfe\x00", b"[1, 2]", b'{"schema_version": 2}'])
def test_every_damage_names_its_file(run, name, damage):
    path = run.write() / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    if name == "log.jsonl" and damage == b"":
        assert read_run(run.folder).log == ()
        return
    with pytest.raises(RunError) as caught:
        read_run(run.folder)
    assert name in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_place_of_the_damage_is_named(run):
    run.variant("fast")["latency"][1]["p50_ms"] = "soon"
    with pytest.raises(RunError, match=r"variants\.3\.latency\.1\.p50_ms") as caught:
        read_run(run.write())
    assert "soon" in str(caught.value)


def test_nan_is_damage(run):
    run.quality["models"]["fast"]["sts-test"]["value"] = float("nan")
    with pytest.raises(RunError, match=r"fast\.sts-test\.value"):
        read_run(run.write())


def test_a_wrong_fact_names_its_stage(run):
    run.facts("teacher")["params"] = "many"
    with pytest.raises(RunError, match="params of stage 'teacher'"):
        read_run(run.write())


def test_aliases_in_a_recipe_are_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: a\nx: &x [1]\ny: [*x, *x]\n")
    with pytest.raises(RunError, match="aliases"):
        read_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("value", ["2026-13-45", "2026-11-21", ".nan", "!!set {a}", "{? [1]: 2}", "[" * 3000])
def test_values_that_json_cannot_hold_are_damage(tmp_path, value):
    (tmp_path / "recipe.yaml").write_text(f"name: a\nx: {value}\n")
    with pytest.raises(RunError, match="damaged"):
        read_recipe(tmp_path / "recipe.yaml")


def test_a_torn_log_line_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"stage": "main", "step": 1, "loss": 0.5}\n\n{"stage": "main", "st')
    with pytest.raises(RunError, match=r"log\.jsonl, line 3"):
        read_log(tmp_path / "log.jsonl")


def test_a_loss_that_became_nan_is_read(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": NaN}\n')
    assert read_log(tmp_path / "log.jsonl")[0].step == 1


@SAME_FOLDER
@given(value=JSON, name=st.sampled_from(["manifest.json", "quality.json", "parity.json", "measure.json"]))
def test_no_json_value_escapes_as_another_error(run, value, name):
    (run.write() / name).write_text(json.dumps(value))
    with pytest.raises(RunError):
        read_run(run.folder)


@SAME_FOLDER
@given(data=st.binary(max_size=60))
def test_no_bytes_escape_as_another_error(tmp_path, data):
    for name, reader in (("log.jsonl", read_log), ("recipe.yaml", read_recipe)):
        (tmp_path / name).write_bytes(data)
        with contextlib.suppress(RunError):
            reader(tmp_path / name)


def test_a_path_without_a_run_names_the_runs_beside_it(tmp_path):
    for name in ("three-layers", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "three-layers" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="no run folder here") as caught:
        check_run(tmp_path / "tree-layers")
    assert caught.value.hint == "did you mean 'three-layers'?"
    with pytest.raises(RunError, match="this folder holds no run"):
        check_run(tmp_path / "notes")
    with pytest.raises(RunError, match="a file is given"):
        check_run(tmp_path / "three-layers" / "manifest.json")
