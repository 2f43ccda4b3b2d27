import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from students import save as module
from students.build import save_student
from students.layers import cut_layers
from students.load import load

TEXTS = [*tiny.SENTENCES[:8], "", " ".join(tiny.SENTENCES[:10])]


@pytest.mark.parametrize("family", tiny.CUTTABLE)
def test_every_family_comes_back_with_the_same_vectors(family: str, tmp_path: Path) -> None:
    model = cut_layers(tiny.sentence_transformer(family, layers=5, dim=24), [0, 2, 3])
    save_student(model, tmp_path / "s")
    expected = model.encode(TEXTS)
    np.testing.assert_array_equal(load(tmp_path / "s").encode(TEXTS), expected)
    np.testing.assert_array_equal(SentenceTransformer(str(tmp_path / "s"), device="cpu").encode(TEXTS), expected)


@pytest.mark.parametrize("pooling", ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_every_pooling_comes_back(pooling: str, tmp_path: Path) -> None:
    model = tiny.sentence_transformer(pooling=pooling, normalize=False)
    save_student(model, tmp_path / "s")
    np.testing.assert_array_equal(load(tmp_path / "s").encode(TEXTS), model.encode(TEXTS))


def test_older_releases_find_the_names_they_know(tmp_path: Path) -> None:
    save_student(tiny.sentence_transformer(dim=24), tmp_path / "s")
    modules = json.loads((tmp_path / "s" / "modules.json").read_text("utf-8"))
    assert [row["type"] for row in modules] == [
        f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Dense", "Normalize")
    ]
    pooling = json.loads((tmp_path / "s" / "1_Pooling" / "config.json").read_text("utf-8"))
    assert pooling["word_embedding_dimension"] == 32
    assert [key for key, value in pooling.items() if value is True] == ["pooling_mode_mean_tokens", "include_prompt"]
    dense = json.loads((tmp_path / "s" / "2_Dense" / "config.json").read_text("utf-8"))
    assert set(dense) == {"in_features", "out_features", "bias", "activation_function"}
    tokenizer = json.loads((tmp_path / "s" / "tokenizer_config.json").read_text("utf-8"))
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_plain_transformers_user_can_load_it(tmp_path: Path) -> None:
    model = tiny.sentence_transformer()
    save_student(model, tmp_path / "s")
    encoder = AutoModel.from_pretrained(tmp_path / "s")
    tokens = AutoTokenizer.from_pretrained(tmp_path / "s")(["A dog runs."], return_tensors="pt")
    vector = encoder(**tokens).last_hidden_state[0].mean(0).detach().numpy()
    np.testing.assert_allclose(vector / np.linalg.norm(vector), model.encode(["A dog runs."])[0], atol=1e-6)


def test_texts_that_are_lowered_before_the_tokenizer_stay_so(tmp_path: Path) -> None:
    """sentence-transformers adds a step to the tokenizer in memory, which readers of the folder rebuild without it."""
    folder = tmp_path / "cased"
    tiny.sentence_transformer().save_pretrained(str(folder))
    tree = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tree["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tree), "utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config |= {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32, "do_lower_case": True}), "utf-8")
    model = SentenceTransformer(str(folder), device="cpu")
    save_student(model, tmp_path / "s")
    assert json.loads((tmp_path / "s" / "sentence_bert_config.json").read_text("utf-8"))["do_lower_case"] is True
    shouted = [text.upper() for text in TEXTS]
    for found in (load(tmp_path / "s"), SentenceTransformer(str(tmp_path / "s"), device="cpu")):
        np.testing.assert_array_equal(found.encode(shouted), model.encode(TEXTS))


def test_nothing_about_this_machine_and_no_pickles(tmp_path: Path) -> None:
    source = tmp_path / "a-telling-place"
    tiny.saved(source)
    save_student(SentenceTransformer(str(source), device="cpu"), tmp_path / "s")
    files = [file for file in (tmp_path / "s").rglob("*") if file.is_file()]
    assert not [file.name for file in files if b"a-telling-place" in file.read_bytes()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}


def test_fixed_padding_does_not_survive_and_one_limit_is_written(tmp_path: Path) -> None:
    source = tiny.saved(tmp_path / "m", max_length=64)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(max_length=40)
    tokenizer.save(str(source / "tokenizer.json"))
    model = SentenceTransformer(str(source), device="cpu")
    model.max_seq_length = 48
    save_student(model, tmp_path / "s")
    saved = Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json"))
    assert saved.padding is None
    assert saved.truncation["max_length"] == 48
    assert len(saved.encode("a").ids) == 3
    assert len(saved.encode("a " * 60).ids) == 48
    again = load(tmp_path / "s")
    assert again.max_seq_length == 48
    assert json.loads((tmp_path / "s" / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"] == 48
    assert AutoTokenizer.from_pretrained(tmp_path / "s").model_max_length == 48
    long = ["dog " * 100, "a"]
    np.testing.assert_allclose(again.encode(long), model.encode(long), atol=1e-6)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_config_has_one_limit(family: str, tmp_path: Path) -> None:
    """Each client reads the limit from a file of its own choice, and a long text comes out alike."""
    model = tiny.sentence_transformer(family)
    model.max_seq_length = 40
    save_student(model, tmp_path / "s")
    files = {file.name: json.loads(file.read_text("utf-8")) for file in (tmp_path / "s").glob("*.json")}
    assert files["sentence_bert_config.json"]["max_seq_length"] == 40
    assert files["tokenizer_config.json"]["model_max_length"] == 40
    assert files["tokenizer.json"]["truncation"]["max_length"] == 40
    assert files["config.json"]["max_position_embeddings"] >= 40
    bare = Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json")).encode("dog " * 100).ids
    assert bare == AutoTokenizer.from_pretrained(tmp_path / "s")("dog " * 100, truncation=True)["input_ids"]
    assert len(bare) == 40
    assert bare[-1] == Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json")).encode("").ids[-1]


def test_the_baked_limit_does_not_cut_for_those_who_ask_for_the_whole_text(tmp_path: Path) -> None:
    save_student(tiny.sentence_transformer(), tmp_path / "s")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "s")
    assert len(tokenizer("dog " * 100)["input_ids"]) == 102
    assert len(tokenizer("dog " * 100, truncation=True, max_length=10)["input_ids"]) == 10


def test_a_side_of_truncation_stands_in_both_files_of_the_tokenizer(tmp_path: Path) -> None:
    model = tiny.sentence_transformer()
    model.tokenizer.init_kwargs["truncation_side"] = model.tokenizer.truncation_side = "left"
    model.max_seq_length = 8
    save_student(model, tmp_path / "s")
    bare = Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json"))
    assert bare.truncation["direction"] == "left"
    text = " ".join(tiny.SENTENCES[:3])
    assert bare.encode(text).ids == AutoTokenizer.from_pretrained(tmp_path / "s")(text, truncation=True)["input_ids"]


def test_no_release_is_written_of_which_older_ones_would_warn(tmp_path: Path) -> None:
    model = tiny.sentence_transformer()
    model.prompts = {"query": "query: "}
    model.default_prompt_name = "query"
    save_student(model, tmp_path / "s")
    settings = json.loads((tmp_path / "s" / "config_sentence_transformers.json").read_text("utf-8"))
    assert "__version__" not in settings
    assert settings["prompts"]["query"] == "query: "
    assert load(tmp_path / "s").default_prompt_name == "query"


def test_more_special_tokens_are_named_as_transformers_4_names_them(tmp_path: Path) -> None:
    """4.57 stops at a list of `extra_special_tokens`: it expects a mapping there."""
    model = tiny.sentence_transformer()
    model.tokenizer.add_special_tokens({"additional_special_tokens": ["[PAD]", "[MASK]"]})
    save_student(model, tmp_path / "s")
    config = json.loads((tmp_path / "s" / "tokenizer_config.json").read_text("utf-8"))
    assert config["additional_special_tokens"] == ["[PAD]", "[MASK]"]
    assert "extra_special_tokens" not in config
    assert AutoTokenizer.from_pretrained(tmp_path / "s").extra_special_tokens == ["[PAD]", "[MASK]"]


def test_saving_does_not_change_the_model(tmp_path: Path) -> None:
    model = tiny.sentence_transformer()
    before = model.encode(TEXTS)
    save_student(model, tmp_path / "s")
    np.testing.assert_array_equal(model.encode(TEXTS), before)


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "s"
    save_student(tiny.sentence_transformer(), target)
    (target / "left-over").write_text("x", "utf-8")
    save_student(tiny.sentence_transformer(layers=2), target)
    assert not (target / "left-over").exists()
    before = (target / "model.safetensors").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(module, "rewrite_tokenizer", fail)
    with pytest.raises(RuntimeError):
        save_student(tiny.sentence_transformer(layers=3), target)
    assert (target / "model.safetensors").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s"]
