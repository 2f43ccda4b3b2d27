"""In which numbers a teacher labels text."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from teachers import precision
from teachers.load import as_teacher


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_what_the_device_multiplies_itself(native, monkeypatch):
    monkeypatch.setattr(precision, "native_bf16", lambda: native)
    assert precision.resolve("auto") == ("bf16" if native else "fp32")
    assert [precision.resolve(asked) for asked in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_labels_of_two_precisions_have_keys_of_their_own():
    key = {"weights": "w"}
    assert precision.keyed(key, "fp32") == key  # as stores were named before there was a choice
    assert precision.keyed(key, "bf16") == {"weights": "w", "precision": "bf16"}
    assert key == {"weights": "w"}


def test_vectors_in_bf16_are_nearly_those_in_fp32():
    teacher = as_teacher(tiny.sentence_transformer(layers=3))
    whole = teacher.embed(tiny.SENTENCES[:20])
    half = teacher.embed(tiny.SENTENCES[:20], precision="bf16")
    assert half.dtype == np.float32
    assert not np.array_equal(half, whole)
    cosine = (half * whole).sum(1) / np.linalg.norm(half, axis=1) / np.linalg.norm(whole, axis=1)
    assert cosine.min() > 0.999
    np.testing.assert_array_equal(half, teacher.embed(tiny.SENTENCES[:20], precision="bf16"))
    np.testing.assert_array_equal(whole, teacher.embed(tiny.SENTENCES[:20]))  # nothing stays switched


def test_sums_stay_float32():
    layer = torch.nn.Linear(8, 8)
    with torch.no_grad(), precision.products("bf16", torch.device("cpu")):
        given = torch.randn(2, 8)
        assert layer(given).dtype == torch.bfloat16
        assert (given + layer(given)).dtype == torch.float32
    with precision.products("fp32", torch.device("cpu")):
        assert layer(torch.randn(2, 8)).dtype == torch.float32
