"""Copies to a device. The wait that they spare: tests/gpu/test_fake_gpu.py."""

from __future__ import annotations

import torch

from raytrain.similarity.upload import upload


def test_a_tensor_that_is_there_already_is_not_copied() -> None:
    tensor = torch.ones(3)
    assert upload(tensor, torch.device("cpu")) is tensor
