"""A bidirectional LSTM layer for which padding does not exist, in torch and as one node of an ONNX graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BiLSTM(nn.Module):
    """One bidirectional LSTM layer; the last states of both directions are all that it gives.

    The weights lie as ONNX's LSTM has them, so that they go into the graph as they are: gates in the order input, output,
    forget, cell; `input_weight` [2, 4h, d], `state_weight` [2, 4h, h], `bias` [2, 8h] (of the input, then of the state).
    torch's exporter would fix the sequence length of `nn.LSTM`, hence the operator is named here.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input_weight = nn.Parameter(torch.empty(2, 4 * hidden, width))
        self.state_weight = nn.Parameter(torch.empty(2, 4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(2, 8 * hidden))

    def forward(self, vectors: Tensor, count: Tensor) -> Tensor:
        """The states after the last place that counts and, read backward, after the first.

        The backward direction is a forward LSTM over each row turned round within its own length. So both directions
        are causal over right-padded input, and padding comes after everything that counts.

        Args:
            vectors: [B, L, d].
            count: int64 [B], how many places of each row count, at least 1.

        Returns:
            [B, 2h]: forward state, backward state.
        """
        if torch.onnx.is_in_onnx_export():
            return self._operator(vectors, count)
        last = count - 1
        places = (last[:, None] - torch.arange(vectors.shape[1], device=vectors.device)).clamp(min=0)
        turned = vectors.gather(1, places[:, :, None].expand_as(vectors))
        start = vectors.new_zeros(1, vectors.shape[0], self.hidden)
        ends = []
        for direction, read in enumerate((vectors, turned)):
            states = torch.lstm(read, (start, start), self._torch_weights(direction), True, 1, 0.0, self.training, False, True)[0]
            ends.append(states.gather(1, last[:, None, None].expand(-1, 1, self.hidden)).squeeze(1))
        return torch.cat(ends, dim=1)

    def _torch_weights(self, direction: int) -> list[Tensor]:
        """One direction's weights in torch's order: w_ih, w_hh, b_ih, b_hh, gates input, forget, cell, output."""
        of_input, of_state = self.bias[direction].chunk(2)
        weights = (self.input_weight[direction], self.state_weight[direction], of_input, of_state)
        parts = (weight.chunk(4) for weight in weights)
        return [torch.cat([i, f, c, o]) for i, o, f, c in parts]

    def _operator(self, vectors: Tensor, count: Tensor) -> Tensor:
        """The same as one node of an ONNX graph, whose `sequence_lens` turns each row round within its length."""
        size, length = vectors.shape[:2]
        _, ends, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (vectors.transpose(0, 1), self.input_weight, self.state_weight, self.bias, count.int()),
            {"direction": "bidirectional", "hidden_size": self.hidden},
            dtypes=[vectors.dtype] * 3,
            shapes=[[length, 2, size, self.hidden], [2, size, self.hidden], [2, size, self.hidden]],
        )
        return ends.transpose(0, 1).reshape(-1, 2 * self.hidden)


def to_front(input_ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The kept tokens of each row side by side at its front, the order unchanged, zeros behind them.

    Args:
        input_ids: int64 [B, L].
        keep: bool [B, L].

    Returns:
        int64 [B, L], and how many are kept in each row, int64 [B].
    """
    length = input_ids.shape[1]
    kept = keep.long()
    place = torch.where(keep, kept.cumsum(1) - 1, length)
    spare = input_ids.new_zeros(input_ids.shape[0], length + 1)  # its last column takes what is not kept
    return spare.scatter(1, place, input_ids)[:, :length], kept.sum(1)
