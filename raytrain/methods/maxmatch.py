"""MaxMatch: DivE's sets, compared by their best one-to-one assignment (Alomari et al., ACL 2025, arXiv 2506.21538).

The text of the paper could not be read. A published summary names the parts; weights and margins are ours, and so is
the form of the two new losses. This reading is called maxmatch-r1 (docs/methods.md).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, MaxMatchConfig
from raytrain.methods.base import Inputs
from raytrain.methods.dive import DivE, Sides
from raytrain.similarity.precision import l2_normalize


class MaxMatch(DivE):
    """The method: DivE's encoders, set module, batches and losses, an assignment as score, and two further losses."""

    config: MaxMatchConfig

    def __init__(self, encoder: EncoderConfig, config: MaxMatchConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)
        self.scale = config.alpha if config.pair_score == "exponential" else None

    def head(self, features: int, dim: int, positions: bool = False) -> nn.Module:
        """DivE's head, which also passes the global feature on."""
        return WithWhole(super().head(features, dim, positions))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, K, D), (G, K, D) -> (Q, G), as `search_by` says."""
        if self.config.similarity == "assignment" and self.config.search_by == "top_pairs":
            return similarity.top_pairs(query, gallery, self.scale)
        return self.training_scores(query, gallery)

    def training_scores(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, K, D), (G, K, D) -> (Q, G) scores that the loss of pairs compares."""
        if self.config.similarity == "assignment":
            return similarity.best_assignment(query, gallery, self.scale)
        return super().similarity(query, gallery)

    def further_losses(self, scores: Tensor, positives: Tensor, sides: Sides) -> dict[str, tuple[float, Tensor]]:
        """The global discriminative loss and the intra-set divergence, with their weights."""
        config = self.config
        apart, spread = scores.new_zeros(()), scores.new_zeros(())
        for elements, _, whole in sides:
            apart = apart + losses.global_discrimination(elements, l2_normalize(whole, dim=-1), config.global_margin)
            spread = spread + losses.intra_set_divergence(elements, config.intra_margin)
        return {
            "global_discrimination": (config.global_weight, apart),
            "intra_set_divergence": (config.intra_weight, spread),
        }


class WithWhole(nn.Module):
    """A head of sets that returns the global feature after elements and residuals."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Any, ...]:
        """As the head, and the (B, D) global feature."""
        return *self.head(local, mask, whole), whole

    def attention(self, local: Tensor, mask: Tensor) -> Tensor:
        """As the head's: (B, K, n)."""
        return self.head.attention(local, mask)  # type: ignore[no-any-return, operator]
