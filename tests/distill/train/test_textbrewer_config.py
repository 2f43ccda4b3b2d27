"""A DistillationConfig of TextBrewer, through our two engines and through TextBrewer as its users run it: one step, one loss."""

from __future__ import annotations

import json
import warnings

import pytest
import textbrewer
import tiny
import torch
import transformers
from engines import ENGINES, LABELS, ROWS, assert_same_steps, examples, model, run
from safetensors.torch import load_file

from distill.data.examples import LabelSet
from distill.errors import UserError
from distill.evaluate.scoring import make_collator, make_features
from distill.recipe_match import Match, term_of
from distill.train import textbrewer as textbrewer_engine
from distill.train.matches import check_matches, projections_of
from distill.train.task import token_rows
from distill.train.textbrewer import Epochs
from teachers.capture import encoder_of, shape_of

PROJ = ["linear", 32, 48]


def match(layer_T, layer_S, loss, weight=1, **more):
    feature = "attention" if loss.startswith("attention") else "hidden"
    return {"layer_T": layer_T, "layer_S": layer_S, "feature": feature, "loss": loss, "weight": weight} | more


CONFIGS = {
    "defaults": {},
    "the notebooks": {
        "temperature": 8,
        "hard_label_weight": 0,
        "kd_loss_type": "ce",
        "probability_shift": False,
        "is_caching_logits": False,
        "intermediate_matches": [
            *(match(t, s, "hidden_mse", proj=PROJ) for t, s in ((0, 0), (2, 1), (4, 2))),
            *(match([t, t], [s, s], "nst") for t, s in ((0, 0), (2, 1), (4, 2))),
        ],
    },
    "attention": {
        "kd_loss_weight": 0.5,
        "intermediate_matches": [
            match(1, 0, "attention_mse", 30),
            match(3, 1, "attention_mse_sum", 2),
            match(1, 0, "attention_ce", 0.1),
            match(3, 1, "attention_ce_mean"),
        ],
    },
    "every projection": {
        "kd_loss_weight": 0,
        "intermediate_matches": [
            match(4, 2, "cos", 2, proj=["tanh", 32, 48]),
            match(2, 1, "pkd", 10, proj=["relu", 32, 48, {}]),
            match([0, 2], [0, 1], "fsp", 0.1, proj=PROJ),
            match([2, 4], [1, 2], "gram", 0.1, proj=["linear", 32, 48, {"lr": 0.01}]),
            match([0, 4], [1, 2], "mmd", 3),
        ],
    },
    "weights of their own": {
        "kd_loss_type": "mse",
        "temperature": 2,
        "kd_loss_weight": 3,
        "kd_loss_weight_scheduler": "linear_decay",
        "hard_label_weight_scheduler": "linear_growth",
        "temperature_scheduler": "none",
    },
    "colder where it is hard": {"temperature_scheduler": ["flsw", 1, 2], "hard_label_weight": 0.5},
    "colder where it is unsure": {"temperature_scheduler": ["cwsm", {"beta": 1}], "probability_shift": True},
}


@pytest.fixture
def train(tmp_path):
    """train(engine, config, ...) -> Trained."""

    def trained(engine, config, **more):
        stage = more.pop("stage", {})
        return run(tmp_path, engine, [{"losses_from": write(tmp_path, config)} | stage], **more)

    return trained


def write(folder, config):
    path = folder / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    return str(path)


def first_batch(task):
    """What the first step of a run sees."""
    rows = make_features(task, examples(task, 0, ROWS), tiny.tokenizer(), 64, labels=LabelSet(LABELS[task]), stride=8)
    batch = next(iter(Epochs(rows, make_collator(task, tiny.tokenizer()), 8, 42)))
    batch.pop("row")
    return batch


def as_its_users_run_it(config, task, tmp_path):
    """Losses of TextBrewer's first step: its own distiller, models with eager attention, and the adaptors of its examples."""
    teacher, student = model(task, 4, 48, 1), model(task, 2, 32, 2)
    for one in (teacher, student):
        one.set_attn_implementation("eager")
        one.config.output_hidden_states = one.config.output_attentions = True

    def adaptor(batch, out):
        found = {"inputs_mask": batch["attention_mask"], "hidden": out.hidden_states, "attention": out.attentions}
        found |= {"losses": out.loss, "logits": out.logits, "labels": batch["labels"]}
        return found | ({"logits_mask": token_rows(batch)} if task == "tokens" else {})

    known = {key: value for key, value in config.items() if value != "none"}  # which its reader does not understand
    settings = textbrewer.TrainingConfig(device="cpu", output_dir=str(tmp_path / "unused"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = textbrewer.GeneralDistiller(
            settings, textbrewer.DistillationConfig.from_dict(json.loads(json.dumps(known))), teacher, student, adaptor, adaptor
        )
    matches = [Match(name="match", **one) for one in config.get("intermediate_matches", [])]
    ours = projections_of(matches, 42, theirs=True)  # both start from the same weights; its own come from torch's generator
    for spec, projection in zip(matches, made.projs, strict=True):
        if projection is not None:
            assert all(0 < float(weight.detach().std()) < 0.03 or not weight.any() for weight in projection.parameters())
            projection.load_state_dict(ours[spec.term].state_dict())
    with made:
        student.eval()  # without dropout, as the recipe trains
        total, parts = made.train_on_batch(first_batch(task), {})
    weights = {"unweighted_kd_loss": made.d_config.kd_loss_weight, "unweighted_hard_label_loss": made.d_config.hard_label_weight}
    names = {"unweighted_kd_loss": {"ce": "soft_cross_entropy", "mse": "logits_mse"}[made.d_config.kd_loss_type]}
    names["unweighted_hard_label_loss"] = "hard_label"
    for spec, one in zip(matches, made.d_config.intermediate_matches, strict=True):
        key = f"unweighted_{spec.feature}_{term_of(spec)}"
        weights[key], names[key] = one.weight, term_of(spec)
    return float(total.detach()), {
        names[key]: float(torch.as_tensor(value).detach()) * weights[key] for key, value in parts.items()
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_one_step_has_textbrewers_losses(train, tmp_path, name):
    config = CONFIGS[name]
    total, parts = as_its_users_run_it(config, "classification", tmp_path)
    both = {engine: train(engine, config) for engine in ENGINES}
    for trained in both.values():
        line = trained.steps()[0]
        assert line["loss"] == pytest.approx(total, rel=1e-5, abs=1e-5)
        told = line["losses"]
        assert told == pytest.approx({key: value for key, value in parts.items() if key in told}, rel=1e-5, abs=1e-5)
        assert all(parts[key] == 0 for key in parts.keys() - told.keys())  # of weight 0, and not run
    assert_same_steps(*both.values())


@pytest.mark.parametrize("name", ["the notebooks", "weights of their own", "colder where it is hard"])
def test_tokens_have_textbrewers_losses(train, tmp_path, name):
    total, _ = as_its_users_run_it(CONFIGS[name], "tokens", tmp_path)
    both = [train(engine, CONFIGS[name], task="tokens") for engine in ENGINES]
    assert both[0].steps()[0]["loss"] == pytest.approx(total, rel=1e-5)
    assert_same_steps(*both)


@pytest.mark.parametrize("name", CONFIGS)
def test_several_steps_of_both_engines(train, name):
    """Schedules that take a weight's place, projections of their own rate, temperatures row by row."""
    both = [train(engine, CONFIGS[name], stage={"max_steps": 4}) for engine in ENGINES]
    assert len(both[0].steps()) > 1
    assert_same_steps(*both)


def test_a_schedule_takes_the_weights_place(train):
    steps = train("trainer", CONFIGS["weights of their own"], stage={"max_steps": 4, "learning_rate": 1e-9}).steps()
    plain = train("trainer", {"kd_loss_type": "mse", "temperature": 2, "hard_label_weight": 1}, folder="plain").steps()[0][
        "losses"
    ]
    assert steps[0]["losses"]["logits_mse"] == pytest.approx(3 * plain["logits_mse"])
    assert steps[0]["losses"]["hard_label"] == 0
    shares = [line["losses"]["logits_mse"] for line in steps[1:]]
    assert max(shares) < plain["logits_mse"] * 2  # 1 - x of it, batches differ


@pytest.mark.parametrize("kind", ["ce", "mse"])
def test_spans_add_start_and_end_up(train, kind):
    config = {"kd_loss_type": kind, "temperature": 2, "hard_label_weight": 1, "probability_shift": True}
    both = [train(engine, config, task="spans", stage={"max_steps": 2}) for engine in ENGINES]
    assert_same_steps(*both)
    ours = train("trainer", config, task="spans", stage={"convention": "distill"}, folder="ours").steps()[0]["losses"]
    name = {"ce": "soft_cross_entropy", "mse": "logits_mse"}[kind]
    assert both[0].steps()[0]["losses"][name] == pytest.approx(ours[name] * 2 / 4, rel=1e-5)


def test_our_convention_of_a_configuration(train):
    """Squared temperature, raw scores, Gram matrices by the width; what agrees is the same."""
    config = {
        "temperature": 4,
        "intermediate_matches": [
            match(2, 1, "hidden_mse", proj=PROJ),
            match(3, 1, "attention_mse"),
            match(3, 1, "attention_mse_sum"),
            match([2, 4], [1, 2], "nst"),
            match(2, 1, "cos", proj=PROJ),
        ],
    }
    both = [train(engine, config, stage={"convention": "distill"}) for engine in ENGINES]
    assert_same_steps(*both)
    ours = both[0].steps()[0]["losses"]
    theirs = train("trainer", config, folder="theirs").steps()[0]["losses"]
    assert ours["soft_cross_entropy"] == pytest.approx(16 * theirs["soft_cross_entropy"], rel=1e-5)
    assert ours["attention_mse_1_3"] > 2 * theirs["attention_mse_1_3"]
    assert ours["nst_1-2_2-4"] != pytest.approx(theirs["nst_1-2_2-4"], rel=0.1)


NAMED = [
    {"name": "soft_cross_entropy", "temperature": 4, "weight": 0.7, "weight_schedule": "linear_decay"},
    {"name": "hard_label", "weight": 0.3},
    {"name": "attention_mse", "weight": 20},
    "hidden_mse",
    "embedding_layer_mse",
    "hidden_cosine",
    "pkd",
    "nst",
]


def test_losses_of_a_recipe_under_their_convention(tmp_path):
    """By name and layer map, and as a configuration: the same numbers."""
    stage = {"losses": NAMED, "convention": "textbrewer", "layer_map": [[1, 0], [3, 1]], "max_steps": 3}
    both = [run(tmp_path, engine, [stage]) for engine in ENGINES]
    assert_same_steps(*both)
    config = {"kd_loss_weight": 0, "intermediate_matches": []}
    config["intermediate_matches"] += [match(t, s, "attention_mse", 20) for t, s in ((1, 0), (3, 1))]
    config["intermediate_matches"] += [match([t, t], [s, s], "nst") for t, s in ((2, 1), (4, 2))]
    told = run(tmp_path, "trainer", [{"losses_from": write(tmp_path, config)}], folder="config").steps()[0]["losses"]
    first = both[0].steps()[0]["losses"]
    assert first["attention_mse"] == pytest.approx(told["attention_mse_0_1"] + told["attention_mse_1_3"], rel=1e-5)
    assert first["nst"] == pytest.approx(told["nst_1-1_2-2"] + told["nst_2-2_4-4"], rel=1e-5)


def test_a_projection_has_its_own_rate(train):
    """At a rate of 0 for it, and at one a hundred times the stage's, with the schedule of all."""
    moved = {}
    for rate in (0.0, 0.1):
        config = {"intermediate_matches": [match(2, 1, "hidden_mse", proj=[*PROJ, {"lr": rate, "weight_decay": 0.0}])]}
        for engine in ENGINES:
            folder = f"{engine} {rate}"
            work = train(engine, config, stage={"max_steps": 2, "warmup": 0}, folder=folder).work
            weights = projections_of(specs_of(config), 42, theirs=True).state_dict()
            after = load_file(work / "s0" / "final" / "model.safetensors")
            moved[rate, engine] = max(
                float((after[f"inner.projections.{key}"] - was).abs().max()) for key, was in weights.items()
            )
    assert [moved[0.0, engine] for engine in ENGINES] == [0, 0]
    assert all(moved[0.1, engine] > 0.01 for engine in ENGINES)


def specs_of(config):
    recipe = {"name": "match", "origin": "some.json: intermediate_matches.0"}
    return [Match.model_validate(recipe | one) for one in config["intermediate_matches"]]


@pytest.mark.parametrize(
    ("one", "key", "words"),
    [
        (match(5, 1, "hidden_mse", proj=PROJ), "layer_T", "0 to 4"),
        (match(4, 3, "hidden_mse", proj=PROJ), "layer_S", "0 to 2"),
        (match(4, 1, "attention_mse"), "layer_T", "0 to 3"),
        (match([1, 1], [0, 3], "nst"), "layer_S", "0 to 2"),
        (match(4, 2, "hidden_mse", proj=["linear", 384, 768]), "proj", "[linear, 32, 48]"),
        (match(4, 2, "cos"), "proj", "[linear, 32, 48]"),
        (match([1, 2], [0, 1], "gram"), "proj", "[linear, 32, 48]"),
    ],
)
def test_what_does_not_fit_two_models(one, key, words):
    teacher, student = (shape_of(encoder_of(model("classification", *sizes, 1))) for sizes in ((4, 48), (2, 32)))
    with pytest.raises(UserError) as caught:
        check_matches(specs_of({"intermediate_matches": [one]}), teacher, student)
    assert caught.value.where == f"some.json: intermediate_matches.0.{key}"
    assert words in caught.value.expected
    assert caught.value.exit_code == 2


def test_heads_that_differ_go_with_a_sum_or_mean():
    config = tiny._config("bert", 2, 32, 2, 64, 100)
    two = shape_of(transformers.AutoModel.from_config(config))
    four = shape_of(encoder_of(model("classification", 2, 32, 1)))
    check_matches(specs_of({"intermediate_matches": [match(1, 1, "attention_mse_sum")]}), four, two)
    with pytest.raises(UserError, match="head by head") as caught:
        check_matches(specs_of({"intermediate_matches": [match(1, 1, "attention_ce")]}), four, two)
    assert "attention_mse_sum" in caught.value.expected


def test_the_first_step_is_not_reached_with_a_layer_that_is_not_there(train, tmp_path):
    with pytest.raises(UserError, match=r"config.json: intermediate_matches.0.layer_T") as caught:
        train("textbrewer", {"intermediate_matches": [match(12, 2, "hidden_mse", proj=PROJ)]})
    assert "12" in str(caught.value)
    assert not (tmp_path / "textbrewer" / "log.jsonl").exists()


def test_caching_makes_no_difference(train):
    plain = {"temperature": 8, "intermediate_matches": [match(2, 1, "hidden_mse", proj=PROJ)]}
    logs = [train("textbrewer", plain | {"is_caching_logits": said}, folder=str(said)).log for said in (False, True)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("config", "teachers", "name"),
    [
        ({"hard_label_weight": 1}, 1, "Basic"),
        ({"kd_loss_weight": 0, "hard_label_weight": 1}, 1, "General"),
        ({"intermediate_matches": [match([1, 1], [1, 1], "nst")]}, 1, "General"),
        ({"hard_label_weight": 1}, 2, "MultiTeacher"),
        ({"kd_loss_weight": 0, "hard_label_weight": 1}, 2, "General"),
    ],
)
def test_which_distiller_runs(train, monkeypatch, config, teachers, name):
    ran = []
    write = textbrewer_engine.Basic.write_loss

    def told(self, *args):
        ran.append(type(self).__name__)
        write(self, *args)

    monkeypatch.setattr(textbrewer_engine.Basic, "write_loss", told)
    facts = train("textbrewer", config, teachers=teachers).facts["stages"][0]
    assert ran == [name]
    assert facts["distiller"] == f"{name}Distiller"


@pytest.mark.parametrize(
    ("task", "more"), [("classification", {}), ("classification", CONFIGS["colder where it is unsure"]), ("tokens", {})]
)
def test_several_teachers_are_textbrewers_mean(train, tmp_path, task, more):
    """Three teachers through both engines, and through TextBrewer's MultiTeacherDistiller as its users run it."""
    config = {"temperature": 3, "hard_label_weight": 0.5, **more}
    teachers = [model(task, 4, 48, seed) for seed in (1, 11, 12)]

    def adaptor(batch, out):
        found = {"logits": out.logits, "losses": out.loss, "labels": batch["labels"]}
        return found | ({"logits_mask": token_rows(batch)} if task == "tokens" else {})

    settings = textbrewer.TrainingConfig(device="cpu", output_dir=str(tmp_path / "unused"))
    student = model(task, 2, 32, 2)
    made = textbrewer.MultiTeacherDistiller(
        settings, textbrewer.DistillationConfig.from_dict(json.loads(json.dumps(config))), teachers, student, adaptor, adaptor
    )
    with made:
        student.eval()
        total, _ = made.train_on_batch(first_batch(task), {})
    for engine in ENGINES:
        found = train(engine, config, task=task, teachers=3).steps()[0]["loss"]
        assert found == pytest.approx(float(total.detach()), rel=1e-5)
