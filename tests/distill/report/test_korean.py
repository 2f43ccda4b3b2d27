"""Every text of the report has its Korean, with the same values in it, and no text is left that nobody tells."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from report_page import Page

import distill.report
from distill.report import words
from distill.report.html import to_html
from distill.report.korean import KOREAN, clauses
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.precision import FORMS
from distill.report.read import read_log
from distill.report.schema import Headline
from distill.report.sections import LINK
from distill.report.status import LOST

ROOM = Path(distill.report.__file__).parent
OWN_LANGUAGE = {"card.py"}
"""Files that write English alone: the model card is for the hub."""
TABLES = {
    *words.METRICS.values(),
    *(text for table in words.OF_TASK.values() for text in table.values()),
    *words.KINDS.values(),
    *words.PRESETS.values(),
    *words.STUDENTS.values(),
    *FORMS.values(),
    *LINK.values(),
    *LOST.values(),
}


def told() -> set[str]:
    """Every text that `tell` or `known` is given as it stands."""
    found = set()
    for path in sorted(ROOM.glob("*.py")):
        if path.name in OWN_LANGUAGE or path.name.startswith("compare"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tell":
                assert isinstance(node.args[0], ast.Constant), (
                    f"{path.name}, line {node.lineno}: a text that is made is not found"
                )
                found.add(node.args[0].value)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "known" and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    page = (ROOM / "templates" / "report.html").read_text("utf-8")
    return found | {match[1] for match in re.findall(r"""tell\((["'])(.*?)\1""", page)}


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_text_has_its_korean():
    assert len(told()) > 200
    assert sorted((told() | TABLES) - set(KOREAN)) == []


def test_the_same_values_stand_in_both():
    assert [text for text, other in KOREAN.items() if holes(text) != holes(other)] == []


def test_no_particle_hangs_on_a_value():
    """`{name}을` is wrong for half of all names; a percentage is the exception, it always ends in 퍼센트."""
    wrong = re.compile(r"\}('|\")?(은|는|이|가|을|를|과|와|으로|로)(?![가-힣])")
    assert [other for other in KOREAN.values() if wrong.search(other)] == []


def test_outside_of_a_korean_page_everything_is_english(run):
    report = build_report(run.write())
    assert 'lang="ko"' in to_html(report, language="ko")
    assert words.spoken() == "en"
    assert words.percent(0.981) == "98.1 %"


def test_the_recipe_chooses_the_language(run):
    run.recipe["report"] = {"language": "ko"}
    run.parity["models"]["faithful"]["passed"] = False
    report = build_report(run.write())
    report.save(run.folder)
    page, text = (run.folder / "report.html").read_text("utf-8"), (run.folder / "report.md").read_text("utf-8")
    for form in (page, text):
        assert "int8 학생 모델은 교사 모델 품질의 97.7%를 유지합니다" in form
        assert "교사 모델보다 크기는 5.2배 작고, 속도는 9.0배 빠릅니다." in form
        assert "일치 검증을 통과하지 못한 파일: faithful." in form
        assert "을 통과하지 못해 속도를 표시하지 않습니다" in form
    assert "failed its parity gate" in report.model("faithful").note, "report.json is English"


ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,;:]+[A-Za-z]{2,}){2,}")
DATA = ("mean_cosine", "expected node", "embedding_cosine", "Example CPU", "sentence-transformers", "similarity_matrix")


def test_no_english_sentence_is_left_on_a_korean_page(run):
    report = build_report(run.write())
    log = read_log(run.folder / "log.jsonl")
    shown = {text.strip() for text in Page(to_html(report, log, "ko")).shown if ENGLISH.search(text)}
    assert sorted(text for text in shown if not any(part in text for part in DATA)) == []
    headings = [line for line in to_markdown(report, "ko").splitlines() if line.startswith("#")]
    assert [line for line in headings if not re.search("[가-힣]", line)] == ["### sts-test, n = 1,379"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            (0.98, 5.2, 9.0),
            "교사 모델 품질의 98.0%를 유지합니다(지표, test). 교사 모델보다 크기는 5.2배 작고, 속도는 9.0배 빠릅니다.",
        ),
        ((0.98, None, 0.5), "교사 모델 품질의 98.0%를 유지합니다(지표, test). 교사 모델보다 속도는 2.0배 느립니다."),
        ((None, 0.5, None), "교사 모델보다 크기는 2.0배 큽니다."),
        ((None, None, None), "통과 기준을 만족했지만, 교사 모델과 비교할 수 있는 값이 없습니다."),
    ],
)
def test_the_headline_in_sentences(values, said):
    retained, smaller, faster = values
    head = Headline(task="test", metric="m", retained=retained, smaller=smaller, faster=faster, best="fast")
    with words.speaking("ko"):
        assert clauses("모델은", head, "지표", words.percent(retained)) == f"모델은 {said}"


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (words.percent, (0.981, "98.1%")),
        (words.duration, (312.4, "5분 12초")),
        (words.duration, (7384, "2시간 3분")),
        (words.duration, (9.94, "9.9초")),
        (words.millions, (22713216, "2,271만")),
        (words.millions, (9000, "9,000")),
        (words.ratio, (5.194, "5.2배")),
        (words.interval, ((0.8021, 0.8379), "(80.2~83.8)")),
    ],
)
def test_numbers_and_units(told, value):
    with words.speaking("ko"):
        assert told(value[0]) == value[1]
