"""Several task models as one, whose logits are the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from distill.positions import position_limit

OUTPUTS = ("logits", "start_logits", "end_logits")


class EnsembleHead(nn.Module):
    """The mean of the logits of task models that read the same tokens; what TextBrewer's `MultiTeacherDistiller` trains toward.

    Args:
        members: models of transformers, their outputs in one order of labels.

    Attributes:
        config: of the first.
        base_model: the encoder that can read the least.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config: Any = members[0].config

    @property
    def base_model(self) -> Any:
        """The encoder that can read the least."""
        encoders = [member.base_model for member in self.members]
        return min(encoders, key=lambda encoder: position_limit(encoder) or torch.inf)

    def forward(self, **inputs: Tensor) -> SimpleNamespace:
        """The outputs of a task model, each the mean of the members'.

        Args:
            inputs: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L].
        """
        said = [member(**inputs) for member in self.members]
        found = {name: [getattr(one, name) for one in said] for name in OUTPUTS if getattr(said[0], name, None) is not None}
        return SimpleNamespace(**{name: torch.stack([part.float() for part in parts]).mean(0) for name, parts in found.items()})
