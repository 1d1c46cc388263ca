"""A model is known by its weights."""

from __future__ import annotations

import torch
from torch import nn

from raytrain.retrieval.index.weights import weights_sha256


def test_weights_decide_and_nothing_else() -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    assert weights_sha256(model) == weights_sha256(other.eval()) and len(weights_sha256(model)) == 64
    with torch.no_grad():
        other.bias[0] += 1
    assert weights_sha256(model) != weights_sha256(other)
    assert weights_sha256(nn.BatchNorm1d(2)) != weights_sha256(nn.BatchNorm1d(3))  # its count of batches is a scalar
