#!/usr/bin/env python3
"""Known vulnerabilities of the tested versions, by pip-audit, which asks PyPI about every line of a file; or by files.

    pip install pip-audit && python scripts/supply/audit.py [--requirements constraints.txt] [--service pypi|osv]
    python scripts/supply/audit.py --advisories FOLDER        # without a network: advisories in OSV's JSON, a file each

Ends with 0 where nothing is known, 1 where something is, and 2 where it could not be told: pip-audit is not installed, the
service cannot be reached, it knows nothing of a package, or a file cannot be read. Nothing is installed or resolved.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

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
    audited = len(report["dependencies"]) - skipped
    lines.append(f"{audited} packages audited, {skipped} not, {known} vulnerabilities known")
    if not audited:
        lines = ["nothing was audited: the service knew none of the packages, as a mirror without advisories does", lines[-1]]
    return 1 if known else 2 if skipped or not audited else 0, lines


def by_files(folder: Path, requirements: Path) -> dict[str, Any]:
    """What advisories in a folder say of the lines `name==version` of a file, in the form of pip-audit's report.

    Args:
        folder: of `*.json` at any depth, each in the OSV schema; ecosystems other than PyPI are passed over.
        requirements: such as constraints.txt.

    Raises:
        ValueError: a file is no advisory, or the folder has none of PyPI.
    """
    lines = [line.partition("==") for line in requirements.read_text("utf-8").split()]
    found: dict[str, dict[str, Any]] = {
        canonicalize_name(name): {"name": name, "version": version, "vulns": []} for name, _, version in lines
    }
    count = 0
    for file in sorted(folder.rglob("*.json")):
        try:
            advisory = json.loads(file.read_text("utf-8"))
            affected = (
                [] if "withdrawn" in advisory else [one for one in advisory["affected"] if one["package"]["ecosystem"] == "PyPI"]
            )
            count += bool(affected)
            for one in affected:
                package = found.get(canonicalize_name(one["package"]["name"]))
                if package and _hit(one, package["version"]):
                    package["vulns"].append({"id": advisory["id"], "fix_versions": _fixes(one)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file}: no advisory in the OSV schema: {type(error).__name__}: {error}") from error
    if not count:
        raise ValueError(f"{folder}: no advisory of a package of PyPI")
    return {"dependencies": list(found.values())}


def _events(affected: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """Of each range of versions, its events in order: introduced, fixed, last_affected."""
    ranges = [one for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
    return [[next(iter(event.items())) for event in one["events"]] for one in ranges]


def _hit(affected: dict[str, Any], version: str) -> bool:
    """Whether a version is one that an advisory lists, or lies in one of its ranges."""
    mine = Version(version)
    if any(_same(text, mine) for text in affected.get("versions", ())):
        return True
    for events in _events(affected):
        inside = False
        for kind, text in sorted(events, key=lambda event: Version(event[1])):
            at = Version(text)
            if kind == "introduced" and mine >= at:
                inside = True
            elif (kind == "fixed" and mine >= at) or (kind == "last_affected" and mine > at):
                inside = False
        if inside:
            return True
    return False


def _same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:  # old releases of some packages
        return False


def _fixes(affected: dict[str, Any]) -> list[str]:
    return sorted({text for events in _events(affected) for kind, text in events if kind == "fixed"}, key=Version)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requirements", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    parser.add_argument("--advisories", type=Path, help="folder of OSV files, instead of a service")
    asked = parser.parse_args()
    if asked.advisories:
        try:
            _end(by_files(asked.advisories, asked.requirements))
        except ValueError as error:
            print(f"nothing was audited: {error}", file=sys.stderr)
            sys.exit(2)
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
    _end(report)


def _end(report: dict[str, Any]) -> NoReturn:
    code, lines = verdict(report)
    print("\n".join(lines))
    sys.exit(code)


if __name__ == "__main__":
    main()
