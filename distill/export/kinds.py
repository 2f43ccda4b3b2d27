"""What kind of model a folder is, told by its own files: an encoder of sentences, or a model with one of five task heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError, UserError, nearest
from ..foreign import read_object
from ..modelfolder import check_model_files

TASKS = ("embedding", "classification", "multilabel", "regression", "tokens", "spans")
HEADS = {"ForSequenceClassification": "classification", "ForTokenClassification": "tokens", "ForQuestionAnswering": "spans"}
"""What the name of a transformers class ends with -> the task of its head."""
OF_TEXTS = ("classification", "multilabel", "regression")
"""Tasks that share one kind of head; `problem_type` tells them apart."""
OTHER_HEADS = ("ForMultipleChoice", "ForNextSentencePrediction")
HEAD_WEIGHTS = ("classifier.", "pre_classifier.", "qa_outputs.", "score.", "fc.")
BILSTM = "distill-bilstm"


@dataclass(frozen=True)
class Kind:
    """What a model folder is.

    Attributes:
        task: one of `TASKS`.
        source: the file and key that told it.
        family: `model_type` of its transformer; None where there is none.
        pairs: whether it is known to read pairs of texts.
        notes: what was assumed, for the user.
    """

    task: str
    source: str
    family: str | None = None
    pairs: bool = False
    notes: tuple[str, ...] = ()


def find_kind(folder: Path, name: str, task: str | None = None) -> Kind:
    """Look at a model folder without loading it.

    Args:
        folder: of a sentence-transformers model, a transformers model or a student of this toolkit.
        name: what the user called it, for errors.
        task: what it is, where its files leave that open; None: what they say.

    Raises:
        UserError: an unknown task, or one that the folder's files contradict; files that leave it open, and no task.
        ModelError: no model; custom code, pickled weights alone; a decoder or a sequence-to-sequence model; a head of no known
            kind.
    """
    from teachers.folder import check_folder, transformer_folder

    if task is not None and task not in TASKS:
        raise UserError("unknown task", where="--task", got=task, expected=", ".join(TASKS), hint=nearest(task, TASKS))
    check_model_files(folder, name)
    _refuse_code(folder, name)
    config = _config(folder)
    if config.get("model_type") == BILSTM:
        return _settled(_of_texts(config, BILSTM, pairs=bool(config.get("siamese"))), task, name)
    plain = check_folder(folder, name)
    inner = transformer_folder(folder)
    _refuse_code(inner, name)
    config = _config(inner)
    _refuse_decoders(config, name)
    family = config.get("model_type")
    if not plain:
        kind = _config(folder, "config_sentence_transformers.json").get("model_type", "SentenceTransformer")
        if kind == "CrossEncoder":
            return _settled(_of_texts(config, family, pairs=True), task, name)
        if kind != "SentenceTransformer":
            raise ModelError("this kind of sentence-transformers model cannot be exported", where=name, got=kind)
        return _settled(Kind("embedding", "modules.json", family), task, name)
    return _settled(_of_architecture(inner, config, name, task), task, name)


def _of_architecture(folder: Path, config: Mapping[str, Any], name: str, task: str | None) -> Kind:
    """The kind of a plain transformers folder, by the class that it was saved from."""
    family, saved = config.get("model_type"), _architecture(config)
    if saved.endswith(OTHER_HEADS):
        raise ModelError(
            "a head of this kind cannot be exported",
            where=name,
            got=saved,
            expected=f"...{', ...'.join(HEADS)}, or an encoder without a head",
            hint="--task embedding exports its encoder",
        )
    cross = "sentence_transformers" in config or "sbert_ce_default_activation_function" in config
    head = next((found for ending, found in HEADS.items() if saved.endswith(ending)), None)
    if head == "classification":
        return _of_texts(config, family, pairs=cross)
    if head is not None:
        return Kind(head, f"architectures: {saved} in config.json", family)
    if not saved:
        if task is not None and task != "embedding":
            return Kind(task, "--task", family)
        if task is None and (found := _head_weights(folder)):
            raise UserError(
                "these files do not tell what the head of this model is for",
                where=name,
                got=f"no architectures in config.json, and weights such as {found}",
                expected=f"--task with one of {', '.join(TASKS)}",
            )
    note = "it names no pooling: the mean of its token vectors is its sentence embedding, by default"
    return Kind("embedding", f"architectures: {saved or 'none'} in config.json", family, notes=(note,))


def _of_texts(config: Mapping[str, Any], family: str | None, *, pairs: bool) -> Kind:
    """The task of a classifier of texts, by `problem_type`; by the number of its outputs where there is none."""
    from teachers.heads import PROBLEMS

    problem = config.get("problem_type")
    for task, spelled in PROBLEMS.items():
        if problem == spelled:
            return Kind(task, f"problem_type: {problem} in config.json", family, pairs)
    names = config.get("id2label")
    outputs = (len(names) if isinstance(names, dict) else 0) or config.get("num_labels") or 2
    if outputs == 1:
        note = "config.json has no problem_type: with one output it is taken for a regression"
        return Kind("regression", "one output in config.json", family, pairs, (note,))
    note = "config.json has no problem_type: one label a text is assumed (softmax); several at once (sigmoid): --task multilabel"
    return Kind("classification", f"{outputs} outputs in config.json", family, pairs, (note,))


def _settled(found: Kind, task: str | None, name: str) -> Kind:
    """What the files say, put right by the user where they leave it open.

    Raises:
        UserError: they do not, and say something else.
    """
    if task is None or task == found.task:
        return found if task is None or found.task == "embedding" else Kind(task, found.source, found.family, found.pairs)
    told = found.source.startswith("problem_type")
    if found.task in OF_TEXTS and task in OF_TEXTS and not told:
        return Kind(task, "--task", found.family, found.pairs)
    if task == "embedding" and found.family != BILSTM and not found.pairs:
        note = "its head is left out; the mean of its token vectors is its sentence embedding"
        return Kind(task, "--task", found.family, notes=(note,))
    raise UserError(
        "that is not what this model is",
        where=name,
        got=f"--task {task}",
        expected=f"{found.task} ({found.source})",
        hint="put problem_type right in config.json if it is wrong" if told and task in OF_TEXTS else "leave --task out",
    )


def _refuse_code(folder: Path, name: str) -> None:
    """Refuse a folder whose model or tokenizer names code of its own."""
    for file in ("config.json", "tokenizer_config.json"):
        if "auto_map" in _config(folder, file):
            raise ModelError(
                "this model names code that came with it (auto_map), and such code is not run",
                where=f"{name}/{file}",
                expected="a model that transformers itself knows",
                hint="if its model_type is the same model, load it with that class and save it again with save_pretrained()",
            )


def _refuse_decoders(config: Mapping[str, Any], name: str) -> None:
    """Refuse what writes text, or reads it from the left alone."""
    from transformers.models.auto import modeling_auto as auto

    kind, saved = config.get("model_type"), _architecture(config)
    writes = kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    both = kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES or config.get("is_encoder_decoder", False)
    if both or writes or config.get("is_decoder", False):
        raise ModelError(
            "a sequence-to-sequence model cannot be exported" if both else "a decoder cannot be exported",
            where=name,
            got=f"{saved or 'a model'} of the kind {kind}",
            expected="an encoder such as BERT, RoBERTa, XLM-R, MPNet, ELECTRA, DistilBERT, ALBERT, ModernBERT, DeBERTa-v2",
        )


def _head_weights(folder: Path) -> str | None:
    """The first weight in a folder that looks like a task head's."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as weights:
                found = next((key for key in weights.keys() if key.startswith(HEAD_WEIGHTS)), None)  # noqa: SIM118
        except Exception as error:  # the library has a kind of its own, which is no Exception of a known base
            raise ModelError("this file is damaged", where=str(file), got=error, expected="safetensors") from error
        if found:
            return str(found)
    return None


def _architecture(config: Mapping[str, Any]) -> str:
    return str((config.get("architectures") or [""])[0])


def _config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON object of a model folder; {} where there is no such file."""
    return read_object(folder / name) if (folder / name).exists() else {}
