"""Whether a client said what this project says, and the table of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]

VECTORS = {"torch": 1e-5, "fp32": 1e-4, "portable": 1e-4}
"""Format -> largest absolute difference to the model in PyTorch, before it was saved; of `portable`, which has fp32 arithmetic on
8-bit weights, to the same file in this project's hands."""
LOGITS = {"torch": 1e-4, "fp32": 1e-4, "portable": 1e-4}
"""The same of logits and scores, which are not of length 1."""
COSINE = {"fast": 0.999, "faithful": 0.9999}
"""Format -> least cosine to the same file in this project's hands, on the same batch."""
NEAR = 0.002
"""How much less the cosine to PyTorch may be than this project's own, where an 8-bit file misses `COSINE`."""
INT8_SCORE = 0.05
"""Largest difference of a pipeline's score where weights or activations have 8 bits."""


def compare(model: Row, answer: Row) -> list[Row]:
    """Rows of one answer of a client, one a layout or pipeline.

    Args:
        model: `models.Made` as a mapping.
        answer: of a client's program: model, way, format, and what it found, or `error`, or that it `cannot` and why;
            `known` is why it may differ.

    Returns:
        Rows {model, kind, way, format, layout, n, max_abs, min_cosine, to_fp32, passed, reason}. `max_abs` and
        `min_cosine` are to the same format in this project's hands (fp32 and torch: to PyTorch), `to_fp32` is the least
        cosine to PyTorch. Without an answer, `passed` is False and `reason` says why.
    """
    base = {"model": model["name"], "kind": model["kind"], "way": answer["way"], "format": answer["format"]}
    if "cannot" in answer:
        return [{**base, "layout": "-", "n": 0, "passed": True, "reason": f"cannot: {answer['cannot']}"}]
    if "error" in answer:
        return [{**base, "layout": "-", "n": 0, "passed": False, "reason": answer["error"].splitlines()[0]}]
    rows = [_vectors(model, answer, base, layout) for layout in ("single", "batch") if layout in answer]
    if "says" in answer:
        rows.append(_says(model, answer, base))
    if "limits" in answer:
        wrong = {name: value for name, value in answer["limits"].items() if value != model["limit"]}
        reason = f"limits {wrong}, expected {model['limit']} tokens" if wrong else ""
        rows.append({**base, "layout": "limit", "n": len(answer["limits"]), "passed": not wrong, "reason": reason})
    if "warnings" in answer:
        reason = "; ".join(answer["warnings"])[:300]
        rows.append({**base, "layout": "warnings", "n": len(answer["warnings"]), "passed": not reason, "reason": reason})
    for row in rows:
        if "known" in answer and not row["passed"]:
            row.update(passed=True, reason=f"differs, as known: {answer['known']} ({row['reason']})")
    return rows


def _vectors(model: Row, answer: Row, base: Row, layout: str) -> Row:
    """Vectors or logits, one flat list an input.

    Other arithmetic, such as WebAssembly's, rounds some 8-bit activation the other way, and the layers after it follow.
    Where such a vector misses the cosine it must be as near to PyTorch as this project's own; the table tells it.
    """
    values, format_ = model["values"], answer["format"]
    ours = values[_reference(format_)]
    found, expected, torch = answer[layout], ours[layout], values["torch"][layout]
    row = {**base, "layout": layout, "n": len(expected), "max_abs": None, "min_cosine": None, "to_fp32": None}
    if [len(one) for one in found] != [len(one) for one in expected]:
        shapes = [(at, len(f), len(e)) for at, (f, e) in enumerate(zip(found, expected, strict=False)) if len(f) != len(e)]
        where = f"input {shapes[0][0]}: {shapes[0][1]} values, expected {shapes[0][2]}" if shapes else f"{len(found)} inputs"
        return {**row, "passed": False, "reason": f"other tokens: {where}"}
    distances = [max(abs(np.subtract(f, e)), default=0.0) for f, e in zip(found, expected, strict=True)]
    row["max_abs"], row["min_cosine"] = float(max(distances)), cosine(found, expected)
    row["to_fp32"] = cosine(found, torch)
    if format_ in COSINE:
        passed, rule = row["min_cosine"] >= COSINE[format_], f"cosine {COSINE[format_]}"
        here = cosine(ours[layout], torch)
        if not passed and row["to_fp32"] >= here - NEAR:
            told = f"misses {rule} ({row['min_cosine']:.4f}), as near to fp32 as here ({row['to_fp32']:.4f}, here {here:.4f})"
            return {**row, "passed": True, "reason": told}
    else:
        limit = (VECTORS if model["kind"] == "embedding" else LOGITS)[format_]
        passed, rule = row["max_abs"] <= limit, f"max_abs {limit:g}"
    worst = int(np.argmax(distances))
    return {**row, "passed": bool(passed), "reason": "" if passed else f"misses {rule}, at input {worst}"}


def _says(model: Row, answer: Row, base: Row) -> Row:
    """What a pipeline says: the same labels or answers, and like scores."""
    format_ = answer["format"]
    ours = _reference(format_) + (" known" if answer.get("known_only") else "")
    expected, found = model["answers"][ours], answer["says"]
    limit = INT8_SCORE if format_ in COSINE else LOGITS[format_]
    row = {**base, "layout": "pipeline", "n": len(expected), "max_abs": None, "min_cosine": None, "to_fp32": None}
    worst = 0.0
    for at, (left, right) in enumerate(zip(found, expected, strict=True)):
        words, numbers = _split(model["kind"], left)
        expected_words, expected_numbers = _split(model["kind"], right)
        if words != expected_words:
            return {**row, "passed": False, "reason": f"input {at}: got {words}, expected {expected_words}"[:300]}
        worst = max([worst, *(abs(a - b) for a, b in zip(numbers, expected_numbers, strict=True))])
    passed = worst <= limit
    return {**row, "max_abs": worst, "passed": passed, "reason": "" if passed else f"misses max_abs {limit:g}"}


def _reference(format_: str) -> str:
    """What a format is compared with: an 8-bit file with itself, the others with PyTorch."""
    return format_ if format_ not in ("torch", "fp32") else "torch"


def _split(kind: str, said: Any) -> tuple[list[str], list[float]]:
    """The words and the numbers of what a pipeline said; of an answer, case and spaces are each client's own matter."""
    if kind == "classification":
        return [], list(said)
    if kind == "tokens":
        return [tag for tag, _ in said], [score for _, score in said]
    return ["".join(said[0].casefold().split())], [said[1]]


def cosine(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> float:
    """The least cosine of two lists of vectors, row by row; two zero vectors are equal."""
    found = [1.0]
    for one, other in zip(left, right, strict=True):
        lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
        both_zero = not np.any(one) and not np.any(other)
        found.append(1.0 if both_zero else float(np.dot(one, other)) / lengths if lengths else 0.0)
    return min(found)


def table(results: Sequence[Row]) -> str:
    """A Markdown table: a row a client, model, way and format; the worst of its layouts.

    Args:
        results: of `run.py`, a client each: {client, versions, rows, error}.
    """
    head = ["client", "model", "way", "format", "inputs", "max abs", "min cosine", "to fp32", "result"]
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |"]
    for result in results:
        if result.get("error"):
            lines.append(f"| {result['client']} | | | | | | | | not run: {_cell(result['error'])} |")
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in result["rows"]:
            groups.setdefault((row["model"], row["way"], row["format"]), []).append(row)
        for (model, way, format_), rows in groups.items():
            failed = [f"{row['layout']}: {row['reason']}" for row in rows if not row["passed"]]
            noted = [row["reason"] for row in rows if row["passed"] and row["reason"]]
            cells = [
                result["client"],
                model,
                way,
                format_,
                str(max((r["n"] for r in rows if r["layout"] not in ("limit", "warnings")), default=0)),
            ]
            cells += [_number([row.get("max_abs") for row in rows], max, "{:.1e}")]
            cells += [_number([row.get(key) for row in rows], min, "{:.5f}") for key in ("min_cosine", "to_fp32")]
            lines.append(f"| {' | '.join([*cells, _cell('; '.join(dict.fromkeys(failed or noted)) or 'same')])} |")
    return "\n".join(lines) + "\n"


def versions(results: Sequence[Row]) -> str:
    """A Markdown table of the packages that each client ran with."""
    lines = ["| client | versions |", "| --- | --- |"]
    for result in results:
        found = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
        lines.append(f"| {result['client']} | {found or 'not run'} |")
    return "\n".join(lines) + "\n"


def _number(values: Sequence[float | None], worst: Any, style: str) -> str:
    known = [value for value in values if value is not None]
    return style.format(worst(known)) if known else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:300]
