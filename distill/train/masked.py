"""Losses on masked tokens: the student's encoder under a copy of the teacher's masked-LM head (DistilBERT)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..losses.prediction import hard_cross_entropy, kl_divergence
from ..recipe import LossSpec
from ..recipe_losses import MASKED_LM, MaskedLM, MaskedLMLogits
from .share import Share
from .soften import temperature_of
from .weights import weight_of

MASKED, RANDOM = 0.8, 0.1
"""Of the chosen tokens, the shares that become [MASK] and a random piece; the others stay."""


class MaskedLMLosses(nn.Module):
    """Masked tokens predicted by the student, gold and as the teacher predicts them.

    Which tokens are masked depends on the seed and the step alone, so that a resumed training masks the same ones.

    Args:
        teacher: a transformers masked-LM model.
        student: the student's encoder; equal width and vocabulary.
        tokenizer: of both.
        specs: losses of `MASKED_LM`.
        seed: of the masking.

    Attributes:
        runs_teacher: whether a forward pass runs the teacher as well.

    Raises:
        ModelError: the tokenizer has no mask token, or widths or vocabularies differ.
    """

    def __init__(self, teacher: Any, student: Any, tokenizer: Any, specs: Sequence[LossSpec], seed: int) -> None:
        super().__init__()
        self.specs = tuple(spec for spec in specs if spec.name in MASKED_LM)
        self.seed = seed
        self.probability = next((spec.probability for spec in self.specs if isinstance(spec, MaskedLM)), 0.15)
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "this tokenizer has no mask token", where="stages.losses", hint="leave out the losses mlm and mlm_kl"
            )
        sizes = [(model.config.hidden_size, model.config.vocab_size) for model in (student, teacher)]
        if sizes[0] != sizes[1]:
            raise ModelError(
                "the masked-LM losses need the teacher's width and vocabulary",
                where="stages.losses",
                got=f"student {sizes[0]}, teacher {sizes[1]} (width, vocabulary)",
                hint="cut the student out of the teacher (student.kind: layers), or leave out mlm and mlm_kl",
            )
        self.mask_id = int(tokenizer.mask_token_id)
        self.special = tuple(tokenizer.all_special_ids)
        own, self.model = getattr(teacher, teacher.base_model_prefix), None
        setattr(teacher, teacher.base_model_prefix, None)  # the head alone is copied
        try:
            head = copy.deepcopy(teacher)
        finally:
            setattr(teacher, teacher.base_model_prefix, own)
        setattr(head, teacher.base_model_prefix, student)
        head.config = copy.deepcopy(head.config)
        head.tie_weights()
        self.model = head.requires_grad_(True)
        self._teacher = (teacher.eval(),)
        self._seen: dict[str, Tensor] = {}
        self.runs_teacher = any(isinstance(spec, MaskedLMLogits) for spec in self.specs)

    def forward(
        self, features: Mapping[str, Tensor], step: int, progress: float | None, share: Share | None = None, part: int = 0
    ) -> dict[str, Tensor]:
        """One batch.

        Args:
            features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L].
            step: optimizer steps done; with the seed it decides what is masked.
            progress: share of the stage's steps that is done; None for weights without schedule.
            share: which rows of the whole batch these are, where several processes share it.
            part: which batch of the step this is, where it has several.

        Returns:
            Name -> weighted loss.
        """
        ids, labels = self.mask(features["input_ids"], features["attention_mask"], step, share, part)
        inputs = {name: features[name] for name in ("attention_mask", "token_type_ids") if name in features}
        self._seen = {"input_ids": ids, **inputs}
        assert self.model is not None, "made in __init__"
        ours = self.model(input_ids=ids, **inputs).logits
        parts: dict[str, Tensor] = {}
        for spec in self.specs:
            weight = weight_of(spec, progress)
            if isinstance(spec, MaskedLMLogits):
                theirs = self._predict(ids, inputs)
                mask = features["attention_mask"].bool()
                parts[spec.name] = weight * kl_divergence(
                    ours, theirs, mask, temperature=temperature_of(spec, ours, theirs, mask)
                )
            else:
                parts[spec.name] = weight * hard_cross_entropy(ours, labels)
        return parts

    def seen(self, features: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What the student has last read: the batch with its tokens masked."""
        return self._seen or features

    def mask(
        self, ids: Tensor, attention_mask: Tensor, step: int, share: Share | None = None, part: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Mask tokens of a batch.

        Args:
            ids, attention_mask: int64 [B, L].
            step, part: decide, with the seed, which.
            share: which rows of the whole batch these are: they are masked as one process would mask them.

        Returns:
            The ids that the models read, and the labels: the old id where a token was chosen, else -100; int64 [B, L].
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step + part * 999_999_937)
        vocabulary = int(self._teacher[0].config.vocab_size)

        def drawn(random: Callable[[Sequence[int]], Tensor]) -> Tensor:
            return (random(ids.shape) if share is None else share.draw(ids, random)).to(ids.device)

        draw, kind = (drawn(lambda shape: torch.rand(shape, generator=generator)) for _ in range(2))
        other = drawn(lambda shape: torch.randint(vocabulary, shape, generator=generator))
        special = torch.isin(ids, torch.tensor(self.special, device=ids.device))
        chosen = (draw < self.probability) & attention_mask.bool() & ~special
        labels = torch.where(chosen, ids, torch.full_like(ids, -100))
        masked = torch.where(chosen & (kind < MASKED), torch.full_like(ids, self.mask_id), ids)
        masked = torch.where(chosen & (kind >= MASKED) & (kind < MASKED + RANDOM), other, masked)
        return masked, labels

    def _predict(self, ids: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        (teacher,) = self._teacher
        if next(teacher.parameters()).device != ids.device:
            teacher.to(ids.device)
        teacher.eval()
        with torch.no_grad():
            return teacher(input_ids=ids, **inputs).logits
