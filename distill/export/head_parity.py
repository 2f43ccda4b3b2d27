"""Proof that the exported file of a task model decides as the model does: labels, tags and answers, not vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import ModelError
from ..files import write_json
from ..progress import track
from ..recipe import BY_TOKEN
from ..runtime.precision import GATES
from ..runtime.session import open_session
from .check_graph import check_graph
from .decisions import Outputs, agreement, correlation, cosines
from .graph import graph_positions
from .head_invariance import head_invariance
from .heads import SPANS, head_inputs, head_outputs, plain_copy
from .long_inputs import Feed, Says, long_differences, long_feeds, long_passed
from .parity import MAX_ABS, probe_sentences, session_says
from .quantize import FILES, quantized_nodes
from .search_log import budget_gate, with_search

Row = str | tuple[str, str] | Mapping[str, Any]
TASKS = ("classification", "multilabel", "regression", "tokens", "spans")
LABEL_AGREEMENT = {
    "fast": 0.97,
    "faithful": 0.98,
    "portable": 0.98,
    "fp16": 0.99,
    "searched": 0.0,  # its gate is its budget
}
CORRELATION = {"fast": 0.99, "faithful": 0.995, "portable": 0.995, "fp16": 0.999, "searched": -1.0}
BATCH = 32


def check_head_parity(
    model: Any, tokenizer: Any, folder: Path, presets: Sequence[str], rows: Sequence[Row], task: str, *, prefix: str = ""
) -> dict[str, Any]:
    """Compare each exported file of a task model with its reference on real input.

    The fp32 file is compared with torch; the quantized ones with the fp32 file. Rows go through one by one, so that no
    padding is involved; batch invariance compares a row alone with the same row in a padded batch of 32. Padding and
    the tokens that frame a text never count.

    Args:
        model: the torch model that was exported.
        tokenizer: its tokenizer; it cuts what is too long and pads as it is set to.
        folder: holds `onnx/`.
        presets: which files to check.
        rows: texts, pairs of texts (for spans: question and context), or features of one row each as a tokenizer gives
            them (`input_ids`, maybe `token_type_ids`; lists without padding).
        task: classification, multilabel, regression, tokens or spans.
        prefix: put before the files' paths in the result.

    Returns:
        The content of parity.json; `passed` per preset, which is also written beside the files as gates.json.
        `label_agreement` is the share of equal decisions: labels; of multilabel every yes or no; of tokens every real
        token's label; of spans the best span. `correlation` (Pearson) takes its place for a regression. Gates: fp32 max
        abs difference <= 1e-4; `fast` agreement >= 0.97 or correlation >= 0.99; `faithful` and `portable` >= 0.98 or >= 0.995.
        `mean_cosine` is that of the probabilities, None for a regression. `graph` and `long_inputs`: see `check_parity`.

    Raises:
        ModelError: the model's head does not fit the task, there is no row to compare, or a file is none that clients can load.
    """
    _check(model, rows, task)
    features = [encode_row(row, tokenizer, model, task) for row in rows]
    kept = [_kept(row["input_ids"], tokenizer, task) for row in features]
    if task in BY_TOKEN and not any(mask.any() for mask in kept):
        raise ModelError("no row has a token to compare", where="parity", got=f"{len(rows)} rows", expected="text")
    reference = _torch_outputs(model, tokenizer, features)
    pairs, outputs = bool(getattr(model.config, "siamese", False)), head_outputs(model)
    feeds = long_feeds(tokenizer, head_inputs(model, tokenizer), probe_sentences(), _longest(model, tokenizer), pairs=pairs)
    long_reference = _torch_says(model)
    models: dict[str, Any] = {}
    ordered = sorted(presets, key=list(FILES).index)
    for name in track(ordered, total=len(ordered), description="proving", unit="files"):
        file = folder / "onnx" / FILES[name]
        graph = check_graph(file)
        session = open_session(file, outputs=outputs)
        alone, batched = (_onnx_outputs(session, tokenizer, features, size) for size in (1, BATCH))
        found = _compare(alone, reference, kept, task)
        together = _compare(batched, alone, kept, task)
        fp32, finite = name == "fp32", found["finite"] and together["finite"]
        gate, passed = _judge(name, found, task)
        says = session_says(file, outputs)
        long = long_differences(says, long_reference, feeds, by_token=task in BY_TOKEN)
        if fp32 and not long_passed(long, MAX_ABS):
            passed = False
        models[name] = {
            "file": f"{prefix}onnx/{FILES[name]}",
            "reference": "torch" if fp32 else "fp32",
            **{key: found[key] if finite else None for key in ("max_abs", "mean_cosine", "min_cosine")},
            **{key: found[key] if finite else None for key in ("label_agreement", "correlation")},
            "batch_invariance": {key: together[key] for key in _told(task)} if finite else None,
            "nodes": {} if fp32 else dict(quantized_nodes(onnx.load(file))),
            "graph": graph,
            "long_inputs": long,
            "gate": gate,
            "passed": finite and passed,
        }
        positions = getattr(model.config, "max_position_embeddings", None)
        neighbours = head_invariance(session, tokenizer, features, kept, task, alone, positions)
        models[name] |= {"invariance": neighbours}
        models[name] |= budget_gate(folder, name, models[name])
        if fp32:
            reference, long_reference = alone, says
    write_json(folder / "onnx" / GATES, {name: model["passed"] for name, model in models.items()})
    return with_search({"schema_version": 1, "sentences": len(rows), "task": task, "models": models}, folder)


def encode_row(row: Row, tokenizer: Any, model: Any, task: str) -> dict[str, list[int]]:
    """One row as lists of token ids without padding, cut to what tokenizer and model allow; features pass as they are."""
    names = head_inputs(model, tokenizer)
    if isinstance(row, Mapping):
        given = {name: list(map(int, row[name])) for name in names if name in row}
        length = len(given["input_ids"])
        return {"attention_mask": [1] * length, **{name: [0] * length for name in names[2:]}, **given}
    first, second = (row, None) if isinstance(row, str) else row
    found = tokenizer(
        first,
        second,
        truncation="only_second" if task == "spans" and second is not None else True,
        max_length=_longest(model, tokenizer),
        return_attention_mask=True,
    )
    return {name: list(found[name]) for name in names}


def row_feeds(rows: Sequence[Row], tokenizer: Any, model: Any, task: str, size: int = 8) -> list[dict[str, NDArray[np.int64]]]:
    """Rows as padded batches of `size`: inputs of the graph of a task model."""
    encoded = [encode_row(row, tokenizer, model, task) for row in rows]
    names = head_inputs(model, tokenizer)
    batches = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    padded = [tokenizer.pad(batch, return_tensors="np", padding=True) for batch in batches]
    return [{name: batch[name].astype(np.int64) for name in names} for batch in padded]


def _longest(model: Any, tokenizer: Any) -> int:
    """Longest input in tokens: what the tokenizer is set to, and what the model has positions for."""
    return int(min(tokenizer.model_max_length, graph_positions(model)))


def _torch_says(model: Any) -> Says:
    """The torch model as a function of a batch, in fp32 on the CPU."""
    import torch

    twin, names = plain_copy(model), head_outputs(model)

    def says(feed: Feed) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            out = twin(**{name: torch.from_numpy(value) for name, value in feed.items()})
        return [getattr(out, name).numpy() for name in names]

    return says


def _compare(found: Sequence[Outputs], wanted: Sequence[Outputs], kept: Sequence[NDArray[np.bool_]], task: str) -> dict[str, Any]:
    """Every number that tells how near two models are, over rows of outputs [C], [L, C] or [2, L]."""
    if task in BY_TOKEN:
        axis = 0 if task == "tokens" else 1
        found, wanted = (
            [row.compress(mask, axis=axis) for row, mask in zip(rows, kept, strict=True) if mask.any()]
            for rows in (found, wanted)
        )
    finite = all(np.isfinite(row).all() for row in (*found, *wanted))
    if not finite:
        empty = dict.fromkeys(("max_abs", "mean_cosine", "min_cosine", "label_agreement", "correlation"))
        return {"finite": False, **empty}
    near = cosines(found, wanted, task)
    regression = task == "regression"
    return {
        "finite": True,
        "max_abs": float(max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True))),
        "mean_cosine": None if near is None else float(near.mean()),
        "min_cosine": None if near is None else float(near.min()),
        "label_agreement": None if regression else agreement(found, wanted, task),
        "correlation": correlation(found, wanted) if regression else None,
    }


def _judge(preset: str, found: Mapping[str, Any], task: str) -> tuple[str, bool]:
    """The gate in words, and whether it is met; a number that is undefined meets none."""
    if preset == "fp32":
        key, limit = "max_abs", MAX_ABS
    else:
        key, limit = _told(task)[0], (CORRELATION if task == "regression" else LABEL_AGREEMENT)[preset]
    value = found[key]
    if value is None:
        return f"{key} {'<=' if key == 'max_abs' else '>='} {limit:g}", False
    return (f"{key} <= {limit:g}", value <= limit) if key == "max_abs" else (f"{key} >= {limit:g}", value >= limit)


def _told(task: str) -> tuple[str, str]:
    return "correlation" if task == "regression" else "label_agreement", "max_abs"


def _torch_outputs(model: Any, tokenizer: Any, features: Sequence[Mapping[str, list[int]]]) -> list[Outputs]:
    """What torch says of each row alone, in fp32 on the CPU."""
    import torch

    twin = plain_copy(model)
    spans = head_outputs(model) == SPANS
    found = []
    with torch.no_grad():
        for row in features:
            out = twin(**{name: torch.tensor([ids]) for name, ids in row.items()})
            both = torch.cat([out.start_logits, out.end_logits]) if spans else out.logits[0]
            found.append(both.numpy())
    return found


def _onnx_outputs(session: Any, tokenizer: Any, features: Sequence[Mapping[str, list[int]]], size: int) -> list[Outputs]:
    """What a file says of each row in batches of `size` rows, padding cut off again."""
    names = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs() if node.name in ("logits", *SPANS)]
    found: list[Outputs] = []
    for start in range(0, len(features), size):
        rows = [dict(row) for row in features[start : start + size]]
        padded = tokenizer.pad(rows, return_tensors="np", padding=True)
        feeds = {name: padded[name].astype(np.int64) for name in names}
        results = session.run(outputs, feeds)
        for number in range(len(rows)):
            real = feeds["attention_mask"][number] == 1
            if len(results) == 2:
                found.append(np.stack([part[number][real] for part in results]))
            else:
                logits = results[0][number]
                found.append(logits[real] if logits.ndim == 2 else logits)
    return found


def _kept(ids: Sequence[int], tokenizer: Any, task: str) -> NDArray[np.bool_]:
    """Which tokens of a row count: none that only frame the text; of spans the context's, and the first ("no answer")."""
    names = ("cls", "sep", "bos", "eos", "pad")
    framing = {number for name in names if (number := getattr(tokenizer, f"{name}_token_id", None)) is not None}
    kept = np.array([number not in framing for number in ids], dtype=bool)
    if task == "spans":
        ends = [place for place, number in enumerate(ids[:-1]) if number == tokenizer.sep_token_id]
        kept[: ends[0] if ends else 0] = False
        kept[:1] = True
    return kept


def _check(model: Any, rows: Sequence[Row], task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"no task '{task}': {', '.join(TASKS)}")
    kind = {"tokens": "ForTokenClassification", "spans": "ForQuestionAnswering"}.get(task, "ForSequenceClassification")
    if not type(model).__name__.endswith(kind):
        raise ModelError("this model's head does not fit the task", where=task, got=type(model).__name__, expected=f"...{kind}")
    if not rows:
        raise ModelError("there is nothing to compare the files on", where="parity", got="no row", expected="at least one text")
