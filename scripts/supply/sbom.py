#!/usr/bin/env python3
"""A bill of materials of what is installed: CycloneDX 1.6 as JSON, from the packages' own metadata, without a network.

    python scripts/supply/sbom.py [--extra EXTRA ...] [--out sbom.json]

It lists distill-toolkit and everything it needs here, with version, licence and purl, and who needs whom. It has no time and no
random number, so that equal environments give equal bytes. It tells what is installed, not what a lock file wishes.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from installed import EXTRAS, PROJECT, closure, licence
from packaging.utils import canonicalize_name


def bill(extras: tuple[str, ...] = EXTRAS) -> tuple[dict[str, Any], list[str]]:
    """The bill, and the names of what is not installed."""
    found, needs, absent = closure(extras)
    if PROJECT not in found:
        sys.exit(f"{PROJECT} is not installed here: pip install -e .")
    parts = [_component(name, distribution) for name, distribution in found.items()]
    own = next(part for part in parts if part["name"] == PROJECT)
    others = [part for part in parts if part is not own]
    references = {canonicalize_name(part["name"]): part["bom-ref"] for part in parts}
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**own, "type": "application"}},
        "components": others,
        "dependencies": [
            {"ref": references[name], "dependsOn": sorted(references[other] for other in named)} for name, named in needs.items()
        ],
    }
    made["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))}"
    return made, absent


def _component(name: str, distribution: metadata.Distribution) -> dict[str, Any]:
    version, named = distribution.version, licence(distribution)
    reference = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    part: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference}
    if named:
        expression = distribution.metadata.get("License-Expression")
        part["licenses"] = [{"expression": named}] if expression else [{"license": {"name": named}}]
    return part


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extra", action="append", choices=EXTRAS, help="of the project; default: all that a user may want")
    parser.add_argument("--out", type=Path, help="file to write; default: stdout")
    asked = parser.parse_args()
    made, absent = bill(tuple(asked.extra or EXTRAS))
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if asked.out:
        asked.out.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    if absent:
        print(f"not installed here, and so not in the bill: {', '.join(absent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
