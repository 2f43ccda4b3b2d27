"""Transformers models with a task head: the teachers of labelled tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from distill.errors import ModelError
from distill.files import read_json
from distill.loading import check_tokenizer, from_folder, loading, quiet_loading, refuse_missing
from distill.locating import locate_model
from distill.positions import position_limit

from .folder import check_folder, download, transformer_folder

HeadTask = Literal["classification", "multilabel", "regression", "tokens", "spans"]

CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "multilabel": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
}
"""Task -> the class of transformers that has its head."""

PROBLEMS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}


@dataclass
class HeadModel:
    """A task model with its tokenizer.

    Attributes:
        name: what the user called it.
        model: of transformers, fp32, eval mode.
        tokenizer: fast.
        labels: names of its outputs, in order; empty for regression and spans.
        max_length: longest input in tokens.
        untrained: whether its head was made anew, at random.
    """

    name: str
    model: Any
    tokenizer: Any
    labels: tuple[str, ...]
    max_length: int
    untrained: bool


def load_head(
    name: str,
    task: HeadTask,
    *,
    labels: Sequence[str] | None = None,
    max_length: int | None = None,
    revision: str | None = None,
    seed: int = 0,
) -> HeadModel:
    """Load a task model in fp32 and eval mode, from safetensors alone and without running code that came with it.

    Args:
        name: hub id, folder or `package:NAME`: a task model, or an encoder, which then gets an untrained head.
        task: which head.
        labels: names of the outputs of a head that is made anew; a trained head keeps its own.
        max_length: longest input in tokens; None takes the model's own.
        revision: hub commit, tag or branch.
        seed: of an untrained head.

    Raises:
        ModelError: the model is missing, damaged, needs custom code, holds pickled weights alone, has no fast
            tokenizer, or `max_length` is more than it has positions for.
    """
    folder = _find(name, revision)
    model, missing = _load(folder, name, task, labels, seed)
    return _head_model(name, model, load_tokenizer(folder, name), task, max_length, bool(missing))


def load_trained_head(name: str, task: HeadTask, *, revision: str | None = None) -> HeadModel:
    """Load a task model whose weights are all there, as `load_head` does; nothing is made anew.

    Args:
        name: hub id, folder or `package:NAME` of a model with the head of `task`.
        task: which head.
        revision: hub commit, tag or branch.

    Raises:
        ModelError: as `load_head`, or weights are missing: of the head, which then was never trained, or of the encoder.
    """
    folder = _find(name, revision)
    with torch.random.fork_rng(devices=[]), quiet_loading():
        model, info = _pretrained(CLASSES[task], folder, name)
    missing = sorted(info["missing_keys"])
    if missing:
        of_head = [key for key in missing if not key.startswith(f"{model.base_model_prefix}.")]
        raise ModelError(
            "the head of this model was never trained: its weights are not in the folder"
            if of_head
            else "weights of this model are missing",
            where=name,
            got=f"no {', '.join((of_head or missing)[:3])}{' ...' if len(of_head or missing) > 3 else ''}",
            expected=f"every weight of {type(model).__name__}",
            hint="train it on labelled data first (distill run), or export its encoder with --task embedding"
            if of_head
            else "save the model again as a whole with save_pretrained()",
        )
    return _head_model(name, model, load_tokenizer(folder, name), task, None, False)


def _head_model(name: str, model: Any, tokenizer: Any, task: HeadTask, max_length: int | None, untrained: bool) -> HeadModel:
    """The parts put together, once the model is known to fit the task and the length.

    Raises:
        ModelError: it does not.
    """
    check_tokenizer(tokenizer, int(model.get_input_embeddings().weight.shape[0]), name)
    _without_types(tokenizer, model.config)
    limit = position_limit(model)
    own = tokenizer.model_max_length if tokenizer.model_max_length < 1e9 else None
    asked = max_length or own or limit or 512
    if max_length is not None and limit is not None and max_length > limit:
        raise ModelError("max_length is more than this model can read", where=name, got=max_length, expected=f"at most {limit}")
    if task == "regression" and model.config.num_labels != 1:
        raise ModelError(
            "a regression needs a model with one output",
            where=name,
            got=f"{model.config.num_labels} outputs: {', '.join(map(str, model.config.id2label.values()))}",
            expected="1",
            hint="set task: classification, or name a model that was trained on scores",
        )
    names = tuple(str(model.config.id2label[index]) for index in range(model.config.num_labels))
    return HeadModel(
        name=name,
        model=model.float().eval(),
        tokenizer=tokenizer,
        labels=names if task not in ("regression", "spans") else (),
        max_length=min(asked, limit) if limit is not None else asked,
        untrained=untrained,
    )


def _without_types(tokenizer: Any, config: Any) -> None:
    """Let a tokenizer give no token types where its model knows one alone, or none.

    A RoBERTa with BERT's tokenizer is one: that calls a second text 1, and the model has a vector for 0 alone.
    """
    if getattr(config, "type_vocab_size", 0) > 1 or getattr(config, "siamese", False):
        return
    kept = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    if kept != list(tokenizer.model_input_names):
        tokenizer.model_input_names = kept
        tokenizer.init_kwargs["model_input_names"] = kept  # what is saved with a student


def _pretrained(kind: str, folder: Path, name: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """A model of one of transformers' auto classes, fp32, from safetensors and local files, and what its loading tells.

    Raises:
        ModelError: the folder does not load.
    """
    import transformers

    with loading(folder, name):
        return from_folder(getattr(transformers, kind), folder, **options)


def _load(folder: Path, name: str, task: HeadTask, labels: Sequence[str] | None, seed: int) -> tuple[Any, list[str]]:
    """The model, and the weights of its head that the folder does not hold."""
    options: dict[str, Any] = {}
    made_for = _architecture(folder)
    head_is_there = made_for.endswith(CLASSES[task].removeprefix("AutoModel"))
    of_another_task = not head_is_there and made_for.endswith(tuple(name.removeprefix("AutoModel") for name in CLASSES.values()))
    if not head_is_there:
        options = {**head_options(task, labels), "ignore_mismatched_sizes": of_another_task}
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        model, info = _pretrained(CLASSES[task], folder, name, **options)
        prefix = f"{model.base_model_prefix}."
        missing = {key for key in info["missing_keys"] if not key.startswith(prefix)}
        if lost := sorted(key for key in info["missing_keys"] - missing if (missing and ".pooler." not in key) or not missing):
            refuse_missing(lost, type(model).__name__, name)
        if of_another_task:
            missing |= _forget_head(model, prefix, missing)
    return model, sorted(missing)


def _forget_head(model: Any, prefix: str, missing: Collection[str]) -> set[str]:
    """Make the head anew where weights of another task's head came in under its names; gives these names.

    Args:
        model: a task model.
        prefix: what the names of its encoder's weights begin with.
        missing: weights that are new already.
    """
    old = {name: weight for name, weight in model.named_parameters() if not name.startswith(prefix) and name not in missing}
    deviation = float(getattr(model.config, "initializer_range", 0.02))
    with torch.no_grad():
        for name, weight in old.items():
            if weight.dim() > 1:
                weight.normal_(0.0, deviation)
            elif name.endswith("bias"):
                weight.zero_()
    return set(old)


def head_options(task: HeadTask, labels: Sequence[str] | None) -> dict[str, Any]:
    """The settings of a config that make a head for a task.

    Args:
        task: which head.
        labels: names of its outputs.
    """
    if task == "spans":
        return {"num_labels": 2}
    if task == "regression":
        return {"num_labels": 1, "problem_type": PROBLEMS[task]}
    names = list(labels or ())
    problem = {"problem_type": PROBLEMS[task]} if task in PROBLEMS else {}
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {label: index for index, label in enumerate(names)},
        **problem,
    }


def load_tokenizer(folder: Path, name: str) -> Any:
    """The fast tokenizer of a model folder.

    Raises:
        ModelError: there is none.
    """
    from transformers import AutoTokenizer

    with loading(folder, name, "this model's tokenizer cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise ModelError("this model has no fast tokenizer", where=name, expected="a folder with tokenizer.json")
    return tokenizer


def find_tokenizer(name: str, *, revision: str | None = None) -> Any:
    """The fast tokenizer of a model, found by the model's name.

    Raises:
        ModelError: there is no such model, or it has no fast tokenizer.
    """
    return load_tokenizer(_find(name, revision), name)


def load_masked_lm(name: str, *, revision: str | None = None) -> Any:
    """A model with its masked-LM head, fp32, eval mode.

    Raises:
        ModelError: as `load_head`, or the folder holds no trained masked-LM head.
    """
    folder = _find(name, revision)
    with quiet_loading():
        model, info = _pretrained("AutoModelForMaskedLM", folder, name)
    output = model.get_output_embeddings()
    tied = output is not None and output.weight is model.get_input_embeddings().weight
    elsewhere = ("decoder.bias", *(("decoder.weight", "vocab_projector.weight") if tied else ()))  # stored under another name
    missing = [key for key in info["missing_keys"] if not key.endswith(elsewhere) and "pooler" not in key]
    if missing:
        raise ModelError(
            "this model has no trained masked-LM head",
            where=name,
            got=f"missing {', '.join(sorted(missing)[:3])}",
            expected="a pretrained masked-LM model, not one that was made into a sentence encoder",
            hint="leave out the losses mlm and mlm_kl",
        )
    return model.float().eval()


def _find(name: str, revision: str | None) -> Path:
    """The folder of a model's transformer, fetched from the hub if need be and looked at."""
    place = locate_model(name)
    folder = Path(place) if Path(place).is_dir() else download(place, revision)
    check_folder(folder, name)
    return transformer_folder(folder)


def _architecture(folder: Path) -> str:
    """The class that a folder was saved from."""
    names = read_json(folder / "config.json").get("architectures") or [""]
    return str(names[0])
