"""What the command line says of a budget and of text to calibrate by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, UserError, nearest
from ..foreign import check_regular
from .search import Budget, check_budget

MOST = 512
"""Lines that are used, the first different ones."""


def read_budget(text: str | None, presets: Sequence[str]) -> Budget | None:
    """`min_cosine=0.995` as a budget; None stays None.

    Raises:
        UserError: it is no budget, it speaks of a metric that nothing here could compute, or nobody asked for `searched`.
    """
    if text is None:
        return None
    if "searched" not in presets:
        message = "a budget is what the preset 'searched' may lose, and it is not asked for"
        raise UserError(message, where="--budget", got=text, hint="add searched to --presets")
    name, equals, value = text.partition("=")
    expected = "min_cosine=NUMBER, such as min_cosine=0.995"
    if name == "metric_drop":
        hint = "`distill run` has labelled dev rows: export.budget.metric_drop=0.005"
        raise UserError(
            "a drop of a metric needs labels, and text has none", where="--budget", got=text, expected=expected, hint=hint
        )
    if name != "min_cosine" or not equals:
        raise UserError("no such budget", where="--budget", got=text, expected=expected, hint=nearest(name, ["min_cosine"]))
    try:
        budget = Budget(min_cosine=float(value))
    except ValueError as error:
        raise UserError("this is no number", where="--budget", got=value or "nothing", expected=expected) from error
    try:
        check_budget(budget, range(2))
    except UserError as error:
        raise UserError(error.message, where="--budget", got=text, expected=expected) from error
    return budget


def read_calibration(path: Path | None) -> list[str]:
    """Different lines of a text file, at most `MOST`; none for None.

    Raises:
        DataError: the file cannot be read, is no UTF-8, or has fewer than two different lines.
    """
    if path is None:
        return []
    try:
        if path.exists():
            check_regular(path, str(path))
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("this text cannot be read", where=str(path), got=error, expected="UTF-8, one text a line") from error
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))[:MOST]
    if len(found) < 2:
        raise DataError("too little text to calibrate by", where=str(path), got=f"{len(found)} lines", expected="two or more")
    return found
