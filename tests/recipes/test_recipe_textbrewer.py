"""`losses_from`: a DistillationConfig of TextBrewer becomes the losses of a stage; what is wrong with it is named."""

from __future__ import annotations

import contextlib
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import RecipeError, UserError
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe, to_yaml
from distill.recipe_match import Match
from distill.recipe_textbrewer import losses_of

HIDDEN = {"layer_T": 10, "layer_S": 3, "feature": "hidden", "loss": "hidden_mse", "weight": 1}


@pytest.fixture
def recipe(tmp_path):
    """recipe(config, task, ...) -> a recipe with one stage that reads it."""

    def made(config, task="classification", **stage):
        path = tmp_path / "distill_config.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config), "utf-8")
        return {
            "name": "tiny",
            "task": task,
            "teacher": "teacher",
            "data": {"train": "train.tsv"},
            "student": {"layers": 2},
            "stages": [{"losses_from": str(path)} | stage],
        }

    return made


def refused(tree, overrides=()):
    with pytest.raises(RecipeError) as caught:
        load_recipe(tree, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_example_of_textbrewers_docs(recipe):
    """`DistillationConfig(temperature=8, intermediate_matches=[...])`, and what it is by default."""
    stage = load_recipe(recipe({"temperature": 8, "intermediate_matches": [HIDDEN]})).stages[0]
    assert stage.convention == "textbrewer"
    kd, match = stage.losses
    assert (kd.name, kd.temperature, kd.weight, kd.weight_schedule) == ("soft_cross_entropy", 8, 1, "constant")
    assert isinstance(match, Match)
    assert match.model_dump(include=set(HIDDEN)) == HIDDEN
    assert match.origin == "distill_config.json: intermediate_matches.0"
    assert load_recipe(recipe({})).stages[0].losses[0].temperature == 4


def test_every_setting(recipe):
    config = {
        "temperature": 5,
        "temperature_scheduler": ["flsw", 1, 2],
        "hard_label_weight": 0,
        "hard_label_weight_scheduler": "linear_growth",
        "kd_loss_type": "ce",
        "kd_loss_weight": 2,
        "kd_loss_weight_scheduler": "linear_decay",
        "probability_shift": True,
        "is_caching_logits": True,
        "intermediate_matches": [
            HIDDEN | {"proj": ["linear", 384, 768]},
            HIDDEN | {"layer_T": [0, 1], "layer_S": [0, 1], "loss": "gram", "proj": ["relu", 384, 768, {"lr": 0.001}]},
            {"layer_T": 1, "layer_S": 0, "feature": "attention", "loss": "attention_ce", "weight": 0.5, "proj": None},
        ],
    }
    soft, hard, *matches = load_recipe(recipe(config)).stages[0].losses
    assert (soft.temperature_schedule, soft.beta, soft.gamma, soft.probability_shift) == ("flsw", 1, 2, True)
    assert (soft.weight, soft.weight_schedule) == (2, "linear_decay")
    assert (hard.weight, hard.weight_schedule) == (0, "linear_growth")
    assert [match.proj for match in matches] == [("linear", 384, 768), ("relu", 384, 768, {"lr": 0.001}), None]
    assert [match.term for match in matches] == ["hidden_mse_3_10", "gram_0-1_0-1", "attention_ce_0_1"]
    mapped = load_recipe(recipe({"temperature_scheduler": ["cwsm", {"beta": 3}], "kd_loss_weight_scheduler": "none"}))
    assert mapped.stages[0].losses[0].beta == 3


def test_the_resolved_recipe_needs_no_file_and_says_the_same(recipe, tmp_path):
    resolved = load_recipe(recipe({"intermediate_matches": [HIDDEN | {"proj": ["tanh", 8, 9, {"lr": 0.1}]}]}))
    (tmp_path / "distill_config.json").unlink()
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(resolved), "utf-8")
    assert load_recipe(path) == resolved


def test_an_override_may_name_the_file_and_the_convention(recipe):
    tree = recipe({"temperature": 8})
    file = tree["stages"][0].pop("losses_from")
    tree["stages"][0]["losses"] = ["hard_label"]
    assert "losses of its own" in refused(tree, [f"stages.0.losses_from={file}"])
    found = load_recipe(tree, {"stages.0.losses": None, "stages.0.losses_from": file, "stages.0.convention": "distill"})
    assert (found.stages[0].convention, found.stages[0].losses[0].name) == ("distill", "soft_cross_entropy")


@pytest.mark.parametrize(
    ("config", "key", "words"),
    [
        ({"temprature": 8}, "temprature", "did you mean 'temperature'"),
        ({"temperature": 0}, "temperature", "above 0"),
        ({"temperature": True}, "temperature", "true"),
        ({"temperature_scheduler": "flsw"}, "temperature_scheduler", "flsw takes beta and gamma"),
        ({"temperature_scheduler": ["cwsm", 1, 2]}, "temperature_scheduler", "cwsm takes beta"),
        ({"temperature_scheduler": ["flsw_scheduler", 1]}, "temperature_scheduler", "none, constant, flsw, cwsm"),
        ({"temperature_scheduler": ["cwsm", 1], "kd_loss_type": "mse"}, "temperature_scheduler", "ce alone"),
        ({"kd_loss_type": "kl"}, "kd_loss_type", "ce, mse"),
        ({"kd_loss_weight": -1}, "kd_loss_weight", "at least 0"),
        ({"hard_label_weight_scheduler": "cosine"}, "hard_label_weight_scheduler", "linear_decay, linear_growth"),
        ({"kd_loss_weight": 0}, "", "no loss"),
        ({"intermediate_matches": {}}, "intermediate_matches", "a list"),
        ({"intermediate_matches": [3]}, "intermediate_matches.0", "a mapping"),
        ({"intermediate_matches": [HIDDEN | {"loss": "hidden_mes"}]}, "intermediate_matches.0.loss", "did you mean 'hidden_mse'"),
        ({"intermediate_matches": [HIDDEN | {"feature": "embedding"}]}, "intermediate_matches.0.feature", "hidden, attention"),
        ({"intermediate_matches": [HIDDEN | {"layerS": 1}]}, "intermediate_matches.0.layerS", "did you mean 'layer_S'"),
        ({"intermediate_matches": [{"layer_T": 1}]}, "intermediate_matches.0.weight", "missing"),
        ({"intermediate_matches": [HIDDEN | {"layer_T": -1}]}, "intermediate_matches.0.layer_T", "from 0"),
        ({"intermediate_matches": [HIDDEN | {"layer_T": [1, 2]}]}, "intermediate_matches.0", "takes one layer"),
        ({"intermediate_matches": [HIDDEN | {"loss": "nst"}]}, "intermediate_matches.0", "takes two layers"),
        ({"intermediate_matches": [HIDDEN | {"weight": 0}]}, "intermediate_matches.0.weight", "above 0"),
        ({"intermediate_matches": [HIDDEN | {"feature": "attention"}]}, "intermediate_matches.0", "compares hidden"),
        ({"intermediate_matches": [HIDDEN | {"proj": ["gelu", 8, 9]}]}, "intermediate_matches.0.proj", "linear, relu, tanh"),
        ({"intermediate_matches": [HIDDEN | {"proj": ["linear", 8]}]}, "intermediate_matches.0.proj", "student's width"),
        ({"intermediate_matches": [HIDDEN | {"proj": ["linear", 8, 9, {"betas": 1}]}]}, "intermediate_matches.0.proj", "lr and"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(recipe, config, key, words):
    told = refused(recipe(config))
    assert "stages.0.losses_from: " in told
    assert f"distill_config.json: {key}" in told
    assert words in told


@pytest.mark.parametrize(
    ("task", "config", "key"),
    [
        ("embedding", {}, "kd_loss_weight"),
        ("embedding", {"kd_loss_weight": 0, "hard_label_weight": 1}, "hard_label_weight"),
        ("regression", {}, "kd_loss_type"),
        ("multilabel", {}, "kd_loss_type"),
    ],
)
def test_what_a_task_has_not(recipe, task, config, key):
    assert f"distill_config.json: {key}: " in refused(recipe(config, task))


def test_everything_is_told_at_once(recipe):
    told = refused(
        recipe({"temprature": 8, "kd_loss_type": "kl", "intermediate_matches": [HIDDEN | {"loss": "x", "weight": "y"}]})
    )
    assert "4 problems" in told


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"temperature": NaN}', '{"temperature": 1, "temperature": 2}', "[" * 100_000, "\udcff"]
)
def test_what_is_no_configuration(recipe, tmp_path, text):
    tree = recipe({})
    (tmp_path / "distill_config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "distill_config.json: " in refused(tree)


@pytest.mark.parametrize("value", ["nothing.json", ".", 3, [], "a\0b"])
def test_what_is_no_file(recipe, value):
    tree = recipe({})
    tree["stages"][0]["losses_from"] = value
    assert "stages.0.losses_from" in refused(tree)


@pytest.mark.parametrize(("convention", "count"), [("textbrewer", 1), ("distill", 0)])
def test_attention_that_hardly_counts_is_noted(recipe, convention, count):
    match = {"layer_T": 1, "layer_S": 0, "feature": "attention", "loss": "attention_mse", "weight": 1}
    tree = recipe({"intermediate_matches": [match]}, convention=convention)
    notes = check_recipe(tree, given=("teacher", "train"))
    assert sum("stages.0: by TextBrewer's convention attention_mse" in text for text in notes) == count


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.printable, max_size=8), inner, max_size=4),
    max_leaves=8,
)
KEYS = ("temperature", "temperature_scheduler", "kd_loss_type", "kd_loss_weight", "probability_shift", "intermediate_matches")
MATCH_KEYS = (*HIDDEN, "proj")


@given(
    st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3),
    st.dictionaries(st.sampled_from(MATCH_KEYS), json_values, max_size=2),
)
def test_whatever_is_in_the_file_is_read_or_refused(tmp_path_factory, config, match):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"intermediate_matches": [HIDDEN | match]} | config), "utf-8")
    with contextlib.suppress(UserError):
        assert losses_of(str(path), "classification")


@pytest.mark.parametrize(
    ("losses", "convention", "words"),
    [
        (["kl_divergence"], "textbrewer", "TextBrewer has no kl_divergence"),
        ([{"name": "match", **HIDDEN}, "pkd"], "textbrewer", "not both"),
        ([{"name": "match", **HIDDEN}] * 2, "distill", "two matches"),
        ([{"name": "hard_label", "weight": 0}], "textbrewer", "weight 0"),
        ([{"name": "hard_label", "weight": 0, "weight_schedule": "linear_growth"}], "distill", "weight 0"),
        (
            [{"name": "match", **HIDDEN, "feature": "attention", "loss": "attention_ce"}],
            "distill",
            "attention_kl",
        ),
    ],
)
def test_losses_that_do_not_go_together(recipe, losses, convention, words):
    tree = recipe({})
    tree["stages"] = [{"losses": losses, "convention": convention}]
    assert words in refused(tree)


@pytest.mark.parametrize(
    ("task", "loss", "convention", "words"),
    [
        ("regression", {"name": "logits_mse", "probability_shift": True}, "distill", "one right class"),
        ("spans", {"name": "soft_cross_entropy", "temperature_schedule": "cwsm"}, "textbrewer", "padding of spans"),
    ],
)
def test_settings_that_a_task_has_not(recipe, task, loss, convention, words):
    tree = recipe({}, task)
    tree["stages"] = [{"losses": [loss], "convention": convention}]
    assert words in refused(tree)
