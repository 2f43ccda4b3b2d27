"""Cleaning, splitting and keeping the evaluation sets out of the training text; and the way to disk and back."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.evaluation import RetrievalSet, TransferSet, TranslationSet, set_values
from distill.data.prepare import COUNTED, fold, load_prepared, normalise, prepare, save
from distill.data.sources import ScoredPairs
from distill.errors import DataError, RunError
from distill.recipe import DataSpec

CORPUS = [f"Sentence number {number} tells of the weather." for number in range(400)]


def spec(**options):
    return DataSpec.model_validate({"train": [{"source": "python-docs"}], **options})


def pairs(*sentences):
    return ScoredPairs(list(sentences), [f"Another text {i}." for i, _ in enumerate(sentences)], np.arange(len(sentences)) / 2)


def test_every_sentence_is_counted_once_as_kept_or_dropped():
    test_set = pairs("Weather of the TEST set!", "Other words of the test set.")
    dirty = [
        *CORPUS,
        "  Sentence   number 7 tells of\tthe weather. ",  # duplicate but for spaces
        "SENTENCE NUMBER 8 TELLS OF THE WEATHER!",  # duplicate but for case and punctuation
        "weather of the test set",  # in the evaluation set
        "Another text 1?",  # in its other column
        "x",
        "long " * 500,
    ]
    found = prepare(spec(), train=dirty, evaluate={"sts": test_set})
    assert found.counts == {
        "read": 406,
        "bad_rows": 0,
        "too_short": 1,
        "too_long": 1,
        "duplicates": 2,
        "removed_evaluation": 2,
        "removed_dev": 0,
        "train": len(found.train),
        "dev": len(found.dev),
    }
    assert tuple(found.counts) == COUNTED
    assert sorted(found.train + found.dev) == sorted(CORPUS)
    assert found.evaluate["sts"].sentences1 == test_set.sentences1, "labelled sets stay as they are"


def test_the_split_does_not_depend_on_the_order_of_the_text():
    shuffled = random.Random(3).sample(CORPUS, len(CORPUS))
    one, two = prepare(spec(), train=CORPUS), prepare(spec(), train=shuffled)
    assert one.dev == two.dev
    assert one.train == [text for text in CORPUS if text not in set(one.dev)], "train keeps the order of its sources"


def test_a_sentence_stays_on_its_side_when_text_is_added():
    before = set(prepare(spec(), train=CORPUS).dev)
    after = set(prepare(spec(), train=[*CORPUS, *(f"More text {i}." for i in range(400))]).dev)
    assert after & set(CORPUS) == before


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_about_what_was_asked(share):
    found = prepare(spec(dev={"share": share}, dev_limit=4000), train=(f"Sentence {i}." for i in range(4000)))
    assert abs(len(found.dev) / 4000 - share) < 4 * (share * (1 - share) / 4000) ** 0.5  # four standard deviations


def test_dev_beyond_its_limit_goes_back_to_train():
    found = prepare(spec(dev={"share": 0.5}, dev_limit=10), train=CORPUS)
    assert (len(found.dev), len(found.train)) == (10, 390)
    wide = prepare(spec(dev={"share": 0.5}), train=CORPUS)
    assert found.dev == wide.dev[:10]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=30), st.floats(0.01, 0.5))
def test_train_and_dev_never_share_a_sentence(texts, share):
    data = spec(dev={"share": share}, min_chars=1)
    try:
        found = prepare(data, train=texts)
    except DataError:
        return  # too few, or a null byte
    keys = [fold(text) for text in found.train + found.dev]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {fold(text) for text in texts if normalise(text)}
    assert len(found.train) >= 2
    assert len(found.dev) >= 2


def test_dev_from_a_source_is_kept_out_of_train_and_free_of_the_test_set(tmp_path):
    dev = tmp_path / "dev.txt"
    dev.write_text("\n".join([*CORPUS[:20], "A new one for dev.", "Of the test set."]))
    found = prepare(spec(dev={"source": str(dev)}), train=CORPUS, evaluate={"t": pairs("Of the test set.", "b c")})
    assert sorted(found.dev) == sorted([*CORPUS[:20], "A new one for dev."])
    assert found.train == CORPUS[20:]
    assert found.counts["removed_dev"] == 20


def test_sources_are_read_in_order_with_their_bad_rows_counted(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"first {i}\t{i}\n" for i in range(5)) + "bad\n")
    (tmp_path / "b.txt").write_text("".join(f"second {i}\n" for i in range(5)))
    (tmp_path / "sts.csv").write_text("second 4,third,1\nx y,y z,none\nfirst 0,z a,2\n")
    (tmp_path / "select.csv").write_text("second 3,third,1\nx y,y z,2\n")
    data = {
        "train": [{"source": str(tmp_path / "a.tsv"), "columns": [0]}, {"source": str(tmp_path / "b.txt"), "limit": 4}],
        "evaluate": {"sts": {"source": str(tmp_path / "sts.csv"), "columns": [0, 1, 2]}},
        "select": {"source": str(tmp_path / "select.csv")},
        "dev": {"source": str(tmp_path / "b.txt")},
    }
    with pytest.raises(DataError, match="row 2: bad value"):
        prepare(spec(**data))
    found = prepare(spec(**data, on_bad_row="skip"))
    assert found.train == [f"first {i}" for i in range(1, 5)]
    assert sorted(found.dev) == ["second 0", "second 1", "second 2"]
    assert found.counts["bad_rows"] == 2
    assert found.select["select"].scores.tolist() == [1, 2]
    assert found.evaluate["sts"].sentences1 == ["second 4", "first 0"]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ([], "this corpus is empty"),
        (["One sentence alone."], "1 of 1 read"),
        (["ab", "One.", "one", "ONE!"], r"1 of 4 read \(dropped: 1 too short, 2 duplicates\)"),
        ("one string", "not a list of sentences"),
        (["fine text", 3, "more text"], r"train\[1\]: not a sentence"),
        (["fine text", "nul\0byte"], r"train\[1\]: not a sentence"),
    ],
)
def test_too_little_text_says_what_became_of_it(train, words):
    with pytest.raises(DataError, match=words) as caught:
        prepare(spec(), train=train)
    assert caught.value.exit_code == 2


def test_an_empty_dev_source_says_so(tmp_path):
    (tmp_path / "dev.txt").write_text("\n")
    with pytest.raises(DataError, match=r"dev\.txt: this corpus is empty"):
        prepare(spec(dev={"source": str(tmp_path / "dev.txt")}), train=CORPUS)


@pytest.mark.parametrize(
    "bad",
    [
        ScoredPairs(["a b", "c d"], ["e f", "g h"], np.array([1.0, np.nan])),
        ScoredPairs(["a b", "c d"], ["e f"], np.array([1.0, 2.0])),
        ScoredPairs(["a b", "c d"], ["e f", "g h"], np.array([1.0, 1.0])),
        ScoredPairs(["a b", None], ["e f", "g h"], np.array([1.0, 2.0])),
    ],
)
def test_labelled_pairs_given_from_python_are_checked(bad):
    with pytest.raises(DataError, match="evaluation set 'mine'"):
        prepare(spec(), train=CORPUS, evaluate={"mine": bad})


@pytest.mark.parametrize("name", ["agreement", "../outside", ""])
def test_the_name_of_labelled_pairs_must_do_as_a_file_and_a_task(name):
    with pytest.raises(DataError, match="cannot have this name"):
        prepare(spec(), train=CORPUS, evaluate={name: pairs("a b", "c d")})


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("It's fine.", "its  FINE", True),
        ("Straße", "STRASSE", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("\uff21\uff22", "ab", True),
        ("비가 온다.", "비가온다", True),
        ("비가 온다", "비가 왔다", False),
        ("!!!", "???", False),
        ("कि", "की", False),  # differ in a vowel mark alone
        ("A 10", "A 11", False),
    ],
)
def test_which_sentences_are_the_same(one, two, same):
    assert (fold(one) == fold(two)) is same


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert fold(once) == fold(text)
    assert once == once.strip()
    assert "  " not in once


def test_what_is_saved_comes_back(tmp_path):
    made = prepare(
        spec(), train=[*CORPUS, "비가 오는 날 😀"], evaluate={"z-set": pairs("a b", "c d"), "a-set": pairs("e f", "g h")}
    )
    save(made, tmp_path / "data")
    back = load_prepared(tmp_path / "data")
    assert (back.train, back.dev, back.counts, back.select) == (made.train, made.dev, made.counts, {})
    assert list(back.evaluate) == ["z-set", "a-set"], "in the recipe's order"
    for name, rows in made.evaluate.items():
        assert (back.evaluate[name].sentences1, back.evaluate[name].sentences2) == (rows.sentences1, rows.sentences2)
        np.testing.assert_array_equal(back.evaluate[name].scores, rows.scores)
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {"train.parquet", "dev.parquet", "evaluate-z-set.parquet", "evaluate-a-set.parquet", "counts.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "nothing half-written is left"


def test_saving_again_leaves_nothing_of_the_old(tmp_path):
    save(prepare(spec(), train=CORPUS, evaluate={"old": pairs("a b", "c d")}), tmp_path / "data")
    save(prepare(spec(), train=CORPUS), tmp_path / "data")
    assert not (tmp_path / "data" / "evaluate-old.parquet").exists()


@pytest.mark.parametrize("name", ["train.parquet", "dev.parquet", "evaluate-sts.parquet", "counts.json"])
@pytest.mark.parametrize("damage", [None, b"", b"garbage", b"{}"])
def test_damage_on_disk_is_told(tmp_path, name, damage):
    save(prepare(spec(), train=CORPUS, evaluate={"sts": pairs("a b", "c d")}), tmp_path / "data")
    path = tmp_path / "data" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(RunError, match=name):
        load_prepared(tmp_path / "data")


def test_counts_are_plain_json(tmp_path):
    save(prepare(spec(), train=CORPUS), tmp_path / "data")
    assert json.loads((tmp_path / "data" / "counts.json").read_text())["counts"]["read"] == 400


def test_texts_of_every_kind_of_set_are_kept_out_and_fit_texts_are_not(tmp_path):
    labels = np.array([0, 1])
    sets = {
        "pairs": TranslationSet(CORPUS[:2], ["가 나.", CORPUS[2]]),
        "moved": TransferSet(CORPUS[10:12], labels, CORPUS[3:5], labels, ("no", "yes")),
        "search": RetrievalSet(["q"], [CORPUS[5].upper()], ["d"], [f"{CORPUS[6]} {CORPUS[7]}"], {0: {0: 1.0}}, "sentence"),
    }
    found = prepare(spec(), train=CORPUS, evaluate=sets)
    assert sorted(found.train + found.dev) == sorted(CORPUS[8:])
    assert found.counts["removed_evaluation"] == 8
    save(found, tmp_path / "data")
    back = load_prepared(tmp_path / "data").evaluate
    assert {name: set_values(rows) for name, rows in back.items()} == {name: set_values(rows) for name, rows in sets.items()}


def test_a_set_given_from_python_holds_texts():
    with pytest.raises(DataError, match="evaluation set 'pairs'"):
        prepare(spec(), train=CORPUS, evaluate={"pairs": TranslationSet(["a b", None], ["c d", "e f"])})
