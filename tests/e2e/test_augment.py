"""Augmentation inside whole runs: what is made is trained on, counted, told, and not made again."""

from __future__ import annotations

import pkgutil
import threading

import pyarrow.parquet as pq
import pytest
import tiny
import together
from artefacts import keys, read

import distill
from distill.data.augment.pairs import Augmenter
from distill.data.prepare import fold
from distill.embedding.run import EmbeddingRun
from distill.errors import ModelError, RecipeError, RunError
from distill.files import sha256_folder
from distill.processes import rank
from distill.recipe_load import load_recipe
from distill.sharing import run_dir
from distill.tasks.run import TaskRun

ROWS, TEST = 120, 60
QUICK = {"batch_size": 16, "learning_rate": 1e-3}
MASKED = {"method": "masked_lm", "model": "masked", "variants": 3, "p": 0.5}
NGRAMS = {"method": "ngrams", "p": 0.8, "longest": 6, "variants": 3}
TANG = {"method": "tang", "variants": 3, "p_mask": 0.2, "p_pos": 0.2}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with trained/ (a classifier), teacher/ (a sentence encoder), masked/ (a masked LM), and data."""
    folder = tmp_path_factory.mktemp("augment")
    tiny.write_classifier(folder / "trained", layers=3)
    tiny.saved(folder / "teacher", layers=3)
    tiny.write_masked_lm(folder / "masked", layers=2)
    tiny.write_task(folder, "classification", 0, ROWS)
    tiny.write_task(folder, "classification", ROWS, ROWS + TEST, "test.tsv")
    tiny.write_lines(folder / "lines.txt", tiny.SENTENCES[:120])
    tiny.write_sts(folder / "sts.csv", tiny.sts_rows(30))
    return folder


@pytest.fixture(autouse=True)
def at_place(place, monkeypatch, no_stopwatch):
    monkeypatch.chdir(place)


def task(augment, **values):
    return {
        "name": "tiny",
        "task": "classification",
        "teacher": {"model": "trained", "max_length": 64},
        "data": {"train": "rows.tsv", "dev": {"share": 0.2}, "evaluate": {"test": "test.tsv"}, "augment": augment},
        "student": {"layers": 2},
        "stages": [{"losses": ["kl_divergence"], "max_steps": 3, **QUICK}],
        "train": {"precision": "fp32"},
        "export": {"presets": ["fp32"]},
        **values,
    }


def sentences(augment, **values):
    return {
        "name": "tiny",
        "teacher": {"model": "teacher"},
        "data": {"train": "lines.txt", "dev": {"share": 0.2}, "evaluate": {"sts": "sts.csv"}, "augment": augment},
        "student": {"layers": 2},
        "stages": [{"losses": ["embedding_cosine"], "max_steps": 3, **QUICK}],
        "train": {"precision": "fp32"},
        "export": {"presets": ["fp32"]},
        **values,
    }


def table(out, name):
    return pq.read_table(out / "data" / f"{name}.parquet").to_pydict()


@pytest.mark.slow
@pytest.mark.parametrize("augment", [MASKED, TANG], ids=lambda augment: augment["method"])
def test_a_classification_run(augment, tmp_path):
    out = tmp_path / "run"
    report = distill.run(task(augment), out=out)
    assert report.passed
    counts = read(out / "data" / "counts.json")
    made = table(out, "train")
    assert counts["augmented"] > counts["labelled"]
    assert counts["train"] == len(made["text"]) == counts["labelled"] + counts["augmented"]
    assert made["label"][counts["labelled"] :] == [-100] * counts["augmented"]
    kept_out = {fold(text) for name in ("dev", "evaluate-test") for text in table(out, name)["text"]}
    assert not kept_out & {fold(text) for text in made["text"]}
    assert read(out / "report.json")["data"]["augmented"] == counts["augmented"]
    assert read(out / "data" / "augmented.json")["samples"]
    if augment is TANG:
        assert any("[MASK]" in text for text in made["text"])


@pytest.mark.slow
def test_an_embedding_run(tmp_path):
    out = tmp_path / "run"
    report = distill.run(sentences(MASKED), out=out)
    counts = read(out / "data" / "counts.json")["counts"]
    assert report.passed
    assert counts["augmented"] > 60
    assert counts["train"] == len(table(out, "train")["text"])
    sts = table(out, "evaluate-sts")
    kept_out = {fold(text) for text in [*table(out, "dev")["text"], *sts["sentence1"], *sts["sentence2"]]}
    assert not kept_out & {fold(text) for text in table(out, "train")["text"]}
    assert read(out / "report.json")["data"]["augmented"] == counts["augmented"]


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(train_recipe, tmp_path, monkeypatch):
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / f"cache-{name}"))
        train_recipe(sentences(MASKED, seed=seed), tmp_path / name)
    first, second, third = (
        {item.name: item.read_bytes() for item in sorted((tmp_path / name / "data").iterdir())}
        for name in ("first", "second", "third")
    )
    assert first == second
    assert first["train.parquet"] != third["train.parquet"]
    assert first["dev.parquet"] == third["dev.parquet"]


@pytest.mark.parametrize("make", [task, sentences], ids=["task", "embedding"])
def test_a_second_run_makes_nothing_again(make, train_recipe, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    train_recipe(make(MASKED), out)
    before = keys(out)

    def fail(*rest, **options):
        raise AssertionError("augmented again")

    monkeypatch.setattr("distill.data.augment.pairs.Augmenter.augment_counted", fail)
    train_recipe(make(MASKED), out)
    assert keys(out) == before
    assert "data: unchanged" in capsys.readouterr().err


def copied(augment, **values):
    return task({**augment, "labels": "copy"}, **values)


@pytest.fixture
def blocks(monkeypatch):
    """The process and the first text of every block that is made; they are small."""
    monkeypatch.setattr("distill.data.augment.together.BLOCK", 16)
    made, augment = [], Augmenter.augment_counted

    def counted(self, examples, rng):
        made.append((rank(), examples[0].text))
        return augment(self, examples, rng)

    monkeypatch.setattr(Augmenter, "augment_counted", counted)
    return made


def data_of(tree, out, **options):
    """The texts to train on, after the data stage of a run as a process goes through it."""
    recipe, folder = load_recipe(tree), run_dir(out)
    recipe = folder.open(recipe, **{"force": False, **options})
    if recipe.task == "embedding":
        return list(EmbeddingRun(recipe, folder, {})._prepared(None, None, None).train)
    return TaskRun(recipe, folder)._data().train.text


def one_by_one(monkeypatch, name):
    """Let threads, which stand for processes, take turns in a function: transformers changes its classes while it loads."""
    turn, function = threading.Lock(), pkgutil.resolve_name(name.replace(".run.", ".run:"))

    def alone(*arguments, **options):
        with turn:
            return function(*arguments, **options)

    monkeypatch.setattr(name, alone)


@pytest.mark.parametrize("make", [copied, sentences])
def test_several_processes_make_the_bytes_of_one(make, blocks, tmp_path, monkeypatch):
    one = data_of(make(NGRAMS), tmp_path / "one")
    alone = [text for _, text in blocks]
    blocks.clear()
    one_by_one(monkeypatch, "distill.embedding.run.load_teacher")
    two = together.in_threads(2, lambda: data_of(make(NGRAMS), tmp_path / "two"), monkeypatch)
    assert two == [one, one]
    assert sha256_folder(tmp_path / "two" / "data") == sha256_folder(tmp_path / "one" / "data")
    assert len(alone) > 3
    assert sorted(blocks) == sorted((number % 2, text) for number, text in enumerate(alone))
    for name in ("one", "two"):
        assert not (tmp_path / name / "work" / "augment.parts").exists()
    facts = [[e["facts"] for e in read(tmp_path / name / "manifest.json")["stages"]] for name in ("one", "two")]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("make", [copied, sentences])
def test_a_killed_run_makes_what_is_missing(make, blocks, tmp_path, monkeypatch, capsys):
    one = data_of(make(NGRAMS), tmp_path / "one")
    count = len(blocks)
    blocks.clear()
    with monkeypatch.context() as patch:
        counted = Augmenter.augment_counted

        def killed(self, examples, rng):
            if len(blocks) == 2:
                raise KeyboardInterrupt
            return counted(self, examples, rng)

        patch.setattr(Augmenter, "augment_counted", killed)
        with pytest.raises(KeyboardInterrupt):
            data_of(make(NGRAMS), tmp_path / "two")
    capsys.readouterr()
    assert data_of(make(NGRAMS), tmp_path / "two") == one
    assert len(blocks) == count
    assert f"2 of {count} parts were there already" in capsys.readouterr().err
    assert sha256_folder(tmp_path / "two" / "data") == sha256_folder(tmp_path / "one" / "data")
    data_of(make(NGRAMS, seed=7), tmp_path / "two", force=True)
    assert len(blocks) == 2 * count


def test_settings_seed_and_model_are_parts_of_the_key(train_recipe, tmp_path, place):
    found = []
    other = tiny.write_masked_lm(tmp_path / "masked", seed=1, layers=2)
    for number, (augment, seed) in enumerate(
        [(MASKED, 1), (MASKED, 2), ({**MASKED, "p": 0.4}, 1), ({**MASKED, "model": str(other)}, 1)]
    ):
        train_recipe(task(augment, seed=seed), tmp_path / str(number))
        found.append(keys(tmp_path / str(number))["data"])
    assert len(set(found)) == 4


def test_labels_can_be_copied(train_recipe, tmp_path):
    train_recipe(task({"method": "ngrams", "p": 1.0, "longest": 6, "labels": "copy", "variants": 3}), tmp_path / "run")
    counts, made = read(tmp_path / "run" / "data" / "counts.json"), table(tmp_path / "run", "train")
    assert counts["labelled"] == counts["train"] == len(made["text"]) > counts["augmented"] > 0
    assert -100 not in made["label"]


def test_a_changed_augmentation_is_a_changed_recipe(train_recipe, tmp_path):
    train_recipe(task({"method": "ngrams", "variants": 2}), tmp_path / "run")
    with pytest.raises(RunError, match=r"data\.augment\.variants: 2 -> 3"):
        distill.run(task({"method": "ngrams", "variants": 3}), out=tmp_path / "run")


def test_models_that_cannot(tmp_path, place):
    tiny.write_encoder(tmp_path / "encoder", layers=1)
    for make in (task, sentences):
        with pytest.raises(ModelError, match="no trained masked-LM head"):
            distill.run(make({**MASKED, "model": str(tmp_path / "encoder")}), out=tmp_path / make.__name__)
        with pytest.raises(RecipeError, match="no such folder"):
            distill.run(make({**MASKED, "model": "./nowhere"}), out=tmp_path / make.__name__)
