"""Dropout that takes half as long on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """torch's dropout; on a CPU its mask is drawn from uniform numbers.

    There torch.bernoulli_, which nn.Dropout calls, takes so much longer than torch.uniform_ that forward and backward
    together take twice as long (benchmarks/dropout.py). A GPU draws and applies the mask in one kernel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(...) -> (...): elements are zero with probability p, the others are divided by 1 - p."""
        if input.device.type != "cpu" or not self.training or not 0 < self.p < 1:
            return super().forward(input)
        mask = torch.empty_like(input, dtype=torch.float32).uniform_()
        mask.ge_(self.p).mul_(1 / (1 - self.p))
        return input * mask.to(input.dtype)
