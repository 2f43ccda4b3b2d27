"""The embedded corpus: what is read, in which order, and how much there is of it."""

import time
from collections import Counter

import pytest

from distill.data import python_docs as docs
from distill.data.prose import is_prose


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Two made-up packages in place of everything that is installed."""
    animals, tools = tmp_path / "animals", tmp_path / "tools"
    (animals / "tests").mkdir(parents=True)
    tools.mkdir()
    (animals / "__init__.py").write_text(
        '"""The fox lives in the forest near the river."""\n'
        "def bark():\n"
        '    """Make a sound that the other dogs can hear.\n\n    The sound is as loud as the dog is large.\n    """\n'
        "    if True:\n        def inner():\n            'Nested functions are read as well as the others.'\n"
        "raise RuntimeError('This file must never be run or imported.')\n"
    )
    (animals / "more.py").write_text("# A comment of two lines\n# is read as one sentence of prose.\nx = 1  # not this one.\n")
    (animals / "broken.py").write_text('"""The file that cannot be parsed is passed over."""\ndef (\n')
    (animals / "latin.py").write_bytes('"""Ein Wort das \xe4hnlich ist as the other."""'.encode("latin-1"))
    (animals / "tests" / "inside.py").write_text('"""The tests of a package are not read by anyone."""')
    (tools / "__init__.py").write_text('"""The  fox lives in the forest; near the river."""\n')  # same but for punctuation
    (tools / "guide.md").write_text("# A heading of the guide.\n\nThe hammer is used for driving nails into wood.\n")
    (tools / "LICENSE.md").write_text("The license of the package is not read as prose.\n")
    folders = {"animals": animals, "tools": tools}
    monkeypatch.setattr(docs, "PACKAGES", dict.fromkeys(folders, "no-such-distribution"))
    monkeypatch.setattr(docs, "_package_folder", lambda name: folders.get(name))
    return folders


def test_docstrings_comments_and_guides_are_read_without_running_anything(installed):
    found = set(docs.python_docs())
    fox = {"The fox lives in the forest near the river.", "The fox lives in the forest; near the river."}
    assert len(found & fox) == 1, "sentences that differ in punctuation alone are duplicates"
    assert found - fox == {
        "Make a sound that the other dogs can hear.",
        "The sound is as loud as the dog is large.",
        "Nested functions are read as well as the others.",
        "A comment of two lines is read as one sentence of prose.",
        "The hammer is used for driving nails into wood.",
    }


def test_a_limit_takes_the_head_of_the_same_order(installed):
    everything = list(docs.python_docs())
    assert everything == list(docs.python_docs())
    assert everything != sorted(everything)
    assert list(docs.python_docs(3)) == everything[:3]


def test_at_most_three_sentences_share_their_first_five_words(installed):
    names = ("fox", "dog", "cat", "owl", "bee", "cow")
    lines = [f"This is the name of the {name}." for name in names]
    (installed["tools"] / "many.py").write_text('"""' + " ".join(lines) + '"""')
    assert sum(sentence in lines for sentence in docs.python_docs()) == docs.SAME_START


def test_one_package_does_not_dominate(installed, monkeypatch):
    monkeypatch.setattr(docs, "PER_PACKAGE", 50)
    for number in range(40):
        words = [f"{chr(97 + number % 26)}{chr(97 + i)}{chr(97 + number // 26)}x" for i in range(10)]
        text = " ".join(f"The {word} is a thing that nobody has seen." for word in words)
        (installed["tools"] / f"part{number}.py").write_text(f'"""{text}"""')
    assert 50 <= len(docs._package_sentences("tools")) < 61, "files are read until the cap is met, not all 400 sentences"


def test_the_content_key_follows_the_versions(monkeypatch):
    before = docs.content_key()
    assert before == docs.content_key()
    monkeypatch.setattr(docs.importlib.metadata, "version", lambda name: "99.0")
    assert docs.content_key() != before


def test_a_missing_package_is_passed_over():
    assert docs._package_folder("no_such_package_at_all") is None
    assert docs._package_sentences("no_such_package_at_all") == set()


@pytest.mark.slow
def test_this_machine_gives_a_varied_corpus_quickly():
    start = time.process_time()
    found = list(docs.python_docs())
    seconds = time.process_time() - start
    assert len(found) >= 30_000
    assert len(set(found)) == len(found)
    assert all(map(is_prose, found))
    starts = Counter(" ".join(sentence.lower().split()[:5]) for sentence in found)
    assert max(starts.values()) <= 2 * docs.SAME_START  # counted without punctuation there
    vocabulary = Counter(word for sentence in found for word in sentence.lower().split())
    assert len(vocabulary) > 15_000
    assert seconds < 60, "30 s on a core of its own, with room for a busy machine"
