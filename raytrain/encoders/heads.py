"""Heads: the layers that map a region's or token's features to the joint space, linear or an MLP with a skip.

Letters: S rows, F features, D dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import nn

from raytrain.encoders.dropout import Dropout


@dataclass(frozen=True)
class Head:
    """The form of a head: x -> Linear(x), or Linear(x) + MLP(x), MLP = Linear(F -> hidden), norm, activation, Linear.

    Args:
        kind: "linear" or "mlp".
        hidden: units between the two layers of the MLP; None takes D / 2.
        activation: "relu" or "gelu".
        norm: "batch", batch norm over all real rows of a batch, ahead of the activation, or "none".
        dropout: rate, of the head's input and of the MLP's hidden units. The skip and the MLP read the same input.
    """

    kind: Literal["linear", "mlp"] = "mlp"
    hidden: int | None = None
    activation: Literal["relu", "gelu"] = "relu"
    norm: Literal["batch", "none"] = "batch"
    dropout: float = 0.0

    def input_dropout(self) -> Dropout:
        return Dropout(self.dropout)

    def residual(self, features: int, dim: int) -> nn.Sequential:
        """The MLP beside the skip, (S, F) -> (S, D). Names of its parameters are the same for every form."""
        hidden = dim // 2 if self.hidden is None else self.hidden
        activation: nn.Module = nn.ReLU(inplace=True) if self.activation == "relu" else nn.GELU()
        if self.dropout:
            activation = nn.Sequential(activation, Dropout(self.dropout))
        norm = nn.BatchNorm1d(hidden) if self.norm == "batch" else nn.Identity()
        return nn.Sequential(nn.Linear(features, hidden), norm, activation, nn.Linear(hidden, dim))


LINEAR = Head("linear")


def xavier_linear(features: int, dim: int) -> nn.Linear:
    """A linear layer that starts with uniform weights in +-sqrt(6 / (F + D)) and no bias."""
    layer = nn.Linear(features, dim)
    bound = math.sqrt(6 / (features + dim))
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
    return layer
