"""The mean of several models' scores over one split, tile by tile: no model's matrix of all scores is made for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from raytrain.methods.base import Method
from raytrain.scoring.composed_queries import blocks_of


class EmbeddedMember(NamedTuple):
    """A model with its embeddings of a split; a score s of its own counts as (s - shift) / spread.

    Args:
        model: compares them.
        query: (M, ...) embeddings of captions or composed queries.
        gallery: (N, ...) embeddings of images.
    """

    model: Method
    query: Tensor
    gallery: Tensor
    shift: float = 0.0
    spread: float = 1.0


class MeanScores(Method):
    """Scores a query and an image by the mean of the members' scores, each on its own scale.

    What stands for an embedding is the position of a query or an image in the split, (M,) and (N,) int64: members of
    different methods have embeddings of different shapes.
    """

    local_features = True  # positions are no vectors to compare or to measure

    def __init__(self, members: Sequence[EmbeddedMember]) -> None:
        super().__init__()
        self.models = nn.ModuleList(member.model for member in members)  # so that they change modes together
        self.members = tuple(members)

    def positions(self) -> tuple[Tensor, Tensor]:
        """(M,) positions of all queries and (N,) of all images."""
        _, query, gallery, *_ = self.members[0]
        return torch.arange(len(query), device=query.device), torch.arange(len(gallery), device=gallery.device)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """That of the largest member, and one number for the sum."""
        return 1 + max(member.model.pair_cost(member.query, member.gallery) for member in self.members)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q,) positions of queries and (G,) of images -> (Q, G) mean scores, float32."""
        total = torch.zeros(len(query), len(gallery), device=query.device)
        for model, queries, images, shift, spread in self.members:
            total += (model.similarity(queries[query], images[gallery]).float() - shift) / spread
        return total / len(self.members)


def mean_and_spread(member: EmbeddedMember, memory_mib: float) -> tuple[float, float]:
    """Mean and standard deviation of a model's own scores over all pairs of a query and an image, in float64.

    Args:
        memory_mib: MiB that comparing them may hold beside a block of scores.
    """
    blocks = blocks_of(member.model, member.query, member.gallery, memory_mib)
    number, mean, squares = 0, 0.0, 0.0  # of the pairs so far; squares: summed distances from the mean
    for _, scores in blocks(torch.arange(len(member.query)), None):
        values = scores.double()
        block_mean, block_number = float(values.mean()), values.numel()
        apart, number = block_mean - mean, number + block_number
        squares += float((values - block_mean).square().sum()) + apart**2 * block_number * (1 - block_number / number)
        mean += apart * block_number / number
    return mean, math.sqrt(squares / number)
