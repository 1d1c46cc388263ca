"""IMRAM: words attend to regions, or the reverse, several times, refined after each (Chen et al., CVPR 2020).

The published ensemble averages the scores of a run whose words attend and of one whose regions attend.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from raytrain import similarity
from raytrain.config import EncoderConfig, IMRAMConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention import CrossAttention
from raytrain.similarity import EPS, real_rows


class AttentionMemory(nn.Module):
    """Scores of queries that attend to contexts several times (IMRAM, sections 3.2 and 3.3; released code).

    At each step the members x of a query attend to a context as in SCAN, a = sum_r w_r v_r; the step's score is the
    mean over members of cos(x_1, a), with the members x_1 as they were first. Then x is refined for the next step:
    g x + (1 - g) tanh(Linear([x; a])), g = sigmoid(Linear([x; a])). The scores of all steps are added.

    Args:
        dim: D.
        steps: of attention; one step has nothing to refine, and no parameters.
        scale: lambda of the attention.
        refined_norm: whether refined members are L2-normalised.
    """

    def __init__(self, dim: int, steps: int, scale: float, refined_norm: bool) -> None:
        super().__init__()
        self.steps, self.scale, self.refined_norm = steps, scale, refined_norm
        self.gate = nn.Linear(2 * dim, dim) if steps > 1 else None
        self.update = nn.Linear(2 * dim, dim) if steps > 1 else None

    def numbers(self, members: int, others: int, dim: int) -> int:
        """About how many numbers per pair are in memory, with what the backward pass keeps."""
        return members * (8 * others * self.steps + 9 * dim * (self.steps - 1))

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(Q, T, D) and (G, R, D), L2-normalised, zero rows for padding -> (Q, G)."""
        real, real_context = real_rows(query), real_rows(context)
        weights, cosines = similarity.attention(query, context, self.scale)
        scores = similarity.mean_over(similarity.attended_cosine(weights, cosines, context), real)
        members = query[None]  # (1 or G, Q, T, D): all contexts see the same members first
        for _ in range(self.steps - 1):
            members = self.refine(members, weights, context) * real[..., None]
            products = (context @ members.flatten(1, 2).mT).view_as(cosines)
            weights = similarity.attention_weights(products, real_context, self.scale)
            scores = scores + similarity.mean_over(similarity.attended_cosine(weights, cosines, context), real)
        return scores.T

    def refine(self, members: Tensor, weights: Tensor, context: Tensor) -> Tensor:
        """(1 or G, Q, T, D) members and (G, R, Q, T) weights of (G, R, D) contexts -> (G, Q, T, D).

        The layers are applied to the members of a context before these are summed with the attention's weights: R
        products with a (D, 2D) matrix per context in place of T per pair.
        """
        assert self.gate is not None and self.update is not None
        dim = members.shape[-1]
        both = torch.cat([self.gate.weight, self.update.weight])  # (2D, 2D)
        bias = torch.cat([self.gate.bias, self.update.bias])
        from_context = weights.flatten(2).mT @ linear(context, both[:, dim:])
        mixed = linear(members, both[:, :dim], bias) + from_context.view(len(context), *weights.shape[2:], 2 * dim)
        gate, update = torch.sigmoid(mixed[..., :dim]), torch.tanh(mixed[..., dim:])
        refined = torch.lerp(update, members.expand_as(update), gate)
        return normalize(refined, dim=-1, eps=EPS) if self.refined_norm else refined


class IMRAM(CrossAttention):
    """The method with words that attend to regions, regions that attend to words, or both."""

    config: IMRAMConfig

    def __init__(self, encoder: EncoderConfig, config: IMRAMConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)
        settings = encoder.dim, config.steps, config.attention_scale, config.refined_norm
        self.words = AttentionMemory(*settings) if config.direction != "i2t" else None
        self.regions = AttentionMemory(*settings) if config.direction != "t2i" else None

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """Per member that attends: each step's attention, and the vectors of each refinement."""
        words, regions, dim = query.shape[1], gallery.shape[1], query.shape[2]
        by_words = self.words.numbers(words, regions, dim) if self.words is not None else 0
        by_regions = self.regions.numbers(regions, words, dim) if self.regions is not None else 0
        return by_words + by_regions

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, T, D), (G, R, D) -> (Q, G)."""
        return self.in_blocks(self._compare, query, gallery)[0]

    def _compare(self, query: Tensor, gallery: Tensor) -> tuple[Tensor]:
        with torch.autocast(query.device.type, enabled=False):
            query, gallery = similarity.widened(query, gallery)
            scores = query.new_zeros(len(query), len(gallery))
            if self.words is not None:
                scores = scores + self.words(query, gallery)
            if self.regions is not None:
                scores = scores + self.regions(gallery, query).T
        return (scores,)
