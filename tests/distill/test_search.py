"""Texts to answers, on an encoder whose vectors are known on paper, and what stands in the way of a wrong index."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import bag
import numpy as np
import pytest
import tiny

import distill
from distill.errors import DataError, ModelError, RunError, UserError
from distill.evaluate.indexes import KINDS, IndexSettings
from distill.search import SearchIndex
from distill.search_model import open_model

TEXTS = ["the cat sat", "a dog ran", "the dog sat on the mat", "a cat on a mat", "the the the", "cat dog"]
LONG = ["The cat sat. The dog ran on the mat. A a a", "Mat mat mat. Cat", "the dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bag.folder(tmp_path_factory.mktemp("bag") / "model", prompts={"query": "query : ", "document": "on the "})


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, precision="fp32", threads=1)


def cosines(query, texts, before=("query : ", "on the ")):
    vectors = np.array([bag.vector(before[0] + query), *(bag.vector(before[1] + text) for text in texts)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[1:] @ vectors[0]


def test_the_order_is_that_of_the_cosines(model):
    index = SearchIndex.build(TEXTS, model)
    for query, hits in zip(["cat", "the dog"], index.search(["cat", "the dog"], k=4), strict=True):
        expected = cosines(query, TEXTS)
        assert [hit.document for hit in hits] == np.argsort(-expected)[:4].tolist()
        assert [hit.score for hit in hits] == pytest.approx(np.sort(expected)[::-1][:4], abs=1e-6)
        assert [hit.text for hit in hits] == [TEXTS[hit.document] for hit in hits]
        assert {hit.sentence for hit in hits} == {None}
    assert len(index.search(["cat"], k=50)[0]) == len(TEXTS)
    assert index.search([], k=3) == []


def test_prompts_are_the_models_unless_others_are_given(model, tmp_path):
    made = SearchIndex.build(TEXTS, model)
    assert (made.manifest.query_prompt, made.manifest.document_prompt) == ("query : ", "on the ")
    none = SearchIndex.build(TEXTS, model, query_prompt="", document_prompt="query")
    assert (none.manifest.query_prompt, none.manifest.document_prompt) == ("", "query : ")
    expected = np.sort(cosines("cat", TEXTS, ("", "query : ")))[::-1]
    assert [hit.score for hit in none.search(["cat"], k=6)[0]] == pytest.approx(expected, abs=1e-6)
    none.save(tmp_path / "index")
    assert SearchIndex.load(tmp_path / "index").search(["cat"]) == none.search(["cat"])


def test_empty_prompts_give_way_to_the_default(tmp_path):
    """sentence-transformers saves empty prompts called query and document for models that define none."""
    prompts = {"query": "", "document": "", "distilled": "a dog "}
    made = open_model(bag.folder(tmp_path / "m", prompts=prompts, default_prompt_name="distilled"))
    assert made.query_prompt(None) == made.document_prompt(None) == "a dog "
    assert made.query_prompt("") == ""
    passage = open_model(bag.folder(tmp_path / "p", prompts={"query": "query : ", "passage": "the "}))
    assert (passage.query_prompt(None), passage.document_prompt(None)) == ("query : ", "the ")


def test_a_text_is_found_by_its_best_sentence(model):
    index = SearchIndex.build(LONG, model, unit="sentence", document_prompt="", query_prompt="")
    assert (index.manifest.documents, index.manifest.rows) == (3, 6)
    (hits,) = index.search(["Mat mat mat."], k=3)
    assert (hits[0].document, hits[0].sentence, hits[0].text) == (1, "Mat mat mat.", LONG[1])
    assert sorted(hit.document for hit in hits) == [0, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["text", "sentence"])
def test_what_is_saved_answers_alike(kind, unit, model, tmp_path):
    texts = [" ".join(bag.WORDS[5 + (number * step) % 10] for step in (1, 3, 7)) + ". cat" for number in range(60)]
    made = SearchIndex.build(texts, model, kind=kind, unit=unit, settings=IndexSettings(hnsw_links=8, ivf_lists=4))
    out = made.save(tmp_path / "index")
    again = SearchIndex.load(out)
    assert again.search(["cat", "the dog"], k=5) == made.search(["cat", "the dog"], k=5)
    assert again.manifest.model_copy(update={"files": {}}) == made.manifest
    assert {file.name for file in out.iterdir()} - {"sentences.parquet"} == {"index.faiss", "manifest.json", "texts.parquet"}
    made.save(out)  # an index may be replaced
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


def test_fewer_dimensions(model, tmp_path):
    made = SearchIndex.build(TEXTS, model, dim=2, normalize=False)
    vectors = np.array([bag.vector("on the " + text)[:2] for text in TEXTS])
    expected = vectors @ np.array(bag.vector("query : cat")[:2])
    assert [hit.score for hit in made.search(["cat"], k=6)[0]] == pytest.approx(np.sort(expected)[::-1], rel=1e-5)
    made.save(tmp_path / "index")
    assert SearchIndex.load(tmp_path / "index").search(["cat"]) == made.search(["cat"])


def test_a_model_that_has_moved(folder, model, tmp_path):
    made = SearchIndex.build(TEXTS, model)
    made.save(tmp_path / "index")
    moved = bag.folder(tmp_path / "moved", prompts={})
    assert SearchIndex.load(tmp_path / "index", moved).search(["cat"]) == made.search(["cat"])


def test_the_precision_is_that_of_the_index(folder, tmp_path):
    for precision in ("fp32", "faithful"):
        SearchIndex.build(TEXTS, open_model(folder, precision=precision)).save(tmp_path / precision)
        assert SearchIndex.load(tmp_path / precision).model.precision == precision
    with pytest.raises(ModelError, match="not the model"):
        SearchIndex.load(tmp_path / "fp32", open_model(folder, precision="faithful"))


def test_another_width_is_told_with_both_numbers(model, tmp_path):
    SearchIndex.build(TEXTS, model).save(tmp_path / "index")
    other = tiny.saved(tmp_path / "other", layers=1)
    with pytest.raises(ModelError) as caught:
        SearchIndex.load(tmp_path / "index", open_model(other, runtime="torch"))
    assert caught.value.exit_code == 2
    assert "32 dimensions" in str(caught.value)
    assert "3 dimensions" in str(caught.value)


def test_another_model_of_the_same_width(model, tmp_path):
    SearchIndex.build(TEXTS, model).save(tmp_path / "index")
    bag.folder(tmp_path / "other", max_length=12)
    with pytest.raises(ModelError, match="not the model that the index was built with"):
        SearchIndex.load(tmp_path / "index", tmp_path / "other")


def test_sentence_transformers_only_when_said(tmp_path):
    plain = tiny.saved(tmp_path / "plain", layers=1)
    with pytest.raises(ModelError, match="--torch"):
        SearchIndex.build(TEXTS, plain)
    with pytest.raises(ModelError, match="--torch"):
        open_model("owner/hub-model")
    made = SearchIndex.build(tiny.SENTENCES[:30], open_model(plain, runtime="torch"))
    made.save(tmp_path / "index")
    again = SearchIndex.load(tmp_path / "index")
    assert again.model.runtime == "torch"
    assert [hits[0].text for hits in again.search(tiny.SENTENCES[:5], k=1)] == tiny.SENTENCES[:5]
    assert again.search(["a"]) == made.search(["a"])


def test_the_runtimes_agree(tmp_path):
    from distill.export.onnx import write_presets

    plain = tiny.sentence_transformer("bert", layers=1)
    plain.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    write_presets(plain, tmp_path / "m", ("fp32",), 20)
    found = [SearchIndex.build(tiny.SENTENCES[:50], open_model(tmp_path / "m", runtime=runtime)) for runtime in ("onnx", "torch")]
    one, two = ([hit.score for hit in index.search(["A small dog"], k=9)[0]] for index in found)
    assert one == pytest.approx(two, abs=1e-5)


PROGRAM = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "sentence_transformers"}:
            raise ImportError(f"{name} is blocked in this test")

sys.meta_path.insert(0, Blocker())
from distill import SearchIndex

SearchIndex.build(["the cat", "a dog. the mat"], sys.argv[1], unit="sentence").save("index")
print(SearchIndex.load("index").search(["dog"], k=1)[0][0].text)
"""


def test_it_needs_no_torch(folder, tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("the cat", "a dog. the mat")


def test_it_is_public():
    assert distill.SearchIndex is SearchIndex


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"texts": "the cat"}, "list of strings"),
        ({"texts": [1, 2]}, "list of strings"),
        ({"texts": []}, "no texts"),
        ({"kind": "hsnw"}, "'hnsw'"),
        ({"unit": "word"}, "text or sentence"),
        ({"dim": 4}, "1 to 3"),
        ({"dim": 0}, "1 to 3"),
    ],
)
def test_mistakes_in_building(arguments, words, model):
    arguments = {"texts": TEXTS, **arguments}
    with pytest.raises(UserError) as caught:
        SearchIndex.build(arguments.pop("texts"), model, **arguments)
    assert words in str(caught.value)


def test_mistakes_in_asking(model):
    index = SearchIndex.build(TEXTS, model)
    with pytest.raises(UserError, match="list of queries"):
        index.search("cat")
    with pytest.raises(UserError, match="at least 1"):
        index.search(["cat"], k=0)


def test_no_other_folder_is_replaced(model, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="not replaced"):
        SearchIndex.build(TEXTS, model).save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    SearchIndex.build(TEXTS, model).save(tmp_path / "empty")


def change(name, value):
    def work(folder):
        tree = json.loads((folder / "manifest.json").read_text())
        tree[name] = value
        (folder / "manifest.json").write_text(json.dumps(tree))

    return work


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / "index.faiss").unlink(), "missing"),
        (lambda folder: (folder / "texts.parquet").unlink(), "missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "no index in this folder"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "index.faiss").write_bytes(b"IxFI" * 20), "damaged, or belongs to another index"),
        (lambda folder: (folder / "sentences.parquet").write_bytes(b"PAR1"), "damaged, or belongs to another index"),
        (lambda folder: os.truncate(folder / "index.faiss", 1 << 22), "too large"),
        (change("dim", 2), "3 dimensions"),
        (change("rows", 7), "6 vectors"),
        (change("documents", 2), "rows"),
        (change("kind", "flat_l2"), "IxF2"),
        (change("kind", "magic"), "no such kind"),
        (change("schema_version", 2), "another version"),
        (change("extra", 1), "damaged"),
        (change("settings", {"links": 3}), "unknown settings"),
        (change("unit", "paragraph"), "damaged"),
    ],
)
def test_damage_is_named(harm, words, model, tmp_path):
    SearchIndex.build(LONG, model, unit="sentence").save(tmp_path / "index")
    harm(tmp_path / "index")
    with pytest.raises((DataError, RunError)) as caught:
        SearchIndex.load(tmp_path / "index")
    assert words in str(caught.value)
    assert caught.value.exit_code == 2
    assert str(tmp_path / "index") in str(caught.value) or "settings" in words or "kind" in words


def test_size_limits(model, tmp_path):
    SearchIndex.build(TEXTS, model).save(tmp_path / "index")
    with pytest.raises(DataError, match="at most 100"):
        SearchIndex.load(tmp_path / "index", max_bytes=100)
    with pytest.raises(RunError, match="no such folder"):
        SearchIndex.load(tmp_path / "elsewhere")
