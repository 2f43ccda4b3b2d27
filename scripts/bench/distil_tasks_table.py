"""The table of `distil_tasks.py`: a line per row, and the same for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from distil_tasks_rows import TASKS
from numpy.typing import NDArray

from distill.evaluate.paired import paired_difference


def scores_of(run: Mapping[str, Any]) -> NDArray[np.float64]:
    """The student's scores of a run, one an example."""
    return np.array(run["scores"].split(), dtype=np.float64)


def _value(run: Mapping[str, Any]) -> float:
    """The student's test metric of a run."""
    return float(run["models"]["student"]["test"]["value"])


def shape_of(row: Mapping[str, Any], runs: Mapping[str, Any]) -> tuple[str, str, int]:
    """What the speed of a row's student and teacher depends on: task, teacher, and the parameters of the student's encoder.

    A word table is only looked up: as many rows are read of a long one as of a short one.
    """
    student = next(iter(runs.values()))["models"]["student"]
    return TASKS[row["set"]], row["teacher"], student["params"] - student["embedding_params"]


def int8_of(run: Mapping[str, Any]) -> str:
    """The preset of the int8 columns, by a row's first run: `fast`, or `faithful` where that failed the parity gate."""
    return "fast" if run["gates"]["fast"] else "faithful"


def times_of(found: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str, int], list[float]]:
    """Milliseconds of the int8 student and of the teacher, for every shape of which a row was timed."""
    times: dict[tuple[str, str, int], list[float]] = {}
    for name in (row for row in known if row in found):
        for run in found[name].values():
            if run.get("timed"):
                shape = shape_of(known[name], found[name])
                times.setdefault(shape, [run["models"][model]["p50_ms"] for model in (int8_of(run), "teacher")])
    return times


def table(found: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line per row: mean over seeds, interval over examples, and the paired difference to the same student on labels alone."""
    lines = []
    times = times_of(found, known)
    for name in (row for row in known if row in found):
        runs = found[name]
        first = next(iter(runs.values()))
        preset = int8_of(first)
        scores = np.array([scores_of(run) for run in runs.values()])
        values = [_value(run) for run in runs.values()]
        teacher = float(np.mean([run["models"]["teacher"]["test"]["value"] for run in runs.values()]))
        line = {
            "row": name,
            "seeds": len(values),
            "metric": first["models"]["student"]["test"]["metric"],
            "value": float(np.mean(values)),
            "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "int8": float(np.mean([run["models"][preset]["test"]["value"] for run in runs.values() if preset in run["models"]])),
            "teacher": teacher,
            "retained": float(np.mean(values)) / teacher,
            "n": scores.shape[1],
            "params": first["models"]["student"]["params"],
            "embedding_params": first["models"]["student"]["embedding_params"],
            "teacher_params": first["models"]["teacher"]["params"],
            "teacher_embedding_params": first["models"]["teacher"]["embedding_params"],
            "int8_mb": first["models"][preset]["file_mb"],
            "int8_preset": preset,
        }
        if (shape := shape_of(known[name], runs)) in times:
            line["int8_ms"], line["teacher_ms"] = times[shape]
        other = known[name].get("against", f"{name.rsplit('-', 1)[0]}-labels")
        base = found.get(other, {})
        both = [seed for seed in runs if seed in base]
        is_mean = abs(float(scores.mean()) - float(np.mean(values))) < 1e-6  # F1 of entities is no mean over rows
        if both and other != name:
            line["difference_to"] = other
            if is_mean:
                pair = (np.array([scores_of(part[seed]) for seed in both]) for part in (runs, base))
                line["difference"] = paired_difference(*pair, rounds=2000)
            else:
                gain = float(np.mean([_value(runs[seed]) - _value(base[seed]) for seed in both]))
                line["difference"] = {"difference": gain, "ci95": None}
        if is_mean:
            boot = np.random.default_rng(0).integers(0, scores.shape[1], (2000, scores.shape[1]))
            line["ci95"] = [float(bound) for bound in np.percentile(scores.mean(0)[boot].mean(1), [2.5, 97.5])]
        else:  # of one seed each, in the mean
            bounds = [run["models"]["student"]["test"]["ci95"] for run in runs.values()]
            line["ci95"] = [float(bound) for bound in np.mean(bounds, axis=0)]
        lines.append(line)
    return lines


def markdown(lines: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    """The table for people, with the machine and the versions it was made on."""
    head = [
        "row",
        "seeds",
        "metric",
        "value (95 %)",
        "spread",
        "int8",
        "retained",
        "difference, points",
        "params",
        "encoder",
        "int8 MB",
        "int8 ms",
    ]
    rows = [f"| {' | '.join(head)} |", "| --- | ---: | --- |" + " ---: |" * (len(head) - 3)]
    for line in lines:
        difference = "-"
        if line.get("difference"):
            difference = f"{100 * line['difference']['difference']:+.2f}"
            if line["difference"]["ci95"] is not None:
                low, high = (100 * bound for bound in line["difference"]["ci95"])
                difference += f" ({low:+.2f} to {high:+.2f})"
            difference += f" to {line['difference_to']}"
        low, high = line["ci95"]
        encoder = (line["params"] - line["embedding_params"]) / (line["teacher_params"] - line["teacher_embedding_params"])
        cells = [
            line["row"],
            str(line["seeds"]),
            line["metric"],
            f"{100 * line['value']:.2f} ({100 * low:.1f}-{100 * high:.1f})",
            "-" if line["spread"] is None else f"{100 * line['spread']:.2f}",
            f"{100 * line['int8']:.2f}{'' if line['int8_preset'] == 'fast' else ' (faithful)'}",
            f"{line['retained']:.3f} of {100 * line['teacher']:.2f}",
            difference,
            f"{line['params'] / 1e6:.1f}M, {line['params'] / line['teacher_params']:.2f} of the teacher's",
            f"{encoder:.3f} of the teacher's",
            f"{line['int8_mb']:.1f}",
            "-" if not line.get("int8_ms") else f"{line['int8_ms']:.2f} ({line['teacher_ms'] / line['int8_ms']:.0f}x)",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    machine = next(iter(next(iter(found.values())).values()))["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in (machine.get("packages") or {}).items())
    note = (
        f"{machine.get('cpu')}, {machine.get('cores')} cores, one thread a run, no GPU. ms: median of one sentence of 32 tokens, "
        f"timed once for all rows of a shape; in brackets the teacher's time in torch over it. "
        f"int8 is `fast`; `faithful` where `fast` failed the parity gate. {packages}"
    )
    return "\n".join(["# Labelled tasks, procedure by procedure", "", *rows, "", note, ""])
