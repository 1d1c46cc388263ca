"""PIE-Net: K embeddings of an item by K attentions over its local features (Song and Soleymani, CVPR 2019).

Letters: B batch, n local features, F their size, K elements, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain.encoders.dropout import Dropout
from raytrain.similarity.precision import l2_normalize


class PIENet(nn.Module):
    """normalize(LayerNorm(global + residual)), residual = dropout(sigmoid(Linear(A^T x))), A = softmax(tanh(x W1) W2).

    Args:
        features: F; W1 is F x F/2, W2 is F/2 x K, both without bias.
        dim: D.
        elements: K.
        dropout: of the residual.
    """

    def __init__(self, features: int, dim: int, elements: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.scores = attention_scores(features, elements)
        self.linear = nn.Linear(features, dim)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of a batch of items.

        Args:
            local: (B, n, F) local features.
            mask: (B, n) bool, True at real ones, at least one per row.
            whole: (B, D) global feature.

        Returns:
            (B, K, D) elements, L2-normalised, and the (B, K, D) residuals that were added to the global feature.
        """
        residual = self.dropout(torch.sigmoid(self.linear(attended(self.scores(local), local, mask))))
        return l2_normalize(self.norm(whole[:, None] + residual), dim=-1), residual

    def attention(self, local: Tensor, mask: Tensor) -> Tensor:
        """(B, n, F) local features and (B, n) bool mask -> (B, K, n) attention; a row sums to 1 over real inputs."""
        hidden = self.scores(local).masked_fill(~mask[..., None], -torch.inf)
        return hidden.softmax(1).transpose(1, 2)  # type: ignore[no-any-return]


def attention_scores(features: int, elements: int) -> nn.Sequential:
    """tanh(x W1) W2, the logits of K attentions over local features: (B, n, F) -> (B, n, K)."""
    hidden = max(features // 2, 1)
    return nn.Sequential(nn.Linear(features, hidden, bias=False), nn.Tanh(), nn.Linear(hidden, elements, bias=False))


def attended(scores: Tensor, local: Tensor, mask: Tensor) -> Tensor:
    """(B, n, K) scores, (B, n, F) local features and (B, n) bool mask -> (B, K, F) their weighted sums."""
    hidden = scores.masked_fill(~mask[..., None], -torch.inf)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return hidden.softmax(1, dtype=wide).to(local.dtype).transpose(1, 2) @ local
