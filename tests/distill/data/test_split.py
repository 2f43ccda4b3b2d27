"""Where a sentence ends, in several scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.split import split_text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("비가 온다. 우산을 쓴다.", ["비가 온다.", "우산을 쓴다."]),
        ("猫が寝る。犬が吠える。", ["猫が寝る。", "犬が吠える。"]),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
        ("Dr. Kim met J. Smith, e.g. in May. It rained.", ["Dr. Kim met J. Smith, e.g. in May.", "It rained."]),
        ("Pi is 3.14 on example.org today.", ["Pi is 3.14 on example.org today."]),
        ("Am 3. Mai regnet es. Danach nicht.", ["Am 3. Mai regnet es.", "Danach nicht."]),
        ("A title\nand a line", ["A title", "and a line"]),
        ("  \n ", []),
        ("no mark", ["no mark"]),
        ("Wait... what?! Yes.", ["Wait...", "what?!", "Yes."]),
    ],
)
def test_sentences(text, wanted):
    assert split_text(text) == wanted


@given(st.text())
def test_nothing_but_white_space_is_lost(text):
    found = split_text(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() and sentence for sentence in found)
