"""How long an input a transformers encoder can read: asked of teachers, students and graphs alike."""

from __future__ import annotations

from typing import Any


def shorter_words(asked: int | None, student: int | None, teacher: int | None) -> str | None:
    """That a student reads less than its teacher because its start model has no more positions, in words; None where it does not.

    Args:
        asked: `student.max_length` of the recipe; who asks for less has it.
        student, teacher: their longest inputs in tokens; None: nothing limits it.
    """
    if asked is not None or student is None or teacher is None or student >= teacher:
        return None
    return f"it reads at most {student} tokens, all that its start model has positions for; the teacher reads {teacher}"


def position_limit(encoder: Any) -> int | None:
    """The longest input, in tokens, that a transformers encoder has positions for; None where nothing limits it.

    The RoBERTa kind numbers positions from padding_idx + 1, and so can use fewer of them than its table has rows.

    Args:
        encoder: a transformers model, with or without a head.
    """
    for module in encoder.modules():
        table = getattr(module, "position_embeddings", None)
        if table is not None and hasattr(table, "num_embeddings"):
            return int(table.num_embeddings) - (0 if table.padding_idx is None else table.padding_idx + 1)
    return getattr(encoder.config, "max_position_embeddings", None)
