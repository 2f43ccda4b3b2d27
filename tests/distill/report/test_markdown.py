"""report.md: the numbers a reader looks for, and no text that breaks out of its cell. The oracle is markdown-it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from distill.report.markdown import escape, fence, to_markdown
from distill.report.model import build_report

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = "a|b `c` <img src=x onerror=alert(1)> **d** [e](http://f) &amp;"


def tables(text):
    """Every table as rows of cell texts, as a Markdown reader sees them."""
    found = []
    for token in GFM.parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 4:
            found[-1][-1].append("".join(child.content for child in token.children))
    return found


def test_the_headline_is_plain_words(run):
    text = to_markdown(build_report(run.write()))
    told = "keeps 97.7 % of the teacher's quality (Spearman of cosine, sts-test) and is 5.2 times smaller and 9.0 times faster."
    assert f"**The int8 student {told}**" in text


def test_the_models_table_holds_every_number(run):
    table = tables(to_markdown(build_report(run.write())))[0]
    rows = {row[0]: row for row in table}
    assert table[0][-3:] == ["p50 ms, 1×32", "p50 ms, 32×32", "Faster"]
    fast = ["fast", "80.12 (78.3–81.8)", "95.02 (94.6–95.4)", "97.7 %", "17.5", "17.4M", "1.60", "41.0", "9.0×"]
    assert rows["fast"] == fast
    assert rows["teacher"][1:4] == ["82.03 (80.2–83.7)", "–", "100.0 %"]


def test_a_disturbed_row_is_marked_and_explained(run):
    text = to_markdown(build_report(run.write()))
    assert {row[0]: row for row in tables(text)[0]}["student"][-2] == "195 †"
    assert "† measured while the machine was disturbed" in text


def test_a_failed_model_shows_why_in_place_of_its_speed(run):
    run.parity["models"]["fast"]["passed"] = False
    text = to_markdown(build_report(run.write()))
    models, parity = tables(text)[:2]
    assert {row[0]: row for row in models}["fast"][-3:] == ["withheld", "withheld", "withheld"]
    assert {row[0]: row for row in parity}["fast"][3] == "NO"
    assert "Failed its parity gate: fast." in text
    assert "1.60" not in text


def test_a_wide_grid_keeps_the_table_narrow(run):
    for variant in run.measure["variants"]:
        base = variant["latency"][0]
        variant["latency"] = [{**base, "batch": batch} for batch in (1, 2, 4, 8, 16, 32)]
    models, *_ = tables(to_markdown(build_report(run.write())))
    assert [name for name in models[0] if name.startswith("p50")] == ["p50 ms, 1×32"]


def test_hostile_names_stay_in_their_cells(run):
    run.quality["tasks"][HOSTILE] = {"kind": "sts", "metric": HOSTILE, "n": 3}
    run.quality["models"]["fast"][HOSTILE] = {"value": 0.5, "n": 3, "details": {HOSTILE: 0.5}}
    run.parity["models"]["fast"]["gate"] = HOSTILE
    run.recipe["data"]["train"] = [{"source": "```\n# injected"}]
    run.manifest["name"] = HOSTILE
    text = to_markdown(build_report(run.write()))
    for table in tables(text):
        assert {len(row) for row in table} == {len(table[0])}
    assert any(HOSTILE in cell for table in tables(text) for row in table for cell in row)
    tokens = GFM.parse(text)
    children = [child for token in tokens for child in token.children or ()]
    assert not [token for token in (*tokens, *children) if "html" in token.type or "link" in token.type or token.type == "image"]
    headings = [tokens[index + 1].content for index, token in enumerate(tokens) if token.type == "heading_open"]
    assert "injected" not in headings


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40) | st.text("`*_|[]<>&\\~!#ab;/ ", max_size=25))
def test_escaped_text_reads_back_as_itself(text):
    rendered = GFM.parseInline("x" + escape(text) + "x")[0].children
    assert {child.type for child in rendered} <= {"text", "text_special"}
    assert "".join(child.content for child in rendered) == "x" + " ".join(text.split()) + "x"


@given(st.text("`~ab\n", max_size=20))
def test_a_fence_holds_its_code(code):
    tokens = GFM.parse(fence(code, "sh") + "\n\nafter")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]
    assert tokens[0].content == code + "\n"


@pytest.mark.parametrize("part", ["## Parity", "## Latency", "## Data", "## Cost", "## Environment", "## How to load it"])
def test_every_section_is_there(run, part):
    assert f"\n{part}\n" in to_markdown(build_report(run.write()))
