"""`distill sweep`: one recipe with several values in some places: runs that share what their teacher said, and a comparison."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import DistillError, GateError, RunError, UserError, shorten
from .files import fingerprint, lock, read_json, write_json
from .launch import refuse_many_processes
from .progress import note
from .recipe_load import RecipeLike
from .rundir import hidden
from .sweeping_plan import Axes, Planned, check_plan, plan_sweep

if TYPE_CHECKING:
    from .comparing.schema import Comparison

MANIFEST = "sweep.json"
MAX_RUNS = 64
KEPT = ("done", "gate failed")
"""States of a run that has its report."""


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        label: name of its folder.
        values: dotted path -> the value that it has there.
        state: `waiting`, `done`, `gate failed` (it has a report, and a file of it failed parity) or `failed`.
        error: what went wrong, None where nothing did.
        exit_code: of the error.
        seconds: wall time of the run, None before its end.
        computed, reused: texts that went through the teacher in this run, and those that were in the store; None where
            the task does not count them.
    """

    label: str
    values: dict[str, Any]
    state: str = "waiting"
    error: str | None = None
    exit_code: int = 0
    seconds: float | None = None
    computed: int | None = None
    reused: int | None = None


@dataclass(frozen=True)
class Sweep:
    """What a sweep made.

    Attributes:
        folder: holds sweep.json, a folder a run, and compare.html, .md and .json.
        runs: in the order of the values.
        comparison: of the runs that have a report; None where fewer than two have one.
    """

    folder: Path
    runs: tuple[SweepRun, ...]
    comparison: Comparison | None = None

    @property
    def computed(self) -> int:
        """Texts that went through a teacher for training, in all runs together."""
        return sum(run.computed or 0 for run in self.runs)

    @property
    def failed(self) -> tuple[SweepRun, ...]:
        """The runs that failed, those with a failed gate too."""
        return tuple(run for run in self.runs if run.error is not None)

    def refuse_failures(self) -> None:
        """Raise where a run failed: what it raised decides the exit code, and of several the most serious one.

        Raises:
            GateError: files of some runs failed their parity gate, and nothing else went wrong.
            UserError: a run failed by a mistake of the user's.
            DistillError: a run failed by one of ours.
        """
        if not self.failed:
            return
        kinds = {1: GateError, 2: UserError}
        told = "\n".join(f"{run.label}: {run.error}" for run in self.failed)
        count = f"{len(self.failed)} of {len(self.runs)} runs failed; the others are kept"
        raise kinds.get(max(run.exit_code for run in self.failed), DistillError)(
            f"{count}\n{told}", where=str(self.folder), hint="the same command runs those again that have no report"
        )


def sweep_runs(
    recipe: RecipeLike,
    axes: Axes,
    *,
    out: Path | str | None = None,
    force: bool = False,
    max_runs: int = MAX_RUNS,
) -> Sweep:
    """Run a recipe once for each combination of some values, and compare the runs.

    The runs share the teacher's store: a text goes through the teacher once, whichever runs train on it. A sweep that
    was interrupted goes on; runs with a report are kept. A run that fails does not stop the others.

    Args:
        recipe: shipped name, YAML file, mapping or `Recipe`.
        axes: `["student.layers=2,3,4", "seed=1,2"]`, or `{"student.layers": [2, 3, 4]}`; all combinations are run.
        out: folder of the sweep; None: `runs/<name>-sweep`.
        force: go on although the recipe changed, and let every run look again for what changed.
        max_runs: refuse more combinations than this.

    Returns:
        The runs and their comparison, which is also on disk. Failed runs are told there (`Sweep.refuse_failures` raises).

    Raises:
        UserError: the values are malformed, a combination is no recipe that can run, or there are too many.
        RunError: the folder holds something else, or the sweep of another recipe.
    """
    refuse_many_processes("a sweep")
    base, planned = plan_sweep(recipe, axes, max_runs)
    check_plan(planned)
    folder = Path(out) if out is not None else Path("runs") / f"{base.name}-sweep"
    _refuse_foreign(folder)
    with lock(folder / ".lock", "this sweep", wait=False):
        asked = hidden(base.to_dict())
        runs = _begin(folder, planned, asked, force)
        for number, plan in enumerate(planned):
            if runs[number].state in KEPT and not force:
                note(f"sweep: {plan.label} is done ({number + 1} of {len(planned)})")
                continue
            note(f"sweep: {plan.label} ({number + 1} of {len(planned)})")
            runs[number] = _run(plan, folder, force)
            _save(folder, asked, planned, runs)
        return Sweep(folder, tuple(runs), _compare(folder, runs))


def sweep_states(recipe: RecipeLike, axes: Axes, *, out: Path | str | None = None, max_runs: int = MAX_RUNS) -> Sweep:
    """The runs that `sweep_runs` would make, with the states of those that are there. Runs and writes nothing."""
    base, planned = plan_sweep(recipe, axes, max_runs)
    check_plan(planned)
    folder = Path(out) if out is not None else Path("runs") / f"{base.name}-sweep"
    return Sweep(folder, tuple(_known(folder, planned)))


def _refuse_foreign(folder: Path) -> None:
    """A sweep is made in a new folder, or where one of ours is."""
    if folder.exists() and not folder.is_dir():
        raise RunError("a file stands where the sweep's folder is needed", where=str(folder), hint="choose another with --out")
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return
    foreign = sorted(item.name for item in folder.iterdir() if item.name != ".lock" and ".tmp-" not in item.name)
    if foreign:
        raise RunError(
            "this folder is not empty and holds no sweep",
            where=str(folder),
            got=", ".join(foreign[:5]),
            hint="choose another folder with --out",
        )


def _begin(folder: Path, planned: Sequence[Planned], asked: dict[str, Any], force: bool) -> list[SweepRun]:
    """The runs with what is known of them; the manifest is written."""
    if (folder / MANIFEST).exists():
        before = _manifest(folder).get("recipe")
        if before != asked and not force:
            raise RunError(
                "this folder holds a sweep of another recipe",
                where=str(folder),
                hint="give this one another folder with --out, or go on in this one with --force",
            )
    runs = _known(folder, planned)
    _save(folder, asked, planned, runs)
    return runs


def _known(folder: Path, planned: Sequence[Planned]) -> list[SweepRun]:
    """Every planned run, with its state where it is on disk as planned."""
    before: dict[str, Any] = {}
    if (folder / MANIFEST).exists():
        before = {str(entry.get("label")): entry for entry in _manifest(folder).get("runs", []) if isinstance(entry, dict)}
    found = []
    for plan in planned:
        run = SweepRun(plan.label, plan.values)
        entry = before.get(plan.label, {})
        whole = (folder / plan.label / "report.json").is_file() and (folder / plan.label / "manifest.json").is_file()
        if entry.get("key") == _key(plan) and entry.get("state") in KEPT and whole:
            error, code, seconds = entry.get("error"), int(entry.get("exit_code") or 0), entry.get("seconds")
            computed, reused = _counts(folder / plan.label)
            run = SweepRun(plan.label, plan.values, entry["state"], error, code, seconds, computed, reused)
        found.append(run)
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    found = read_json(folder / MANIFEST)
    if not isinstance(found, dict) or not isinstance(found.get("runs", []), list):
        raise RunError("this file is damaged", where=str(folder / MANIFEST), expected="the manifest of a sweep", hint="delete it")
    return found


def _key(plan: Planned) -> str:
    """What a run was asked for, as a hash."""
    return fingerprint(hidden(plan.recipe.to_dict()))


def _save(folder: Path, asked: dict[str, Any], planned: Sequence[Planned], runs: Sequence[SweepRun]) -> None:
    entries = [
        {
            "label": run.label,
            "values": run.values,
            "state": run.state,
            "error": run.error,
            "exit_code": run.exit_code,
            "seconds": run.seconds,
            "teacher_sentences": {"computed": run.computed, "reused": run.reused},
            "key": _key(plan),
        }
        for plan, run in zip(planned, runs, strict=True)
    ]
    total = sum(run.computed or 0 for run in runs)
    content = {"schema_version": 1, "toolkit": __version__, "teacher_sentences_computed": total, "runs": entries, "recipe": asked}
    write_json(folder / MANIFEST, content)


def _run(plan: Planned, folder: Path, force: bool) -> SweepRun:
    """One run; what it raises is kept, so that the others go on."""
    from .pipeline import run as run_recipe

    _reset_peak()
    start, place = time.perf_counter(), folder / plan.label
    made = SweepRun(plan.label, plan.values, state="done")
    try:
        run_recipe(plan.recipe, out=place, force=force)
    except GateError as error:
        whole = (place / "report.json").is_file()
        made = replace(made, state="gate failed" if whole else "failed", error=_line(error), exit_code=error.exit_code)
    except DistillError as error:
        made = replace(made, state="failed", error=_line(error), exit_code=error.exit_code)
    except (Exception, MemoryError) as error:  # whatever it is, the other runs are worth having
        made = replace(made, state="failed", error=f"internal error: {type(error).__name__}: {shorten(error)}", exit_code=3)
    gc.collect()
    if made.error is not None:
        note(f"sweep: {plan.label} failed: {made.error}")
    computed, reused = _counts(place)
    return replace(made, seconds=round(time.perf_counter() - start, 1), computed=computed, reused=reused)


def _line(error: DistillError) -> str:
    """An error on one line."""
    return shorten(error, 400)


def _counts(place: Path) -> tuple[int | None, int | None]:
    """How many texts went through the teacher, and how many were in the store, as the run notes it."""
    with contextlib.suppress(DistillError, AttributeError, KeyError, TypeError):
        for stage in read_json(place / "manifest.json")["stages"]:
            if stage["name"] == "signals":
                return stage["facts"].get("computed"), stage["facts"].get("reused")
    return None, None


def _reset_peak() -> None:
    """Let Linux count the peak of this process's memory anew, so that a run does not report that of the one before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "utf-8")


def _compare(folder: Path, runs: Sequence[SweepRun]) -> Comparison | None:
    """The comparison of the runs that have a report, with timings where one machine took them."""
    from .comparing.compare import compare_runs

    whole = [folder / run.label for run in runs if run.state in KEPT]
    if len(whole) < 2:
        note("sweep: fewer than two runs have a report, so there is nothing to compare")
        return None
    baseline = next((folder / run.label for run in runs if run.state == "done"), None)
    if baseline is None:
        note("sweep: no run passed its gates, so there is nothing to compare")
        return None
    try:
        found = compare_runs(whole, baseline=baseline)
    except UserError as error:
        if "different hardware" not in error.message:
            raise
        note("sweep: the runs were timed on different machines, so that their latency is not compared")
        found = compare_runs(whole, baseline=baseline, latency=False)
    found.save(folder)
    return found


def state_lines(sweep: Sweep) -> list[str]:
    """The runs as a plain table: label, values, state."""
    rows = [("run", "values", "state")]
    for run in sweep.runs:
        rows.append((run.label, ", ".join(f"{path}={_shown(value)}" for path, value in run.values.items()), run.state))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows]


def _shown(value: Any) -> str:
    return shorten(value, 40) if not isinstance(value, Mapping | list) else shorten(str(value), 40)
