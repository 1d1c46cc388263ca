"""CAAN, context-aware attention over words and regions (Zhang et al., CVPR 2020), in the reading caan-r1.

No code is public, and the equations are ours where the paper's could not be read: docs/methods.md states which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain import similarity
from raytrain.config import CAANConfig, EncoderConfig
from raytrain.encoders.heads import xavier_linear
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.base import CrossAttention
from raytrain.similarity import EPS, real_rows
from raytrain.similarity.precision import full_precision


class ContextWeights(nn.Module):
    """Weights of an item's members in the context of one item of the other modality.

    A member responds to the other item's members; two members of an item are as related as their responses are alike.
    With responses p_i, weights are the softmax over members i of w . tanh(W x_i + b + C sum_j p_ij y_j + I sum_k a_ik
    x_k), a_ik = <p_i, p_k> / sum_l <p_i, p_l>.

    Args:
        dim: D.
        hidden: H.
        context: "cross" leaves the last term of the sum out, "intra" the one before it.
    """

    def __init__(self, dim: int, hidden: int, context: str) -> None:
        super().__init__()
        self.own = xavier_linear(dim, hidden)
        self.cross = nn.Linear(dim, hidden, bias=False) if context != "intra" else None
        self.intra = nn.Linear(dim, hidden, bias=False) if context != "cross" else None
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, members: Tensor, others: Tensor, responses: Tensor, real: Tensor) -> Tensor:
        """(G, Q, n) weights, summing to 1 over real members.

        Args:
            members: (G, 1, n, D) or (1, Q, n, D).
            others: (1, Q, m, D) or (G, 1, m, D).
            responses: (G, Q, n, m), each row summing to 1, and zero at padded members.
            real: (G, 1, n) or (1, Q, n) bool, True at real members.
        """
        hidden = self.own(members)
        if self.cross is not None:
            hidden = hidden + responses @ self.cross(others)
        if self.intra is not None:
            # the n x n affinity within an item is never made: it is a product of responses
            total = responses @ responses.sum(2)[..., None]
            hidden = hidden + (responses / total.clamp(min=EPS)) @ (responses.mT @ self.intra(members))
        logits = self.score(torch.tanh(hidden)).squeeze(-1)
        return logits.masked_fill(~real, torch.finfo(logits.dtype).min).softmax(-1)  # type: ignore[no-any-return]


class CAAN(CrossAttention):
    """The method: an image and a caption are each pooled into one vector for the pair, and compared by cosine."""

    config: CAANConfig

    def __init__(self, encoder: EncoderConfig, config: CAANConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)
        self.affinity = nn.Parameter(torch.eye(encoder.dim))
        self.regions = ContextWeights(encoder.dim, config.hidden_dim, config.context)
        self.words = ContextWeights(encoder.dim, config.hidden_dim, config.context)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """Per pair of members: affinities and responses; per member: the layer that weighs it, and its parts."""
        words, regions = query.shape[1], gallery.shape[1]
        return 10 * words * regions + 7 * self.config.hidden_dim * (words + regions)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, T, D), (G, R, D) -> (Q, G)."""
        return self.in_blocks(self._compare, query, gallery)[0]

    def _compare(self, query: Tensor, gallery: Tensor) -> tuple[Tensor]:
        with full_precision(query.device.type):
            query, gallery = similarity.widened(query, gallery)
            images, captions = gallery[:, None], query[None]  # (G, 1, R, D), (1, Q, T, D)
            regions, words = real_rows(gallery)[:, None], real_rows(query)[None]  # (G, 1, R), (1, Q, T)

            affinity = self.config.attention_scale * _products(gallery @ self.affinity, query)  # (G, Q, R, T)
            lowest = torch.finfo(affinity.dtype).min
            by_region = affinity.masked_fill(~words[:, :, None], lowest).softmax(3) * regions[..., None]
            by_word = affinity.masked_fill(~regions[..., None], lowest).softmax(2) * words[:, :, None]
            of_regions = self.regions(images, captions, by_region, regions)  # (G, Q, R)
            of_words = self.words(captions, images, by_word.mT, words)  # (G, Q, T)

            # the cosine of the two pooled vectors, from inner products of members alone
            along = (of_regions[:, :, None] @ _products(gallery, query) @ of_words[..., None]).flatten(1)
            image = (of_regions * (of_regions @ (gallery @ gallery.mT))).sum(-1)
            within = (query @ query.mT)[None]  # (1, Q, T, T)
            caption = (of_words * (of_words[:, :, None] @ within)[:, :, 0]).sum(-1)
            scores = along / (image * caption).clamp(min=EPS**2).sqrt()
        return (scores.T,)


def _products(gallery: Tensor, query: Tensor) -> Tensor:
    """(G, R, D), (Q, T, D) -> (G, Q, R, T) inner products."""
    flat = gallery.flatten(0, 1) @ query.flatten(0, 1).T
    return flat.view(*gallery.shape[:2], *query.shape[:2]).transpose(1, 2)
