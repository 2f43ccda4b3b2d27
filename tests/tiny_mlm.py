"""Small masked language models, trained in seconds where a test needs one that has learnt something."""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny

NOUNS = ("학생", "의사", "고양이", "배우", "감독", "친구")
THINGS = ("영화", "음악", "책", "그림", "소설")


def _with(noun: str, closed: str, open_: str) -> str:
    """A Korean noun with the particle that follows a final consonant, or the one that follows a vowel."""
    return noun + (closed if (ord(noun[-1]) - 0xAC00) % 28 else open_)


KOREAN = [
    f"{_with(who, '은', '는')} {when} {_with(what, '을', '를')} {does}."
    for who, when, what, does in itertools.product(NOUNS, ("오늘", "어제"), THINGS, ("보았다", "좋아했다"))
]
"""Nouns of people with a topic particle, nouns of things with an object particle."""
PARTICLES = ("은", "는", "을", "를")
COLOURS = ("red", "green", "blue", "white")
ANIMALS = ("dog", "cat", "horse", "bird")
ENGLISH = [f"the {c} {a} {v} home ." for c, a, v in itertools.product(COLOURS, ANIMALS, ("walks", "runs", "comes", "goes"))]
_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def wordpiece(words: Sequence[str], lowercase: bool = True) -> Any:
    """A BERT tokenizer whose vocabulary is letters, continuations of letters, and the words given."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    letters = sorted({letter for word in words for letter in word.removeprefix("##")} | set("abcdefghijklmnopqrstuvwxyz.,!?'"))
    pieces = dict.fromkeys([*_SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters), *words])
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return _wrapped(tokenizer, "[CLS]", "[SEP]", _SPECIAL)


def byte_level(words: Sequence[str]) -> Any:
    """A byte-level BPE tokenizer like RoBERTa's, trained on a text of these words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=list(special.values()), initial_alphabet=alphabet)
    tokenizer.train_from_iterator([f"{word} {word}" for word in sorted(set(words)) for _ in range(9)], trainer)
    return _wrapped(tokenizer, "<s>", "</s>", special)


def unigram(words: Sequence[str]) -> Any:
    """A Unigram tokenizer with SentencePiece's marks, like XLM-RoBERTa's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    special = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz.,!?'▁"))
    scores = [(token, 0.0) for token in special.values()] + [(letter, -9.0) for letter in letters]
    scores += [(f"▁{word}", -3.0) for word in sorted(set(words))]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=1, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _wrapped(tokenizer, "<s>", "</s>", special)


def _wrapped(tokenizer: Any, begin: str, end: str, special: dict[str, str]) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    bert = begin == "[CLS]"
    pair = f"{begin} $A {end} $B:1 {end}:1" if bert else f"{begin} $A {end} {end} $B {end}"
    ends = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", pair=pair, special_tokens=ends)
    names = ["input_ids", *(["token_type_ids"] if bert else []), "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, model_input_names=names, **special)


def write(
    folder: Path,
    tokenizer: Any = None,
    family: str = "bert",
    *,
    texts: Sequence[str] = (),
    steps: int = 0,
    hidden: int = 32,
    positions: int = 64,
    seed: int = 0,
) -> Path:
    """A masked LM in `folder`.

    Args:
        folder: where to write it.
        tokenizer: its tokenizer; that of `tiny` if none is given.
        family: one of `tiny.FAMILIES`.
        texts: what it is trained on.
        steps: of the training; 0 leaves it random.
        hidden: its width.
        positions: longest input.
        seed: of weights and masks.
    """
    import torch
    from transformers import AutoModelForMaskedLM

    tokenizer = tokenizer if tokenizer is not None else tiny.tokenizer(family, positions)
    config = tiny._config(family, 2, hidden, 4, positions, len(tokenizer))
    if config.pad_token_id != tokenizer.pad_token_id:
        config.pad_token_id = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForMaskedLM.from_config(config)
        if steps:
            _train(model, tokenizer, texts, steps)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def _train(model: Any, tokenizer: Any, texts: Sequence[str], steps: int) -> None:
    """Masked-LM training on all texts at a time, a third of the tokens masked."""
    import torch

    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    special = torch.tensor(tokenizer.all_special_ids)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(steps):
        hidden = (torch.rand(ids.shape) < 0.33) & ~torch.isin(ids, special)
        labels = ids.where(hidden, -100)
        loss = model(input_ids=ids.masked_fill(hidden, tokenizer.mask_token_id), attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@functools.cache
def english() -> Path:
    """A model that has learnt `ENGLISH`."""
    words = sorted({word for text in ENGLISH for word in text.split()})
    return write(_folder("english"), wordpiece(words), texts=ENGLISH, steps=150)


@functools.cache
def korean() -> Path:
    """A model that has learnt `KOREAN`, which writes particles as continuations."""
    words = [*NOUNS, *THINGS, "오늘", "어제", "보았다", "좋아했다", *(f"##{particle}" for particle in PARTICLES)]
    return write(_folder("korean"), wordpiece(words, lowercase=False), texts=KOREAN, steps=150)


def _folder(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"mlm-{name}-"))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
