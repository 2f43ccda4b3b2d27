"""whole.mjs on a tokenizer that cuts as transformers.js does, and the page of docs that shows it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs" / "clients.md"

# 101 and 102 open and close, 7 is a word of each letter; what is longer than 6 is cut at the end, the closing token with it.
FAKE = """
import { whole } from "WHOLE";
function tokenizer(texts, { return_tensor = true, truncation = false, max_length = 6 } = {}) {
  const one = (text) => [...OPEN, ...[...text].map(() => 7), ...CLOSE];
  if (!return_tensor) return { input_ids: one(texts) };
  let rows = texts.map(one);
  if (truncation) rows = rows.map((row) => row.slice(0, max_length));
  const width = Math.max(...rows.map((row) => row.length));
  const flat = (pick) => BigInt64Array.from(rows.flatMap((row) => [...Array(width)].map((_, at) => BigInt(pick(row, at)))));
  return {
    input_ids: { dims: [rows.length, width], data: flat((row, at) => row[at] ?? 0) },
    attention_mask: { dims: [rows.length, width], data: flat((row, at) => (at < row.length ? 1 : 0)) },
  };
}
tokenizer.model_max_length = 6;
tokenizer.all_special_ids = [101, 102];
const mended = whole(tokenizer);
const { input_ids } = mended(TEXTS, OPTIONS);
const ids = [...input_ids.data].map(Number);
console.log(JSON.stringify({ ids, width: input_ids.dims[1], special: mended.all_special_ids }));
"""


def ids(clients, texts, options, opening="[101]", closing="[102]"):
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine")
    words = {"WHOLE": (clients / "whole.mjs").as_uri(), "OPEN": opening, "CLOSE": closing}
    code = FAKE
    for name, value in {**words, "TEXTS": json.dumps(texts), "OPTIONS": json.dumps(options)}.items():
        code = code.replace(name, value)
    done = subprocess.run(["node", "--input-type=module", "-e", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["special"] == [101, 102]
    return [found["ids"][at : at + found["width"]] for at in range(0, len(found["ids"]), found["width"])]


def test_a_text_that_was_cut_is_closed_again_and_no_other_is_touched(clients):
    found = ids(clients, ["aaaaaaaaa", "a", "aaaa"], {"truncation": True, "padding": True})
    assert found == [[101, 7, 7, 7, 7, 102], [101, 7, 102, 0, 0, 0], [101, 7, 7, 7, 7, 102]]


def test_texts_that_fit_stay_as_they_are(clients):
    assert ids(clients, ["aa", "a"], {"truncation": True}) == [[101, 7, 7, 102], [101, 7, 102, 0]]


def test_without_truncation_nothing_is_changed(clients):
    assert ids(clients, ["aaaaaaaaa"], {}) == [[101, *[7] * 9, 102]]


def test_a_limit_of_ones_own_is_kept(clients):
    assert ids(clients, ["aaaaaaaaa"], {"truncation": True, "max_length": 4}) == [[101, 7, 7, 102]]


def test_a_tokenizer_without_a_closing_token_gets_none(clients):
    assert ids(clients, ["aaaaaaaaa"], {"truncation": True}, opening="[]", closing="[]") == [[7] * 6]


def test_the_docs_show_the_very_function(clients):
    body = (clients / "whole.mjs").read_text("utf-8").partition("export ")[2].strip()
    assert body in DOCS.read_text("utf-8")
