"""Bill of materials, licences and audit: they say what metadata says, and nothing is called sound that was not looked at."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "scripts" / "supply"


@pytest.fixture(scope="module")
def supply():
    """supply(name) -> a module of scripts/supply."""
    sys.path.insert(0, str(FOLDER))

    def module(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    yield module
    sys.path.remove(str(FOLDER))


def run(name, *arguments):
    return subprocess.run([sys.executable, FOLDER / name, *arguments], capture_output=True, text=True, check=False)


def test_a_bill_lists_what_is_installed_and_who_needs_it(tmp_path):
    first, second = (run("sbom.py", "--out", str(tmp_path / name)) for name in ("one.json", "two.json"))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    bill = json.loads((tmp_path / "one.json").read_text("utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "distill-toolkit"
    references = [part["bom-ref"] for part in bill["components"]]
    assert len(references) == len(set(references)) > 30
    assert {"torch", "tokenizers", "onnxruntime"} <= {part["name"] for part in bill["components"]}
    known = {*references, bill["metadata"]["component"]["bom-ref"]}
    for row in bill["dependencies"]:
        assert {row["ref"], *row["dependsOn"]} <= known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "permissive"),
        ("Apache Software License", "permissive"),
        ("BSD-3-Clause AND MIT", "permissive"),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("LGPL-3.0-or-later", "weak copyleft"),
        ("GPL-3.0-only OR MIT", "permissive"),
        ("MIT AND GPL-3.0-only", "strong copyleft"),
        ("GNU Affero General Public License v3", "strong copyleft"),
        ("Proprietary, ask us", "unknown"),
        ("MIT AND Proprietary", "unknown"),
        ("", "none"),
    ],
)
def test_licences(supply, text, expected):
    assert supply("licences").judged(text) == expected


def test_every_licence_here_fits():
    done = run("licences.py")
    assert done.returncode == 0, done.stderr


def test_an_audit_that_saw_nothing_is_no_pass(supply):
    verdict = supply("audit").verdict
    sound = {"name": "a", "version": "1", "vulns": []}
    bad = {"name": "b", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
    unknown = {"name": "c", "skip_reason": "not found"}
    assert verdict({"dependencies": [sound]})[0] == 0
    assert verdict({"dependencies": [sound, bad, unknown]})[0] == 1
    assert verdict({"dependencies": [sound, unknown]})[0] == 2
    assert verdict({"dependencies": []})[0] == 2


def test_every_dependency_has_both_bounds_and_a_tested_version_between_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    tested = {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines if line)}
    shipped = [*project["dependencies"], *(text for extra in ("train", "search", "augment", "ray", "parallel", "parquet")
               for text in project["optional-dependencies"][extra])]  # fmt: skip
    for wanted in map(Requirement, shipped):
        if wanted.name == "distill-toolkit":
            continue
        kinds = {part.operator for part in wanted.specifier}
        assert "==" in kinds or {">=", "<"} <= kinds, wanted
        assert tested[canonicalize_name(wanted.name)] in wanted.specifier, wanted
