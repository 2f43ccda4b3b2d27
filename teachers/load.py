"""Any sentence-transformers or plain Hugging Face encoder -> `Teacher`: fp32, eval, safetensors alone, no custom code."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError
from distill.loading import check_tokenizer, check_whole, loading
from distill.locating import locate_model
from distill.positions import position_limit

from .fingerprint import model_fingerprint, tokenizer_sha256
from .folder import check_folder, download, transformer_folder
from .precision import Precision, products
from .signal import TeacherSignal
from .spec import TeacherSpec

logger = logging.getLogger(__name__)


def load_encoder(model: str, *, revision: str | None = None, max_length: int | None = None) -> SentenceTransformer:
    """Load an encoder in fp32 and eval mode, from safetensors alone and without running code that came with it.

    A plain Hugging Face encoder (no modules.json) gets a pooling by its kind (mean for encoders), and a logged
    warning says which.

    Args:
        model: hub id, folder, or `package:IMPORT_NAME`.
        revision: hub commit, tag or branch.
        max_length: longest input in tokens; None keeps the model's own.

    Raises:
        ModelError: the model is missing, cannot be reached, is damaged or lacks weights, needs custom code or holds pickled
            weights alone, its tokenizer is another model's, or `max_length` is more than it has positions for.
    """
    place = locate_model(model)
    folder = Path(place) if Path(place).is_dir() else download(place, revision)
    plain = check_folder(folder, model)
    with loading(folder, model):
        encoder = SentenceTransformer(
            str(folder),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    if not encoder.supports("text"):
        raise ModelError("this model does not read text", where=model, expected="a text encoder")
    _check(encoder, transformer_folder(folder), model)
    if plain:
        pooling = getattr(encoder[-1], "pooling_mode", None)
        logger.warning("%s has no modules.json, so how to pool its token vectors is a guess: %s", model, pooling)
    _set_length(encoder, model, max_length)
    return encoder.float().eval()


def _check(encoder: SentenceTransformer, folder: Path, name: str) -> None:
    """Refuse weights that are not in the folder, and a tokenizer that is another model's."""
    inner = encoder.transformers_model
    if inner is not None:
        check_whole(inner, folder, name)
    table = inner.get_input_embeddings() if inner is not None else getattr(encoder[0], "embedding", None)
    if table is not None:
        check_tokenizer(encoder.tokenizer, int(table.weight.shape[0]), name)


def _set_length(encoder: SentenceTransformer, name: str, max_length: int | None) -> None:
    """Set the longest input; refuse one the model has no positions for."""
    positions = None if encoder.transformers_model is None else position_limit(encoder.transformers_model)
    if max_length is not None and positions is not None and max_length > positions:
        raise ModelError(
            "max_length is more than this model can read",
            where=name,
            got=max_length,
            expected=f"at most {positions}",
            hint=f"set max_length to {positions}, or leave it out to keep the model's own",
        )
    own = encoder.max_seq_length
    wanted = min((length for length in (max_length or own, positions) if length is not None), default=None)
    if wanted != own:
        encoder.max_seq_length = wanted


class Teacher:
    """An encoder that is distilled, with its prompt.

    Attributes:
        name: what the user called it.
        model: the sentence-transformers model, fp32.
        prompt: text put before every sentence; "" for none.
        dim: width of its sentence vectors.
        max_length: longest input in tokens; None where it has no limit.
        normalizes: whether its vectors have length 1 by construction.
        tokenizer: its tokenizer.

    Args:
        model: the encoder.
        name: for reports and errors.
        prompt: literal text, or the name of a prompt the model defines; None takes the model's default prompt.

    Raises:
        ModelError: `prompt` names a prompt for which the model has no text.
    """

    def __init__(self, model: SentenceTransformer, name: str, prompt: str | None = None) -> None:
        self.model = model.eval()
        self.name = name
        self.prompt = _resolve_prompt(model, name, prompt)
        dim = model.get_embedding_dimension()
        if dim is None:
            raise ModelError("this model does not tell the width of its vectors", where=name)
        self.dim: int = dim
        length = model.max_seq_length
        self.max_length: int | None = int(length) if length is not None and length < 1e9 else None
        self.normalizes: bool = type(model[-1]).__name__ == "Normalize" and model.truncate_dim is None
        self.tokenizer: Any = model.tokenizer

    def provides(self) -> frozenset[str]:
        """Names of the `TeacherSignal` fields this teacher fills."""
        return frozenset({"embedding"})

    @torch.no_grad()
    def signal(self, texts: Sequence[str]) -> TeacherSignal:
        """One forward over `texts` as one padded batch.

        Args:
            texts: at least one sentence, without the prompt.

        Returns:
            A signal whose embedding is float32 [len(texts), dim], on the model's device.
        """
        self.model.eval()
        features = self.model.preprocess(list(texts), prompt=self.prompt)
        features = {key: value.to(self.model.device) if torch.is_tensor(value) else value for key, value in features.items()}
        mask = features.get("attention_mask")
        embedding = self.model(features)["sentence_embedding"][:, : self.dim].float()
        return TeacherSignal(tokenizer_id=tokenizer_sha256(self.model), embedding=embedding, attention_mask=mask)

    def embed(
        self, texts: Sequence[str], batch_size: int = 32, progress: bool = False, precision: Precision = "fp32"
    ) -> np.ndarray:
        """Sentence vectors, in the order of `texts`, computed in batches of similar length.

        The last bits of a vector depend on the texts it was batched with, since padding changes the shape of the
        matrix products.

        Args:
            texts: sentences, without the prompt.
            batch_size: sentences per forward.
            progress: show the library's progress bar.
            precision: numbers inside the matrix products.

        Returns:
            float32 [len(texts), dim]; [0, dim] for no texts.
        """
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        with products(precision, self.model.device):
            vectors = self.model.encode(list(texts), batch_size=batch_size, prompt=self.prompt, show_progress_bar=progress)
        return np.asarray(vectors, dtype=np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides a text's vector, as JSON values: equal fingerprints give equal vectors."""
        return {**model_fingerprint(self.model), "prompt": self.prompt, "max_length": self.max_length, "dim": self.dim}


def load_teacher(spec: TeacherSpec) -> Teacher:
    """The teacher that a recipe names.

    Raises:
        ModelError: see `load_encoder` and `Teacher`.
    """
    encoder = load_encoder(spec.model, revision=spec.revision, max_length=spec.max_length)
    return Teacher(encoder, spec.model, spec.prompt)


def as_teacher(model: SentenceTransformer | Teacher, name: str | None = None) -> Teacher:
    """A teacher from an object that is already loaded; a half-precision model is copied to fp32, not changed.

    Args:
        model: an encoder, or a teacher, which is returned as it is.
        name: for reports and errors; None says "custom model".

    Raises:
        ModelError: it is neither.
    """
    if isinstance(model, Teacher):
        return model
    if not isinstance(model, SentenceTransformer):
        raise ModelError(
            "this is no teacher",
            where="teacher",
            got=f"{type(model).__name__}: {model!r}",
            expected="a SentenceTransformer or a Teacher",
            hint="a folder or a hub id is given as teacher.model in the recipe's overrides",
        )
    if any(weight.is_floating_point() and weight.dtype != torch.float32 for weight in model.state_dict().values()):
        model = copy.deepcopy(model).float()
    return Teacher(model, name or "custom model")


def _resolve_prompt(model: SentenceTransformer, name: str, prompt: str | None) -> str:
    """The text put before every sentence."""
    prompts: dict[str, str] = model.prompts or {}
    if prompt is None:
        return prompts.get(model.default_prompt_name or "", "") or ""
    if prompt not in prompts:
        return prompt
    if not any(prompts.values()):
        raise ModelError(
            f"this model has no text for its prompt '{prompt}'",
            where=name,
            expected="the literal text, or null for no prompt",
            hint=f'for example prompt: "{prompt}: "',
        )
    return prompts[prompt] or ""
