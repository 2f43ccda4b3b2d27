"""Compress text encoders: teacher in; student, ONNX files and an honest report out.

The public names are loaded when first used, so that `import distill` stays light.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparing.compare import compare_runs
    from .data.augment.texts import augment_texts
    from .export.onnx import export_onnx
    from .labelling import label
    from .measure.latency import measure_models
    from .pipeline import run
    from .pushing import push_run
    from .recipe_check import check_recipe
    from .recipe_load import load_recipe
    from .report.model import Report
    from .runtime.kinds import load
    from .search import SearchIndex
    from .sweeping import sweep_runs
    from .teaching import teach

__version__ = "0.1.0"

# Libraries below tell nobody that they are used, unless their user wants them to. onnxruntime looks once, when it is imported.
_SILENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1"}
for _name, _value in _SILENT.items():
    os.environ.setdefault(_name, _value)

__all__ = [
    "Report",
    "SearchIndex",
    "__version__",
    "augment_texts",
    "check_recipe",
    "compare_runs",
    "export_onnx",
    "label",
    "load",
    "load_recipe",
    "measure_models",
    "push_run",
    "run",
    "sweep_runs",
    "teach",
]

_HOMES = {
    "Report": "report.model",
    "SearchIndex": "search",
    "augment_texts": "data.augment.texts",
    "check_recipe": "recipe_check",
    "compare_runs": "comparing.compare",
    "export_onnx": "export.onnx",
    "label": "labelling",
    "load": "runtime.kinds",
    "load_recipe": "recipe_load",
    "measure_models": "measure.latency",
    "push_run": "pushing",
    "run": "pipeline",
    "sweep_runs": "sweeping",
    "teach": "teaching",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distill' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
