"""Hostile model folders and ONNX files: 2 and what is wrong, before a library is given them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import bag
import numpy as np
import pytest
import tiny

import distill
from distill.foreign import MIB

SAFE = "model.safetensors"


class Bomb:
    """Makes the file `ran` when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Good folders of each kind, made once."""
    home = tmp_path_factory.mktemp("good")
    tiny.saved(home / "sentence", dim=16, layers=2)
    tiny.write_encoder(home / "plain", layers=2)
    tiny.write_classifier(home / "head", layers=2)
    bag.folder(home / "exported", files=("fp32",))
    bilstm(home / "bilstm")
    return home


def bilstm(folder: Path) -> None:
    from students.bilstm import BiLSTMConfig, build_bilstm

    words = tiny.tokenizer("bert", 48)
    special = {"pad_token_id": words.pad_token_id, "cls_token_id": words.cls_token_id, "sep_token_id": words.sep_token_id}
    config = BiLSTMConfig(len(words), embedding_dim=16, hidden_size=12, problem_type="single_label_classification", **special)
    build_bilstm(config, seed=3).save_pretrained(folder)
    words.save_pretrained(folder)


@pytest.fixture
def folder(made, place):
    """folder(kind) -> the relative path "m", a copy of a good folder of that kind."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(made / kind, "m"))

    return copy


def edit(file: str, **values: Any):
    """Change keys of a JSON file."""

    def change(path: Path) -> None:
        value = json.loads((path / file).read_text("utf-8")) if (path / file).exists() else {}
        (path / file).write_text(json.dumps(value | values), "utf-8")

    return change


def put(file: str, content: str | bytes):
    """Write a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda path: (path / file).write_bytes(data)


def both(*changes):
    return lambda path: [change(path) for change in changes]


def gone(file: str):
    return lambda path: (path / file).unlink()


def sparse(file: str, size: int):
    """A file that is large and takes no room."""
    return lambda path: os.truncate((put(file, "{") and (path / file).touch()) or path / file, size)


def pipe(file: str):
    return both(gone(file), lambda path: os.mkfifo(path / file))


def link(file: str, target: str):
    return lambda path: [(path / file).unlink(missing_ok=True), (path / file).symlink_to(target)]


def moved_out(file: str):
    """The file lies beside the folder, and a link in its place."""
    return lambda path: [shutil.move(path / file, "outside"), (path / file).symlink_to(Path("outside").absolute())]


def modules(**values: Any):
    """Change the second row of modules.json."""

    def change(path: Path) -> None:
        rows = json.loads((path / "modules.json").read_text("utf-8"))
        rows[1] |= values
        (path / "modules.json").write_text(json.dumps(rows), "utf-8")

    return change


def tensors(change):
    """Weights with some of them changed."""

    def write(path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        weights = load_file(path / SAFE)
        change(weights)
        save_file(weights, path / SAFE, {"format": "pt"})

    return write


def header(change):
    """The header of the weights changed, its length with it."""

    def write(path: Path) -> None:
        data = (path / SAFE).read_bytes()
        length = int.from_bytes(data[:8], "little")
        rows = json.loads(data[8 : 8 + length])
        change(rows)
        made = json.dumps(rows).encode()
        (path / SAFE).write_bytes(len(made).to_bytes(8, "little") + made + data[8 + length :])

    return write


def words(change):
    """tokenizer.json changed."""

    def write(path: Path) -> None:
        value = json.loads((path / "tokenizer.json").read_text("utf-8"))
        change(value)
        (path / "tokenizer.json").write_text(json.dumps(value), "utf-8")

    return write


def steps(*found):
    """A normalizer of several steps."""
    return words(lambda value: value.update(normalizer={"type": "Sequence", "normalizers": list(found)}))


def grow(times: int) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * times}


DEEP = "[" * 100_000
WIDE = {"embeddings.word_embeddings.weight": np.zeros((1, 1), np.float32)}
FIRST = "encoder.layer.0.attention.self.query.weight"

# What every reader of a folder's JSON meets.
JSON_FILES: dict[str, tuple[Any, list[str]]] = {
    "config: a list": (put("config.json", "[]"), ["config.json", "damaged"]),
    "config: a text": (put("config.json", '"bert"'), ["config.json", "damaged"]),
    "config: null": (put("config.json", "null"), ["config.json", "damaged"]),
    "config: half": (put("config.json", '{"model_type": "be'), ["config.json", "damaged"]),
    "config: empty": (put("config.json", ""), ["config.json", "damaged"]),
    "config: no UTF-8": (put("config.json", b'{"model_type": "\xff"}'), ["config.json", "damaged"]),
    "config: deep": (put("config.json", DEEP), ["config.json", "nested"]),
    "config: deep within": (put("config.json", '{"a":' * 100_000), ["config.json", "nested"]),
    "config: a huge number": (put("config.json", '{"hidden_size": ' + "9" * 5000 + "}"), ["config.json", "damaged"]),
    "config: huge": (sparse("config.json", 20 * MIB), ["config.json", "too large"]),
    "config: a pipe": (pipe("config.json"), ["config.json"]),
    "config: a folder": (both(gone("config.json"), lambda path: (path / "config.json").mkdir()), ["config.json", "a folder"]),
    "config: a device": (link("config.json", "/dev/zero"), ["config.json"]),
    "config: a link to itself": (link("config.json", "config.json"), ["m"]),
}

CONFIG: dict[str, tuple[Any, list[str]]] = {
    "model_type: a list": (edit("config.json", model_type=["bert"]), ["model_type", "['bert']"]),
    "model_type: an object": (edit("config.json", model_type={"bert": 1}), ["model_type"]),
    "model_type: a number": (edit("config.json", model_type=7), ["model_type"]),
    "model_type: null": (edit("config.json", model_type=None), ["unknown kind"]),
    "model_type: unknown": (edit("config.json", model_type="brt"), ["unknown kind", "bert"]),
    "model_type: a path": (edit("config.json", model_type="../../bert"), ["unknown kind"]),
    "model_type: 1 MB": (edit("config.json", model_type="x" * 1_000_000), ["unknown kind"]),
    "architectures: a text": (edit("config.json", architectures="BertModel"), ["architectures"]),
    "architectures: numbers": (edit("config.json", architectures=[1]), ["architectures"]),
    "hidden_size: negative": (edit("config.json", hidden_size=-32), ["hidden_size", "-32"]),
    "hidden_size: zero": (edit("config.json", hidden_size=0), ["hidden_size"]),
    "hidden_size: a text": (edit("config.json", hidden_size="32"), ["hidden_size", "'32'"]),
    "hidden_size: a fraction": (edit("config.json", hidden_size=32.5), ["hidden_size"]),
    "hidden_size: true": (edit("config.json", hidden_size=True), ["hidden_size"]),
    "hidden_size: NaN": (edit("config.json", hidden_size=float("nan")), ["hidden_size"]),
    "hidden_size: 10 ** 30": (edit("config.json", hidden_size=10**30), ["hidden_size"]),
    "hidden_size: 2 ** 30": (edit("config.json", hidden_size=2**30), ["larger model"]),
    "hidden_size: 8000": (edit("config.json", hidden_size=8000, intermediate_size=8000), ["larger model"]),
    "hidden_size: of no weights": (edit("config.json", hidden_size=36), ["other shapes"]),
    "heads: none": (edit("config.json", num_attention_heads=0), ["num_attention_heads"]),
    "heads: do not divide": (edit("config.json", num_attention_heads=5), ["cannot be loaded"]),
    "heads: too many": (edit("config.json", num_attention_heads=10**9), ["cannot be loaded"]),
    "layers: a million": (edit("config.json", num_hidden_layers=10**6), ["num_hidden_layers", "1000"]),
    "layers: 900": (edit("config.json", num_hidden_layers=900), ["m", "m"]),
    "layers: one more": (edit("config.json", num_hidden_layers=3), ["weights of this model are missing"]),
    "layers: negative": (edit("config.json", num_hidden_layers=-1), ["num_hidden_layers"]),
    "vocabulary: 2 ** 31": (edit("config.json", vocab_size=2**31), ["larger model"]),
    "vocabulary: 10 ** 12": (edit("config.json", vocab_size=10**12), ["vocab_size"]),
    "positions: 10 ** 9": (edit("config.json", max_position_embeddings=10**9), ["larger model"]),
    "labels: 10 ** 9": (edit("config.json", num_labels=10**9), ["num_labels"]),
    "an inner width": (edit("config.json", intermediate_size="64"), ["intermediate_size"]),
    "a function that is none": (edit("config.json", hidden_act="no_such"), ["cannot be loaded"]),
    "attention of the hub": (edit("config.json", _attn_implementation="owner/kernel"), ["not run", "owner/kernel"]),
    "attention by part": (edit("config.json", attn_implementation={"": "owner/kernel"}), ["not run"]),
    "code of its own": (
        edit("config.json", model_type="brand_new", auto_map={"AutoConfig": "code.C", "AutoModel": "code.M"}),
        ["not run"],
    ),
    "an adapter": (put("adapter_config.json", '{"base_model_name_or_path": "owner/x"}'), ["adapter"]),
}

WEIGHTS: dict[str, tuple[Any, list[str]]] = {
    "pickle alone": (both(gone(SAFE), put("pytorch_model.bin", pickle.dumps(Bomb()))), [SAFE]),
    "pickle with a safe index": (
        both(
            gone(SAFE),
            put("pytorch_model.bin", pickle.dumps(Bomb())),
            put(f"{SAFE}.index.json", '{"weight_map": {"a": "pytorch_model.bin"}}'),
        ),
        ["m"],
    ),
    "pickle called safetensors": (put(SAFE, pickle.dumps(Bomb())), [SAFE, "damaged"]),
    "no weights": (gone(SAFE), ["m"]),
    "empty": (put(SAFE, b""), [SAFE, "damaged"]),
    "half a length": (put(SAFE, b"\1\0\0"), [SAFE, "damaged"]),
    "a length alone": (put(SAFE, bytes(8)), [SAFE, "damaged"]),
    "a length of 2 ** 63": (put(SAFE, b"\xff" * 7 + b"\x7f" + b"{}"), [SAFE, "damaged"]),
    "a length beyond the file": (put(SAFE, (10**9).to_bytes(8, "little") + b"{}"), [SAFE, "damaged"]),
    "a huge header": (both(put(SAFE, (10**8).to_bytes(8, "little")), lambda p: os.truncate(p / SAFE, 2 * 10**8)), [SAFE]),
    "a deep header": (put(SAFE, len(DEEP).to_bytes(8, "little") + DEEP.encode()), [SAFE, "damaged"]),
    "a header that is a list": (put(SAFE, (2).to_bytes(8, "little") + b"[]"), [SAFE, "damaged"]),
    "a header of rubbish": (put(SAFE, (4).to_bytes(8, "little") + b"\xff\xfe\0\0"), [SAFE, "damaged"]),
    "cut off": (lambda path: os.truncate(path / SAFE, (path / SAFE).stat().st_size - 4), [SAFE, "damaged"]),
    "rubbish behind": (lambda path: (path / SAFE).open("ab").write(b"rubbish"), [SAFE, "damaged"]),
    "no offsets": (header(lambda rows: rows[FIRST].pop("data_offsets")), [SAFE, "damaged"]),
    "no shape": (header(lambda rows: rows[FIRST].pop("shape")), [SAFE, "damaged"]),
    "a shape of texts": (header(lambda rows: rows[FIRST].update(shape=["x"])), [SAFE, "damaged"]),
    "a negative shape": (header(lambda rows: rows[FIRST].update(shape=[-32, -32])), [SAFE]),
    "a shape that is too large": (header(lambda rows: rows[FIRST].update(shape=[2**40, 2**40])), [SAFE, "damaged"]),
    "a type that is none": (header(lambda rows: rows[FIRST].update(dtype="X9")), ["cannot be loaded"]),
    "tensors that overlap": (header(lambda rows: rows[FIRST].update(data_offsets=[0, 4096])), ["cannot be loaded"]),
    "offsets that fall": (header(lambda rows: rows[FIRST].update(data_offsets=[4096, 0])), [SAFE, "damaged"]),
    "one is missing": (tensors(lambda found: found.pop(FIRST)), ["missing", FIRST]),
    "all are missing": (
        tensors(lambda found: [found.clear(), found.update(x=np.zeros(1))]),
        ["missing"],
    ),
    "one is transposed": (tensors(lambda found: found.update({FIRST: np.zeros((32, 8), np.float32)})), ["other shapes"]),
    "the table is another": (tensors(lambda found: found.update(WIDE)), ["other shapes"]),
    "names of others": (
        tensors(lambda found: [found.__setitem__(f"x.{key}", found.pop(key)) for key in list(found)]),
        ["missing"],
    ),
    "a pipe": (pipe(SAFE), [SAFE]),
    "a folder": (both(gone(SAFE), lambda path: (path / SAFE).mkdir()), ["m"]),
    "parts elsewhere": (
        both(moved_out(SAFE), gone(SAFE), put(f"{SAFE}.index.json", '{"weight_map": {"a": "../outside"}}')),
        ["m"],
    ),
    "parts that are none": (both(gone(SAFE), put(f"{SAFE}.index.json", '{"weight_map": {"a": "b.safetensors"}}')), ["m"]),
    "parts of another form": (both(gone(SAFE), put(f"{SAFE}.index.json", '{"weight_map": [1]}')), ["m"]),
}

TOKENIZER: dict[str, tuple[Any, list[str]]] = {
    "empty": (put("tokenizer.json", ""), ["tokenizer"]),
    "half": (put("tokenizer.json", '{"version": "1.0", "mod'), ["tokenizer"]),
    "a list": (put("tokenizer.json", "[]"), ["tokenizer"]),
    "an object without anything": (put("tokenizer.json", "{}"), ["tokenizer"]),
    "deep": (put("tokenizer.json", DEEP), ["tokenizer"]),
    "no UTF-8": (put("tokenizer.json", b"\xff\xfe"), ["tokenizer"]),
    "huge": (sparse("tokenizer.json", 80 * MIB), ["tokenizer.json", "too large"]),
    "a pipe": (pipe("tokenizer.json"), ["tokenizer.json", "a pipe"]),
    "a device": (link("tokenizer.json", "/dev/zero"), ["tokenizer.json", "device"]),
    "more tokens than rows": (words(lambda value: value["model"]["vocab"].update(zebra=999)), ["999"]),
    "an id of 2 ** 32": (words(lambda value: value["model"]["vocab"].update(zebra=2**32 - 1)), ["4294967295"]),
    "an id beyond": (words(lambda value: value["model"]["vocab"].update(zebra=2**40)), ["tokenizer"]),
    "a negative id": (words(lambda value: value["model"]["vocab"].update(zebra=-1)), ["tokenizer"]),
    "an unknown model": (words(lambda value: value["model"].update(type="Pickle")), ["tokenizer"]),
    "an expression that explodes": (
        words(lambda value: value.update(pre_tokenizer=split("(a+)+$"))),
        ["tokenizer"],
    ),
    "an expression that is none": (words(lambda value: value.update(pre_tokenizer=split("("))), ["tokenizer"]),
    "a text that grows": (steps(*[grow(100)] * 8), ["tokenizer.json", "without bound"]),
    "a text that grows by steps within steps": (
        steps({"type": "Sequence", "normalizers": [grow(9), grow(9)]}),
        ["without bound", "81"],
    ),
    "a word table of rubbish": (steps({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), ["recompiled"]),
}


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


SENTENCE: dict[str, tuple[Any, list[str]]] = {
    "modules: an object": (put("modules.json", "{}"), ["modules.json", "damaged"]),
    "modules: empty": (put("modules.json", "[]"), ["modules.json", "damaged"]),
    "modules: deep": (put("modules.json", DEEP), ["modules.json", "nested"]),
    "modules: huge": (sparse("modules.json", 20 * MIB), ["modules.json", "too large"]),
    "modules: a pipe": (pipe("modules.json"), ["modules.json"]),
    "modules: a type that is a list": (modules(type=["x"]), ["modules.json", "damaged"]),
    "modules: code of its own": (modules(type="code.Pooling"), ["not run", "code.Pooling"]),
    "modules: code of python": (modules(type="os.system"), ["not run", "os.system"]),
    "modules: what the library imports": (modules(type="sentence_transformers.util.misc.importlib"), ["not read", "importlib"]),
    "modules: a function of the library": (modules(type="sentence_transformers.util.import_from_string"), ["not read"]),
    "modules: another's modules": (modules(type="sentence_transformers.base.modules.router.Router"), ["not read", "Router"]),
    "modules: up": (modules(path=".."), ["outside", ".."]),
    "modules: up and down": (modules(path="1_Pooling/../../m/1_Pooling"), ["outside"]),
    "modules: absolute": (modules(path="/etc"), ["outside", "/etc"]),
    "modules: of Windows": (modules(path="C:\\x"), ["outside"]),
    "modules: up, of Windows": (modules(path="..\\x"), ["outside"]),
    "modules: NUL": (modules(path="1_Pooling\0"), ["outside"]),
    "modules: a number": (modules(path=3), ["outside"]),
    "modules: null": (modules(path=None), ["outside"]),
    "modules: a home": (modules(path="~nobody-at-all"), ["m"]),
    "modules: a link out": (
        lambda path: [shutil.move(path / "1_Pooling", "pooling"), (path / "1_Pooling").symlink_to("../pooling")],
        ["outside"],
    ),
    "a config that is a link out": (moved_out("1_Pooling/config.json"), ["link", "outside"]),
    "settings that are a link out": (moved_out("sentence_bert_config.json"), ["link", "outside"]),
    "a vocabulary that is a link out": (link("vocab.txt", "/etc/hostname"), ["link", "vocab.txt"]),
    "pooling: a list": (put("1_Pooling/config.json", "[]"), ["config.json", "damaged"]),
    "pooling: unknown": (edit("1_Pooling/config.json", pooling_mode="no_such"), ["cannot be loaded"]),
    "pooling: another width": (edit("1_Pooling/config.json", word_embedding_dimension="x"), ["word_embedding_dimension"]),
    "tokenizer settings: huge": (sparse("tokenizer_config.json", 80 * MIB), ["tokenizer_config.json", "too large"]),
    "tokenizer settings: deep": (put("tokenizer_config.json", DEEP), ["m"]),
    "settings: a list": (put("sentence_bert_config.json", "[]"), ["sentence_bert_config.json", "damaged"]),
    "settings: deep": (put("sentence_bert_config.json", DEEP), ["nested"]),
    "settings: a length of text": (edit("sentence_bert_config.json", max_seq_length="64"), ["max_seq_length"]),
    "settings: a negative length": (edit("sentence_bert_config.json", max_seq_length=-1), ["max_seq_length"]),
    "settings: another length": (edit("sentence_bert_config.json", max_seq_length=float("inf")), ["max_seq_length"]),
    "settings: a tokenizer elsewhere": (edit("sentence_bert_config.json", tokenizer_name_or_path="/tmp"), ["elsewhere", "/tmp"]),
    "settings: other weights": (edit("sentence_bert_config.json", model_args={"gguf_file": "x"}), ["how it is loaded"]),
    "settings: weights of its own": (edit("sentence_bert_config.json", model_kwargs={"state_dict": {}}), ["how it is loaded"]),
    "settings: another folder": (edit("sentence_bert_config.json", config_kwargs={"subfolder": ".."}), ["how it is loaded"]),
    "settings: options that are a list": (edit("sentence_bert_config.json", tokenizer_args=["x"]), ["how it is loaded"]),
    "settings: attention of the hub": (
        edit("sentence_bert_config.json", model_args={"attn_implementation": "owner/kernel"}),
        ["not run"],
    ),
    "settings: another method": (
        edit("sentence_bert_config.json", modality_config={"text": {"method": "save_pretrained", "method_output_name": None}}),
        ["forward"],
    ),
    "settings: methods that are a list": (edit("sentence_bert_config.json", modality_config=["x"]), ["forward"]),
    "settings: an unknown one": (edit("sentence_bert_config.json", no_such=1), ["cannot be loaded"]),
    "prompts: a list": (edit("config_sentence_transformers.json", prompts=["x"]), ["m"]),
    "prompts: no such default": (edit("config_sentence_transformers.json", default_prompt_name="x"), ["m"]),
    "dense: pickle alone": (
        both(gone(f"2_Dense/{SAFE}"), put("2_Dense/pytorch_model.bin", pickle.dumps(Bomb()))),
        ["pickled"],
    ),
    "dense: pickle beside other weights": (
        both(
            lambda path: shutil.move(path / "2_Dense" / SAFE, path / "2_Dense" / "x.safetensors"),
            put("2_Dense/pytorch_model.bin", pickle.dumps(Bomb())),
        ),
        ["pickled"],
    ),
    "dense: huge": (edit("2_Dense/config.json", in_features=10**6, out_features=10**6), ["Dense", "1000000"]),
    "dense: a text": (edit("2_Dense/config.json", in_features="32"), ["Dense", "'32'"]),
    "dense: no weights": (gone(f"2_Dense/{SAFE}"), ["cannot be loaded"]),
    "dense: a function of python": (edit("2_Dense/config.json", activation_function="torch.hub.load"), ["cannot be loaded"]),
}


def onnx(change):
    """The graph of the exported folder changed."""

    def write(path: Path) -> None:
        model = bag.graph()
        change(model)
        (path / "onnx" / "model.onnx").write_bytes(model.SerializeToString())

    return write


def outside(location: str):
    """The table of the graph lies in another file."""

    def change(model: Any) -> None:
        table = model.graph.initializer[0]
        table.ClearField("raw_data")
        table.data_location = 1
        entry = table.external_data.add()
        entry.key, entry.value = "location", location

    return onnx(change)


def rename(field: str, value: str):
    """A field of the last node changed."""

    def change(model: Any) -> None:
        setattr(model.graph.node[-1], field, value)

    return onnx(change)


def cycle(model: Any) -> None:
    model.graph.node[3].input[0] = "total"


def loop(model: Any) -> None:
    """A loop of 2 ** 62 turns before the result."""
    from onnx import TensorProto, helper, numpy_helper

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**62, np.int64), "turns"))
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Loop", ["turns", "", "before"], ["sentence_embedding"], body=body))


def many_fields(path: Path) -> None:
    """Thirty million fields of two bytes."""
    (path / "onnx" / "model.onnx").write_bytes(b"\x08\x0a" * 30_000_000)


ONNX: dict[str, tuple[Any, list[str]]] = {
    "empty": (put("onnx/model.onnx", b""), ["model.onnx"]),
    "a text": (put("onnx/model.onnx", "this is no ONNX file\n" * 100), ["model.onnx"]),
    "a pickle": (put("onnx/model.onnx", pickle.dumps(Bomb())), ["model.onnx"]),
    "a zip": (put("onnx/model.onnx", b"PK\x03\x04" + bytes(100)), ["model.onnx"]),
    "zeros": (put("onnx/model.onnx", bytes(1000)), ["model.onnx"]),
    "cut off": (lambda path: os.truncate(path / "onnx" / "model.onnx", 400), ["model.onnx"]),
    "a field beyond the end": (put("onnx/model.onnx", b"\x3a\xff\xff\xff\xff\x07"), ["model.onnx"]),
    "groups within groups": (put("onnx/model.onnx", b"\x3b" * 100_000), ["model.onnx"]),
    "graphs within graphs": (put("onnx/model.onnx", b"\x3a\x04\x0a\x02\x2a\x00" * 1000), ["model.onnx"]),
    "very many fields": (many_fields, ["model.onnx", "fields"]),
    "a pipe": (both(gone("onnx/model.onnx"), lambda path: os.mkfifo(path / "onnx" / "model.onnx")), ["onnx"]),
    "a device": (link("onnx/model.onnx", "/dev/zero"), ["onnx"]),
    "weights beside it": (outside("weights.bin"), ["outside itself"]),
    "weights elsewhere": (outside("/etc/passwd"), ["outside itself"]),
    "weights above": (outside("../../../etc/passwd"), ["outside itself"]),
    "an unknown operator": (rename("op_type", "NoSuchOperator"), ["cannot load"]),
    "an operator of another domain": (rename("domain", "com.evil"), ["cannot load"]),
    "an operator without its input": (onnx(lambda model: model.graph.node[-1].input.pop()), ["cannot load"]),
    "a cycle": (onnx(cycle), ["cannot load"]),
    "a loop without end": (onnx(loop), ["Loop"]),
    "an operator set of the future": (onnx(lambda model: setattr(model.opset_import[0], "version", 999)), ["cannot load"]),
    "no operator set": (onnx(lambda model: model.ClearField("opset_import")), ["cannot load"]),
    "no graph": (onnx(lambda model: model.ClearField("graph")), ["model.onnx"]),
    "other inputs": (onnx(lambda model: setattr(model.graph.input[0], "name", "x")), ["model.onnx"]),
    "a table of another shape": (onnx(lambda model: model.graph.initializer[0].dims.__setitem__(0, 10**9)), ["cannot load"]),
}

EXPORTED: dict[str, tuple[Any, list[str]]] = {
    "no config": (gone("config.json"), ["config.json"]),
    "no tokenizer": (gone("tokenizer.json"), ["tokenizer.json"]),
    "gates: a list": (put("onnx/gates.json", "[]"), ["gates.json", "damaged"]),
    "gates: deep": (put("onnx/gates.json", DEEP), ["gates.json", "nested"]),
    "settings: a list": (put("tokenizer_config.json", "[]"), ["tokenizer_config.json"]),
    "settings: deep": (put("sentence_bert_config.json", DEEP), ["nested"]),
    "a padding beyond the table": (
        both(put("tokenizer_config.json", "{}"), edit("config.json", pad_token_id=2**70)),
        ["padding"],
    ),
    "a negative padding": (both(put("tokenizer_config.json", "{}"), edit("config.json", pad_token_id=-5)), ["padding"]),
    "no length": (
        both(edit("sentence_bert_config.json", max_seq_length=0)),
        ["longest input"],
    ),
    "prompts: a list": (edit("config_sentence_transformers.json", prompts=["x"]), ["prompts"]),
    "words of any length": (
        words(lambda value: value.update(model=piece(10**9))),
        ["max_input_chars_per_word", "without bound"],
    ),
}


def piece(longest: int) -> dict[str, Any]:
    table = {word: bag.IDS[word] for word in bag.WORDS}
    return {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": longest,
        "vocab": table,
    }


def teacher(path: Path):
    from teachers.load import load_encoder

    return lambda: load_encoder(str(path))


def student(path: Path):
    from students.load import load

    return lambda: load(path)


def head(path: Path):
    from teachers.heads import load_head

    return lambda: load_head(str(path), "classification")


def head_student(path: Path):
    from students.heads import load_head_student

    return lambda: load_head_student(path, "AutoModelForSequenceClassification")


def small(path: Path):
    from students.bilstm import load_bilstm

    return lambda: load_bilstm(path)


def runtime(path: Path):
    return lambda: distill.load(path).encode(["a cat", "dog"])


def check(refused, command, words) -> None:
    told = refused(command, words)
    assert not Path("ran").exists()
    assert "got:" in told or "expected:" in told or "try:" in told or "missing" in told


@pytest.mark.parametrize("case", JSON_FILES)
@pytest.mark.parametrize(
    ("kind", "way"),
    [("sentence", teacher), ("plain", teacher), ("sentence", student), ("head", head), ("head", head_student), ("bilstm", small),
     ("exported", runtime)],
)  # fmt: skip
def test_a_config_that_is_none(refused, folder, kind, way, case):
    change, found = JSON_FILES[case]
    change(folder(kind))
    check(refused, way(Path("m")), found)


@pytest.mark.parametrize("case", CONFIG)
def test_a_config(refused, folder, case):
    change, found = CONFIG[case]
    change(folder("plain"))
    check(refused, teacher(Path("m")), found)


@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.parametrize(("kind", "way"), [("plain", teacher), ("sentence", student)])
def test_weights(refused, folder, kind, way, case):
    change, found = WEIGHTS[case]
    change(folder(kind))
    check(refused, way(Path("m")), found)


@pytest.mark.parametrize("case", TOKENIZER)
@pytest.mark.parametrize(("kind", "way"), [("sentence", teacher), ("head", head), ("exported", runtime)])
def test_a_tokenizer(refused, folder, kind, way, case):
    change, found = TOKENIZER[case]
    change(folder(kind))
    check(refused, way(Path("m")), found)


@pytest.mark.parametrize("case", SENTENCE)
@pytest.mark.parametrize("way", [teacher, student])
def test_a_folder_of_modules(refused, folder, way, case):
    change, found = SENTENCE[case]
    change(folder("sentence"))
    check(refused, way(Path("m")), found)


@pytest.mark.parametrize("case", ONNX)
def test_an_onnx_file(refused, folder, case):
    change, found = ONNX[case]
    change(folder("exported"))
    check(refused, runtime(Path("m")), found)


@pytest.mark.parametrize("case", EXPORTED)
def test_an_exported_folder(refused, folder, case):
    change, found = EXPORTED[case]
    change(folder("exported"))
    check(refused, runtime(Path("m")), found)


COMMANDS = {
    "check": ["check", "quickstart", "teacher.model=m", "data.train=a.txt"],
    "run": ["run", "quickstart", "teacher.model=m", "data.train=a.txt"],
    "export": ["export", "m", "--out", "out"],
    "measure": ["measure", "m"],
    "measure --teacher": ["measure", "good", "--teacher", "./m"],
    "encode": ["encode", "m", "a.txt", "-o", "a.npy"],
    "predict": ["predict", "m", "a.txt", "-o", "a.jsonl"],
}
BAD = {
    "a deep config": JSON_FILES["config: deep"],
    "a config that is a list": JSON_FILES["config: a list"],
    "a pipe": JSON_FILES["config: a pipe"],
    "a model_type that is a list": CONFIG["model_type: a list"],
}
AWAY = "~nobody-at-all/m"


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("encode", "predict")])
def test_commands(refused, folder, command, case):
    change, found = BAD[case]
    folder("sentence").rename("good")
    change(folder("sentence"))
    tiny.write_lines(Path("a.txt"))
    check(refused, COMMANDS[command], found)


@pytest.mark.parametrize("case", [*list(BAD)[:3], "weights elsewhere", "a loop without end", "a text"])
@pytest.mark.parametrize("command", ["encode", "predict"])
def test_commands_of_exported_folders(refused, folder, command, case):
    change, found = {**BAD, **ONNX}[case]
    change(folder("exported"))
    tiny.write_lines(Path("a.txt"))
    check(refused, COMMANDS[command], found)


@pytest.mark.parametrize("case", ["weights elsewhere", "a loop without end", "a text"])
def test_measuring_an_onnx_file(refused, folder, case):
    change, found = ONNX[case]
    change(folder("exported"))
    check(refused, ["measure", "m/onnx/model.onnx", "--passes", "1", "--min-seconds", "0"], found)


@pytest.mark.parametrize("way", [teacher, student, head, head_student, small, runtime])
def test_a_home_that_is_not_there(refused, place, way):
    check(refused, way(AWAY), ["~nobody-at-all"])


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_a_home_that_is_not_there(refused, place, command):
    tiny.write_lines(Path("a.txt"))
    check(refused, [AWAY if part in ("m", "./m") else part.replace("=m", f"={AWAY}") for part in COMMANDS[command]], [])


def test_good_folders_pass(made, monkeypatch):
    """What is refused above is refused for what is wrong with it."""
    monkeypatch.chdir(made)
    labels = {"dim": 0, "hidden_size": 1, "vocab_size": 2}
    edit("config.json", label2id=labels, id2label={index: name for name, index in labels.items()})(Path("head"))
    for way, kind in [(teacher, "sentence"), (teacher, "plain"), (head, "head"), (head_student, "head"), (small, "bilstm")]:
        way(Path(kind))()
    assert runtime(Path("exported"))().shape == (2, 3)


def test_a_folder_of_the_hub_cache_is_links(made, place):
    """The hub's client keeps files by their hash beside the snapshots and links them."""
    cache = place / "models--owner--name"
    blobs, snapshot = cache / "blobs", cache / "snapshots" / "0123"
    shutil.copytree(made / "sentence", snapshot)
    blobs.mkdir()
    for number, file in enumerate([path for path in snapshot.rglob("*") if path.is_file()]):
        shutil.move(file, blobs / str(number))
        file.symlink_to(os.path.relpath(blobs / str(number), file.parent))
    teacher(snapshot)()
