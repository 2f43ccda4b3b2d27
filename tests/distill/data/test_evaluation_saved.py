"""Sets of every kind on their way to disk and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.evaluation import RetrievalSet, TransferSet, TranslationSet, load_set, save_set, set_values
from distill.data.sources import ScoredPairs
from distill.errors import RunError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LANGUAGES = st.sampled_from([None, ("en", "ko"), ("pt-BR", "de")])


@st.composite
def sets(draw):
    kind = draw(st.sampled_from(["sts", "translation", "transfer", "retrieval"]))
    count = draw(st.integers(2, 5))
    texts = [draw(st.lists(TEXT, min_size=count, max_size=count)) for _ in range(2)]
    languages = draw(LANGUAGES)
    if kind == "sts":
        scores = draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=count, max_size=count))
        return ScoredPairs(*texts, np.array(scores), languages)
    if kind == "translation":
        return TranslationSet(*texts, languages)
    if kind == "transfer":
        names = draw(st.lists(TEXT, min_size=2, max_size=4, unique=True))
        labels = np.array(draw(st.lists(st.integers(0, len(names) - 1), min_size=count, max_size=count)))
        return TransferSet(texts[0], np.arange(count) % 2, texts[1], labels, tuple(names), languages)
    ids = [draw(st.lists(TEXT, min_size=count, max_size=count, unique=True)) for _ in range(2)]
    gains = st.dictionaries(st.integers(0, count - 1), st.floats(0.1, 10), min_size=1)
    relevance = {query: draw(gains) for query in range(count)}
    unit = draw(st.sampled_from(["text", "sentence"]))
    return RetrievalSet(ids[0], texts[0], ids[1], texts[1], relevance, unit, languages)


@settings(max_examples=80, deadline=None)
@given(sets())
def test_what_is_saved_comes_back(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.parquet"
        save_set(rows, path)
        back = load_set(path)
    assert type(back) is type(rows)
    assert set_values(back) == set_values(rows)


def test_a_table_of_pairs_without_a_kind_is_an_sts_set(tmp_path):
    columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 2.0]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "old.parquet")
    assert set_values(load_set(tmp_path / "old.parquet")) == ["sts", *columns.values(), None]


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damage_is_told(tmp_path, damage):
    path = tmp_path / "set.parquet"
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(RunError, match=r"set\.parquet: this file is missing or damaged"):
        load_set(path)


def test_a_set_whose_columns_do_not_fit_its_kind_is_damaged(tmp_path):
    path = tmp_path / "set.parquet"
    save_set(TranslationSet(["a", "b"], ["c", "d"]), path)
    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.slice(0, 1), path)
    with pytest.raises(RunError, match="too few translations"):
        load_set(path)
    pyarrow.parquet.write_table(table.drop_columns(["source"]), path)
    with pytest.raises(RunError, match="damaged"):
        load_set(path)
