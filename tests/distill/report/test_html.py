"""report.html: one file that needs no network and no script, that any text is safe in, and that can be navigated."""

import pytest
from report_page import Page

from distill.report.html import to_html
from distill.report.model import build_report
from distill.report.read import LogLine, read_log

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture
def html(run):
    return to_html(build_report(run.write()), read_log(run.folder / "log.jsonl"))


def test_nothing_is_fetched_or_run(html):
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(page.tags)
    names = {name for _, name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "xlink:href", "style")]
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_the_page_can_be_navigated(html):
    page = Page(html)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    assert page.tags.count("th") == len([1 for tag, name, value in page.attributes if tag == "th" and name == "scope" and value])
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0
    labels = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-labelledby"]
    assert len(labels) == 8
    assert all(label in ids for text in labels for label in text.split())
    assert ("html", "lang", "en") in page.attributes


def test_it_suits_phone_dark_and_print(html):
    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print", 'name="viewport"'):
        assert rule in html


def test_the_headline_numbers_are_shown(html):
    text = " ".join("".join(Page(html).text).split())
    for words in ("97.7 %", "5.2×", "9.0×", "90.9 MB → 17.5 MB", "Every exported file passed its parity gate (3 of 3)."):
        assert words in text


def test_hostile_text_stays_text(run):
    run.manifest["name"] = HOSTILE
    run.manifest["packages"] = {HOSTILE: HOSTILE}
    run.recipe["data"]["train"] = [{"source": HOSTILE}]
    run.recipe["data"]["evaluate"] = {HOSTILE: {}}
    run.quality["tasks"][HOSTILE] = {"kind": "sts", "metric": HOSTILE, "n": 3}
    for name in ("teacher", "fast"):
        run.quality["models"][name][HOSTILE] = {"value": 0.5, "n": 3, "details": {HOSTILE: 0.5}}
    run.parity["models"]["fast"].update(gate=HOSTILE, file=HOSTILE)
    run.facts("training")["stages"][0]["name"] = HOSTILE
    run.log.append({"stage": HOSTILE, "step": 700, "losses": {HOSTILE: 0.1}, "dev": {HOSTILE: 0.9}})
    page = Page(to_html(build_report(run.write()), read_log(run.folder / "log.jsonl")))
    assert not {"script", "img"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in "".join(page.text)


def test_a_failed_model_is_not_drawn(run):
    run.parity["models"]["fast"]["passed"] = False
    page = Page(to_html(build_report(run.write())))
    text = " ".join("".join(page.text).split())
    assert "Not drawn, for want of parity: fast." in text
    assert "fast: 80.12 at" not in text
    assert "faithful: 80.59 at 2.10 ms" in text
    assert ("p", "class", "verdict bad") in page.attributes


def test_nothing_to_draw_is_said(run):
    run.measure["variants"] = run.measure["variants"][:1]
    text = "".join(Page(to_html(build_report(run.write()))).text)
    assert "Fewer than two models have both a quality and a latency" in text
    assert "No training steps were logged." in text


def test_lost_losses_leave_a_gap(run):
    log = [LogLine(step=1, losses={"a": float("nan")}), LogLine(step=2, losses={"a": 0.5}), LogLine(step=3, losses={"a": None})]
    assert "nan" not in to_html(build_report(run.write()), log).lower()
