"""Tokenizers and models that read the same pieces under other ids and with other special tokens, as MPNet reads BERT's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

NAMES = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}


def renamed(words: Any, *, inputs: list[str] | None = None, between: int = 1) -> Any:
    """A tokenizer that cuts as `words` does, its ids in the opposite order and its special tokens called as RoBERTa's.

    Args:
        words: a fast tokenizer of transformers.
        inputs: names of its outputs; None: those of `words`.
        between: special tokens between two texts.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tree = json.loads(words.backend_tokenizer.to_str())
    last = len(tree["model"]["vocab"]) - 1
    tree["model"]["vocab"] = {NAMES.get(piece, piece): last - index for piece, index in tree["model"]["vocab"].items()}
    tree["model"]["unk_token"] = NAMES[tree["model"]["unk_token"]]
    for token in tree["added_tokens"]:
        token["id"], token["content"] = last - token["id"], NAMES.get(token["content"], token["content"])
    tree["added_tokens"].sort(key=lambda token: token["id"])
    first, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>"))
    one, other = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    ids = {name: {"id": name, "ids": [tree["model"]["vocab"][name]], "tokens": [name]} for name in ("<s>", "</s>")}
    pair = [first, one, *[end] * between, other, end]
    tree["post_processor"] = {"type": "TemplateProcessing", "single": [first, one, end], "pair": pair, "special_tokens": ids}
    special = {name: NAMES.get(getattr(words, name), getattr(words, name)) for name in words.special_tokens_map}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(tree)),
        model_max_length=words.model_max_length,
        model_input_names=inputs or words.model_input_names,
        **special,
    )


def write_renamed(source: Path, folder: Path, **options: Any) -> Path:
    """A BERT in the folder `source`, its tokenizer `renamed`, the rows of its word table in the same order: it says the same."""
    import safetensors.torch
    from transformers import AutoTokenizer

    shutil.copytree(source, folder)
    words = renamed(AutoTokenizer.from_pretrained(str(source)), **options)
    words.save_pretrained(str(folder))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["pad_token_id"] = words.pad_token_id
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith("word_embeddings.weight"):
            weights[name] = weights[name].flip(0).contiguous()
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
