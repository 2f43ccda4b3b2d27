"""What is not as it should be: a run that is not finished, files that are missing or damaged; in words."""

from __future__ import annotations

from .schema import Problem, Report
from .words import known, tell

LOST = {
    "measure.json": "speed, load time and memory are not shown",
    "quality.json": "quality is not shown",
    "parity.json": "no exported file counts as checked, so none gets a speed",
    "log.jsonl": "the training curves are not whole",
    "manifest.json": "what this stage noted is not shown",
}
"""File -> what the report lacks without it."""


def status_lines(report: Report) -> list[str]:
    """Sentences to stand above everything else; none of a run that is whole."""
    return [*_going(report), *map(_problem, report.problems)]


def _going(report: Report) -> list[str]:
    going = report.going
    if going is None:
        return []
    done = ", ".join(known(name) for name in going.done) or tell("nothing yet")
    left = ", ".join(known(name) for name in going.left)
    if going.live:
        first = tell("This run is still going, and this page is written again as its stages finish.")
    else:
        first = tell("This run is not finished: it is still going, or was cut off. The same command goes on with it.")
    lines = [first, tell("Done: {done}. Left: {left}.", done=done, left=left)]
    if going.updated:
        lines.append(tell("Written {time} (UTC).", time=going.updated[:19].replace("T", " ")))
    return lines


def _problem(problem: Problem) -> str:
    lost = LOST.get(problem.file, "what is made of it is not shown")
    if problem.what == "missing":
        return tell("{file} is missing: {lost}.", file=problem.file, lost=known(lost))
    if problem.what == "unreadable":
        return tell("{file} cannot be read here ({place}): {lost}.", file=problem.file, place=problem.place, lost=known(lost))
    if problem.place:
        return tell("{file} is damaged ({place}): {lost}.", file=problem.file, place=problem.place, lost=known(lost))
    return tell("{file} is damaged: {lost}.", file=problem.file, lost=known(lost))
