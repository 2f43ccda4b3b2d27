"""The teacher is trained first, then it teaches: one run, one folder; the rows it must not see are left out."""

import json
import shutil

import numpy as np
import pytest
import tiny
from artefacts import facts

import distill
from distill.data.benchmarks_write import write_benchmark
from distill.data.prepare import fold
from distill.errors import RecipeError, UserError
from distill.files import sha256_folder
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe

STS = [(first, second, score / 5) for first, second, score in tiny.sts_rows(60)]
TEST = STS[:12]


def stage(name, objective, data, **options):
    return {"name": name, "objective": objective, "data": [data], "batch_size": 16, "learning_rate": 1e-3, **options}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teaching")
    tiny.saved(folder / "teacher", layers=4, hidden=32, prompts={"query": "the "}, default_prompt_name="query")
    tiny.write_lines(folder / "sentences.txt")
    write_benchmark(folder / "sts.tsv", "korsts", STS)
    write_benchmark(folder / "test.tsv", "korsts", TEST)
    rows = [
        (tiny.ENGLISH[i], tiny.ENGLISH[(i * 7 + k * 11 + 1) % 280], label)
        for i in range(60)
        for k, label in enumerate(("entailment", "contradiction", "neutral"))
    ]
    write_benchmark(folder / "nli.tsv", "kornli", rows)
    return folder


@pytest.fixture
def recipe(files, monkeypatch):
    monkeypatch.chdir(files)
    return {
        "name": "taught",
        "teacher": {
            "model": "teacher",
            "finetune": {
                "precision": "fp32",
                "stages": [stage("nli", "nli_ranking", "nli"), stage("sts", "sts_cosine", "sts")],
            },
        },
        "data": {
            "train": "sentences.txt",
            "teaching": {
                "nli": {"source": "nli.tsv", "format": "kornli"},
                "sts": {"source": "sts.tsv", "format": "korsts"},
            },
            "evaluate": {"sts": {"source": "test.tsv", "format": "korsts"}},
        },
        "student": {"layers": 2},
        "stages": [{"losses": ["embedding_cosine"], "max_steps": 2, "batch_size": 16}],
        "train": {"precision": "fp32"},
        "export": {"presets": ["fp32"]},
        "measure": {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0},
    }


@pytest.mark.slow
def test_teach_then_run_in_one_folder(recipe, tmp_path, no_stopwatch, capsys):
    out = tmp_path / "run"
    taught = distill.teach(recipe, out=out)
    assert [(row["set"], row["stage"]) for row in taught.rows] == [("sts", "before"), ("sts", "nli"), ("sts", "sts")]
    assert {f"{kind}_{name}" for kind in ("pearson", "spearman") for name in ("cosine", "manhattan", "euclidean", "dot")} <= set(
        taught.rows[0]
    )
    assert taught.markdown == (out / "teacher.md").read_text()
    assert taught.markdown.count("\n") == 5
    held = {fold(text) for row in TEST for text in row[:2]}
    kept = [row for row in STS if not {fold(row[0]), fold(row[1])} & held]
    assert taught.stages[1]["rows"] == len(kept) < len(STS) - len(TEST)
    assert facts(out, "finetune")["removed_evaluation"] >= len(STS) - len(kept)
    before = sha256_folder(out / "teacher")

    report = distill.run(recipe, out=out)
    assert sha256_folder(out / "teacher") == before
    assert "finetune: unchanged" in capsys.readouterr().err
    assert report.finetune.path == "teacher"
    assert [one.name for one in report.finetune.stages] == ["nli", "sts"]
    told = next(line for line in (out / "report.md").read_text().splitlines() if "fine-tuned in this run" in line)
    assert "nli_ranking" in told.replace("\\", "")
    assert told.endswith("it lies in teacher/")
    assert not (out / "work").exists()
    value = report.model("teacher").quality["sts"].value
    assert value == pytest.approx(taught.rows[-1]["spearman_cosine"], abs=1e-6)
    from sentence_transformers import SentenceTransformer

    tuned, start = (SentenceTransformer(str(place), device="cpu") for place in (out / "teacher", "teacher"))
    assert tuned.prompts["query"] == "the "
    assert np.abs(tuned.encode(tiny.ENGLISH[:4]) - start.encode(tiny.ENGLISH[:4])).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["last4_concat", "last4_weighted"])
def test_a_student_of_a_teacher_that_reads_four_layers(pooling, recipe, tmp_path, no_stopwatch):
    recipe["teacher"]["finetune"] |= {"pooling": pooling, "stages": [stage("sts", "sts_cosent", "sts", max_steps=2)]}
    report = distill.run(recipe, out=tmp_path / "run")
    assert report.passed
    wide = pooling == "last4_concat"
    assert report.teacher.dim == (128 if wide else 32)
    assert report.student.dim == 32
    assert report.student.projection == ("drop" if wide else "none")


def test_a_change_of_the_teaching_trains_again_and_other_changes_do_not(recipe, tmp_path, capsys):
    recipe["teacher"]["finetune"]["stages"] = [stage("sts", "sts_cosine", "sts", max_steps=1)]
    out = tmp_path / "run"
    distill.teach(recipe, out=out)
    distill.teach(recipe, {"student.layers": 1, "measure.min_runs": 4}, out=out, force=True)
    assert "finetune: unchanged" in capsys.readouterr().err
    distill.teach(recipe, {"teacher.finetune.stages.0.learning_rate": 1e-4}, out=out, force=True)
    assert "finetune: unchanged" not in capsys.readouterr().err
    shutil.rmtree(out / "teacher")
    distill.teach(recipe, {"teacher.finetune.stages.0.learning_rate": 1e-4}, out=out, force=True)
    assert (out / "teacher" / "model.safetensors").exists()


def test_the_best_checkpoint_on_select_is_kept_and_its_rows_are_not_trained_on(recipe, tmp_path):
    recipe["data"]["select"] = {"source": "sts.tsv", "format": "korsts", "limit": 24}
    recipe["teacher"]["finetune"]["stages"] = [stage("sts", "sts_cosine", "sts", epochs=2)]
    taught = distill.teach(recipe, out=tmp_path / "run")
    held = {fold(text) for row in STS[:24] for text in row[:2]}
    assert taught.stages[0]["rows"] == sum(not {fold(row[0]), fold(row[1])} & held for row in STS)
    dev = [json.loads(line)["dev"]["sts_spearman"] for line in (tmp_path / "run" / "teacher.jsonl").open() if "dev" in line]
    assert taught.stages[0]["best_value"] == max(dev)


def test_teaching_on_the_evaluation_set_is_refused(recipe, tmp_path):
    recipe["data"]["evaluate"]["sts"] = {"source": "sts.tsv", "format": "korsts"}
    with pytest.raises(UserError, match="none is left to train on") as caught:
        distill.teach(recipe, out=tmp_path / "run")
    assert caught.value.where == "data.teaching.sts"


def test_only_recipes_that_train_a_teacher_can_teach(recipe, tmp_path):
    recipe["teacher"] = {"model": "teacher"}
    recipe["data"].pop("teaching")
    with pytest.raises(UserError, match="trains no sentence teacher"):
        distill.teach(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_check_names_sources_that_lack_what_an_objective_needs(recipe):
    recipe["teacher"]["finetune"]["stages"] = [stage("a", "sts_cosine", "nli"), stage("b", "nli_ranking", "sts")]
    recipe["data"]["teaching"]["gone"] = "missing.tsv"
    recipe["teacher"]["finetune"]["stages"][1]["data"] = ["sts", "gone"]
    with pytest.raises(RecipeError) as caught:
        check_recipe(recipe)
    told = [problem.where.split(":")[0] for problem in caught.value.problems]
    assert told == ["data.teaching.nli", "data.teaching.sts", "data.teaching.gone"]
    assert "objectives that fit: nli_softmax" in str(caught.value)


def test_the_check_notes_data_that_no_stage_names(recipe):
    recipe["teacher"]["finetune"]["stages"] = [stage("sts", "sts_cosine", "sts")]
    assert check_recipe(recipe) == ["data.teaching.nli: no stage of teacher.finetune names it, so it is not read"]


def test_losses_of_the_masked_lm_head_are_refused(recipe, tmp_path):
    recipe["stages"][0]["losses"] = ["mlm_kl"]
    with pytest.raises(UserError, match="masked-LM head"):
        distill.run(load_recipe(recipe), out=tmp_path / "run")
