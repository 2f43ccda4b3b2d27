"""The command line: every command, in the order of its help. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

from typing import NoReturn

from . import exits
from .commands.app import app

# isort: off
from .commands import running, sweeping, recipes, exporting, measuring, comparing, verifying, pushing, inference
# isort: on

__all__ = [
    "app",
    "comparing",
    "exporting",
    "inference",
    "main",
    "measuring",
    "pushing",
    "recipes",
    "running",
    "sweeping",
    "verifying",
]


def main() -> NoReturn:
    """The console command. Exit codes: 0 done, 1 a gate failed, 2 the user's mistake, 3 ours, 130 or 143 interrupted."""
    exits.run(app)
