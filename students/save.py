"""Save a sentence-transformers model so that every release from 5.0 on, and the torch-free runtime, reads it alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from distill.errors import ModelError
from distill.files import atomic_folder, read_json, write_json

from .table import TokenTable, with_token_table

_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TOKENIZER_KEPT = {
    "add_prefix_space",
    "clean_up_tokenization_spaces",
    "do_basic_tokenize",
    "do_lower_case",
    "errors",
    "keep_accents",
    "legacy",
    "model_input_names",
    "never_split",
    "padding_side",
    "sp_model_kwargs",
    "split_by_punct",
    "split_special_tokens",
    "strip_accents",
    "tokenize_chinese_chars",
    "trim_offsets",
    "truncation_side",
    "wordpieces_prefix",
}
"""Besides the special tokens: what of tokenizer_config.json says how to tokenize. The rest is where and when."""


def save_student(model: SentenceTransformer, folder: Path) -> None:
    """Save `model` in `folder`, replacing what is there as a whole.

    Weights are safetensors. File names and settings are those that sentence-transformers 5 and 6 both read. One longest
    input is written everywhere: sentence_bert_config.json, tokenizer_config.json, and as truncation in tokenizer.json, so
    that a bare tokenizer cuts where every other client does. No padding is baked in, no path of this machine, and no
    release of the library, of which older ones would warn.

    Args:
        model: the model; left as it is.
        folder: where to.

    Raises:
        RunError: the disk is full, read-only or forbidden.
        ModelError: the model has no fast tokenizer.
    """
    model = with_token_table(model)
    with atomic_folder(Path(folder)) as work:
        model.save_pretrained(str(work), create_model_card=False, safe_serialization=True)
        _rewrite_modules(work, model.max_seq_length, lower=_lowers(model, work))
        rewrite_tokenizer(work, model.max_seq_length, plain=isinstance(model[0], TokenTable))
        _without(work / "config.json", "_name_or_path")
        _without(work / "config_sentence_transformers.json", "__version__")


def _without(path: Path, key: str) -> None:
    """Take one key out of a JSON file, if they are there."""
    if path.exists():
        config = read_json(path)
        config.pop(key, None)
        write_json(path, config)


def _lowers(model: Any, folder: Path) -> bool:
    """Whether sentence-transformers lowers every text before the tokenizer's own steps, which other readers have to be told."""
    if getattr(model[0], "do_lower_case", False):
        return True
    path = folder / "tokenizer.json"
    steps = ((read_json(path).get("normalizer") or {}) if path.is_file() else {}).get("normalizers") or [{}]
    return bool(steps[0].get("type") == "Lowercase")


def _rewrite_modules(folder: Path, max_length: int | None, *, lower: bool) -> None:
    """Write modules.json and the modules' configs in the older spelling, which newer releases read as well."""
    modules = read_json(folder / "modules.json")
    for row in modules:
        package, _, kind = row["type"].rpartition(".")
        if kind == TokenTable.__name__:
            row["type"] = "sentence_transformers.models.StaticEmbedding"
        if package.startswith("sentence_transformers.") and kind in ("Transformer", "Pooling", "Dense", "Normalize"):
            row["type"] = f"sentence_transformers.models.{kind}"
            path = folder / row["path"] / ("sentence_bert_config.json" if kind == "Transformer" else "config.json")
            write_json(path, _older(kind, read_json(path), max_length, lower))
    write_json(folder / "modules.json", modules)


def _older(kind: str, config: dict[str, Any], max_length: int | None, lower: bool) -> dict[str, Any]:
    """One module's settings as releases before 5.4 spell them, or unchanged where those cannot say it."""
    if kind == "Transformer":
        if config.get("transformer_task") != "feature-extraction" or set(config.get("modality_config", {})) != {"text"}:
            return {**config, "max_seq_length": max_length}
        return {"max_seq_length": max_length, "do_lower_case": lower}
    if kind == "Pooling":
        modes = config["pooling_mode"] if isinstance(config["pooling_mode"], list) else [config["pooling_mode"]]
        flags = {flag: mode in modes for flag, mode in _POOLING.items()}
        return {"word_embedding_dimension": config["embedding_dimension"], **flags, "include_prompt": config["include_prompt"]}
    default = "sentence_embedding"
    if config.get("module_input_name", default) == default and config.get("module_output_name", default) == default:
        return {key: value for key, value in config.items() if not key.startswith("module_")}
    return config


def rewrite_tokenizer(folder: Path, max_length: int | None, *, plain: bool = False) -> None:
    """Take padding, paths and versions out of the tokenizer's files, and write one longest input into both.

    The names are those that transformers 4.57 reads too: no class of release 5 alone, and special tokens beside the usual
    ones as `additional_special_tokens`.

    Args:
        folder: holds them.
        max_length: the longest input in tokens, special ones included; None leaves inputs as long as they are.
        plain: the tokenizer adds no special tokens.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        raise ModelError("this model has no fast tokenizer", expected="one that saves tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config = read_json(folder / "tokenizer_config.json")
    if plain:
        tokenizer.post_processor = None
    if max_length is not None:
        tokenizer.enable_truncation(max_length, direction=config.get("truncation_side", "right"))
    tokenizer.save(str(path))
    kept = {key: value for key, value in config.items() if key in _TOKENIZER_KEPT or _special(key)}
    kind = config.get("tokenizer_class", "PreTrainedTokenizerFast")
    kept["tokenizer_class"] = "PreTrainedTokenizerFast" if kind == "TokenizersBackend" else kind
    if isinstance(kept.get("extra_special_tokens"), list):
        kept["additional_special_tokens"] = kept.pop("extra_special_tokens")
    if max_length is not None:
        kept["model_max_length"] = max_length
    write_json(folder / "tokenizer_config.json", kept)


def _special(key: str) -> bool:
    """Whether a key of tokenizer_config.json names a special token."""
    return key.endswith("_token") or key in ("added_tokens_decoder", "extra_special_tokens", "additional_special_tokens")
