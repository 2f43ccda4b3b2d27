"""An export leaves nothing of its trace in memory once it is done."""

from __future__ import annotations

import gc
import linecache

import tiny
import torch

from distill.export import onnx as room
from distill.export.onnx import write_graph
from distill.export.traces import of_its_own


def traces():
    """Environments of symbolic shapes and modes of stand-in tensors that are alive, and all objects."""
    gc.collect()
    objects = gc.get_objects()
    kinds = [type(item).__name__ for item in objects]
    return kinds.count("ShapeEnv"), kinds.count("FakeTensorMode"), len(objects)


def test_exports_do_not_pile_up(tmp_path):
    encoder = tiny.sentence_transformer(layers=1)
    found = []
    for number in range(4):
        write_graph(encoder, tmp_path / f"{number}.onnx")
        found.append(traces())
    assert found[3][:2] == found[2][:2] == found[1][:2]  # the newest may be remembered, no older one
    assert found[3][2] - found[1][2] < 2000  # of 14,000 an export
    assert not [name for name in linecache.cache if name.startswith("<eval_with_key>")]


def test_a_view_is_no_view_any_more():
    ids = torch.arange(14).reshape(2, 7)
    assert ids._base is not None
    copy = of_its_own(ids)
    assert copy._base is None
    assert torch.equal(copy, ids)


def test_what_is_traced_are_no_views(tmp_path, monkeypatch):
    given = []
    export = torch.onnx.export

    def spy(module, inputs, **options):
        given.extend(inputs)
        return export(module, inputs, **options)

    monkeypatch.setattr(torch.onnx, "export", spy)
    room.write_graph(tiny.sentence_transformer(layers=1), tmp_path / "m.onnx")
    assert given
    assert all(tensor._base is None for tensor in given)
