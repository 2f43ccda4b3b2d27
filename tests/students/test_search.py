"""The layers that a search keeps are those that matter, where it is known by construction which do."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from scipy.spatial.distance import pdist

from distill.errors import ModelError
from students import search
from students.layers import cut_layers
from students.search import search_layers

TEXTS = tiny.SENTENCES[:24]


def idle(model: Any, layers: list[int]) -> Any:
    """Let some BERT layers add nothing to what they read: what is left of them are norms of what is normed already."""
    with torch.no_grad():
        for number in layers:
            layer = model[0].auto_model.encoder.layer[number]
            for dense in (layer.attention.output.dense, layer.output.dense):
                dense.weight.zero_()
                dense.bias.zero_()
    return model


def agreement(model: Any, wanted: np.ndarray) -> float:
    """Pearson of the cosines of all pairs, by scipy's distances."""
    found = model.encode(TEXTS, show_progress_bar=False)
    return float(np.corrcoef(pdist(found, "cosine"), pdist(wanted, "cosine"))[0, 1])


@pytest.mark.parametrize("exhaustive", [40, 0], ids=["all are tried", "one by one"])
def test_layers_that_do_nothing_are_left_out(exhaustive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", exhaustive)
    model = idle(tiny.sentence_transformer(layers=6), [1, 3, 4])
    found, value = search_layers(model, 3, TEXTS, model.encode(TEXTS))
    assert found == [0, 2, 5]
    assert value == pytest.approx(1, abs=1e-4)


def test_the_best_of_all_choices_is_found_across_widths() -> None:
    """The teacher is another model, of another width; each choice is cut and judged here once more."""
    model = tiny.sentence_transformer(layers=4)
    teacher = tiny.sentence_transformer(layers=2, hidden=48, seed=8).encode(TEXTS)
    found, value = search_layers(model, 2, TEXTS, teacher)
    by_hand = {kept: agreement(cut_layers(model, kept), teacher) for kept in itertools.combinations(range(4), 2)}
    assert value == pytest.approx(max(by_hand.values()), abs=1e-5)
    assert value == pytest.approx(by_hand[tuple(found)], abs=1e-5)


def test_taken_away_one_by_one_each_round_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", 0)
    rounds: list[list[list[int]]] = []

    def track(choices: Any) -> Any:
        rounds.append(list(choices))
        return iter(rounds[-1])

    model = idle(tiny.sentence_transformer(layers=4), [2])
    found, _ = search_layers(model, 2, TEXTS, model.encode(TEXTS), track=track)
    assert rounds[0] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert rounds[1] == [[1, 3], [0, 3], [0, 1]]
    assert found in rounds[1]


@pytest.mark.parametrize("exhaustive", [40, 0])
def test_modernbert_keeps_its_first_layer(exhaustive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", exhaustive)
    model = tiny.sentence_transformer("modernbert", layers=3)
    for count in (1, 2):
        found, _ = search_layers(model, count, TEXTS, model.encode(TEXTS))
        assert found[0] == 0
        assert len(found) == count


def test_every_layer_is_no_choice() -> None:
    model = tiny.sentence_transformer(layers=3)
    found, value = search_layers(model, 3, TEXTS, model.encode(TEXTS), track=lambda choices: pytest.fail("nothing to try"))
    assert found == [0, 1, 2]
    assert value == pytest.approx(1, abs=1e-6)


def test_only_the_first_sentences_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those, and their rows of the teacher's: what is behind them may be anything."""
    monkeypatch.setattr(search, "SENTENCES", 12)
    model = tiny.sentence_transformer(layers=3)
    vectors = model.encode(TEXTS)
    expected = search_layers(model, 2, TEXTS[:12], vectors[:12])
    vectors[12:] = np.nan
    assert search_layers(model, 2, TEXTS, vectors) == expected


def test_the_start_model_is_left_as_it_is_and_its_prompt_unused() -> None:
    """The sentences come with the teacher's prompt in front."""
    model = tiny.sentence_transformer(layers=3)
    prompted = copy.deepcopy(model)
    prompted.prompts, prompted.default_prompt_name = {"query": "query: "}, "query"
    before = copy.deepcopy(prompted.state_dict())
    vectors = model.encode(TEXTS)
    assert search_layers(prompted, 2, TEXTS, vectors) == search_layers(model, 2, TEXTS, vectors)
    assert all(torch.equal(before[name], value) for name, value in prompted.state_dict().items())
    assert prompted[0].auto_model.config.num_hidden_layers == 3


def test_vectors_that_are_all_alike_agree_with_nothing() -> None:
    """A correlation with a constant is no number: it must not win."""
    model = tiny.sentence_transformer(layers=3)
    _, value = search_layers(model, 2, TEXTS, np.eye(1, 8, dtype=np.float32).repeat(len(TEXTS), axis=0))
    assert value == -1


def test_more_layers_than_there_are_and_layers_that_cannot_be_cut() -> None:
    with pytest.raises(ModelError, match=r"(?s)student\.layers.*got:      5.*at most 3"):
        search_layers(tiny.sentence_transformer(layers=3), 5, TEXTS, np.zeros((24, 32)))
    with pytest.raises(ModelError, match="ALBERT"):
        search_layers(tiny.sentence_transformer("albert", layers=2), 1, TEXTS, np.zeros((24, 32)))
