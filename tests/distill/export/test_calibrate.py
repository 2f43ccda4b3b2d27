"""Ranges of activations come from text alone: padding has none."""

from __future__ import annotations

import numpy as np
import onnx
import tiny

from distill.export.calibrate import after_smoothing, channel_ranges, product_inputs, unpadded
from distill.export.smooth import smooth, text_feeds


def test_padding_changes_no_range(exported):
    found = exported("bert")
    model = onnx.load(found.onnx())
    names = product_inputs(model)
    feeds = text_feeds(found.folder, tiny.SENTENCES[:6])
    wide = [
        {name: np.pad(value, ((0, 0), (0, 9)), constant_values=7 if name == "input_ids" else 0) for name, value in feed.items()}
        for feed in feeds
    ]
    near, far = channel_ranges(model, names, feeds), channel_ranges(model, names, wide)
    assert list(near) == names
    for name in names:
        np.testing.assert_array_equal(near[name], far[name])


def test_each_row_comes_alone_and_without_padding():
    feed = {"input_ids": np.array([[5, 6, 0], [7, 8, 9]]), "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}
    rows = list(unpadded([feed]))
    assert [row["input_ids"].tolist() for row in rows] == [[[5, 6]], [[7, 8, 9]]]
    assert all(row["attention_mask"].all() for row in rows)
    bare = {"x": np.ones((2, 3))}
    assert list(unpadded([bare])) == [bare]
    assert not list(unpadded([{"input_ids": np.zeros((1, 2), int), "attention_mask": np.zeros((1, 2), int)}]))


def test_ranges_follow_the_smoothing(exported):
    found = exported("bert")
    model = onnx.load(found.onnx())
    feeds = text_feeds(found.folder, tiny.SENTENCES[:6])
    names = product_inputs(model)
    before = channel_ranges(model, names, feeds)
    smooth(model, (), known=before)
    told = after_smoothing(model, before)
    smoothed = [name for name in told if name.endswith("_smoothed")]
    assert smoothed
    measured = channel_ranges(model, smoothed, feeds)
    for name in smoothed:
        np.testing.assert_allclose(told[name], (measured[name][0].min(), measured[name][1].max()), rtol=1e-4)
