"""SGRAF: alignments of words with attended regions, reasoned over or filtered (Diao et al., AAAI 2021).

The two modules are two models, trained separately; the published SGRAF is the mean of their scores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from raytrain import similarity
from raytrain.config import EncoderConfig, SGRAFConfig
from raytrain.encoders.alignments import AttentionFiltration, GlobalVector, GraphReasoning
from raytrain.encoders.heads import xavier_linear
from raytrain.methods.base import Batch, Inputs
from raytrain.methods.cross_attention.base import CrossAttention
from raytrain.similarity import EPS, real_rows
from raytrain.similarity.precision import full_precision, l2_normalize


class SGRAF(CrossAttention):
    """The method with one module, SGR or SAF. Row 0 of an embedding is the global vector, the others are local."""

    config: SGRAFConfig

    def __init__(self, encoder: EncoderConfig, config: SGRAFConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs, config.dropout)
        dim, size = encoder.dim, config.sim_dim
        self.image_global = GlobalVector(dim, config.dropout, batch_norm=config.region_norm == "feature")
        self.text_global = GlobalVector(dim, config.dropout, batch_norm=False)
        self.local_alignment = xavier_linear(dim, size)
        self.global_alignment = xavier_linear(dim, size)
        if config.module == "sgr":
            self.reasoning = nn.ModuleList(GraphReasoning(size) for _ in range(config.steps))
        else:
            self.filtration = AttentionFiltration(size)
        self.evaluation = xavier_linear(size, 1)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, 1 + T, D): the global vector and the words, L2-normalised."""
        words = super().encode_query(batch)
        return torch.cat([self.text_global(words, batch["text_mask"])[:, None], words], 1)

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, 1 + R, D): the global vector and the regions, L2-normalised."""
        regions = super().encode_gallery(batch)
        return torch.cat([self.image_global(regions, batch["region_mask"])[:, None], regions], 1)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """Per word: attention, five vectors of its alignment, and the vectors of the module."""
        words, regions, size = query.shape[1], gallery.shape[1], self.config.sim_dim
        module = 3 * size if self.config.module == "saf" else self.config.steps * (5 * size + 3 * words)
        return words * (8 * regions + 5 * query.shape[2] + 3 * size + module)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, 1 + T, D), (G, 1 + R, D) -> (Q, G) in (0, 1).

        In training the batch norm of the filtration takes the statistics of these pairs and moves its running ones.
        """
        scores, *statistics = self.in_blocks(self._compare, query, gallery)
        if statistics and self.training:
            self.filtration.update(*statistics)
        return scores

    def _compare(self, query: Tensor, gallery: Tensor) -> tuple[Tensor, ...]:
        """(Q, G) scores; with SAF also (Q) means and (Q) variances of the captions."""
        with full_precision(query.device.type):
            nodes = self._alignments(query, gallery)
            # the global alignment is always real
            mask = pad(real_rows(query[:, 1:]), (1, 0), value=True)
            statistics: list[Tensor] = []
            if self.config.module == "sgr":
                for step, reason in enumerate(self.reasoning):
                    # the score reads only the global node of the last step
                    nodes = reason(nodes, mask, 1 if step == self.config.steps - 1 else None)
                whole = nodes[:, :, 0]
            else:
                whole, *statistics = self.filtration(nodes, mask)
            scores = torch.sigmoid(self.evaluation(whole)).squeeze(-1)
        return (scores.T, *statistics)

    def _alignments(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(G, Q, 1 + T, S), L2-normalised: Linear((a - b)^2) of global vectors, then of words and attended regions."""
        words, regions = query[:, 1:], gallery[:, 1:]
        weights, _ = similarity.attention(words, regions, self.config.attention_scale)
        attended = (weights.flatten(2).mT @ regions).view(len(gallery), *words.shape)
        local = self.local_alignment((l2_normalize(attended, dim=-1, eps=EPS) - words).square())
        whole = self.global_alignment((gallery[:, None, 0] - query[:, 0]).square())
        return l2_normalize(torch.cat([whole[:, :, None], local], 2), dim=-1, eps=EPS)
