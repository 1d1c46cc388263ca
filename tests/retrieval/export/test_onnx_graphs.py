"""The parts of a model that become graphs. Their graphs: test_onnx.py."""

from __future__ import annotations

import torch

from raytrain.encoders.pooling import GPO
from raytrain.retrieval.export.onnx_graphs import TabledGPO


def test_weights_of_a_table_are_those_of_the_gru() -> None:
    torch.manual_seed(0)
    pool = GPO(code_dim=4, hidden=4).eval()
    tabled = TabledGPO(pool, longest=6)
    features = torch.randn(3, 5, 2)
    mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    torch.testing.assert_close(tabled(features, mask), pool(features, mask), rtol=1e-5, atol=1e-6)
