"""The gates of task models: decisions, not vectors; each failure is one that a real file could have."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import tiny
from onnx import numpy_helper

from distill.errors import ModelError
from distill.export.decisions import agreement, best_span, correlation, decide, probabilities
from distill.export.head_parity import check_head_parity

TEXTS = tiny.SENTENCES[:40]
PAIRS = list(zip(tiny.SENTENCES[:40], tiny.SENTENCES[40:80], strict=True))
PRESETS = ("fp32", "fast", "faithful")
ROWS = {"spans": PAIRS}


def checked(found, folder, task=None, presets=PRESETS, rows=None):
    task = task or found.task
    return check_head_parity(found.model, found.tokenizer, folder, presets, rows or ROWS.get(task, TEXTS), task)


@pytest.fixture
def copied(headed, tmp_path):
    """copied(family, task) -> Headed and a copy of its folder, to break."""

    def get(family, task="classification"):
        found = headed(family, task)
        shutil.copytree(found.folder, tmp_path / "copy")
        return found, tmp_path / "copy"

    return get


@pytest.mark.parametrize(("family", "task"), [("bert", "classification"), ("bert", "spans"), ("bilstm", "classification")])
def test_files_pass_and_say_so(copied, family, task):
    found, folder = copied(family, task)
    parity = checked(found, folder, rows=PAIRS if family == "bilstm" else None)
    models = parity["models"]
    assert {name: model["passed"] for name, model in models.items()} == dict.fromkeys(PRESETS, True)
    assert json.loads((folder / "onnx" / "gates.json").read_text()) == dict.fromkeys(PRESETS, True)
    assert models["fp32"]["max_abs"] <= 1e-4
    assert models["fp32"]["label_agreement"] == 1
    assert (models["fast"]["gate"], models["faithful"]["gate"]) == ("label_agreement >= 0.97", "label_agreement >= 0.98")
    assert models["fast"]["reference"] == "fp32"
    assert models["fp32"]["batch_invariance"]["label_agreement"] == 1
    assert models["fp32"]["batch_invariance"]["max_abs"] <= 1e-5
    assert models["faithful"]["batch_invariance"]["max_abs"] <= 1e-4  # rows do not see each other
    assert models["faithful"]["mean_cosine"] > 0.999
    json.dumps(parity, allow_nan=False)


def test_tags_are_judged_token_by_token(copied):
    """The tags of random weights are near ties, of which 8 bits turn a few: each counts as one of many tokens."""
    found, folder = copied("roberta", "tokens")
    models = checked(found, folder)["models"]
    tokens = sum(len(found.tokenizer(text)["input_ids"]) - 2 for text in TEXTS)
    for name, limit in (("fp32", 1.0), ("fast", 0.97), ("faithful", 0.98)):
        share = models[name]["label_agreement"]
        assert 0.97 < share <= 1
        assert share * tokens == pytest.approx(round(share * tokens))
        assert models[name]["passed"] is (share >= limit)
        assert models[name]["mean_cosine"] > 0.999
    assert models["fp32"]["batch_invariance"]["label_agreement"] == 1


def test_a_regression_is_judged_by_its_correlation(headed, tmp_path):
    """The same files as those of three labels, read as three values."""
    found = headed("bert")
    shutil.copytree(found.folder, tmp_path / "copy")
    models = checked(found, tmp_path / "copy", "regression")["models"]
    assert models["fp32"]["correlation"] > 0.999999
    for name, limit in (("fast", 0.99), ("faithful", 0.995)):
        assert models[name]["gate"] == f"correlation >= {limit}"
        assert models[name]["passed"] is (models[name]["correlation"] >= limit)
        assert models[name]["label_agreement"] is models[name]["mean_cosine"] is None
        assert 0.9 < models[name]["correlation"] < 1
    one = checked(found, tmp_path / "copy", "regression", rows=TEXTS[:1])["models"]
    assert (one["fast"]["correlation"], one["fast"]["passed"]) == (None, False)


def test_multilabel_decides_label_by_label(copied):
    found, folder = copied("bert")
    models = checked(found, folder, "multilabel")["models"]
    assert models["fp32"]["passed"]
    assert models["fast"]["label_agreement"] >= 0.97
    counted = models["fast"]["label_agreement"] * len(TEXTS) * 3
    assert counted == pytest.approx(round(counted))


def test_features_pass_as_they_are(copied):
    """Texts, and what the tokenizer makes of them, give the same numbers."""
    found, folder = copied("bert")
    rows = [dict(found.tokenizer(text)) for text in TEXTS[:8]]
    arrays = [{"input_ids": np.array(row["input_ids"], dtype=np.int32), "row": 3} for row in rows]
    said = [checked(found, folder, presets=("fp32",), rows=given) for given in (TEXTS[:8], rows, arrays)]
    assert said[0] == said[1] == said[2]


def test_long_rows_are_cut_to_the_positions(copied):
    found, folder = copied("bert")
    assert checked(found, folder, presets=("fp32",), rows=[" ".join(TEXTS)])["models"]["fp32"]["passed"]


def spoil(path, change, largest=True):
    """Change a float weight of a graph: its largest matrix, or its smallest vector."""
    model = onnx.load(path)
    floats = [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) > 0]
    weight = (max if largest else min)(floats, key=lambda w: int(np.prod(w.dims)))
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)).astype(np.float32), weight.name))
    onnx.save(model, path)


def test_a_wrong_fp32_file_fails_though_every_label_is_right(copied):
    found, folder = copied("bert")
    spoil(folder / "onnx" / "model.onnx", lambda w: w + 0.001, largest=False)
    fp32 = checked(found, folder, presets=("fp32",))["models"]["fp32"]
    assert fp32["label_agreement"] == 1
    assert fp32["passed"] is False
    assert fp32["gate"] == "max_abs <= 0.0001"


@pytest.mark.parametrize(("family", "task"), [("roberta", "tokens"), ("bert", "spans")])
def test_a_quantized_file_of_another_table_fails(copied, family, task):
    found, folder = copied(family, task)
    path = folder / "onnx" / "model_faithful.onnx"
    model = onnx.load(path)
    kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    table = max((w for w in model.graph.initializer if w.data_type in kinds), key=lambda w: int(np.prod(w.dims)))
    table.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(table), 7, axis=0).copy(), table.name))
    onnx.save(model, path)
    models = checked(found, folder, presets=("fp32", "faithful"))["models"]
    assert (models["fp32"]["passed"], models["faithful"]["passed"]) == (True, False)
    assert models["faithful"]["label_agreement"] < 0.9


def test_numbers_that_are_none_fail_and_are_null(copied):
    found, folder = copied("bert")
    spoil(folder / "onnx" / "model.onnx", lambda w: w * np.nan)
    models = checked(found, folder, presets=("fp32", "fast"))["models"]
    assert [model["passed"] for model in models.values()] == [False, False]
    assert models["fp32"]["max_abs"] is models["fp32"]["label_agreement"] is models["fp32"]["batch_invariance"] is None
    json.dumps(models, allow_nan=False)


def test_what_does_not_fit_is_refused(headed):
    found = headed("bert")
    with pytest.raises(ModelError, match=r"(?s)does not fit the task.*BertForSequenceClassification.*ForTokenClassification"):
        checked(found, found.folder, "tokens")
    with pytest.raises(ModelError, match="nothing to compare"):
        check_head_parity(found.model, found.tokenizer, found.folder, PRESETS, [], "classification")
    with pytest.raises(ValueError, match="no task 'sts'"):
        checked(found, found.folder, "sts")
    tagger = headed("roberta", "tokens")
    with pytest.raises(ModelError, match="no row has a token"):
        checked(tagger, tagger.folder, rows=[""])


def test_framing_and_padding_never_count(headed):
    """A file that is wrong on [CLS] and [SEP] alone would pass: nothing reads those tags."""
    from distill.export.head_parity import _kept

    words = headed("bert").tokenizer
    ids = words("a b", "c d e")["input_ids"]
    assert _kept(ids, words, "tokens").tolist() == [False, True, True, False, True, True, True, False]
    assert _kept(ids, words, "spans").tolist() == [True, False, False, False, True, True, True, False]


def test_best_spans_by_hand():
    assert best_span(np.array([[0, 1, 5, 0], [0, 9, 1, 2]], dtype=np.float32)) == (1, 1)  # 1 + 9 beats 5 + 2
    assert best_span(np.array([[9, 1, 5, 0], [9, 0, 1, 2]], dtype=np.float32)) == (0, 0)  # no answer
    assert best_span(np.array([[9, 1, 5, 0], [-9, 0, 1, 2]], dtype=np.float32)) == (2, 3)  # nothing starts at "no answer"
    assert best_span(np.array([[1], [1]], dtype=np.float32)) == (0, 0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, end = rng.normal(size=(2, 9))
        every = {(i, j): start[i] + end[j] for i in range(1, 9) for j in range(i, 9)} | {(0, 0): start[0] + end[0]}
        assert best_span(np.stack([start, end])) == max(every, key=every.get)


def test_decisions_and_their_agreement_by_hand():
    assert decide(np.array([-1.0, 0.0, 2.0]), "multilabel").tolist() == [0, 1, 1]
    assert decide(np.array([[1.0, 2.0], [3.0, 0.0]]), "tokens").tolist() == [1, 0]
    first = [np.array([[1.0, 0.0]] * 3), np.array([[0.0, 1.0]])]
    second = [np.array([[0.0, 1.0]] * 3), np.array([[0.0, 1.0]])]
    assert agreement(first, second, "tokens") == 0.25  # by token, not by row
    np.testing.assert_allclose(probabilities(np.array([0.0, np.log(3)]), "classification"), [[0.25, 0.75]])
    np.testing.assert_allclose(probabilities(np.array([0.0, -1000.0]), "multilabel"), [[0.5, 0.0]], atol=1e-12)


def test_correlation_is_pearsons_and_undefined_for_constants():
    ours = [np.array([value]) for value in (1.0, 2.0, 4.0, 3.0)]
    theirs = [np.array([value]) for value in (1.5, 2.0, 3.0, 9.0)]
    assert correlation(ours, theirs) == pytest.approx(np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1])
    assert correlation(ours, [2 * row + 1 for row in ours]) == pytest.approx(1)
    assert correlation(ours, [np.array([1.0])] * 4) is None


@pytest.mark.parametrize("task", ["classification", "tokens", "spans"])
def test_neighbours_and_padding_are_looked_at(headed, tmp_path, task):
    """int8 with one scale a batch would say something else of a text in other company."""
    from distill.export.head_invariance import head_invariance
    from distill.export.head_parity import _kept, _onnx_outputs, encode_row
    from distill.export.heads import head_outputs
    from distill.runtime.session import open_session

    found = headed("bert", task)
    texts = tiny.SENTENCES[:20]
    rows = list(zip(texts, texts[1:] + texts[:1], strict=True)) if task == "spans" else texts
    features = [encode_row(row, found.tokenizer, found.model, task) for row in rows]
    kept = [_kept(row["input_ids"], found.tokenizer, task) for row in features]
    for preset in ("fp32", "fast", "faithful"):
        session = open_session(found.onnx(preset), outputs=head_outputs(found.model))
        alone = _onnx_outputs(session, found.tokenizer, features, 1)
        near = head_invariance(session, found.tokenizer, features, kept, task, alone, 64)
        assert set(near) == {"batch_8", "batch_32", "padded_128"}
        assert min(near.values()) > 0.9999
        other = [-row for row in alone]
        assert min(head_invariance(session, found.tokenizer, features, kept, task, other, 64).values()) < 0.9999
