"""report.json keeps to the schema that the package publishes. The oracle is jsonschema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from distill.report.model import build_report
from distill.report.published import FILE, report_schema, write_schema


@pytest.fixture(scope="module")
def schema():
    return json.loads(FILE.read_text("utf-8"))


def test_the_file_is_that_of_the_model(schema):
    assert schema == report_schema(), "python -m distill.report.published"


def test_it_is_a_schema(schema, tmp_path):
    jsonschema.Draft202012Validator.check_schema(schema)
    write_schema(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == FILE.read_bytes()


def test_every_field_that_people_read_is_explained(schema):
    for name in ("Report", "Quality", "Latency", "Slice", "Disagreements", "Example", "Problem", "Going", "Headline"):
        part = schema if name == "Report" else schema["$defs"][name]
        assert len(part["description"]) > 20, name


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_report_keeps_to_it(run, schema, unfinished):
    if unfinished:
        run.manifest["finished"] = None
    build_report(run.write(), lenient=True).save(run.folder)
    jsonschema.validate(json.loads((run.folder / "report.json").read_text("utf-8")), schema)


@pytest.mark.parametrize(("part", "wrong"), [("schema_version", 2), ("models", {}), ("headline", None), ("problems", ["text"])])
def test_something_else_does_not(run, schema, part, wrong):
    raw = build_report(run.write()).model_dump(mode="json") | {part: wrong}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, schema)
