"""The models of the export matrix: small random ones of each family and head, and the real ones that are at hand."""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from typing import Any

HEADS = ("embedding", "classification", "multilabel", "regression", "tokens", "spans")
RANDOM = ("bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert", "albert", "modernbert", "deberta-v2")
REAL = ("minilm", "mpnet-base", "e5")
FAMILIES = (*RANDOM, "bilstm", "static", *REAL)
FOLDERS = {"minilm": "minilm", "mpnet-base": "mpnet", "e5": "e5"}
LABELS = {"multilabel": 5, "classification": 4, "regression": 1, "tokens": 7, "spans": 2}
CLASSES = {"tokens": "TokenClassification", "spans": "QuestionAnswering"}
PROBLEMS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
WITH_TYPES = ("bert", "electra", "albert", "deberta-v2", "bilstm")
LONGEST, VOCABULARY = 512, 6000


def real(family: str) -> bool:
    """Whether a family stands for a real model."""
    return family in REAL


def folder(family: str) -> Path:
    """Where a real model lies."""
    return Path(os.environ.get("DISTILL_BENCH_MODELS", "models")).expanduser() / FOLDERS[family]


def absent(family: str, head: str) -> str | None:
    """Why there is no such model; None where there is one."""
    if family == "static" and head != "embedding":
        return "a table of token vectors has no task head"
    if family == "bilstm" and head in ("embedding", "tokens", "spans"):
        return "the BiLSTM student labels texts alone"
    if real(family) and head != "embedding":
        return "this real model is a sentence encoder without a task head"
    return None


def described(family: str) -> str:
    """A model in words."""
    return f"real: {FOLDERS[family]}" if real(family) else "random, 3 x 128" if family in RANDOM else "random"


def write(place: Path, family: str, head: str) -> Path:
    """The folder of a model; random ones are made there, the same ones every time."""
    import torch

    if real(family):
        return folder(family)
    torch.manual_seed(7)
    if family == "static":
        _static().save_pretrained(str(place), create_model_card=False)
    elif head == "embedding":
        _encoder(place, family).save_pretrained(str(place), create_model_card=False)
    else:
        model, words = _task_model(family, head), _tokenizer(family)
        fit(model, words, head)
        model.save_pretrained(place)
        words.save_pretrained(place)
    return place


def _static() -> Any:
    """A table of token vectors, 256 wide."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    return SentenceTransformer(
        modules=[StaticEmbedding(_tokenizer("static"), embedding_dim=256), Normalize()], device="cpu"
    ).eval()


def _encoder(place: Path, family: str) -> Any:
    """Mean pooling, a dense bridge to 96 dimensions behind BERT, and normalisation."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import AutoModel

    base = place.parent / "base"
    model = AutoModel.from_config(_config(family))
    model.get_input_embeddings().weight.data *= 8
    model.save_pretrained(base)
    _tokenizer(family).save_pretrained(base)
    modules: list[Any] = [Transformer(str(base), max_seq_length=_positions(family)), Pooling(128, "mean")]
    if family == "bert":
        modules.append(Dense(128, 96, activation_function=torch.nn.Identity()))
    return SentenceTransformer(modules=[*modules, Normalize()], device="cpu", prompts={"query": "query: "}).eval()


def _task_model(family: str, head: str) -> Any:
    """A random model with a task head; its word vectors are large, so that texts differ."""
    import transformers

    names = {number: f"label {number}" for number in range(LABELS[head])}
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    if head in PROBLEMS:
        labels["problem_type"] = PROBLEMS[head]
    if family == "bilstm":
        from students.bilstm import BiLSTMConfig, build_bilstm

        words = _tokenizer(family)
        special = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("pad", "cls", "sep")}
        return build_bilstm(BiLSTMConfig(len(words), siamese=head == "classification", **special, **labels), seed=7)
    config = _config(family)
    config.update(labels)
    model = getattr(transformers, f"AutoModelFor{CLASSES.get(head, 'SequenceClassification')}").from_config(config).eval()
    model.get_input_embeddings().weight.data *= 8
    return model


def fit(model: Any, words: Any, head: str) -> None:
    """Fit the last layer of a random task model by ridge regression, so that its decisions are not all near ties.

    A text's label follows from its number, a token's from its id. Nothing else of the model is trained.
    """
    import torch

    from distill.export.parity import probe_sentences

    # Where the head is among the modules differs: that of XLM-R comes before its encoder.
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    last = [module for module in linear if module.out_features == LABELS[head]][-1]
    seen: list[Any] = []
    handle = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    rows, goals = [], []
    texts = probe_sentences(128 if head in CLASSES else 256)
    for number, text in enumerate(texts):
        pair = texts[(number + 1) % len(texts)] if getattr(model.config, "siamese", False) else None
        tokens = words(text, pair, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            model(**{name: value for name, value in tokens.items() if name in ("input_ids", "attention_mask", "token_type_ids")})
        states = seen.pop().reshape(-1, last.in_features)
        rows.append(states)
        labels = tokens["input_ids"][0] if head in CLASSES else torch.full((len(states),), number)
        goals.append(_goals(labels, head, last.out_features))
    handle.remove()
    x, y = torch.cat(rows).double(), torch.cat(goals).double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    found = torch.linalg.solve(x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    last.weight.data, last.bias.data = found[:-1].T.float().contiguous(), found[-1].float()


def _goals(numbers: Any, head: str, width: int) -> Any:
    """What the outputs of a row should be, [n, width]: +4 for its label and -4 for others, or a score."""
    import torch

    if head == "regression":
        return (numbers % 8).float()[:, None]
    if head == "multilabel":
        return torch.stack([(numbers // 2**bit) % 2 for bit in range(width)], 1) * 8.0 - 4
    if head == "spans":
        return torch.stack([(numbers * (31 + 6 * side)) % 97 for side in range(width)], 1) / 10.0
    return torch.nn.functional.one_hot(numbers % width, width) * 8.0 - 4


def _positions(family: str) -> int:
    return 8192 if family == "modernbert" else LONGEST


def _config(family: str) -> Any:
    """Three layers, 128 wide, of a family: of ModernBERT one global and two local ones."""
    from transformers import AutoConfig

    words, positions = _tokenizer(family), _positions(family)
    pad = words.pad_token_id
    common: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "max_position_embeddings": positions,
        "initializer_range": 0.1,
        "pad_token_id": pad,
        "cls_token_id": words.cls_token_id,
        "sep_token_id": words.sep_token_id,
        "bos_token_id": words.cls_token_id,
        "eos_token_id": words.sep_token_id,
    }
    special: dict[str, dict[str, Any]] = {
        "roberta": {"max_position_embeddings": positions + pad + 1, "type_vocab_size": 1},
        "xlm-roberta": {"max_position_embeddings": positions + pad + 1, "type_vocab_size": 1},
        "mpnet": {"max_position_embeddings": positions + 2},
        "electra": {"embedding_size": 64},
        "albert": {"embedding_size": 64},
        "modernbert": {"global_attn_every_n_layers": 3, "local_attention": 128, "reference_compile": False},
        "deberta-v2": {"relative_attention": True, "position_buckets": 64, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 2},
    }
    if family == "distilbert":
        common = {
            "vocab_size": len(words),
            "dim": 128,
            "n_layers": 3,
            "n_heads": 4,
            "hidden_dim": 512,
            "max_position_embeddings": positions,
            "initializer_range": 0.1,
            "pad_token_id": pad,
        }
    return AutoConfig.for_model(family, **{**common, **special.get(family, {})})


@functools.cache
def _tokenizer(family: str) -> Any:
    """A tokenizer of the family's kind: byte pairs, pieces of a unigram model, or word pieces."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    tokens = list(SPECIAL.values())
    if family == "mpnet":  # the family counts its positions from id 1
        tokens[:2] = tokens[1::-1]
    if family in ("roberta", "modernbert"):
        tokenizer = Tokenizer(kinds.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=tokens, initial_alphabet=letters, show_progress=False
        )
    elif family in ("xlm-roberta", "albert", "deberta-v2"):
        tokenizer = Tokenizer(kinds.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=tokens, unk_token="[UNK]", show_progress=False)
    else:
        tokenizer = Tokenizer(kinds.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=tokens, show_progress=False)
    tokenizer.train_from_iterator(_text(), trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = ["input_ids", *(["token_type_ids"] if family in WITH_TYPES else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=_positions(family), model_input_names=names, **SPECIAL
    )


@functools.cache
def _text() -> list[str]:
    """What the documentation strings of Python's own modules say, and some Korean."""
    import importlib

    found = []
    for module in NAMES:
        for _, value in inspect.getmembers(importlib.import_module(module)):
            found += (inspect.getdoc(value) or "").splitlines()
    return [*found, *KOREAN * 20]


NAMES = (
    "argparse",
    "asyncio",
    "collections",
    "datetime",
    "decimal",
    "difflib",
    "email",
    "http",
    "inspect",
    "io",
    "json",
    "logging",
)
NAMES += ("os", "pathlib", "random", "shutil", "socket", "statistics", "string", "subprocess", "tempfile", "threading", "zipfile")
KOREAN = ("고양이 한 마리가 창밖의 비를 보고 있다.", "우리 회사는 검색 엔진을 새로 만들었다.", "서울은 강을 끼고 있다.")
