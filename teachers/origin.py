"""What a model's own card says of it: language and licence, passed on to the student's card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
FIELDS = ("language", "license")


def card_fields(folder: Path) -> dict[str, str]:
    """Language and licence from the YAML head of a model folder's README.md.

    Args:
        folder: the model's folder.

    Returns:
        Those of `language` and `license` that are plain words; empty where there is no card or no head. A card is
        somebody's text: what does not parse is left out, since nothing depends on it.
    """
    card = folder / "README.md"
    if not card.is_file() or card.stat().st_size > MAX_BYTES:
        return {}
    parts = card.read_text("utf-8", errors="replace").split("---", 2)
    if len(parts) < 3 or parts[0].strip() or "&" in parts[1]:
        return {}
    try:
        head: Any = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):  # as `date: 2024-13-45` or a false tag
        return {}
    if not isinstance(head, dict):
        return {}
    words = {name: head[name] for name in FIELDS if isinstance(head.get(name), str)}
    return {name: word for name, word in words.items() if word.strip() and word.isprintable()}
