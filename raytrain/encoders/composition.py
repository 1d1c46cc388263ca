"""Compositions: modules that make one query vector of a reference image and a modification text.

Each module takes (B, D) image and (B, D) text features of the same width and returns (B, D), not normalised.
Letters: B queries, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain.encoders.dropout import Dropout


class Sum(nn.Module):
    """Element-wise sum (the query of CLIP4Cir's first stage, Baldrati et al., CVPRW 2022)."""

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return image + text


class Fusion(nn.Module):
    """Concatenation through two layers, added to the sum (RAU): h = MLP([image; text]) + image + text.

    Args:
        dim: D.
        dropout: between the layers.
        residual: add image + text, so that training begins near the sum.
        activation: "relu" or "gelu".
    """

    def __init__(self, dim: int, dropout: float = 0.5, residual: bool = True, activation: str = "relu") -> None:
        super().__init__()
        act = nn.ReLU(inplace=True) if activation == "relu" else nn.GELU()
        self.residual = residual
        self.mlp = nn.Sequential(nn.Linear(2 * dim, 2 * dim), act, Dropout(dropout), nn.Linear(2 * dim, dim))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        fused: Tensor = self.mlp(torch.cat([image, text], -1))
        return fused + image + text if self.residual else fused


class Combiner(nn.Module):
    """CLIP4Cir's Combiner: a learned mixture of both features and a hidden layer's (Baldrati et al., CVPRW 2022).

    t' = dropout(ReLU(Linear(text))), i' likewise, y = [t'; i'], w = sigmoid(Linear(dropout(ReLU(Linear(y))))) and
    out = Linear(dropout(ReLU(Linear(y)))) + w text + (1 - w) image.

    Args:
        dim: D.
        projection: width of t' and i'; 4 D in the published models.
        hidden: width of the hidden layers; 8 D there.
        dropout: after each hidden layer.
    """

    def __init__(
        self, dim: int, projection: int | None = None, hidden: int | None = None, dropout: float = 0.5
    ) -> None:
        super().__init__()
        projection, hidden = projection or 4 * dim, hidden or 8 * dim
        self.text = _hidden(dim, projection, dropout)
        self.image = _hidden(dim, projection, dropout)
        self.mixed = nn.Sequential(_hidden(2 * projection, hidden, dropout), nn.Linear(hidden, dim))
        self.weight = nn.Sequential(_hidden(2 * projection, hidden, dropout), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        both = torch.cat([self.text(text), self.image(image)], -1)
        weight: Tensor = self.weight(both)  # (B, 1)
        mixed: Tensor = self.mixed(both)
        return mixed + weight * text + (1 - weight) * image


class TIRG(nn.Module):
    """Text-image residual gating (Vo et al., CVPR 2019, equations 2 to 4, as in the published code).

    With x = [image; text]: w_g sigmoid(Linear(ReLU(BN(x)))) image + w_r Linear(ReLU(Linear(ReLU(BN(x))))). The weights
    are learned, from 1 and 10. In training, batch norm needs at least two queries. The published code scales queries
    and targets to one learned norm that starts at 4: that is a learned scale of the cosines that starts at 16.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.BatchNorm1d(2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.residual = nn.Sequential(
            nn.BatchNorm1d(2 * dim), nn.ReLU(), nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)
        )
        self.gate_weight = nn.Parameter(torch.tensor(1.0))
        self.residual_weight = nn.Parameter(torch.tensor(10.0))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        both = torch.cat([image, text], -1)
        gated: Tensor = self.gate(both).sigmoid() * image * self.gate_weight
        changed: Tensor = self.residual(both) * self.residual_weight
        return gated + changed


class SingleInput(nn.Module):
    """Image or text alone: the ablation that shows what the other contributes.

    Args:
        of: "image" or "text".
    """

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return image if self.of == "image" else text


def composition(kind: str, dim: int, dropout: float = 0.5, residual: bool = True) -> nn.Module:
    """The composition module of that name: "fusion", "combiner", "tirg", "sum", "image" or "text".

    Args:
        dim: D.
        dropout: of fusion and combiner.
        residual: of fusion.

    Raises:
        ValueError: another name.
    """
    if kind == "fusion":
        return Fusion(dim, dropout, residual)
    if kind == "combiner":
        return Combiner(dim, dropout=dropout)
    if kind == "tirg":
        return TIRG(dim)
    if kind == "sum":
        return Sum()
    if kind in ("image", "text"):
        return SingleInput(kind)
    raise ValueError(f"no composition '{kind}'; there are fusion, combiner, tirg, sum, image and text")


def _hidden(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(inplace=True), Dropout(dropout))
