"""IMRAM: words attend to regions, or the reverse, several times, refined after each (Chen et al., CVPR 2020).

The published ensemble averages the scores of a run whose words attend and of one whose regions attend.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from raytrain import similarity
from raytrain.config import EncoderConfig, IMRAMConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.base import CrossAttention
from raytrain.similarity import EPS, real_rows
from raytrain.similarity.precision import full_precision


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

    def of_members(self, members: Tensor) -> Tensor:
        """(..., D) members -> (..., 2D), the layers' share of them: gates, then updates."""
        assert self.gate is not None and self.update is not None
        half = members.shape[-1]
        weight = torch.cat([self.gate.weight[:, :half], self.update.weight[:, :half]])
        return linear(members, weight, torch.cat([self.gate.bias, self.update.bias]))

    def of_contexts(self, context: Tensor) -> Tensor:
        """(..., D) members of contexts -> (..., 2D), the layers' share of them.

        The layers are applied before the members are summed with the attention's weights, once per member of a
        context and not once per pair.
        """
        assert self.gate is not None and self.update is not None
        half = context.shape[-1]
        return linear(context, torch.cat([self.gate.weight[:, half:], self.update.weight[:, half:]]))

    def forward(self, query: Tensor, context: Tensor, own: Tensor | None, seen: Tensor | None) -> Tensor:
        """(Q, T, D) and (G, R, D), L2-normalised, zero rows for padding -> (Q, G).

        Args:
            query, context: L2-normalised, zero rows for padding.
            own: (Q, T, 2D) `of_members(query)`; None to compute it here, where there is something to refine.
            seen: (G, R, 2D) `of_contexts(context)`; likewise.
        """
        real, real_context = real_rows(query), real_rows(context)
        weights, cosines = similarity.attention(query, context, self.scale)
        scores = similarity.mean_over(similarity.attended_cosine(weights, cosines, context), real)
        members = query[None]  # (1 or G, Q, T, D): all contexts see the same members first
        for step in range(self.steps - 1):
            own = own if step == 0 and own is not None else self.of_members(members)
            seen = seen if seen is not None else self.of_contexts(context)
            mixed = torch.baddbmm(own.view(len(members), -1, own.shape[-1]), weights.flatten(2).mT, seen)
            gate, update = mixed.view(len(context), *query.shape[:2], -1).chunk(2, -1)
            members = torch.lerp(torch.tanh(update), members.expand_as(update), torch.sigmoid(gate))
            members = normalize(members, dim=-1, eps=EPS) if self.refined_norm else members
            # refined padding is not zero, but it must not count in the attention's norm
            products = (context @ members.flatten(1, 2).mT).view_as(cosines).masked_fill(~real, 0.0)
            weights = similarity.attention_weights(products, real_context, self.scale)
            scores = scores + similarity.mean_over(similarity.attended_cosine(weights, cosines, context), real)
        return scores.T


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
        with full_precision(query.device.type):
            query, gallery = similarity.widened(query, gallery)
            # the gallery's share of the layers is the same for all blocks
            refines = self.config.steps > 1
            seen = self.words.of_contexts(gallery) if self.words is not None and refines else None
            own = self.regions.of_members(gallery) if self.regions is not None and refines else None
            return self.in_blocks(partial(self._compare, own=own, seen=seen), query, gallery)[0]

    def _compare(self, query: Tensor, gallery: Tensor, own: Tensor | None, seen: Tensor | None) -> tuple[Tensor]:
        with full_precision(query.device.type):
            scores = query.new_zeros(len(query), len(gallery))
            if self.words is not None:
                scores = scores + self.words(query, gallery, None, seen)
            if self.regions is not None:
                scores = scores + self.regions(gallery, query, own, None).T
        return (scores,)
