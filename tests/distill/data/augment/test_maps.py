"""Batches of columns, as `datasets` and Ray give them: the same variants as anywhere else, every column kept."""

from __future__ import annotations

import pickle

import datasets
import numpy as np
import pytest
import toyaugment

from distill.data.augment import maps
from distill.data.augment.base import Rng
from distill.data.augment.make import Maker
from distill.data.augment.maps import MapVariants, map_variants_ray
from distill.errors import DataError, MissingExtra
from distill.recipe_augment import NGramsSpec

ROWS = toyaugment.examples(40)
COLUMNS = {"id": list(range(40)), "text": [row.text for row in ROWS], "label": [row.label for row in ROWS]}
EXPECTED = toyaugment.Make()().augment(ROWS, Rng(5))
MAPPER = MapVariants(toyaugment.Make(), seed=5)


WANTED = [(row.row, row.text, row.label, row.variant) for row in EXPECTED]


def test_a_dataset():
    made = datasets.Dataset.from_dict(COLUMNS).map(MAPPER, batched=True, batch_size=7)
    assert list(zip(made["id"], made["text"], made["label"], made["variant"], strict=True)) == WANTED


def test_a_streamed_dataset():
    made = datasets.Dataset.from_dict(COLUMNS).to_iterable_dataset().map(MAPPER, batched=True, batch_size=3)
    assert [(row["id"], row["text"], row["label"], row["variant"]) for row in made] == WANTED


def test_pairs_and_arrays():
    rows = toyaugment.examples(9, pairs=True)
    batch = {"a": np.array([row.text for row in rows], object), "b": [row.text_pair for row in rows], "n": np.arange(9)}
    made = MapVariants(toyaugment.Make(pairs="both"), seed=1, text="a", text_pair="b")(batch)
    expected = toyaugment.Make(pairs="both")().augment(rows, Rng(1))
    assert [*zip(made["a"], made["b"], made["n"], strict=True)] == [(row.text, row.text_pair, row.row) for row in expected]


def test_it_travels_without_its_augmenter():
    maps._made.clear()
    mapper = MapVariants(Maker(NGramsSpec(method="ngrams", p=1.0, variants=2)), seed=5)
    first = mapper(COLUMNS)
    assert len(maps._made) == 1
    again = pickle.loads(pickle.dumps(mapper))
    assert again(COLUMNS) == first
    assert len(maps._made) == 1, "an equal maker makes no second model"


@pytest.mark.parametrize(
    ("batch", "words"), [({"txet": ["a"]}, "did you mean 'txet'"), ({"text": ["a", None]}, "no text"), ({"text": [3]}, "no text")]
)
def test_columns_that_cannot_be_augmented(batch, words):
    with pytest.raises(DataError, match=words):
        MAPPER(batch)


def test_ray_is_an_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray.data", None)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[ray\]"):
        map_variants_ray(None, MAPPER)


@pytest.fixture
def local_ray(monkeypatch, tmp_path):
    """A Ray of one process on this machine."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    local = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "log_to_driver": False}
    ray.init(num_cpus=1, object_store_memory=512 * 2**20, configure_logging=False, **local)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_ray_data(local_ray):
    source = local_ray.data.from_items(
        [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)], override_num_blocks=2
    )
    made = map_variants_ray(source, MapVariants(Maker(NGramsSpec(method="ngrams", p=1.0, variants=2)), seed=5), batch_size=6)
    found = sorted((row["id"], row["variant"], row["text"], row["label"]) for row in made.take_all())
    expected = Maker(NGramsSpec(method="ngrams", p=1.0, variants=2))().augment(ROWS, Rng(5))
    assert found == [(row.row, row.variant, row.text, row.label) for row in expected]
