"""A model works on the GPU of its process, and goes back where it was."""

from __future__ import annotations

import pytest
import torch

from teachers import device as room
from teachers.device import at_work, own_device


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "2"}, 2),
        ({"LOCAL_RANK": "5"}, 1),  # of four
        ({"LOCAL_RANK": "", "RANK": "3"}, 3),
        ({"LOCAL_RANK": "x"}, 0),
    ],
)
def test_a_process_has_the_gpu_of_its_number(told, number, monkeypatch):
    for name in ("LOCAL_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert own_device() == torch.device("cuda", number)


class Moved(torch.nn.Linear):
    """Tells where it is sent, and stays where it is: there is no GPU here."""

    def __init__(self, device="cpu"):
        super().__init__(2, 2, device=device)
        self.way = []

    def to(self, device):
        self.way.append(torch.device(device))
        return self


def test_a_model_comes_back_whatever_happens(monkeypatch):
    gpu = torch.device("cuda", 1)
    monkeypatch.setattr(room, "own_device", lambda: gpu)
    model = Moved()

    def work():
        with at_work(model) as device:
            assert device == gpu
            assert model.way == [gpu]
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert model.way == [gpu, torch.device("cpu")]


def test_a_model_that_is_elsewhere_stays_there(monkeypatch):
    monkeypatch.setattr(room, "own_device", lambda: torch.device("cuda", 1))
    model = Moved("meta")
    with at_work(model) as device:
        assert device.type == "meta"
    assert set(model.way) == {torch.device("meta")}
