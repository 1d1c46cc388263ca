"""SGRAF's modules: the global vector of an item, and reasoning over or filtration of the alignments of a pair.

Diao et al., AAAI 2021. Letters: B batch, n local features, D dimensions; Q captions, G images, N = T + 1 alignments per
pair, the global one first, S their size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain.encoders.dropout import Dropout
from raytrain.encoders.heads import xavier_linear
from raytrain.encoders.padding import members, real_members, spread
from raytrain.similarity import EPS
from raytrain.similarity.precision import l2_normalize, wide


class GlobalVector(nn.Module):
    """One vector per item: its local features, weighted by an attention that their mean directs (section 3.1).

    weights = softmax over features of Linear(f(v) * f'(mean v)), f = dropout(tanh(BN(Linear))); the weighted sum of v
    is L2-normalised. The released code has batch norm for images only, and over the index of the region, which
    fixes their number. Here batch norm is per feature, over all real regions, whatever their number.

    Args:
        dim: D.
        dropout: rate, in both factors.
        batch_norm: whether the factors have batch norm.
    """

    def __init__(self, dim: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.local = _factor(dim, dropout, batch_norm)
        self.mean = _factor(dim, dropout, batch_norm)
        self.score = xavier_linear(dim, 1)

    def forward(self, local: Tensor, mask: Tensor) -> Tensor:
        """(B, n, D) local features -> (B, D), L2-normalised.

        Args:
            local: (B, n, D), zeros where the mask is False.
            mask: (B, n) bool, True at real features, at least one per row.
        """
        mean = self.mean(local.sum(1) / mask.sum(1, keepdim=True))
        owner = members(mask).places // mask.shape[1]
        scores = self.score(self.local(real_members(local, mask)) * mean[owner]).squeeze(-1)
        logits = spread(wide(scores), mask, -torch.inf)
        return l2_normalize((logits.softmax(1)[..., None] * local).sum(1), dim=-1)


def _factor(dim: int, dropout: float, batch_norm: bool) -> nn.Sequential:
    norm = [nn.BatchNorm1d(dim)] if batch_norm else []
    return nn.Sequential(xavier_linear(dim, dim), *norm, nn.Tanh(), Dropout(dropout))


class GraphReasoning(nn.Module):
    """One step of similarity graph reasoning (SGR, section 3.3): ReLU(Linear(E x)), E = softmax(Linear(x) Linear(x)^T).

    Args:
        dim: S.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = xavier_linear(dim, dim)
        self.key = xavier_linear(dim, dim)
        self.linear = xavier_linear(dim, dim)

    def forward(self, nodes: Tensor, mask: Tensor, rows: int | None = None) -> Tensor:
        """(G, Q, N, S) alignments, (Q, N) bool mask of the real ones -> (G, Q, N, S), or only the first `rows` of N."""
        logits = self.query(nodes[:, :, :rows]) @ self.key(nodes).mT
        edges = logits.masked_fill(~mask[:, None], torch.finfo(logits.dtype).min).softmax(-1)
        return torch.relu(self.linear(edges @ nodes))


class AttentionFiltration(nn.Module):
    """Similarity attention filtration (SAF, section 3.4): a pair's alignments, averaged by sigmoid(BN(Linear(x))).

    In training, batch norm takes the statistics of one caption's alignments with all images of the batch, as the
    released code does, so that captions can be computed separately. A rank compares its own captions with the images of
    all ranks, and the statistics of all captions are gathered.

    Args:
        dim: S.
        momentum: of the running statistics.
        eps: added to the variance.
    """

    def __init__(self, dim: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.score = xavier_linear(dim, 1)
        self.weight = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(()))
        self.register_buffer("running_var", torch.ones(()))

    def forward(self, nodes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Filtered alignments and the statistics for `update`: computing a block twice changes no buffer.

        Args:
            nodes: (G, Q, N, S) alignments.
            mask: (Q, N) bool, True at real alignments.

        Returns:
            (G, Q, S), L2-normalised, and (Q) mean and (Q) unbiased variance per caption, without gradient.
        """
        scores = self.score(nodes).squeeze(-1)  # (G, Q, N)
        count = len(nodes) * mask.sum(-1)
        mean = (scores * mask).sum((0, 2)) / count
        variance = ((scores - mean[:, None]).square() * mask).sum((0, 2)) / count
        unbiased = variance.detach() * count / (count - 1)
        centre, spread = (mean, variance) if self.training else (self.running_mean, self.running_var)
        normal = (scores - centre[..., None]) * torch.rsqrt(spread[..., None] + self.eps)
        gates = torch.sigmoid(normal * self.weight + self.bias) * mask
        weights = gates / gates.sum(-1, keepdim=True).clamp(min=EPS)
        return l2_normalize((weights[:, :, None] @ nodes)[:, :, 0], dim=-1, eps=EPS), mean.detach(), unbiased

    def update(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards the mean over captions of their (Q) means and (Q) variances."""
        with torch.no_grad():
            self.running_mean.lerp_(mean.mean(), self.momentum)
            self.running_var.lerp_(variance.mean(), self.momentum)
