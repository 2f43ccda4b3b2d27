"""Small real models, built in code: no download, no stored weights, the same bytes every time.

`sentence_transformer("bert")` is a whole sentence-transformers model (tokenizer, encoder, pooling, normalise) with
random weights; `saved(folder)` is the same on disk. Building one takes well under a second.
"""

from __future__ import annotations

import functools
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

FAMILIES = ("bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert", "modernbert", "deberta-v2", "albert")
"""Every `config.model_type` that `sentence_transformer` can build."""

CUTTABLE = tuple(family for family in FAMILIES if family != "albert")
"""The families whose layers are apart, so that some of them can be taken."""

_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def _sentences() -> list[str]:
    who = ["A young woman", "The old man", "Our teacher", "A tired doctor", "The committee", "My neighbour", "A small dog"]
    does = [
        "is reading a book",
        "walks slowly through the park",
        "cooks rice and vegetables",
        "plays the guitar on stage",
        "repairs a broken bicycle",
        "announced new prices for electricity",
        "waits for the last train",
        "explains how the parser handles errors",
    ]
    where = ["in the morning", "near the river", "after a long day", "because of the heavy rain", "at the central station"]
    nouns = ["학생", "의사", "고양이", "기차", "시장", "정부", "작가"]
    verbs = ["도서관에서 책을 읽는다", "공원을 천천히 걷는다", "새로운 계획을 발표했다", "비를 기다린다", "저녁을 준비한다"]
    times = ["오늘 아침", "어젯밤", "주말에는", "비가 오는 날"]
    english = [f"{a} {b} {c}." for a, b, c in itertools.product(who, does, where)]
    korean = [f"{c} 그 {a}은 {b}." for a, b, c in itertools.product(nouns, verbs, times)]
    rows = english + korean
    random.Random(7).shuffle(rows)
    return rows


SENTENCES: list[str] = _sentences()
"""420 different sentences, English (280) and Korean (140), in a fixed shuffled order."""


def sts_rows(count: int = 60, seed: int = 3) -> list[tuple[str, str, float]]:
    """Pairs with a score from 0 to 5 that grows with the words the two sentences share.

    Args:
        count: number of rows.
        seed: of the choice of pairs.

    Returns:
        (sentence 1, sentence 2, score) rows; scores are not all alike.
    """
    chance = random.Random(seed)
    english = [sentence for sentence in SENTENCES if sentence.isascii()]
    rows = []
    for number in range(count):
        first = chance.choice(english)
        words = set(first.split())
        pool = chance.sample(english, 40)
        ranked = sorted(pool, key=lambda other: (len(words & set(other.split())), other))
        second = ranked[-1] if number % 3 == 0 else ranked[chance.randrange(len(ranked))]
        other_words = set(second.split())
        rows.append((first, second, round(5 * len(words & other_words) / len(words | other_words), 2)))
    return rows


def pairs() -> list[tuple[str, str]]:
    """140 English sentences, each with a Korean one: no translations, but a fixed partner each."""
    english, korean = ([text for text in SENTENCES if text.isascii() is latin] for latin in (True, False))
    return list(zip(english, korean, strict=False))


ASKED = {"korean-search": ["corpus.txt"], "multilingual-mse": ["en-ko.tsv"], "multilingual-small": ["sentences.txt"]}
"""Shipped recipes of the task embedding that name files of the user's."""


def write_asked(folder: Path, name: str) -> list[Path]:
    """Write the files that a shipped recipe of the task embedding names, and tell where they are."""
    texts = {
        "en-ko.tsv": "".join(f"{first}\t{second}\n" for first, second in pairs()),
        "sentences.txt": "".join(f"{text}\n" for text in SENTENCES),
    }
    texts["corpus.txt"] = texts["sentences.txt"]
    for file in ASKED[name]:
        (folder / file).write_text(texts[file], encoding="utf-8")
    return [folder / file for file in ASKED[name]]


@functools.cache
def _wordpiece() -> str:
    """tokenizer.json of a WordPiece tokenizer with the letters and words of `SENTENCES`."""
    from collections import Counter

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for sentence in SENTENCES for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence)))
    # A trainer breaks ties differently in every process; counting and sorting do not.
    letters = sorted({letter for word in counts for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789.,!?"))
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    pieces = [*_SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece()
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return str(tokenizer.to_str())


def tokenizer(family: str = "bert", max_length: int = 64) -> Any:
    """A fast Hugging Face tokenizer with a few hundred lower-case English and Korean pieces.

    Args:
        family: model family it will feed; decides whether token_type_ids are among its outputs.
        max_length: its `model_max_length`.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    names = ["input_ids", "attention_mask"]
    if family in ("bert", "electra", "deberta-v2", "albert"):
        names.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_wordpiece()), model_max_length=max_length, model_input_names=names, **_SPECIAL
    )


def _config(family: str, layers: int, hidden: int, heads: int, positions: int, vocabulary: int) -> Any:
    """A small transformers config of one family."""
    from transformers import AutoConfig

    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "initializer_range": 0.1,
    }
    special: dict[str, dict[str, Any]] = {
        "roberta": {"max_position_embeddings": positions + 2, "type_vocab_size": 1},
        "xlm-roberta": {"max_position_embeddings": positions + 2, "type_vocab_size": 1},
        "mpnet": {"max_position_embeddings": positions + 2},
        "electra": {"embedding_size": hidden},
        "modernbert": {
            "global_attn_every_n_layers": 3,
            "local_attention": 8,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "reference_compile": False,
        },
        "deberta-v2": {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 2},
        "albert": {"embedding_size": 16},
    }
    if family == "distilbert":
        common = {
            "vocab_size": vocabulary,
            "dim": hidden,
            "n_layers": layers,
            "n_heads": heads,
            "hidden_dim": 2 * hidden,
            "max_position_embeddings": positions,
            "pad_token_id": 0,
            "initializer_range": 0.1,
        }
    return AutoConfig.for_model(family, **{**common, **special.get(family, {})})


def write_encoder(
    folder: Path,
    family: str = "bert",
    *,
    layers: int = 4,
    hidden: int = 32,
    heads: int = 4,
    positions: int = 64,
    seed: int = 0,
) -> Path:
    """A plain Hugging Face encoder with its tokenizer in `folder`: no pooling, no sentence-transformers files."""
    import torch
    from transformers import AutoModel

    words = tokenizer(family, positions)
    config = _config(family, layers, hidden, heads, positions, len(words))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(config)
        model.get_input_embeddings().weight.data *= 8  # words outweigh positions: sentences differ
    model.eval().save_pretrained(folder)
    words.save_pretrained(folder)
    return Path(folder)


def sentence_transformer(
    family: str = "bert",
    *,
    layers: int = 4,
    hidden: int = 32,
    heads: int = 4,
    normalize: bool = True,
    seed: int = 0,
    dim: int | None = None,
    pooling: str = "mean",
    max_length: int = 64,
    prompts: dict[str, str] | None = None,
    default_prompt_name: str | None = None,
) -> Any:
    """A small random `SentenceTransformer` on the CPU, in eval mode, fp32.

    Args:
        family: one of `FAMILIES`.
        layers, hidden, heads: size of the encoder.
        normalize: whether a Normalize module ends it.
        seed: of the weights.
        dim: width of the vectors, by a linear Dense after pooling; None keeps `hidden`.
        pooling: pooling mode.
        max_length: longest input in tokens.
        prompts, default_prompt_name: as in SentenceTransformer.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    with tempfile.TemporaryDirectory() as folder:
        write_encoder(Path(folder), family, layers=layers, hidden=hidden, heads=heads, positions=max_length, seed=seed)
        modules: list[Any] = [Transformer(folder, max_seq_length=max_length), Pooling(hidden, pooling)]
    if dim is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            modules.append(Dense(hidden, dim, activation_function=torch.nn.Identity()))
    if normalize:
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts, default_prompt_name=default_prompt_name)
    return model.eval()


def saved(folder: Path, family: str = "bert", **options: Any) -> Path:
    """`sentence_transformer(family, **options)` saved in `folder`, which `SentenceTransformer(folder)` loads."""
    sentence_transformer(family, **options).save_pretrained(str(folder), create_model_card=False)
    return Path(folder)


def write_lines(path: Path, lines: list[str] | None = None) -> Path:
    """A UTF-8 text file with one sentence a line; `SENTENCES` when no lines are given."""
    path.write_text("".join(f"{line}\n" for line in (SENTENCES if lines is None else lines)), "utf-8")
    return path


def write_sts(path: Path, rows: list[tuple[str, str, float]] | None = None) -> Path:
    """An STS file with the columns sentence1, sentence2, score: tab-separated for `.tsv`, else CSV."""
    import csv

    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        writer.writerow(["sentence1", "sentence2", "score"])
        writer.writerows(sts_rows() if rows is None else rows)
    return path


# Labelled tasks: what a sentence of `SENTENCES` is called follows from its words, so that a small model can learn it.

ENGLISH: list[str] = [sentence for sentence in SENTENCES if sentence.isascii()]
"""The 280 English sentences."""

TASK_FILES = {
    "classification": "rows.tsv",
    "pairs": "pairs.tsv",
    "multilabel": "tags.jsonl",
    "regression": "scores.tsv",
    "tokens": "words.conll",
    "spans": "questions.json",
}
"""Kind of labelled data -> name of the file that `write_task` makes."""

LABELS = ("place", "time", "weather")
"""The three classes of `text_rows`, in the order of a data set that sorts them."""

_PLACES = {"river": "place", "station": "place", "morning": "time", "day": "time", "rain": "weather"}


def text_rows(count: int | None = None) -> list[tuple[str, str]]:
    """(sentence, label) rows: one of `LABELS`, told by the sentence's last words."""
    rows = [(sentence, next(label for word, label in _PLACES.items() if word in sentence)) for sentence in ENGLISH]
    return rows[:count]


def pair_rows(count: int | None = None) -> list[tuple[str, str, str]]:
    """(sentence, sentence, label) rows: `same` where both speak of the same person, else `other`."""
    rows = []
    for number, (first, second) in enumerate(zip(ENGLISH, [*ENGLISH[1:], ENGLISH[0]], strict=True)):
        if number % 2:
            second = " ".join([*first.split()[:2], *second.split()[2:]])
        rows.append((first, second, "same" if first.split()[:2] == second.split()[:2] else "other"))
    return rows[:count]


def tag_rows(count: int | None = None) -> list[tuple[str, list[str]]]:
    """(sentence, labels) rows with none to two of `animal`, `outside` and `late`."""
    words = {"animal": ("dog",), "outside": ("river", "park"), "late": ("last", "after")}
    rows = [
        (sentence, [label for label, told in words.items() if any(word in sentence for word in told)]) for sentence in ENGLISH
    ]
    return rows[:count]


def score_rows(count: int | None = None) -> list[tuple[str, float]]:
    """(sentence, score) rows: the score grows with the words of the sentence that begin with r, s or t."""
    rows = [(sentence, 0.5 * sum(word[0] in "rst" for word in sentence.split())) for sentence in ENGLISH]
    return rows[:count]


def conll_rows(count: int | None = None) -> list[list[tuple[str, str]]]:
    """Sentences as (word, tag) rows: who acts is a PER of one to three words, the last word a WHERE."""
    rows = []
    for sentence in ENGLISH:
        words = sentence.rstrip(".").split()
        end = next(place for place, word in enumerate(words) if word in _NOUNS) + 1
        tags = ["B-PER", *["I-PER"] * (end - 1), *["O"] * (len(words) - end - 1), "B-WHERE"]
        rows.append(list(zip(words, tags, strict=True)))
    return rows[:count]


_NOUNS = ("woman", "man", "teacher", "doctor", "committee", "neighbour", "dog")


def squad_rows(count: int | None = None) -> list[tuple[str, str, str]]:
    """(question, context, answer) rows: who does something, asked of two sentences."""
    rows = []
    for number, sentence in enumerate(ENGLISH):
        other = ENGLISH[(number + 1) % len(ENGLISH)]
        context = f"{sentence} {other}" if number % 2 else f"{other} {sentence}"
        words = sentence.split()
        end = next(place for place, word in enumerate(words) if word in _NOUNS) + 1
        rows.append((f"Who {' '.join(words[end:]).rstrip('.')}?", context, " ".join(words[:end])))
    return rows[:count]


def write_task(folder: Path, kind: str, start: int = 0, end: int | None = None, name: str | None = None) -> Path:
    """A labelled file of one kind of `TASK_FILES`, rows `start` to `end`; `name` instead of the usual one."""
    import json

    path = Path(folder) / (name or TASK_FILES[kind])
    part = slice(start, end)
    if kind == "tokens":
        text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in rows) for rows in conll_rows()[part])
    elif kind == "spans":
        found = []
        for number, (question, context, answer) in list(enumerate(squad_rows()))[part]:
            place = {"text": answer, "answer_start": context.index(answer)}
            found.append({"context": context, "qas": [{"id": f"q{number}", "question": question, "answers": [place]}]})
        text = json.dumps({"version": "1.1", "data": [{"title": "tiny", "paragraphs": found}]})
    elif kind == "multilabel":
        text = "".join(json.dumps({"text": row, "labels": labels}) + "\n" for row, labels in tag_rows()[part])
    else:
        rows: dict[str, Any] = {"classification": text_rows, "pairs": pair_rows, "regression": score_rows}
        head = {"classification": "text\tlabel", "pairs": "text\ttext_pair\tlabel", "regression": "text\tscore"}
        text = "\n".join([head[kind], *("\t".join(map(str, row)) for row in rows[kind]()[part])]) + "\n"
    path.write_text(text, "utf-8")
    return path


def _model(auto_class: str, folder: Path, family: str, shape: dict[str, int], seed: int, options: dict[str, Any]) -> Path:
    """A random transformers model with a head, and its tokenizer."""
    import torch
    import transformers

    positions = shape.get("positions", 64)
    words = tokenizer(family, positions)
    config = _config(
        family,
        shape.get("layers", 4),
        shape.get("hidden", 32),
        shape.get("heads", 4),
        positions,
        shape.get("vocabulary", len(words)),
    )
    for key, value in options.items():
        setattr(config, key, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, auto_class).from_config(config)
        model.get_input_embeddings().weight.data *= 8
    model.eval().save_pretrained(folder)
    words.save_pretrained(folder)
    return Path(folder)


def write_masked_lm(folder: Path, family: str = "bert", *, seed: int = 0, **shape: int) -> Path:
    """A random encoder with a masked-LM head, saved: `shape` has layers, hidden, heads, positions."""
    return _model("AutoModelForMaskedLM", folder, family, shape, seed, {})


def write_classifier(
    folder: Path,
    labels: tuple[str, ...] = LABELS,
    family: str = "bert",
    *,
    auto_class: str = "AutoModelForSequenceClassification",
    seed: int = 0,
    **shape: int,
) -> Path:
    """A random model with the head of `auto_class` and these labels, saved as a fine-tuned one would be."""
    options = {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "label2id": {x: i for i, x in enumerate(labels)}}
    return _model(auto_class, folder, family, shape, seed, options)
