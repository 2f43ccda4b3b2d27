"""An embedding run of several teachers: tokenizers, widths and prompts differ, labels are shared with runs of one teacher."""

from __future__ import annotations

import json

import numpy as np
import pytest
import stopwatch
import tiny
from safetensors.numpy import load_file

import distill
import distill.combining as combining
from distill.errors import DistillError, RecipeError, UserError
from distill.files import sha256_file
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe
from distill.signals import JoinedRows
from teachers.ensemble import EnsembleTeacher
from teachers.load import load_encoder, load_teacher
from teachers.spec import TeacherSpec

OTHER = {"model": "b", "prompt": "query: "}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Teachers a (BERT, 32 wide), b (RoBERTa, 16 wide, other tokens, no unit length), c (of a's width), and text."""
    folder = tmp_path_factory.mktemp("home")
    tiny.saved(folder / "a", layers=2)
    other = tiny.sentence_transformer("roberta", layers=1, hidden=16, heads=2, normalize=False, seed=5, max_length=48)
    other.tokenizer.add_tokens(["reading a book"])
    other.transformers_model.resize_token_embeddings(len(other.tokenizer))
    other.save_pretrained(str(folder / "b"), create_model_card=False)
    tiny.saved(folder / "c", layers=1, seed=3)
    (folder / "a" / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n")
    (folder / "b" / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n")
    tiny.write_lines(folder / "sentences.txt", tiny.SENTENCES[:120])
    tiny.write_sts(folder / "sts.csv", tiny.sts_rows(20))
    return folder


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    return home


def recipe(**parts):
    return {
        "name": "several",
        "teacher": ["a", OTHER],
        "data": {"train": "sentences.txt", "dev": {"share": 0.2}, "evaluate": {"sts": "sts.csv"}},
        "student": {"layers": 1, "from": "a", "projection": "keep"},
        "stages": [{"losses": ["embedding_cosine", "similarity_matrix"], "max_steps": 3, "batch_size": 16}],
        "train": {"precision": "fp32"},
        "export": {"presets": ["fp32"]},
        **parts,
    }


def facts(out, stage):
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    return next(entry for entry in manifest["stages"] if entry["name"] == stage)


def test_what_is_left_open_is_resolved():
    spec = load_recipe(recipe()).teacher
    assert (spec.combine, spec.weights, spec.pca) == ("concatenate", None, None)
    assert [one.model for one in spec.every] == ["a", "b"]
    assert spec.every[1] == TeacherSpec(model="b", prompt="query: ")
    longer = load_recipe(recipe(teacher={"model": "a", "others": ["b", {"model": "c", "max_length": 8}], "max_length": 32}))
    assert [one.max_length for one in longer.teacher.every] == [32, 32, 8]
    assert load_recipe(longer.to_dict()) == longer


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"teacher": {"model": "a", "combine": "mean"}}, "combine goes with several teachers"),
        ({"teacher": {"model": "a", "weights": [1]}}, "weights goes with several"),
        ({"teacher": {"model": "a", "others": ["b"], "weights": [1]}}, "each of the 2 teachers, got 1"),
        ({"teacher": {"model": "a", "others": ["b"], "weights": [1, 0]}}, r"teacher.weights.1(.|\n)*above 0"),
        ({"teacher": {"model": "a", "others": ["b"], "weights": [1, "x"]}}, "teacher.weights.1"),
        ({"teacher": {"model": "a", "others": ["b"], "combine": "mean", "pca": 8}}, "pca goes with combine 'concatenate'"),
        ({"teacher": {"model": "a", "others": [{"model": "b", "promt": "x"}]}}, "did you mean 'prompt'"),
        ({"teacher": {"model": "a", "others": ["b"], "combine": "concat"}}, "did you mean 'concatenate'"),
        ({"student": {"layers": 1}}, "names the one to cut"),
        ({"student": {"kind": "static"}}, "one teacher says of each token"),
        ({"stages": [{"losses": ["embedding_cosine", "hidden_mse"]}]}, "leave out hidden_mse"),
        ({"stages": [{"losses": ["embedding_cosine", "mlm_kl"]}]}, "leave out mlm_kl"),
    ],
)
def test_what_a_recipe_of_several_teachers_has_not(parts, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(recipe(**parts))


def test_one_that_is_not_there_is_named(at_home):
    with pytest.raises(RecipeError, match=r"teacher\.others\.1\.model"):
        check_recipe(recipe(teacher=["a", "b", "./nowhere"]))


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ({"combine": "mean"}, "no mean"),
        ({"pca": 49}, "brought to this width"),
        ({"others": ["c"], "pca": 60}, "too few training sentences"),
    ],
)
def test_what_shows_with_the_models_is_told_before_any_step(at_home, tmp_path, teacher, words):
    wanted = {"model": "a", "others": ["b"], **teacher}
    data = {"train": {"source": "sentences.txt", "limit": 60}, "dev": {"share": 0.2}}
    with pytest.raises(DistillError, match=words) as caught:
        distill.run(recipe(teacher=wanted, data=data), out=tmp_path / "run")
    assert caught.value.exit_code == 2
    assert str(caught.value.where).startswith("teacher.")
    assert not (tmp_path / "run" / "student").exists()


def test_an_object_does_not_go_with_names(at_home, tmp_path):
    with pytest.raises(UserError, match="several teachers"):
        distill.run(recipe(), out=tmp_path / "run", teacher=load_encoder("a"))
    assert not (tmp_path / "run").exists()


def test_rows_are_put_together_when_they_are_read():
    class Part:
        def __init__(self, vectors):
            self.vectors = np.asarray(vectors, np.float32)

        def __len__(self):
            return len(self.vectors)

        def gather(self, indices):
            return self.vectors[indices]

    rows = JoinedRows([Part([[1], [2], [3]]), Part([[4], [5], [6]])], lambda parts: np.concatenate(parts, axis=1))
    assert len(rows) == 3
    assert rows.gather(np.array([2, 0])).tolist() == [[3, 6], [1, 4]]


def test_axes_are_those_of_a_seeded_sample(tmp_path, monkeypatch):
    """Few rows of many: fitted to a part of them, the same part for the same seed."""
    monkeypatch.setattr(combining, "SAMPLE", 30)
    monkeypatch.setattr(combining, "CHUNK", 7)
    vectors = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32) * [9, 5, 1, 1, 1, 1]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    rows = JoinedRows([type("Part", (), {"gather": lambda self, at: vectors[at], "__len__": lambda self: 100})()], lambda x: x[0])
    told = [combining.fit_axes(rows, 2, seed, tmp_path / f"{number}.st") for number, seed in enumerate((1, 1, 2))]
    first, again, other = (load_file(tmp_path / f"{number}.st")["axes"] for number in range(3))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).argmax(0).tolist() == [0, 1]
    chosen = np.sort(np.random.default_rng(1).choice(100, 30, replace=False, shuffle=False))
    kept = float(np.square(vectors[chosen] @ first).sum() / 30)
    assert told[0] == {"sample": 30, "from": 6, "to": 2, "kept": pytest.approx(kept, abs=1e-6)}


@pytest.fixture(scope="module")
def run(home):
    """A whole run of two teachers, weighted and brought to 24 numbers, as a user would make it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("DISTILL_CACHE", str(home / "cache"))
        patch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
        asked = recipe(teacher={"model": "a", "others": [OTHER], "weights": [3, 1], "pca": 24})
        report = distill.run(asked)
        return home / "runs" / "several", report, asked


def test_a_run_from_two_teachers_to_its_report(run, at_home):
    """The student, loaded plainly, lives in the space of the teachers' joined vectors; the report judges both together."""
    out, report, _ = run
    assert report.teacher.model == "a + b"
    assert (report.teacher.dim, report.student.dim, report.teacher.normalizes) == (24, 24, True)
    assert report.teacher.params == sum(one["params"] for one in facts(out, "teacher")["facts"]["teachers"])
    assert (report.teacher.language, report.teacher.license) == ("en", None)
    assert report.model("teacher").models == 2
    assert any("those of all" in note for note in report.headline.notes)
    assert "Distilled from a + b" in (out / "student" / "README.md").read_text("utf-8")
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert {"teacher.model", "teacher.others.0.model", "student.from"} <= manifest["inputs"].keys()
    stage = facts(out, "pca")
    assert stage["outputs"] == {"pca.safetensors": sha256_file(out / "pca.safetensors")}
    assert manifest["files"]["pca.safetensors"] == stage["outputs"]["pca.safetensors"]
    assert stage["facts"]["from"] == 48
    assert 0.8 < stage["facts"]["kept"] <= 1

    teacher = EnsembleTeacher(
        [load_teacher(TeacherSpec(model="a")), load_teacher(TeacherSpec(**OTHER))], weights=[3, 1], width=24
    )
    teacher.use(load_file(out / "pca.safetensors")["axes"])
    pairs = tiny.sts_rows(20)
    first, second = (teacher.embed([pair[side] for pair in pairs]) for side in (0, 1))
    import pyarrow.parquet as pq

    told = pq.read_table(out / "predictions" / "sts" / "teacher.parquet").to_pydict()
    np.testing.assert_allclose(told["cosine"], (first * second).sum(1), atol=1e-5)
    student = load_encoder(str(out / "student"))
    assert student.encode(["A small dog waits."]).shape == (1, 24)
    assert (out / "report.md").read_text("utf-8").count("a + b") >= 1


def test_nothing_runs_again_and_a_lost_file_comes_back(run, at_home, monkeypatch, capsys):
    out, _, asked = run
    monkeypatch.setenv("DISTILL_CACHE", str(at_home / "cache"))
    before = (out / "student" / "model.safetensors").stat().st_mtime_ns
    digest = sha256_file(out / "pca.safetensors")
    (out / "pca.safetensors").unlink()
    distill.run(asked)
    assert sha256_file(out / "pca.safetensors") == digest
    assert (out / "student" / "model.safetensors").stat().st_mtime_ns == before
    assert "training: unchanged" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on_behind_the_axes(at_home, tmp_path, monkeypatch, capsys):
    """Stopped in training: labels and axes are there, and the student learns toward the same."""
    asked = recipe(teacher={"model": "a", "others": [OTHER], "pca": 8})

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("distill.embedding.training.train_student", stop)
        with pytest.raises(KeyboardInterrupt):
            distill.run(asked, out=tmp_path / "run")
    monkeypatch.setattr("distill.proving.Proof.go", lambda self: None)
    capsys.readouterr()
    distill.run(asked, out=tmp_path / "run")
    told = capsys.readouterr().err
    assert "signals: unchanged" in told
    assert "pca: unchanged" in told
    assert load_encoder(str(tmp_path / "run" / "student")).get_embedding_dimension() == 8


def test_labels_are_shared_with_runs_of_one_teacher(run, at_home, tmp_path, monkeypatch):
    """Both teachers have said already what other runs ask: alone, in another order, with other weights."""
    out, _, _ = run
    first, second = facts(out, "signals")["facts"]["teachers"]
    assert facts(out, "signals")["facts"]["computed"] == 2 * first["computed"] == 2 * second["computed"] > 0
    monkeypatch.setenv("DISTILL_CACHE", str(at_home / "cache"))
    monkeypatch.setattr("distill.proving.Proof.go", lambda self: None)
    student = {"layers": 1, "from": "c", "projection": "keep"}
    for number, teacher in enumerate(("a", OTHER, [OTHER, "a"], {"model": "a", "others": [OTHER], "weights": [1, 9]})):
        distill.run(recipe(teacher=teacher, student=student), out=tmp_path / str(number))
        found = facts(tmp_path / str(number), "signals")["facts"]
        assert found["computed"] == 0
        assert found["reused"] > 0


def test_a_mean_of_teachers_of_one_width(at_home, tmp_path, monkeypatch):
    """The student reads toward the mean of unit vectors, under the first teacher's prompt."""
    monkeypatch.setattr("distill.proving.Proof.go", lambda self: None)
    teacher = {"model": "a", "others": ["c"], "combine": "mean", "prompt": "text: "}
    distill.run(recipe(teacher=teacher), out=tmp_path / "run")
    assert facts(tmp_path / "run", "teacher")["facts"]["dim"] == 32
    assert not (tmp_path / "run" / "pca.safetensors").exists()
    assert load_encoder(str(tmp_path / "run" / "student")).prompts["query"] == "text: "
