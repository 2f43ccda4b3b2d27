"""Students of labelled tasks: a transformers model with a task head, or a BiLSTM."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from distill.errors import ModelError
from distill.files import atomic_folder, expand, read_json, write_json
from distill.loading import from_folder, loading, refuse_missing
from distill.modelfolder import check_model_files
from distill.positions import position_limit

from .bilstm import BiLSTMConfig, build_bilstm, load_bilstm
from .layers import check_cut, choose_layers, keep_layers, layer_stack
from .spec import BiLSTMSpec, LayersSpec, TinySpec, VocabularySpec
from .tiny import project_embeddings, tiny_of
from .vocabulary import Trimmed, trim
from .vocabulary_model import trim_model

Spec = LayersSpec | TinySpec | BiLSTMSpec
Kind = Literal["layers", "tiny", "bilstm"]


@dataclass
class HeadStudent:
    """A task student before or after training.

    Attributes:
        model: what is trained, saved, exported and measured.
        tokenizer: fast.
        max_length: longest input in tokens.
        kind: how it was made.
        layers: 0-based layers of the start model that were kept; empty where none was cut.
        source_layers: layers of the start model.
        ids: the start model's id of each of the student's token ids, int64, where the vocabulary was trimmed, else None.
    """

    model: Any
    tokenizer: Any
    max_length: int
    kind: Kind
    layers: list[int] = field(default_factory=list)
    source_layers: int = 0
    ids: Tensor | None = None


def build_head_student(
    spec: Spec,
    start: Any,
    tokenizer: Any,
    *,
    task: str,
    head: Mapping[str, Any],
    max_length: int,
    texts: Sequence[str] = (),
    pairs: bool = False,
    seed: int,
) -> HeadStudent:
    """A student for a labelled task.

    Args:
        spec: what kind, and how large.
        start: the task model it is cut from, or whose family and word table it takes; left as it is.
        tokenizer: of `start`.
        task: of the recipe.
        head: settings of a config that make the task's head: num_labels, id2label, label2id, problem_type.
        max_length: the teacher's longest input in tokens, used unless the recipe gives one.
        texts: the training text, for a trimmed vocabulary.
        pairs: whether the task's inputs are pairs of texts.
        seed: of everything that is made at random.

    Raises:
        ModelError: the recipe does not fit the start model.
    """
    limit = None if isinstance(spec, BiLSTMSpec) else position_limit(start.base_model)
    if spec.max_length is not None and limit is not None and spec.max_length > limit:
        raise ModelError(
            "that is more than the start model can read",
            where="student.max_length",
            got=spec.max_length,
            expected=f"at most {limit}",
        )
    wanted = max_length if spec.max_length is None else spec.max_length
    length = min(wanted, limit) if limit is not None else wanted
    trimmed = _trim(spec.vocabulary, tokenizer, texts)
    if isinstance(spec, LayersSpec):
        student = _of_layers(spec, start, tokenizer, trimmed, head)
    elif isinstance(spec, TinySpec):
        student = _tiny(spec, start, tokenizer, trimmed, head, seed)
    else:
        student = _bilstm(spec, start, tokenizer, trimmed, head, pairs, seed)
    student.max_length = length
    student.model = student.model.float().eval().requires_grad_(True)
    if trimmed is not None:
        student.ids = torch.from_numpy(np.asarray(trimmed.kept_ids, dtype=np.int64))
    return student


def _trim(spec: VocabularySpec | None, tokenizer: Any, texts: Sequence[str]) -> Trimmed | None:
    """The pieces that are kept, or None for all."""
    if spec is None:
        return None
    return trim(tokenizer, texts, size=spec.size, languages=spec.languages, min_count=spec.min_count)


def _of_layers(spec: LayersSpec, start: Any, tokenizer: Any, trimmed: Trimmed | None, head: Mapping[str, Any]) -> HeadStudent:
    """Some layers of the start model, its head as it is; what clients do with the logits is the task's, not the start model's."""
    available = len(layer_stack(start.base_model)[2])
    kept = choose_layers(available, spec.layers)
    check_cut(start.base_model, kept)
    model = copy.deepcopy(start)
    keep_layers(model.base_model, kept)
    if "problem_type" in head:
        model.config.problem_type = head["problem_type"]
    if trimmed is not None:
        model, tokenizer = trim_model(model, tokenizer, trimmed)
    return HeadStudent(model, tokenizer, 0, "layers", kept, available)


def _tiny(spec: TinySpec, start: Any, tokenizer: Any, trimmed: Trimmed | None, head: Mapping[str, Any], seed: int) -> HeadStudent:
    """A small transformer of the start model's family."""
    base = start.base_model
    if trimmed is not None:
        base, tokenizer = trim_model(base, tokenizer, trimmed)
    encoder = tiny_of(spec, base, seed)
    config = copy.deepcopy(encoder.config)
    for name, value in head.items():
        setattr(config, name, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(start)(config)
    model.base_model.load_state_dict(encoder.state_dict(), strict=False)
    return HeadStudent(model, tokenizer, 0, "tiny")


def _bilstm(
    spec: BiLSTMSpec, start: Any, tokenizer: Any, trimmed: Trimmed | None, head: Mapping[str, Any], pairs: bool, seed: int
) -> HeadStudent:
    """A BiLSTM over the start model's word pieces."""
    base = start.base_model
    if trimmed is not None:
        base, tokenizer = trim_model(base, tokenizer, trimmed)
    table = base.get_input_embeddings().weight.detach()
    special = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "cls", "sep")}
    config = BiLSTMConfig(
        vocab_size=len(table),
        embedding_dim=spec.dim,
        hidden_size=spec.hidden,
        dropout=spec.dropout,
        siamese=pairs,
        pad_token_id=special["pad"],
        cls_token_id=special["cls"],
        sep_token_id=special["sep"],
        **head,
    )
    matrix = project_embeddings(table, spec.dim) if spec.init == "embeddings" else None
    return HeadStudent(build_bilstm(config, seed=seed, embeddings=matrix), tokenizer, 0, "bilstm")


def save_head_student(model: Any, tokenizer: Any, folder: Path, *, max_length: int) -> None:
    """Save a task model in `folder`, replacing what is there as a whole: safetensors, fast tokenizer, no path of this machine.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    from .save import rewrite_tokenizer

    with atomic_folder(Path(folder)) as work:
        model.save_pretrained(str(work), safe_serialization=True)
        tokenizer.save_pretrained(str(work))
        rewrite_tokenizer(work, max_length)
        config = read_json(work / "config.json")
        config.pop("_name_or_path", None)
        write_json(work / "config.json", config)


def load_head_student(folder: str | Path, task_class: str) -> tuple[Any, Any]:
    """A saved task student and its tokenizer, fp32, eval mode, from safetensors and local files alone.

    Args:
        folder: a `student` folder of a run.
        task_class: the auto class of transformers for its task, such as AutoModelForSequenceClassification.

    Raises:
        ModelError: there is no student, or it is damaged.
    """
    import transformers

    place = expand(folder)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (place / name).is_file():
            raise ModelError("there is no student in this folder", where=str(folder), expected=f"a folder with {name}")
    check_model_files(place, str(folder))
    with loading(place, str(folder), "this student cannot be loaded"):
        if read_json(place / "config.json").get("model_type") == BiLSTMConfig.model_type:
            model: Any = load_bilstm(place)
        else:
            model, notes = from_folder(getattr(transformers, task_class), place)
            if notes["missing_keys"]:
                refuse_missing(sorted(notes["missing_keys"]), type(model).__name__, str(folder))
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(place), trust_remote_code=False, local_files_only=True)
    return model.float().eval(), tokenizer
