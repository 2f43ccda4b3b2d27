"""What is taken from a foreign model card, and that no card can stop a run."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from teachers.origin import MAX_BYTES, card_fields


def card(folder: Path, text: str | bytes) -> dict[str, str]:
    (folder / "README.md").write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return card_fields(folder)


def test_language_and_licence_of_a_usual_card(tmp_path: Path) -> None:
    head = "---\nlanguage: en\nlicense: apache-2.0\npipeline_tag: sentence-similarity\ntags:\n- a---b\n---\n\n# MiniLM\n---\nmore"
    assert card(tmp_path, head) == {"language": "en", "license": "apache-2.0"}
    assert card(tmp_path, head.replace("\n", "\r\n")) == {"language": "en", "license": "apache-2.0"}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("license: mit", {"license": "mit"}),
        ("language: [en, ko]\nlicense: mit", {"license": "mit"}),
        ("language:\n- en\nlicense: {name: mit}", {}),
        ("language: ''\nlicense: 'cc-by-4.0'", {"license": "cc-by-4.0"}),
        ("language: |\n  en\n  ko\nlicense: ' '", {}),
        ("license: 2.0\nlanguage: null", {}),
        ("- a\n- b", {}),
        ("just words", {}),
        ("", {}),
    ],
)
def test_what_is_no_plain_word_is_left_out(tmp_path: Path, head: str, expected: dict[str, str]) -> None:
    assert card(tmp_path, f"---\n{head}\n---\ntext") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# A card without a head\n",
        "# Title first\n---\nlicense: mit\n---\n",
        "---\nlicense: mit\nnever closed",
        "---\nlicense: [mit\n---\n",
        "---\nlicense: mit\nupdated: 2024-13-45\n---\n",  # a date that the calendar does not have
        "---\nlicense: mit\ncount: !!int many\n---\n",
        "---\nlicense: mit\nwhen: !!timestamp soon\n---\n",
        "---\nlicense: mit\n? {a: 1}\n: key\n---\n",
        "---\nlicense: !!python/object/apply:os.system ['touch pwned']\n---\n",
        "---\na: &a [x, x]\nb: &b [*a, *a]\nlicense: mit\n---\n",
        "---\n" + "[" * 20_000 + "\n---\n",
        b"---\nlicense: mit \xff\xfe\x00\n---\n",
    ],
)
def test_a_damaged_or_hostile_card_says_nothing(tmp_path: Path, text: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert card(tmp_path, text) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_no_card_and_a_huge_one(tmp_path: Path) -> None:
    assert card_fields(tmp_path) == {}
    assert card_fields(tmp_path / "nothing") == {}
    head = "---\nlicense: mit\n---\n"
    assert card(tmp_path, head + "x" * (MAX_BYTES - len(head))) == {"license": "mit"}
    assert card(tmp_path, head + "x" * MAX_BYTES) == {}
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    assert card_fields(tmp_path) == {}


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_no_head_stops_a_run(tmp_path_factory: pytest.TempPathFactory, head: str) -> None:
    found = card(tmp_path_factory.mktemp("card"), f"---\n{head}\n---\n")
    assert set(found) <= {"language", "license"}
    assert all(isinstance(word, str) for word in found.values())


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[a-z]{2,12}(-[0-9]\.[0-9])?", fullmatch=True), st.from_regex(r"[a-z]{2,3}", fullmatch=True))
def test_plain_words_come_through(tmp_path_factory: pytest.TempPathFactory, licence: str, language: str) -> None:
    head = yaml.safe_dump({"license": licence, "language": language})
    assert card(tmp_path_factory.mktemp("card"), f"---\n{head}---\n") == {"license": licence, "language": language}
