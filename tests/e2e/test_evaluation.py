"""A whole run with evaluation sets of every kind: read, kept out of the training text, judged, reported, and not judged again."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import tiny
from compared import same_as_itself

import distill
from distill.data.evaluation import kind_of
from distill.data.saved import load_prepared

PAIRS = tiny.ENGLISH[:24]
SHORT = [" ".join(text.split()[2:]) for text in PAIRS]
DOCUMENTS = tiny.ENGLISH[24:40]
TESTED = tiny.text_rows(100)[60:]


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path.name


@pytest.fixture(scope="module")
def sets(home):
    """The recipe's data.evaluate and data.select, and their files in the working folder."""
    folder = home / "sets"
    folder.mkdir()
    rows = tiny.sts_rows(30, seed=5)
    tiny.write_sts(folder / "one.csv", rows)
    tiny.write_sts(folder / "two.csv", [(b, a, score) for a, b, score in rows])
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(PAIRS, SHORT, strict=True)), "utf-8")
    tiny.write_task(folder, "classification", 0, 60, "fit.tsv")
    tiny.write_task(folder, "classification", 60, 100, "test.tsv")
    lines(folder / "corpus.jsonl", [{"_id": f"d{place}", "title": "", "text": text} for place, text in enumerate(DOCUMENTS)])
    lines(folder / "queries.jsonl", [{"_id": f"q{place}", "text": text[:20]} for place, text in enumerate(DOCUMENTS[:6])])
    judged = "".join(f"q{place}\td{place}\t1\n" for place in range(5))
    (folder / "judged.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, "utf-8")
    pairs = {"kind": "translation", "source": "sets/pairs.tsv", "columns": [0, 1], "languages": ["en", "ko"]}
    evaluate = {
        "search": {
            "kind": "retrieval",
            "source": "sets/corpus.jsonl",
            "queries": {"source": "sets/queries.jsonl"},
            "relevance": {"source": "sets/judged.tsv"},
            "unit": "sentence",
        },
        "crossed": {"source": "sets/one.csv", "second": "sets/two.csv", "languages": ["en", "ko"]},
        "same": {"source": "sets/one.csv", "languages": ["en", "en"]},
        "pairs": pairs,
        "topics": {"kind": "transfer", "source": "sets/test.tsv", "fit": {"source": "sets/fit.tsv"}},
    }
    return {"evaluate": evaluate, "select": {"dev-pairs": {**pairs, "limit": 12}, "dev-sts": {"source": "sets/one.csv"}}}


@pytest.fixture(scope="module")
def made(home, recipe_file, sets, tmp_path_factory):
    """make(): the run, in a folder that every call shares."""
    import stopwatch

    out = tmp_path_factory.mktemp("runs") / "evaluation"
    changes = {"data.evaluate": sets["evaluate"], "data.select": sets["select"], "train.select_by": "translation_accuracy"}
    changes |= {"vectors": {"dims": [8]}, "train.max_steps": 6, "export.presets": ["fp32"], "train.evaluate_every": 2}

    def make():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(home)
            patch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
            return out, distill.run(recipe_file, changes, out=out)

    return make


@pytest.fixture(scope="module")
def run(made):
    return made()


def test_the_predictions_of_every_kind_can_be_compared(run, tmp_path):
    metrics = {name: task["metric"] for name, task in json.loads((run[0] / "quality.json").read_text("utf-8"))["tasks"].items()}
    assert same_as_itself(run[0], tmp_path) == {**metrics, "agreement": "mean_cosine"}


def test_every_kind_is_judged_for_every_model(run):
    out, report = run
    quality = json.loads((out / "quality.json").read_text("utf-8"))
    kinds = {name: task["kind"] for name, task in quality["tasks"].items()}
    assert kinds == {
        "agreement": "agreement",
        "search": "retrieval",
        "crossed": "sts",
        "same": "sts",
        "pairs": "translation",
        "topics": "transfer",
    }
    for name in ("teacher", "student", "fp32"):
        assert list(quality["models"][name]) == [task for task in kinds if (name, task) != ("teacher", "agreement")]
        for task in list(kinds)[1:]:
            assert (out / "predictions" / task / f"{name}.parquet").is_file()
    assert (report.headline.task, report.headline.metric) == ("search", "ndcg@10")
    assert quality["tasks"]["search"]["n"] == 5
    assert report.data.unjudged_queries == 1


def test_what_is_judged_is_not_trained_on(run):
    out, _ = run
    trained = {
        text for part in ("train", "dev") for text in pq.read_table(out / "data" / f"{part}.parquet").column("text").to_pylist()
    }
    scored = {text for row in tiny.sts_rows(30, seed=5) for text in row[:2]}
    judged = {*PAIRS, *DOCUMENTS, *(text for text, _ in TESTED), *scored}
    assert len(judged) > 80
    assert judged <= set(tiny.SENTENCES)
    assert not judged & trained
    fitted = {text for text, _ in tiny.text_rows(60)} - judged
    assert fitted
    assert fitted <= trained, "a classifier's fit texts are training text"
    assert set(tiny.SENTENCES) == judged | trained


def test_the_sets_lie_in_the_run_folder_as_they_were_read(run):
    data = load_prepared(run[0] / "data")
    assert [kind_of(rows) for rows in data.evaluate.values()] == ["retrieval", "sts", "sts", "translation", "transfer"]
    assert {name: len(rows) for name, rows in data.select.items()} == {"dev-pairs": 12, "dev-sts": 30}
    assert data.evaluate["crossed"].languages == ("en", "ko")
    first = tiny.sts_rows(30, seed=5)
    assert data.evaluate["crossed"].sentences2 == [row[0] for row in first], "sentence 2 of the file whose sides are swapped"


def test_the_checkpoint_is_chosen_by_the_translations(run):
    out, report = run
    dev = [entry["dev"] for line in (out / "log.jsonl").read_text("utf-8").splitlines() if "dev" in (entry := json.loads(line))]
    assert dev
    for values in dev:
        assert values["translation_accuracy"] == values["translation_accuracy_dev-pairs"]
        assert values["sts_spearman"] == values["sts_spearman_dev-sts"]
    assert report.training.stages[0].best_value == max(values["translation_accuracy"] for values in dev)


def test_the_report_tells_languages_and_smaller_vectors(run):
    out, _ = run
    told = (out / "report.md").read_text("utf-8")
    assert "Semantic textual similarity by language" in told
    assert "en – ko" in told
    assert "same (en – en)" not in told
    assert "crossed (en – ko), smaller vectors" in told
    assert "Queries without a relevant document, left out" in told
    html = (out / "report.html").read_text("utf-8")
    assert "crossed (en – ko), smaller vectors" in html
    saved = json.loads((out / "report.json").read_text("utf-8"))
    student = next(model for model in saved["models"] if model["name"] == "student")
    assert {row["dim"] for row in student["quality"]["crossed"]["vectors"]} == {32, 8}
    assert "asymmetric_ndcg@10" in student["quality"]["search"]["details"]
    assert "to_teacher_accuracy" in student["quality"]["pairs"]["details"]


def test_nothing_is_judged_again_until_a_file_of_a_set_changes(run, made, home, monkeypatch):
    judged = []
    from distill import proving

    plain = proving.evaluate_models
    monkeypatch.setattr(proving, "evaluate_models", lambda *a, **k: judged.append(1) or plain(*a, **k))
    made()
    assert judged == []
    path = home / "sets" / "judged.tsv"
    before = path.read_text("utf-8")
    path.write_text(before + "q5\td5\t1\n", "utf-8")
    try:
        _, report = made()
    finally:
        path.write_text(before, "utf-8")
    assert judged == [1]
    assert report.model("student").quality["search"].n == 6
