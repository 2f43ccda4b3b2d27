"""export_onnx: what it takes, what it leaves behind, what it refuses."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW

import distill
from distill.errors import DistillError, ModelError, UserError
from distill.export import onnx as room
from distill.export import subjects
from distill.export.graph import graph_positions
from distill.export.onnx import check_presets, export_onnx, write_graph, write_presets
from distill.files import sha256_folder
from teachers.finetune.pooling import with_pooling

TEXTS = tiny.SENTENCES[:10]


def small(**options):
    return tiny.sentence_transformer("distilbert", layers=1, **options)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gives_the_same_bytes_wherever_it_lies(exported, tmp_path):
    """From an object in one place, from a folder in another, onto a folder with other files in it."""
    first = exported("electra")
    source, target = tmp_path / "some where" / "model", tmp_path / "out"
    shutil.copytree(first.folder, source, ignore=shutil.ignore_patterns("onnx", "parity.json"))
    target.mkdir()
    (target / "old.txt").write_text("replaced as a whole")
    (target / "parity.json").write_text("{}")
    parity = export_onnx(str(source), target, ("fp32", "fast", "faithful", "portable"))
    assert sha256_folder(target / "onnx") == sha256_folder(first.folder / "onnx")
    assert len(set(sha256_folder(target / "onnx").values())) == 5  # four graphs and gates.json
    assert files_of(target) == files_of(first.folder)
    assert json.loads((target / "parity.json").read_text("utf-8")) == parity
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_object_is_exported_and_left_as_it_is(tmp_path):
    """Half precision and a prompt: the files are fp32 and put the prompt in front by themselves."""
    model = small(prompts={"query": "find: "}, default_prompt_name="query").half()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    attention = model[0].auto_model.config._attn_implementation
    parity = export_onnx(model, tmp_path / "out", ["fp32"])
    assert parity["models"]["fp32"]["passed"]
    assert (tmp_path / "out" / "onnx" / "model.onnx").is_file()
    assert {path.name for path in (tmp_path / "out" / "onnx").iterdir()} == {"model.onnx", "gates.json"}
    assert all(torch.equal(before[name], weight) and weight.dtype == torch.float16 for name, weight in model.state_dict().items())
    assert model[0].auto_model.config._attn_implementation == attention != "eager"
    exact = small().half().float()
    expected = exact.encode(["find: " + text for text in TEXTS])
    np.testing.assert_allclose(distill.load(tmp_path / "out").encode(TEXTS), expected, atol=1e-4)


def test_every_pooling_becomes_part_of_the_graph(tmp_path):
    model = tiny.sentence_transformer(layers=1, pooling=["cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
    write_graph(model, tmp_path / "model.onnx")
    tokens = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(["sentence_embedding"], {name: value.numpy() for name, value in tokens.items()})
    assert found.shape == (10, 5 * 32)
    np.testing.assert_allclose(found, model.encode(TEXTS), atol=1e-4)


@pytest.mark.parametrize("opset", [18, 22])
def test_the_operator_set_is_the_one_that_was_asked_for(tmp_path, opset):
    model = small()
    (tmp_path / "onnx").mkdir()
    counts = write_presets(model, tmp_path, ("fp32", "fast", "faithful"), opset)
    assert counts["fast"] == counts["faithful"] == {"MatMul": 6, "Gather": 2}
    graph = onnx.load(tmp_path / "onnx" / "model.onnx")
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == opset
    tokens = model.tokenizer(TEXTS, padding=True, return_tensors="np")
    for file, tolerance in (("model.onnx", 1e-4), ("model_quantized.onnx", 0.2), ("model_faithful.onnx", 0.05)):
        session = onnxruntime.InferenceSession(tmp_path / "onnx" / file)
        feed = {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
        np.testing.assert_allclose(session.run(["sentence_embedding"], feed)[0], model.encode(TEXTS), atol=tolerance)


@pytest.mark.parametrize(
    ("presets", "words"),
    [
        (["fp32", "fsat"], r"(?s)unknown preset.*fsat.*did you mean 'fast'"),
        (["int8"], r"(?s)unknown preset.*fp32, fast, faithful"),
        (["fast"], "fp32 is missing"),
        ([], "fp32 is missing"),
    ],
)
def test_presets_that_cannot_be_made_are_refused_before_any_work(tmp_path, presets, words):
    with pytest.raises(UserError, match=words) as caught:
        export_onnx("no-such-model-anywhere", tmp_path / "out", presets)
    assert caught.value.exit_code == 2
    with pytest.raises(UserError):
        check_presets(presets)
    assert list(tmp_path.iterdir()) == []


def test_models_that_no_fixed_graph_can_say_are_refused(tmp_path):
    words = SentenceTransformer(modules=[BoW(["dog", "train"])], device="cpu")
    cut = small()
    cut.truncate_dim = 16
    prompted = small()
    prompted.set_pooling_include_prompt(False)
    layered = with_pooling(tiny.sentence_transformer(), "last4_weighted")
    refused = [(words, "(?s)only transformers.*BoW"), (cut, "truncate_dim"), (prompted, "include_prompt")]
    refused.append((layered, "several layers"))
    for model, text in refused:
        with pytest.raises(ModelError, match=text):
            export_onnx(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_is_the_users_mistake(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        export_onnx(tmp_path / "nothing", tmp_path / "out")


def test_what_the_exporter_cannot_do_is_told_in_its_words(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("no translation for aten::strange")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ModelError, match=r"(?s)DistilBertModel.*cannot be exported.*aten::strange"):
        write_graph(small(), tmp_path / "model.onnx")
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **options: None)
    with pytest.raises(DistillError, match="nothing back"):
        write_graph(small(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("still here")
    (tmp_path / "out" / "parity.json").write_text("{}")

    def fail(*args):
        raise DistillError("the quantizer left nodes in fp32")

    monkeypatch.setattr(subjects, "write_presets", fail)
    with pytest.raises(DistillError):
        export_onnx(small(), tmp_path / "out")
    assert files_of(tmp_path) == {"out/mine.txt", "out/parity.json"}


def test_a_folder_that_no_export_made_is_not_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("still here")
    for target in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="not made by an export"):
            export_onnx(small(), target)
    assert files_of(tmp_path) == {"mine.txt"}


def test_files_of_presets_that_are_no_longer_asked_for_go(tmp_path):
    """An earlier `fast`, which may have failed its gate, would be what `distill.load` takes."""
    (tmp_path / "onnx").mkdir()
    for name in ("model_quantized.onnx", "model_faithful.onnx", "mine.onnx"):
        (tmp_path / "onnx" / name).write_bytes(b"earlier")
    write_presets(small(), tmp_path, ["fp32"], 20)
    assert files_of(tmp_path / "onnx") == {"model.onnx", "mine.onnx"}


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "modernbert"])
def test_positions_are_those_that_tokens_can_take(family):
    """The RoBERTa kind counts from behind its padding token, and so has fewer than its table has rows; MPNet from 2."""
    assert graph_positions(tiny.sentence_transformer(family, layers=1, max_length=48)) == (49 if family.endswith("a") else 48)


def test_the_exporters_chatter_is_kept_from_the_user(tmp_path, monkeypatch, capfd):
    def chatter(*args, **options):
        print("[torch.onnx] Obtain model graph")  # noqa: T201
        warnings.warn("some axis name", stacklevel=1)
        return None

    monkeypatch.setattr(torch.onnx, "export", chatter)
    model = small()
    with warnings.catch_warnings(record=True) as heard, pytest.raises(DistillError, match="nothing back"):
        write_graph(model, tmp_path / "model.onnx")
    assert heard == []
    assert "Obtain" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("family", ["bert", "modernbert", "albert"])
def test_every_layer_is_exported_with_plain_attention(family):
    """A layer that keeps the fused kernel is 10 nodes longer; the model itself keeps its kernel."""
    model = tiny.sentence_transformer(family, layers=1)
    twin = room._eager_copy(model)
    kernels = {part.config._attn_implementation for part in twin[0].auto_model.modules() if hasattr(part, "config")}
    assert kernels == {"eager"}
    assert model[0].auto_model.config._attn_implementation != "eager"


@pytest.mark.parametrize("opset", [17, 23])
def test_an_operator_set_that_clients_cannot_load_is_refused_before_any_work(tmp_path, opset):
    with pytest.raises(UserError, match="18 to 22"):
        export_onnx("no-such-model-anywhere", tmp_path / "out", opset=opset)
    assert list(tmp_path.iterdir()) == []


def test_a_long_window_that_fails_fails_the_gate(tmp_path, monkeypatch):
    """An export that is right on short text alone has not passed."""
    from distill.export import parity

    model = tiny.sentence_transformer("distilbert", layers=1, max_length=256)
    monkeypatch.setattr(parity, "long_differences", lambda *args, **options: {"256": 0.01})
    proof = export_onnx(model, tmp_path / "out", ["fp32"])["models"]["fp32"]
    assert proof["max_abs"] <= 1e-4
    assert not proof["passed"]
    assert json.loads((tmp_path / "out" / "onnx" / "gates.json").read_text("utf-8")) == {"fp32": False}
