"""Model folders that somebody else made: what is in them is checked, in bounded memory, before any library reads them.

Its paths and links may lead out of it, its settings may ask a library for code, for another folder or for terabytes, its weights
may be pickles. This room knows files alone: no numpy, no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from .errors import ModelError
from .foreign import MAX_JSON, MAX_TOKENIZER, check_regular, read_json, read_object, refuse_damaged

MAX_LAYERS = 1000
MAX_SIZE = 1 << 31
MAX_LABELS = 1_000_000
READ = (".json", ".txt", ".model", ".jinja", ".safetensors")
"""What libraries read of a model folder; anything else in it is left alone."""
MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "StaticEmbedding", "WeightedLayerPooling")
"""Modules of sentence-transformers that are read. The others load pickles, modules of their own, or models that read no text."""
WEIGHTS = "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "encoder_layers", "decoder_layers", "num_decoder_layers")
WIDTHS = (
    "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "embedding_size", "embedding_dim", "dim",
    "hidden_dim", "d_model", "n_heads", "in_features", "out_features", "word_embedding_dimension", "embedding_dimension",
)  # fmt: skip
OPTIONS = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
HARMLESS = frozenset(
    {
        *("trust_remote_code", "attn_implementation", "dtype", "torch_dtype", "add_pooling_layer", "use_fast", "do_lower_case"),
        *("padding", "padding_side", "truncation", "truncation_side", "max_length", "model_max_length"),
        *("unpad_inputs", "use_memory_efficient_attention"),
    }
)
"""What a folder may set of how it is loaded. Other options could name files, kernels of the hub, or other weights."""


def check_model_files(folder: Path, name: str) -> None:
    """Look at a model folder of transformers, sentence-transformers or this toolkit without loading anything of it.

    Args:
        folder: holds modules.json or config.json.
        name: what the user called it, for errors.

    Raises:
        ModelError: a file is no regular one, leads out of the folder, is damaged or too large; modules.json names a folder
            elsewhere or a module that is not read; a setting asks for code, for another folder or for sizes that no model has.
    """
    parts = [folder, *_module_folders(folder, name)]
    for part in dict.fromkeys(parts):
        _check_links(part, folder, name)
        if (part / "adapter_config.json").exists():
            raise ModelError(
                "this is an adapter, not a whole model", where=name, hint="merge it into its base model and save that"
            )
        if (part / "config.json").exists():
            _check_config(read_object(part / "config.json", name), f"{name}/config.json")
        for file in part.glob("sentence_*_config.json"):
            _check_settings(read_object(file, name), f"{name}/{file.name}")
        tensor_shapes(part, name)


def layers_of(folder: Path, name: str) -> int | None:
    """How many layers the transformer in a checked model folder has; None where its config does not tell."""
    for part in dict.fromkeys([folder, *_module_folders(folder, name)]):
        if (part / "config.json").exists():
            config = read_object(part / "config.json", name)
            told = next((config[key] for key in LAYERS if isinstance(config.get(key), int)), None)
            if told is not None:
                return int(told)
    return None


def tensor_shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a folder's safetensors hold, by their headers.

    Raises:
        ModelError: a file is damaged or cut off, or the list of its parts names one elsewhere.
    """
    single, index = folder / WEIGHTS, folder / f"{WEIGHTS}.index.json"
    files = [single] if single.exists() else sorted(folder.glob("*.safetensors"))
    if not single.exists() and index.exists():
        listed = read_object(index, name).get("weight_map")
        names = sorted(set(listed.values())) if isinstance(listed, dict) and all(_is_str(v) for v in listed.values()) else None
        if names is None or any("/" in one or "\\" in one or not (folder / one).is_file() for one in names):
            refuse_damaged(f"{name}/{index.name}", listed, "weight_map with names of files in this folder")
        files = [folder / one for one in names]
    return {key: shape for file in files for key, shape in _header(file, f"{name}/{file.name}").items()}


def _header(file: Path, where: str) -> dict[str, tuple[int, ...]]:
    """The shapes that one safetensors file tells."""
    check_regular(file, where)
    size = file.stat().st_size
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_JSON):
            refuse_damaged(where, f"{size} bytes, and a header of {length}", "safetensors", "copy or download it again")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        shapes = {key: tuple(int(count) for count in row["shape"]) for key, row in header.items()}
        end = max((row["data_offsets"][1] for row in header.values()), default=0)
        bits = [8 * (row["data_offsets"][1] - row["data_offsets"][0]) for row in header.values()]
        fits = all(4 * math.prod(shape) <= room for shape, room in zip(shapes.values(), bits, strict=True))  # 4 bits at least
        whole = fits and end == size - 8 - length and all(count >= 0 for shape in shapes.values() for count in shape)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError("this file is damaged", where=where, got=error, expected="safetensors") from error
    if not whole:
        refuse_damaged(where, f"{size} bytes, where its header tells of {8 + length + end}", "safetensors", "copy it again")
    return shapes


def _module_folders(folder: Path, name: str) -> list[Path]:
    """The folders that modules.json names; none where there is no such file."""
    listing, where = folder / "modules.json", f"{name}/modules.json"
    if not listing.exists():
        return []
    rows, found = read_json(listing, name), []
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and _is_str(row.get("type")) for row in rows):
        refuse_damaged(where, rows, "a list of modules with idx, name, path and type")
    for row in rows:
        path, kind = row.get("path", ""), row["type"].rsplit(".", 1)[-1]
        if not _is_str(path) or not _inside(folder, path):
            raise ModelError("a module lies outside this folder", where=where, got=path, expected="a path below the folder")
        if row["type"].startswith("sentence_transformers."):
            if kind not in MODULES:
                raise ModelError("a module of this kind is not read", where=where, got=kind, expected=", ".join(MODULES))
            if kind != "Transformer":
                _check_module(folder / path, kind, name)
        else:
            raise ModelError(
                "this model needs code that came with it, and such code is not run",
                where=name,
                got=row["type"],
                expected="modules of sentence-transformers itself",
            )
        found.append(folder / path)
    return found


def _check_module(part: Path, kind: str, name: str) -> None:
    """A module behind the transformer: no pickle holds its weights, and they have the sizes that its config tells."""
    whole = (part / WEIGHTS).exists()
    pickled = sorted(file.name for pattern in PICKLES for file in part.glob(pattern))
    if pickled and not whole:
        refuse_pickle(name, pickled[0])
    if kind != "Dense" or not whole or not (part / "config.json").exists():
        return
    config = read_object(part / "config.json", name)
    sizes, shape = (config.get("out_features"), config.get("in_features")), tensor_shapes(part, name).get("linear.weight")
    if sizes != shape:
        got = f"weights of shape {shape}, config {sizes}"
        raise ModelError("the weights of a Dense module do not fit its config", where=f"{name}/{part.name}", got=got)


def refuse_pickle(name: str, file: str) -> NoReturn:
    """Say that a pickle is not read."""
    raise ModelError(
        "only pickled weights are there, and loading them could run code",
        where=name,
        got=file,
        expected=WEIGHTS,
        hint="save the model again with save_pretrained() in a place where you trust it",
    )


def _check_links(part: Path, folder: Path, name: str) -> None:
    """No file that is read is a pipe, and none but weights is a link to what lies outside the folder or its hub cache."""
    if not part.is_dir():
        return
    installed = name.startswith("package:") or "site-packages" in folder.parts  # some installers link what they install
    home = folder.resolve()
    root = home.parent.parent if home.parent.name == "snapshots" else home
    for file in sorted(part.iterdir()):
        if not file.name.endswith(READ):
            continue
        weights = file.name.endswith(".safetensors")
        check_regular(file, f"{name}/{file.name}", None if weights else MAX_TOKENIZER)
        real = file.resolve()
        if not (weights or installed or real.is_relative_to(root)):
            raise ModelError(
                "this file is a link to one outside the folder",
                where=f"{name}/{file.name}",
                got=real,
                expected="a file in the folder itself",
                hint="if you trust it, copy it there",
            )


def _check_config(config: Mapping[str, Any], where: str) -> None:
    """config.json: names that are names, and sizes that a model can have."""
    for key in ("model_type", "tokenizer_class", "problem_type"):
        if config.get(key) is not None and not _is_str(config[key]):
            raise ModelError(f"{key} is no text", where=where, got=repr(config[key]), expected="a text")
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(map(_is_str, names))):
        raise ModelError("architectures is no list of names", where=where, got=repr(names), expected="a list of class names")
    for key, value in _settings(config):
        if "attn_implementation" in key:
            _check_kernel(value, where)
        limit = MAX_LAYERS if key in LAYERS else MAX_SIZE if key in WIDTHS else MAX_LABELS if key == "num_labels" else None
        if limit is None or value is None or isinstance(value, list):
            continue
        least = 0 if key in LAYERS or key == "num_labels" else 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= limit:
            raise ModelError(
                f"{key} is no size of a model", where=where, got=repr(value), expected=f"a whole number, {least} to {limit}"
            )


def _check_settings(settings: Mapping[str, Any], where: str) -> None:
    """sentence_bert_config.json: it may cut texts and lower their case, and not choose what is loaded."""
    if settings.get("tokenizer_name_or_path") is not None:
        raise ModelError(
            "this model takes its tokenizer from elsewhere",
            where=where,
            got=f"tokenizer_name_or_path: {settings['tokenizer_name_or_path']!r}",
            expected="its tokenizer in its own folder",
        )
    for key in OPTIONS:
        options = settings.get(key) or {}
        if not isinstance(options, dict) or not options.keys() <= HARMLESS:
            raise ModelError(
                "this model changes how it is loaded",
                where=where,
                got=f"{key}: {options!r}",
                expected=", ".join(sorted(HARMLESS)),
            )
        _check_kernel(options.get("attn_implementation"), where)
    length = settings.get("max_seq_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise ModelError("max_seq_length is no length", where=where, got=repr(length), expected="a whole number from 1, or null")
    ways = settings.get("modality_config") or {}
    if not isinstance(ways, dict) or any(not isinstance(way, dict) or way.get("method") != "forward" for way in ways.values()):
        raise ModelError("this model is not read by its forward", where=where, got=repr(ways), expected="method: forward")


def _check_kernel(value: Any, where: str) -> None:
    """transformers fetches and runs a kernel of the hub where an attention has a name like owner/kernel."""
    names = value.values() if isinstance(value, dict) else [value]
    if any(name is not None and (not _is_str(name) or "/" in name) for name in names):
        raise ModelError(
            "this model asks for attention code of the hub, which is not run",
            where=where,
            got=repr(value),
            expected="such as sdpa",
        )


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a config and of the configs in it, with its value."""
    pending = [value]
    while pending:
        for key, inner in pending.pop().items():
            yield key, inner
            if isinstance(inner, dict) and key.endswith("config"):  # not the labels, whose names may be anything
                pending.append(inner)


def _inside(folder: Path, path: str) -> bool:
    """Whether a path of another system's spelling or this one's leads to somewhere below a folder."""
    parts = {*PureWindowsPath(path).parts, *PurePosixPath(path).parts}
    if PureWindowsPath(path).anchor or ".." in parts or "\0" in path:
        return False
    return (folder / path).resolve().is_relative_to(folder.resolve())


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def held(folder: Path, name: str) -> tuple[int, int]:
    """How many tensors and how many numbers the safetensors of a folder and of its modules hold."""
    parts = dict.fromkeys([folder, *_module_folders(folder, name)])
    shapes = [shape for part in parts for shape in tensor_shapes(part, name).values()]
    return len(shapes), sum(map(math.prod, shapes))
