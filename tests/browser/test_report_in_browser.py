"""The report in headless Chromium: content, no errors, no request, axe, phone width, keyboard; light, dark and printed.

Needs Chromium (on the path, or DISTILL_CHROMIUM), Node, and `npm ci --prefix tests/browser`; skipped with the reason elsewhere.
DISTILL_PNG=FOLDER keeps a picture of every page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from report_run import Run, predict

from distill.report.html import to_html
from distill.report.model import build_report
from distill.report.read import read_log_leniently

HERE = Path(__file__).parent
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3


def chromium() -> str:
    """The browser, or the reason to skip."""
    found = os.environ.get("DISTILL_CHROMIUM") or next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no Chromium here: install it (Debian: apt-get install chromium), or name it in DISTILL_CHROMIUM")
    if shutil.which("node") is None:
        pytest.skip("no Node here")
    if not (HERE / "node_modules").is_dir():
        pytest.skip("its modules are not installed: npm ci --prefix tests/browser")
    return found


def whole(folder: Path) -> Run:
    """A finished run with predictions, samples, three loss terms and a layer map."""
    run = Run(folder)
    run.facts("training")["stages"][0]["layer_map"] = [[0, 0], [2, 1], [5, 2]]
    for variant in run.measure["variants"]:
        for row in variant["latency"]:
            row["samples_ms"] = [row["p50_ms"] * (1 + step / 200) for step in range(30)]
    for line in run.log:
        if "losses" in line:
            line["losses"]["hidden_mse"] = 3 / (1 + line["step"] / 20)
    predict(run)
    return run


def hard(folder: Path) -> Run:
    """Long words, right to left, markup, a name that fills the page, a failed file, a disturbed machine, damaged files."""
    run = whole(folder)
    predict(run, texts=[LONG, '<b>bold</b> & "quoted"', "مرحبا بالعالم " * 20, "한국어 문장 " * 30])
    run.manifest["name"] = LONG
    run.facts("teacher")["model"] = LONG
    run.facts("training")["stages"][0]["name"] = LONG
    run.parity["models"]["faithful"]["passed"] = False
    run.quality["tasks"][LONG] = {"kind": "sts", "metric": "spearman_cosine", "n": 3}
    run.quality["models"]["fast"][LONG] = {"value": 0.5, "n": 3, "details": {LONG: 0.5}}
    for line in run.log:
        if "losses" in line:
            line["losses"][LONG] = 1.0
    (run.write() / "predictions" / "sts-test" / "faithful.parquet").write_bytes(b"torn")
    return run


def going(folder: Path) -> Run:
    """A run that is training."""
    run = Run(folder)
    run.log = run.log[:20]
    return run


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """(page, look) -> what the browser saw. Every page is opened once."""
    browser, folder = chromium(), tmp_path_factory.mktemp("pages")
    files = {}
    for name, make in (("whole", whole), ("hard", hard), ("going", going)):
        run = make(folder / name)
        through = ["teacher", "data", "signals"] if name == "going" else None
        report = build_report(run.write() if name != "hard" else run.folder, lenient=True, through=through)
        log = read_log_leniently(run.folder / "log.jsonl")[0]
        for language in ("en", "ko") if name == "whole" else ("en",):
            files[f"{name}-{language}"] = folder / f"{name}-{language}.html"
            files[f"{name}-{language}"].write_text(to_html(report, log, language), "utf-8")
    looks = {
        "desktop": {"width": 1280},
        "desktop-dark": {"width": 1280, "dark": True},
        "phone": {"width": 360},
        "phone-dark": {"width": 360, "dark": True},
        "print": {"width": 794, "print": True},
    }
    keep = os.environ.get("DISTILL_PNG")
    names = [(page, look) for page in files for look in looks]
    asked = [
        {"file": str(files[page]), **looks[look], **({"png": f"{keep}/{page}-{look}.png"} if keep else {})}
        for page, look in names
    ]
    options = folder / "options.json"
    options.write_text(json.dumps({"pages": asked}), "utf-8")
    done = subprocess.run(
        ["node", "look.mjs", browser, str(options)], cwd=HERE, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(names, json.loads(done.stdout), strict=True))


def test_nothing_fails_and_nothing_leaves_the_page(pages):
    for name, page in pages.items():
        assert (page["errors"], page["requests"]) == ([], []), name


def test_axe_finds_nothing(pages):
    """The rule meta-refresh forbids what a page of a run that goes on is for: it reads itself again until the run ends."""
    found = {
        name: rules
        for name, page in pages.items()
        if (rules := [rule for rule in page["axe"] if (name[0], rule["id"]) != ("going-en", "meta-refresh")])
    }
    assert not found, json.dumps({str(name): rules for name, rules in found.items()}, indent=1)[:3000]


def test_no_page_is_wider_than_its_window(pages):
    wide = {
        name: (page["overflow"], page["wide"][:3]) for name, page in pages.items() if page["overflow"] > 0 and "print" not in name
    }
    assert not wide


def test_no_label_of_a_picture_lies_over_another(pages):
    clashes = {
        (*name, part["name"]): part["clashes"] for name, page in pages.items() for part in page["pictures"] if part["clashes"]
    }
    assert not clashes


def test_every_picture_is_there_once(pages):
    for (name, look), page in pages.items():
        names = [part["name"] for part in page["pictures"]]
        assert len(names) == len(set(names)) == (1 if name == "going-en" else 4), (name, look)


def test_the_content_is_there(pages):
    text = pages["whole-en", "desktop"]["text"]
    for words in (
        "of the teacher's quality kept",
        "5.2×",
        "9.0×",
        "Every exported file passed its parity gate",
        "Against the teacher",
        "Where student and teacher disagree",
        "distill run recipe.yaml --out again",
        "@huggingface/transformers",
        "onnxruntime",
        "Example CPU 3000",
    ):
        assert words in text
    assert pages["whole-ko", "desktop"]["language"] == "ko"
    assert "교사 모델 대비 품질" in pages["whole-ko", "phone"]["text"]


def test_headings_come_in_order(pages):
    for name, page in pages.items():
        levels = [level for level, _ in page["headings"]]
        assert levels[0] == 1, name
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), name


def test_the_page_works_by_keyboard(pages):
    """The skip link comes first; then the contents; then every table, block of code and fold; the focus is always seen."""
    page = pages["whole-en", "desktop"]
    tabs = page["tabs"]
    assert tabs[0]["text"] == "Skip to the content"
    sections = [heading for level, heading in page["headings"] if level == 2]
    assert [tab["text"] for tab in tabs[1 : len(sections) + 1]] == sections
    assert {tab["tag"] for tab in tabs[len(sections) + 1 :]} == {"div", "pre", "summary"}
    for name, other in pages.items():
        assert all(tab["visible"] and tab["onScreen"] for tab in other["tabs"]), name


def test_a_run_that_goes_on_says_so(pages):
    page = pages["going-en", "desktop"]
    assert page["refresh"] == "20"
    assert "This run is still going" in page["text"]
    assert "Not yet: the stage 'quality' is still to come." in page["text"]
    assert pages["whole-en", "desktop"]["refresh"] is None


def test_hard_texts_are_shown_as_they_are(pages):
    text = pages["hard-en", "phone"]["all"]
    for words in (LONG, '<b>bold</b> & "quoted"', "مرحبا بالعالم", "faithful.parquet", "failed its parity gate"):
        assert words in re.sub(r"\s+", " ", text)
