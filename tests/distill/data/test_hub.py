"""Hub data sets, without a hub: the library is real, the rows come from memory or do not come at all."""

import logging
from collections import Counter
from types import SimpleNamespace

import datasets
import pytest
from huggingface_hub import HfApi

from distill.data.conll import read_token_examples
from distill.data.hub import read_commits
from distill.data.labelled import read_text_examples
from distill.data.sources import check_source, read_pairs, read_sentences
from distill.errors import DataError
from distill.recipe import EvaluationSpec, SourceSpec

COMMIT = "a" * 40
ROWS = {
    "sentence1": ["A plane takes off.", "A man plays."],
    "sentence2": ["A plane is leaving.", "A dog runs."],
    "score": [5.0, 0.4],
}


@pytest.fixture(autouse=True)
def commits(monkeypatch):
    """What the hub's revisions stand for."""
    known = {None: COMMIT, "abc": "b" * 40}
    monkeypatch.setattr(HfApi, "dataset_info", lambda self, name, *, revision: SimpleNamespace(sha=known[revision]))


@pytest.fixture
def hub(monkeypatch):
    """A hub that knows one data set; notes how it was asked."""
    asked = []

    def load_dataset(name, subset, **options):
        asked.append((name, subset, options))
        return datasets.Dataset.from_dict(ROWS).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    return asked


def test_columns_of_a_hub_data_set_are_streamed(hub):
    spec = SourceSpec(source="owner/sts", columns=("sentence1", "sentence2"), subset="en", revision="abc", limit=3)
    found = list(read_sentences(spec, on_bad_row="error", counts=Counter()))
    assert found == ["A plane takes off.", "A plane is leaving.", "A man plays."]
    assert hub == [("owner/sts", "en", {"split": "train", "revision": "b" * 40, "streaming": True})]
    assert read_commits()["owner/sts@abc"] == "b" * 40


def test_pairs_of_a_hub_data_set(hub):
    found = read_pairs(EvaluationSpec(source="owner/sts"), on_bad_row="error", counts=Counter())
    assert found.scores.tolist() == [5.0, 0.4]
    assert hub[0][2]["split"] == "test"


def test_a_commit_is_taken_as_it_is(hub, monkeypatch):
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: pytest.fail("asked for what is known"))
    list(
        read_sentences(
            SourceSpec(source="owner/sts", columns=("sentence1",), revision=COMMIT), on_bad_row="error", counts=Counter()
        )
    )
    assert hub[0][2]["revision"] == COMMIT
    assert read_commits()[f"owner/sts@{COMMIT}"] == COMMIT


def test_the_commit_of_a_copy_in_the_cache(hub, monkeypatch):
    """The copy knows the addresses of its files."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    kept = datasets.Dataset.from_dict(ROWS)
    kept.info.download_checksums = {f"hf://datasets/owner/cached@{COMMIT}/rows.parquet": {"num_bytes": 1, "checksum": None}}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: kept)
    list(read_sentences(SourceSpec(source="owner/cached", columns=("sentence1",)), on_bad_row="error", counts=Counter()))
    assert read_commits()["owner/cached@main"] == COMMIT


def test_a_wrong_column_of_a_hub_data_set(hub):
    spec = SourceSpec(source="owner/sts", columns=("text",))
    with pytest.raises(DataError, match=r"no column 'text'(.|\n)*sentence1, sentence2, score"):
        list(read_sentences(spec, on_bad_row="error", counts=Counter()))


def test_an_unreachable_hub_is_the_users_to_mend(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"switched off(.|\n)*python-docs needs no network") as caught:
        list(read_sentences(SourceSpec(source="owner/nothing-here"), on_bad_row="error", counts=Counter()))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [(ConnectionError("no route to host"), "cannot be reached"), (ValueError("Unknown split 'tset'"), "Unknown split 'tset'")],
)
def test_what_the_library_raises_is_told_in_our_words(hub, monkeypatch, error, words):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=words):
        list(read_sentences(SourceSpec(source="owner/sts", split="tset"), on_bad_row="error", counts=Counter()))


def test_the_retries_of_the_hubs_client_are_not_shown(hub, monkeypatch, caplog):
    """Five of them, two lines each, before the one message that counts."""
    client = logging.getLogger("huggingface_hub.utils._http")

    def fail(*args, **options):
        client.warning("Retrying in 1s")
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    before = logging.getLogger("huggingface_hub").level
    with pytest.raises(DataError, match="cannot be reached"):
        list(read_sentences(SourceSpec(source="owner/sts"), on_bad_row="error", counts=Counter()))
    assert caplog.messages == []
    assert logging.getLogger("huggingface_hub").level == before


def test_a_stream_that_breaks_off_is_an_error(hub, monkeypatch):
    def rows():
        yield {"text": "The first row arrives."}
        raise OSError("connection reset")

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: datasets.IterableDataset.from_generator(rows))
    found = read_sentences(SourceSpec(source="owner/sts"), on_bad_row="skip", counts=Counter())
    with pytest.raises(DataError, match=r"broke off(.|\n)*run the same command again"):
        list(found)


def test_checking_a_hub_id_asks_nobody(hub):
    assert check_source(SourceSpec(source="owner/sts", columns=("anything",))) == []
    assert check_source(EvaluationSpec(source="owner/sts")) == []
    assert hub == []


@pytest.fixture
def numbered(monkeypatch):
    """A hub whose data set numbers its classes, as GLUE and KLUE do."""
    classes = datasets.ClassLabel(names=["negative", "positive"])
    tags = datasets.ClassLabel(names=["O", "B-PS"])
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": classes,
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(tags),
        }
    )
    rows = {
        "text": ["a fine film", "a dull film", "no label here"],
        "label": [1, 0, -1],
        "tokens": [["Ann", "left"], ["it", "ended"], ["Bob"]],
        "ner_tags": [[1, 0], [0, 0], [1]],
    }
    whole = datasets.Dataset.from_dict(rows, features=features).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda name, subset, **options: whole)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)


def test_numbered_classes_are_read_by_their_names(numbered):
    spec = SourceSpec(source="owner/films", columns=("text", "label"))
    found, labels = read_text_examples(spec, task="classification", use="optional", counts=Counter())
    assert labels.names == ("negative", "positive")
    assert found.labels.tolist() == [1, 0, -100]


def test_numbered_classes_meet_labels_in_another_order_by_name(numbered):
    spec = SourceSpec(source="owner/films", columns=("text", "label"))
    found, labels = read_text_examples(
        spec, task="classification", labels=("positive", "negative"), use="optional", counts=Counter()
    )
    assert labels.names == ("positive", "negative")
    assert found.labels.tolist() == [0, 1, -100]


def test_numbered_tags_are_read_by_their_names(numbered):
    spec = SourceSpec(source="owner/films", columns=("tokens", "ner_tags"))
    found, labels = read_token_examples(spec, on_bad_row="error", counts=Counter())
    assert set(labels.names) == {"O", "B-PS"}
    assert [[labels.names[tag] for tag in tags] for tags in found.tags] == [["B-PS", "O"], ["O", "O"], ["B-PS"]]
