#!/usr/bin/env python3
"""Known vulnerabilities of the tested versions, by pip-audit. Needs the network: it asks PyPI about every line of a file.

    pip install pip-audit && python scripts/supply/audit.py [--requirements constraints.txt] [--service pypi|osv]

Ends with 0 where nothing is known, 1 where something is, and 2 where it could not be told: pip-audit is not installed, the
service cannot be reached, or it knows nothing of a package. Nothing is installed or resolved.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit code for what pip-audit found, and lines that say it."""
    lines, known, skipped = [], 0, 0
    for package in report["dependencies"]:
        if reason := package.get("skip_reason"):
            skipped += 1
            lines.append(f"not audited: {package['name']}: {reason}")
        for one in package.get("vulns", ()):
            known += 1
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    lines.append(f"{len(report['dependencies']) - skipped} packages audited, {skipped} not, {known} vulnerabilities known")
    return 1 if known else 2 if skipped or not report["dependencies"] else 0, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requirements", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    asked = parser.parse_args()
    if importlib.util.find_spec("pip_audit") is None:
        print("pip-audit is not installed, so nothing was audited: pip install pip-audit", file=sys.stderr)
        sys.exit(2)
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(asked.requirements), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", asked.service, "--format", "json", "--progress-spinner", "off", "--timeout", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f"nothing was audited: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}", file=sys.stderr)
        sys.exit(2)
    code, lines = verdict(report)
    print("\n".join(lines))
    sys.exit(code)


if __name__ == "__main__":
    main()
