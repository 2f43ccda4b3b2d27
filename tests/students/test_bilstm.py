import json

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from distill.errors import ModelError
from students.bilstm import BiLSTMConfig, build_bilstm, load_bilstm
from students.lstm import BiLSTM, to_front

NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def model(siamese=False, seed=3, **options):
    sizes = {"vocab_size": 60, "embedding_dim": 12, "hidden_size": 7, "classifier_size": 9, "num_labels": 3}
    return build_bilstm(BiLSTMConfig(siamese=siamese, cls_token_id=2, sep_token_id=3, **{**sizes, **options}), seed=seed)


def batch(rows, length, seed=0):
    """Random right-padded features; each row has at least one token."""
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 60, (rows, length), generator=chance)
    count = torch.randint(1, length + 1, (rows, 1), generator=chance)
    split = torch.randint(0, length + 1, (rows, 1), generator=chance)
    place = torch.arange(length)
    mask = (place < count).long()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": ((place >= split) * mask).long()}


def twin(lstm: BiLSTM) -> nn.LSTM:
    """torch's own bidirectional LSTM with the same weights, its gates in torch's order."""
    copy = nn.LSTM(lstm.input_weight.shape[2], lstm.hidden, batch_first=True, bidirectional=True)
    order = [0, 2, 3, 1]  # i o f c -> i f c o
    with torch.no_grad():
        for direction, end in enumerate(("", "_reverse")):
            of_input, of_state = lstm.bias[direction].chunk(2)
            parts = {"weight_ih": lstm.input_weight[direction], "weight_hh": lstm.state_weight[direction]}
            for name, weight in {**parts, "bias_ih": of_input, "bias_hh": of_state}.items():
                blocks = weight.chunk(4)
                getattr(copy, f"{name}_l0{end}").copy_(torch.cat([blocks[block] for block in order]))
    return copy


@pytest.mark.parametrize("lengths", [[5], [1], [3, 7, 1, 7], [2, 2, 2]])
def test_equal_to_torchs_packed_bidirectional_lstm(lengths):
    torch.manual_seed(0)
    lstm = BiLSTM(12, 7)
    for weight in lstm.parameters():
        nn.init.normal_(weight, std=0.3)
    vectors, count = torch.randn(len(lengths), max(lengths) + 2, 12), torch.tensor(lengths)
    packed = nn.utils.rnn.pack_padded_sequence(vectors, count, batch_first=True, enforce_sorted=False)
    states = twin(lstm)(packed)[1][0]
    torch.testing.assert_close(lstm(vectors, count), torch.cat([states[0], states[1]], dim=1))


@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_padding_never_matters(length, padding, seed):
    ids = torch.randint(4, 60, (1, length), generator=torch.Generator().manual_seed(seed))
    for siamese in (False, True):
        types = (torch.arange(length)[None] >= length // 2).long()
        net = model(siamese)
        want = net(ids, torch.ones_like(ids), types).logits
        rubbish = torch.full((1, padding), 17)
        mask = torch.cat([torch.ones_like(ids), torch.zeros_like(rubbish)], 1)
        right = net(torch.cat([ids, rubbish], 1), mask, torch.cat([types, rubbish % 2], 1)).logits
        left = net(torch.cat([rubbish, ids], 1), mask.flip(1), torch.cat([rubbish % 2, types], 1)).logits
        torch.testing.assert_close(right, want, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(left, want, atol=1e-6, rtol=1e-5)


def test_to_front_keeps_the_order():
    ids = torch.tensor([[5, 6, 7, 8], [9, 5, 6, 7]])
    front, count = to_front(ids, torch.tensor([[False, True, False, True], [False] * 4]))
    assert front.tolist() == [[6, 8, 0, 0], [0, 0, 0, 0]]
    assert count.tolist() == [2, 0]


def test_special_tokens_are_not_read():
    net = model()
    bare, dressed = torch.tensor([[10, 11, 12]]), torch.tensor([[2, 10, 11, 12, 3]])
    torch.testing.assert_close(net(dressed).logits, net(bare).logits)
    reads = build_bilstm(BiLSTMConfig(**{**net.config.to_dict(), "skip_token_ids": []}), seed=3)
    assert not torch.allclose(reads(dressed).logits, reads(bare).logits)


def test_the_two_texts_of_a_pair_go_through_one_encoder():
    net = model(siamese=True)
    ids, types = torch.tensor([[2, 10, 11, 3, 20, 21, 22, 3]]), torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    one, two = (net.encoder(torch.tensor([text]), torch.ones(1, len(text)).bool()) for text in ([10, 11], [20, 21, 22]))
    features = torch.cat([one, two, (one - two).abs(), one * two], dim=1)
    want = net.classifier(torch.relu(net.fc(features)))
    torch.testing.assert_close(net(ids, token_type_ids=types).logits, want)
    torch.testing.assert_close(net(ids).logits, want)  # without token types, the first [SEP] tells


def test_a_pair_needs_something_to_split_it():
    net = build_bilstm(BiLSTMConfig(vocab_size=60, embedding_dim=4, hidden_size=3, siamese=True), seed=0)
    with pytest.raises(ValueError, match="token_type_ids"):
        net(torch.tensor([[5, 6]]))


def test_a_text_without_words_gives_finite_logits():
    for siamese in (False, True):
        net = model(siamese)
        logits = net(torch.tensor([[2, 3, 3]]), token_type_ids=torch.tensor([[0, 0, 1]])).logits
        want = net.classifier(torch.relu(net.fc.bias))[None]  # states of nothing are zero
        torch.testing.assert_close(logits, want)


def test_size_of_the_paper():
    """0.6M parameters beside the table: 2 x 4 x 150 x (300 + 150 + 2) + 300 x 200 + 200 + 200 x 2 + 2."""
    net = build_bilstm(BiLSTMConfig(vocab_size=10), seed=0)
    assert sum(weight.numel() for weight in net.parameters()) - 10 * 300 == 542_400 + 60_200 + 402
    assert net.base_model is net.encoder


@pytest.mark.parametrize(
    ("problem", "labels", "loss"),
    [
        ("single_label_classification", torch.tensor([0, 2]), nn.functional.cross_entropy),
        ("multi_label_classification", torch.tensor([[1.0, 0, 1], [0, 0, 1]]), nn.functional.binary_cross_entropy_with_logits),
    ],
)
def test_loss_follows_the_problem_type(problem, labels, loss):
    net = model(problem_type=problem)
    found = net(**batch(2, 5), labels=labels)
    torch.testing.assert_close(found.loss, loss(found.logits, labels))
    found.loss.backward()
    assert all(weight.grad.abs().sum() > 0 for weight in net.parameters())


def test_regression_loss():
    net = model(num_labels=1, problem_type="regression")
    found = net(**batch(2, 5), labels=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(found.loss, ((found.logits[:, 0] - torch.tensor([0.5, 2.0])) ** 2).mean())


def test_saved_and_loaded_it_is_the_same(tmp_path):
    net = model(siamese=True, id2label={0: "no", 1: "maybe", 2: "yes"}, label2id={"no": 0, "maybe": 1, "yes": 2})
    net.save_pretrained(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    again = load_bilstm(tmp_path)
    assert torch.equal(again(**batch(3, 6)).logits, net(**batch(3, 6)).logits)
    assert again.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert again.config.skip_token_ids == [2, 3]
    assert not again.training


def test_broken_folders_are_named(tmp_path):
    with pytest.raises(ModelError, match="no BiLSTM student"):
        load_bilstm(tmp_path)
    model().save_pretrained(tmp_path)
    settings_of = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings_of, "hidden_size": 8}))
    with pytest.raises(ModelError):
        load_bilstm(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**settings_of, "model_type": "bert"}))
    with pytest.raises(ModelError, match="not a BiLSTM"):
        load_bilstm(tmp_path)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = model()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    second, other = model(), model(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.fc.weight, other.fc.weight)


def test_embeddings_from_elsewhere():
    net = model()
    table = np.random.default_rng(0).normal(size=(60, 12))
    net.init_embeddings(table)
    np.testing.assert_allclose(net.get_input_embeddings().weight.detach(), table, atol=1e-6)
    with pytest.raises(ModelError, match=r"\(60, 12\)"):
        net.init_embeddings(table[:, :6])
    table[3, 3] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        net.init_embeddings(table)


class Logits(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.net(input_ids, attention_mask, token_type_ids).logits


@pytest.fixture(scope="module", params=[False, True], ids=["single", "siamese"])
def exported(request, tmp_path_factory):
    net = model(siamese=request.param)
    with torch.no_grad():  # logits far from zero, so that parity says something
        for weight in net.parameters():
            weight.mul_(3)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    axes = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("sequence", min=1, max=4096)}
    with torch.no_grad():
        program = torch.onnx.export(
            Logits(net).eval(),
            tuple(batch(2, 5).values()),
            dynamo=True,
            input_names=NAMES,
            output_names=["logits"],
            dynamic_shapes=(axes,) * 3,
            opset_version=20,
            external_data=False,
            verbose=False,
        )
    program.save(path)
    return net, path


def run(path, features):
    session = onnxruntime.InferenceSession(path)
    names = {one.name for one in session.get_inputs()}
    return session.run(None, {name: value.numpy() for name, value in features.items() if name in names})[0]


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 9), (3, 1), (2, 5), (7, 23)])
def test_the_graph_equals_torch(exported, rows, length):
    net, path = exported
    features = batch(rows, length, seed=length)
    features["input_ids"][0, -1] = 3  # a special token among the words
    with torch.no_grad():
        want = net(**features).logits.numpy()
    np.testing.assert_allclose(run(path, features), want, atol=1e-5)


def test_every_weight_can_be_quantized(exported, tmp_path):
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    net, path = exported
    plain = onnx.load(path)
    del plain.graph.value_info[:]
    onnx.save(plain, tmp_path / "plain.onnx")
    options = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
    wanted = ["MatMul", "Gather", "LSTM"]
    quantize_dynamic(
        tmp_path / "plain.onnx",
        tmp_path / "int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=wanted,
        extra_options=options,
    )
    small = onnx.load(tmp_path / "int8.onnx")
    assert sum(node.op_type == "DynamicQuantizeLSTM" for node in small.graph.node) == 1
    left = [one for one in small.graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) > 1]
    assert {tuple(one.dims) for one in left} <= {(2, 56), (2, 28)}  # biases and scales
    features = batch(6, 9)
    with torch.no_grad():
        want = net(**features).logits.numpy()
    spread = np.abs(want).max()
    assert 0 < np.abs(run(tmp_path / "int8.onnx", features) - want).max() < 0.15 * spread
