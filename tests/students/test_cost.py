import tiny
from torch import nn

from students.cost import count_parameters


def test_a_bert_by_hand() -> None:
    words = len(tiny.tokenizer())
    tables = words * 32 + 64 * 32 + 2 * 32
    norm = 2 * 32
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 2 * norm
    pooler = 32 * 32 + 32
    got = count_parameters(tiny.sentence_transformer(layers=4))
    assert got["embedding_params"] == tables
    assert got["encoder_params"] == norm + 4 * layer + pooler
    assert got["params"] == tables + norm + 4 * layer + pooler


def test_shared_weights_count_once() -> None:
    table = nn.Embedding(10, 4)
    head = nn.Linear(4, 10, bias=False)
    head.weight = table.weight
    again = nn.Embedding(10, 4)
    again.weight = table.weight
    assert count_parameters(nn.ModuleList([table, head, again])) == {"params": 40, "embedding_params": 40, "encoder_params": 0}


def test_a_bridge_adds_its_weights_and_bias() -> None:
    without, with_bridge = (count_parameters(tiny.sentence_transformer(dim=dim))["encoder_params"] for dim in (None, 48))
    assert with_bridge - without == 32 * 48 + 48
