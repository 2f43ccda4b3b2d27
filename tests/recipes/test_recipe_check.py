"""`check_recipe` reads local files alone and tells everything at once."""

from __future__ import annotations

import socket

import pytest

from distill.errors import RecipeError
from distill.recipe_check import TRACKERS, check_recipe


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("check opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def wheres(*overrides):
    with pytest.raises(RecipeError) as caught:
        check_recipe("quickstart", list(overrides))
    assert all(problem.exit_code == 2 for problem in caught.value.problems)
    return [problem.where.split(":")[0] for problem in caught.value.problems]


def test_every_place_is_looked_at(tmp_path):
    missing = tmp_path / "missing.csv"
    assert wheres(
        "teacher.model=./no-such-folder",
        "student.from=package:no_such_package",
        f"data.train=[{missing}, python-docs, {missing}]",
        f"data.dev={missing}",
        f"data.evaluate.sts={missing}",
        f"data.select={missing}",
        "train.report_to=[tensorbord]",
    ) == [
        "teacher.model",
        "student.from",
        "data.train.0",
        "data.train.2",
        "data.dev",
        "data.evaluate.sts",
        "data.select",
        "train.report_to",
    ]


@pytest.mark.parametrize(
    ("layers", "start", "said"),
    [("7", "teacher", "at most 6"), ("[0, 6]", "teacher", "numbers from 0 to 5"), ("4", "cut", "at most 3")],
)
def test_a_student_cannot_have_more_layers_than_what_it_is_cut_from(layers, start, said, tmp_path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 3}')
    name = start if start == "teacher" else str(tmp_path / "cut")
    with pytest.raises(RecipeError, match=f"(?s)student.layers: the start model has fewer layers.*{said}"):
        check_recipe("quickstart", [f"student.layers={layers}", f"student.from={name}"])
    assert check_recipe("quickstart", [f"student.layers={3 if start == 'cut' else 6}", f"student.from={name}"]) == []


def test_the_nearest_file_is_told(tmp_path):
    (tmp_path / "sentences.txt").write_text("A sentence.\nAnother one.\n")
    with pytest.raises(RecipeError, match=r"sentences\.txt"):
        check_recipe("quickstart", [f"data.train={tmp_path / 'sentence.txt'}"])
    assert check_recipe("quickstart", [f"data.train={tmp_path / 'sentences.txt'}"]) == []


def test_a_wrong_column_names_those_that_are_there(tmp_path):
    (tmp_path / "rows.csv").write_text("question,answer\nHow old is it?,Ten years.\n")
    with pytest.raises(RecipeError) as caught:
        check_recipe("quickstart", {"data.train": {"source": str(tmp_path / "rows.csv"), "columns": ["questoin"]}})
    assert "question" in str(caught.value).replace("questoin", "")
    assert check_recipe("quickstart", {"data.train": {"source": str(tmp_path / "rows.csv"), "columns": ["question"]}}) == []


def test_hub_names_are_notes_and_are_not_looked_up(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    notes = check_recipe("quickstart", ["teacher.model=someone/some-model", "data.train=someone/some-data"])
    assert [note.split(":")[0] for note in notes] == ["teacher.model", "data.train.0"]


def test_a_tracker_that_is_not_installed_names_its_package(monkeypatch):
    monkeypatch.setitem(TRACKERS, "wandb", "no_such_package")
    with pytest.raises(RecipeError, match="pip install no_such_package"):
        check_recipe("quickstart", ["train.report_to=[wandb]"])


def test_the_trackers_are_those_of_transformers():
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(TRACKERS) <= set(INTEGRATION_TO_CALLBACK)


def test_a_light_install_is_told_what_a_run_needs(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    assert check_recipe("quickstart") == ["a run needs more packages than are installed: pip install 'distill-toolkit[train]'"]


def test_every_file_of_every_kind_of_set_is_looked_at(tmp_path):
    rows = tmp_path / "rows.tsv"
    rows.write_text("sentence1\tsentence2\tscore\na b\tc d\t1\n")
    gone = {name: {"source": str(tmp_path / f"{name}.tsv")} for name in ("fit", "queries", "relevance")}
    second = str(tmp_path / "second.tsv")
    sets = {
        "crossed": {"source": str(rows), "second": second},
        "pairs": {"kind": "translation", "source": str(tmp_path / "pairs.tmx"), "languages": ["en", "ko"]},
        "moved": {"kind": "transfer", "source": str(tmp_path / "test.tsv"), "fit": gone["fit"]},
        "found": {"kind": "retrieval", "source": str(tmp_path / "d.tsv"), **{n: gone[n] for n in ("queries", "relevance")}},
    }
    with pytest.raises(RecipeError) as caught:
        check_recipe("quickstart", {"data.evaluate": sets, "data.select": {"one": {"source": str(rows), "second": second}}})
    assert [problem.where.split(":")[0] for problem in caught.value.problems] == [
        "data.evaluate.crossed.second",
        "data.evaluate.pairs",
        "data.evaluate.moved",
        "data.evaluate.moved.fit",
        "data.evaluate.found",
        "data.evaluate.found.queries",
        "data.evaluate.found.relevance",
        "data.select.one.second",
    ]


def test_the_first_row_of_every_file_of_a_set_is_read(tmp_path):
    """Columns that cannot be told, a score that is none, a file with sentences where judgements should be."""
    texts = tmp_path / "texts.tsv"
    texts.write_text("id\ttext\n1\tA cat.\n")
    judged = tmp_path / "judged.tsv"
    judged.write_text("query-id\tcorpus-id\tscore\n1\t1\tmuch\n")
    values = {"kind": "retrieval", "source": str(texts), "queries": {"source": str(judged)}, "relevance": {"source": str(texts)}}
    with pytest.raises(RecipeError) as caught:
        check_recipe("quickstart", {"data.evaluate": {"search": values}})
    assert [problem.where.split(":")[0].rpartition(".")[2] for problem in caught.value.problems] == ["queries", "relevance"]
    values |= {"queries": {"source": str(texts)}, "relevance": {"source": str(judged)}}
    with pytest.raises(RecipeError, match="a number, 0 for a document that is not relevant"):
        check_recipe("quickstart", {"data.evaluate": {"search": values}})
    judged.write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    assert check_recipe("quickstart", {"data.evaluate": {"search": values}}) == []


def test_hub_sources_of_a_set_are_notes(tmp_path):
    judged = {"source": "someone/judged", "split": "test"}
    values = {"kind": "retrieval", "source": "someone/corpus", "queries": {"source": "someone/queries"}, "relevance": judged}
    notes = check_recipe("quickstart", {"data.evaluate": {"search": values}})
    named = [note.split(":")[0] for note in notes if "search" in note]
    assert named == [f"data.evaluate.search{part}" for part in ("", ".queries", ".relevance")]
