"""What every client is asked: short, long, empty, Korean, emoji; and the small labelled sets that heads are trained on."""

from __future__ import annotations

import itertools
import random

SENTENCES = [
    "A man is eating a piece of bread.",
    "Someone has lunch.",
    "The committee announced new prices for electricity, gas and water on Monday.",
    "오늘 아침 그 학생은 도서관에서 책을 읽는다.",
    "비가 오는 날 고양이가 창밖을 본다. 날씨가 춥다!",
    "I love pizza 🍕 and coffee ☕️!! 👨‍👩‍👧",
    "감사합니다 🙏🇰🇷",
    "",
    " ",
    "naïve café — “quotes” … №5 ½ ﬁne ① Ａ",
    "x = foo(bar)[0]; // https://example.com/a?b=c#d",
    "Tab\tand\nnewline   and a no-break\u00a0space",
    "Schöne Grüße aus Köln, ça va? ¿Qué tal? Привет, мир. 你好，世界。こんにちは",
    "don't can't it's 3.14 1,000,000 50% $5 #tag @name",
    "Ωmega ＡＢＣ１２３ カタカナ ｶﾀｶﾅ ㈜한국",
    "The old man walks slowly through the park near the river after a long day. " * 40,
    "주말에는 그 작가가 공원을 천천히 걷는다. 새로운 계획을 발표했다. " * 40,
    "a" * 600,
]
"""Texts of every encoder. The last three but one are longer than any limit used here; two have no token of their own."""

QUESTIONS = [
    ("Where does Anna live?", "Anna lives in Paris. Boris lives in Madrid."),
    ("Where does Boris live?", "Anna lives in Paris. Boris lives in Madrid."),
    ("Where does Clara live?", "Daniel lives in Rome and Clara lives in Seoul."),
    ("Where does Emil live?", "Emil 🙂 lives in Berlin 🎉. Fiona lives in Oslo."),
    ("민수는 어디에 사나?", "민수는 서울에 산다. Anna lives in Paris."),
]
"""Questions with contexts that fit any limit used here."""

LONG_QUESTIONS = [
    ("Where does Anna live?", "Boris lives in Madrid. " * 80 + "Anna lives in Paris."),
    ("", "Anna lives in Paris."),
]

TOPICS = {
    "food": ["bread", "rice", "soup", "an apple", "cheese"],
    "music": ["the guitar", "a song", "the piano", "a concert", "the drums"],
    "travel": ["a train", "the airport", "a bus", "the harbour", "a ship"],
}
NAMES = ["Anna", "Boris", "Clara", "Daniel", "Emil", "Fiona", "George", "Hana"]
CITIES = ["Paris", "Madrid", "Rome", "Seoul", "Berlin", "Oslo", "Vienna", "Tokyo"]
TAGS = ["O", "B-PER", "B-LOC"]


def topic_rows() -> list[tuple[str, int]]:
    """(text, topic number) rows."""
    frames = ["I think of {}.", "Yesterday we talked about {}.", "She likes {} very much.", "Where is {} today?"]
    rows = [(frame.format(x), number) for number, words in enumerate(TOPICS.values()) for x in words for frame in frames]
    random.Random(1).shuffle(rows)
    return rows


def tag_rows() -> list[tuple[list[str], list[int]]]:
    """(words, tag numbers) rows."""
    rows = []
    for name, city in itertools.product(NAMES, CITIES):
        rows.append(([name, "lives", "in", city, "."], [1, 0, 0, 2, 0]))
        rows.append((["In", city, "I", "met", name, "again", "."], [0, 2, 0, 0, 1, 0, 0]))
    random.Random(2).shuffle(rows)
    return rows


def answer_rows() -> list[tuple[str, str, str]]:
    """(question, context, answer) rows: the answer stands once in its context."""
    chance, rows = random.Random(3), []
    for _ in range(256):
        people, places = chance.sample(NAMES, 2), chance.sample(CITIES, 2)
        context = f"{people[0]} lives in {places[0]}. {people[1]} lives in {places[1]}."
        asked = chance.randrange(2)
        rows.append((f"Where does {people[asked]} live?", context, places[asked]))
    return rows
