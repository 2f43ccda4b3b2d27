"""Start a student's bridge where the teacher is, instead of at random."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

RIDGE = 1e-3


def fit_bridge(bridge: nn.Linear, inputs: np.ndarray, targets: np.ndarray, *, ridge: float = RIDGE) -> float:
    """Set a linear map to the least-squares solution from student vectors to teacher vectors, in place.

    Solves min_W,b sum_i |W x_i + b - t_i|^2 + lambda |W|^2 in float64, lambda = ridge * mean variance of the inputs.
    Before training it puts the student's vectors where the teacher's are as well as a linear map can.

    Args:
        bridge: d_S -> d_T, with bias.
        inputs: what the bridge will see, [n, d_S].
        targets: the teacher's vectors of the same sentences, [n, d_T].
        ridge: strength of the pull to zero, relative to the inputs' variance.

    Returns:
        Mean cosine of mapped inputs and targets.

    Raises:
        ValueError: the shapes do not fit.
    """
    if inputs.shape != (len(targets), bridge.in_features) or targets.shape[1] != bridge.out_features:
        raise ValueError(f"bridge is {bridge.in_features} -> {bridge.out_features}, got {inputs.shape} -> {targets.shape}")
    x, t = inputs.astype(np.float64), targets.astype(np.float64)
    x_mean, t_mean = x.mean(0), t.mean(0)
    x, t = x - x_mean, t - t_mean
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += ridge * np.trace(gram) / len(gram) + 1e-12
    weight = np.linalg.solve(gram, x.T @ t)
    with torch.no_grad():
        bridge.weight.copy_(torch.from_numpy(weight.T))
        bridge.bias.copy_(torch.from_numpy(t_mean - x_mean @ weight))
    mapped = x @ weight + t_mean
    wanted = t + t_mean
    norms = np.linalg.norm(mapped, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((mapped * wanted).sum(1) / np.maximum(norms, 1e-12)).mean())
