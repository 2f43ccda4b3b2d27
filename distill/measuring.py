"""`distill measure`: the models at several paths, under names of their own, and the table it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .files import locate_model
from .measure.variants import Variant, find_variants


def find_models(paths: Sequence[str | Path], teacher: str | None = None) -> list[Variant]:
    """Everything to measure at some paths, as `measure_models` takes it.

    Args:
        paths: run folders, model folders or .onnx files.
        teacher: a model to compare with, put first: folder, `package:IMPORT_NAME`, or hub id in the local cache.

    Returns:
        The variants. Where there are several paths, the path's name stands before each variant's.

    Raises:
        ModelError: nothing to measure is there.
    """
    first = find_variants(locate_model(teacher), role="teacher", exports=False) if teacher else []
    names = [str(path) for path in paths]
    return [*first, *unique_names(names, [find_variants(path) for path in paths])]


def unique_names(paths: Sequence[str], groups: Sequence[Sequence[Variant]]) -> list[Variant]:
    """The variants of every path in one list. Where there are several paths, the path's name is put in front."""
    if len(groups) == 1:
        return list(groups[0])
    labels = [_label(path) for path in paths]
    if len(set(labels)) < len(labels):
        labels = [path.rstrip("/") for path in paths]
    return [
        replace(variant, name=f"{label}:{variant.name}") for label, group in zip(labels, groups, strict=True) for variant in group
    ]


def latency_lines(result: Mapping[str, Any]) -> list[str]:
    """measure.json's content as a plain table, one line per model and cell; `~` marks a row of a disturbed machine."""
    first = result["variants"][0]
    base = {_cell(row): row["p50_ms"] for row in first["latency"]}
    head = ("model", "format", "MB", "batch", "tokens", "threads", "p50 ms", "p90 ms", "per s", f"vs {first['name']}")
    table = [head]
    for variant in result["variants"]:
        for row in variant["latency"]:
            faster = base[_cell(row)] / row["p50_ms"] if _cell(row) in base and row["p50_ms"] else None
            table.append(
                (
                    variant["name"],
                    variant["format"],
                    f"{variant['file_mb']:.1f}",
                    *map(str, _cell(row)),
                    f"{row['p50_ms']:.2f}{'~' if row['noisy'] else ''}",
                    f"{row['p90_ms']:.2f}",
                    f"{row['sentences_per_s']:,.0f}",
                    "" if faster is None else f"{faster:.1f}x",
                )
            )
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    if any(row["noisy"] for variant in result["variants"] for row in variant["latency"]):
        lines.append("~ measured on a disturbed machine: measure again when it is calm")
    return lines


def _cell(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["batch"], row["sequence"], row["threads"]


def _label(path: str) -> str:
    place = Path(path)
    if place.suffix == ".onnx":
        return place.stem
    return place.parent.name or place.name if place.name == "student" else place.name
