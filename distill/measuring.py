"""`distill measure`: the models at several paths, under names of their own, and the table it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import DistillError, UserError
from .locating import locate_model
from .measure.rows import RATIO_HALF_WIDTH
from .measure.variants import Variant, find_variants

LOADS = (0.5, 0.8)


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


def asked(
    *,
    batch: tuple[int, ...],
    sequence: tuple[int, ...],
    threads: tuple[int, ...],
    scenario: str,
    scope: str,
    rates: tuple[float, ...],
    loads: tuple[float, ...],
) -> dict[str, Any]:
    """The options of the command as `measure_models` takes them; it refuses what is out of range.

    Raises:
        UserError: a load is asked for without the server scenario.
    """
    scenarios = tuple(part.strip() for part in scenario.split(",") if part.strip())
    if (rates or loads) and "server" not in scenarios:
        raise UserError(
            "a load belongs to the server scenario",
            where="--rate" if rates else "--load",
            got=f"--scenario {scenario}",
            hint=f"add --scenario {','.join([*scenarios, 'server'])}",
        )
    grid = {"batch": batch, "sequence": sequence, "threads": threads}
    return {**grid, "scenarios": scenarios, "scope": scope, "rates": rates, "loads": loads or (() if rates else LOADS)}


def first_failure(result: Mapping[str, Any]) -> DistillError | None:
    """What the command ends with where a model could not be measured and the others could; None where all could.

    What is not there on this machine (a compiler) is no failure.
    """
    for variant in result["variants"]:
        if variant["error"] and not variant["unavailable"]:
            return UserError("a model could not be measured; the others were", where=variant["name"], got=variant["error"])
    return None


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """measure.json's content as plain tables, one for each scenario that has rows, and what is to be known of them."""
    lines: list[str] = []
    parts = (("latency", latency_lines), ("text", latency_lines), ("offline", offline_lines), ("server", server_lines))
    for part, table in parts:
        if any(variant[part] for variant in result["variants"]):
            lines += ["", *table(result, part)] if lines else table(result, part)
    if not lines:
        return []
    lines += [f"{variant['name']}: {variant['error']}" for variant in result["variants"] if variant["unavailable"]]
    for variant in result["variants"]:
        over = [seen["threads"] for seen in variant["threads_seen"] if not seen["kept"]]
        if over:
            lines.append(f"{variant['name']} used more than its budget of {over[0]} threads: do not compare it")
    if not result["noise"]["comparable"]:
        lines.append(f"~ {result['noise']['words']}")
    return lines


def latency_lines(result: Mapping[str, Any], part: str = "latency") -> list[str]:
    """The grid, or text a sentence at a time, one line per model and cell; `~` marks a row of a disturbed machine."""
    first = result["variants"][0]["name"]
    head = ("model", "format", "MB", "batch", "tokens", "threads", "p50 ms", "p90 ms", "per s", f"vs {first}")
    rows = [
        (
            variant["name"],
            variant["format"],
            f"{variant['file_mb']:.1f}",
            *_cell(row),
            f"{row['p50_ms']:.2f}{_mark(row)}",
            f"{row['p90_ms']:.2f}",
            f"{row['sentences_per_s']:,.0f}",
            _ratio(row, variant["name"] == first),
        )
        for variant in result["variants"]
        for row in variant[part]
    ]
    return _table([head, *rows])


def offline_lines(result: Mapping[str, Any], part: str = "offline") -> list[str]:
    """Throughput, one line per model and batch."""
    first = result["variants"][0]["name"]
    head = ("offline", "format", "batch", "tokens", "threads", "sentences/s", "tokens/s", f"vs {first}")
    rows = [
        (
            variant["name"],
            variant["format"],
            *_cell(row),
            f"{row['sentences_per_s']:,.1f}{_mark(row)}",
            f"{row['tokens_per_s']:,.0f}",
            _ratio(row, variant["name"] == first),
        )
        for variant in result["variants"]
        for row in variant[part]
    ]
    return _table([head, *rows])


def server_lines(result: Mapping[str, Any], part: str = "server") -> list[str]:
    """Times under load, one line per model and load; `>` marks a load that the model cannot bear."""
    head = ("server", "format", "tokens", "threads", "per s", "load", "p50 ms", "p90 ms", "p99 ms", "queue p99", "service p50")
    rows = []
    for variant in result["variants"]:
        for row in variant[part]:
            over = ">" if row["saturated"] else ""
            cells = [f"{over}{row['p50_ms']:.2f}{_mark(row)}", f"{over}{row['p90_ms']:.2f}"]
            cells += ["" if value is None else f"{over}{value:.2f}" for value in (row["p99_ms"], row["queue"]["p99_ms"])]
            rows.append(
                (
                    variant["name"],
                    variant["format"],
                    _cell(row)[1],
                    str(row["threads"]),
                    f"{row['rate_per_s']:,.1f}",
                    f"{row['rate_per_s'] / row['capacity_per_s']:.0%}",
                    *cells,
                    f"{row['service']['p50_ms']:.2f}",
                )
            )
    return _table([head, *rows])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Aligned columns: the first two to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cell(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row.get("batch", 1)), "text" if row["sequence"] is None else str(row["sequence"]), str(row["threads"])


def _mark(row: Mapping[str, Any]) -> str:
    return "~" if row["noisy"] else ""


def _ratio(row: Mapping[str, Any], reference: bool) -> str:
    """How many times faster than the first model, with its interval where there is one."""
    ratio = row["ratio"]
    if ratio is None:
        return "1.0x" if reference else ""
    low_high = "" if ratio["ci95"] is None else f" ({ratio['ci95'][0]:.2f}-{ratio['ci95'][1]:.2f})"
    cpu = row.get("cpu_ratio")
    if row["noisy"] and row["threads"] == 1 and cpu and cpu["half_width"] is not None and cpu["half_width"] <= RATIO_HALF_WIDTH:
        low_high += f", CPU time {cpu['value']:.2f}x"
    return f"{ratio['value']:.2f}x{low_high}"


def _label(path: str) -> str:
    place = Path(path)
    if place.suffix == ".onnx":
        return place.stem
    return place.parent.name or place.name if place.name == "student" else place.name
