"""The JSON schema of report.json, published with the package as report.schema.json.

After a change of schema.py or facts.py: `python -m distill.report.published` writes the file again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill.files import atomic_write

from .schema import Report

FILE = Path(__file__).with_name("report.schema.json")


def report_schema() -> dict[str, Any]:
    """The schema of report.json as it is written (JSON Schema 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema(mode="serialization")}


def write_schema(path: Path = FILE) -> None:
    """Write the schema file."""
    atomic_write(path, json.dumps(report_schema(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_schema()
