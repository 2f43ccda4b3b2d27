"""The precision search in the report."""

from __future__ import annotations

from distill.report.html import to_html
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.precision import search_tables

SEARCH = {
    "words": "mean cosine to the fp32 file of at least 0.995 on dev text",
    "metric": "mean_cosine",
    "rows": 128,
    "timing": "timed",
    "milliseconds": {"fp32": 4.0, "fast": 1.5, "faithful": 2.5, "searched": 1.4},
    "before": 1.0,
    "after": 0.9961,
    "lost": 0.0039,
    "taken": "path",
    "groups": [
        {
            "name": "layer.0.attention.self.query + 2",
            "kind": "MatMul",
            "nodes": 3,
            "chosen": "token",
            "forms": {
                "fp32": {"ms": 0.4, "mb": 1.7, "harm": 0.0},
                "blocks": {"ms": 0.3, "mb": 0.5, "harm": 1e-5},
                "token": {"ms": 0.1, "mb": 0.4, "harm": 2.5e-4},
            },
        }
    ],
    "judged": [{"turned": 1, "value": 0.9961, "lost": 0.0039, "nearness": 0.9961, "inside": True}],
    "seconds": 12.0,
    "later": "a key of a later version",
}


def test_no_search_no_section(run):
    report = build_report(run.write())
    assert search_tables(report) == []
    assert "Precision search" not in to_markdown(report)


def test_the_search_is_told(run):
    run.parity["search"] = SEARCH
    report = build_report(run.write())
    (table,) = search_tables(report)
    assert table.rows[0][:3] == ("layer.0.attention.self.query + 2", "int8, scale a token", "3")
    assert table.rows[0][-1] == "8-bit blocks 1.0e-05"
    told = " ".join(table.notes)
    assert "at least 0.995" in told
    assert "128 dev rows, never on a test set" in told
    assert "timed on this machine" in told
    for page in (to_markdown(report), to_html(report)):
        assert "Precision search" in page
        assert "int8, scale a token" in page


def test_the_search_is_told_in_korean(run):
    run.parity["search"] = SEARCH
    page = to_html(build_report(run.write()), language="ko")
    assert "정밀도 탐색" in page
    assert "dev 텍스트에서 fp32 파일과의 평균 코사인 0.995 이상" in page
