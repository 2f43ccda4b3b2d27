"""How many processes a launcher started for one run."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .errors import UserError


def refuse_many_processes(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a run that `torchrun` or `accelerate launch` started in several processes: a run trains in one.

    Without this the processes would stand in each other's way in the run folder, or wait for each other for ever.

    Args:
        environment: where launchers say how many processes there are (WORLD_SIZE).

    Raises:
        UserError: there are several, or WORLD_SIZE is no whole number above 0.
    """
    size = environment.get("WORLD_SIZE", "").strip() or "1"
    if not (size.isascii() and size.isdigit() and int(size) > 0):
        raise UserError("this is no number of processes", where="WORLD_SIZE", got=size, expected="a whole number above 0")
    if int(size) > 1:
        raise UserError(
            "a run trains in one process, and a launcher started several",
            where=f"process {environment.get('RANK', '?')}",
            got=f"WORLD_SIZE={size}",
            expected="1",
            hint="distill run RECIPE, without torchrun or accelerate launch (or with --nproc-per-node 1); unset WORLD_SIZE",
        )
