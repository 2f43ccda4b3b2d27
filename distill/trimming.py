"""What a student's trimmed vocabulary does to text that it was not trimmed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from students.vocabulary import trimming_facts, trimming_words

from .progress import note


def told_trimming(start: Any, student: Any, dev: Sequence[str]) -> dict[str, Any]:
    """`trimming_facts`, said in a line too.

    Args:
        start, student: fast tokenizers of transformers, whole and trimmed.
        dev: texts.
    """
    facts = trimming_facts(start, student, dev)
    note(f"student: {trimming_words(facts)}")
    return facts
