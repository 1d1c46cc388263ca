"""A method as it compares gallery items with gallery items, for queries that are images."""

from __future__ import annotations

from torch import Tensor

from raytrain.methods.base import Method


class BetweenItems(Method):
    """The method, with `item_similarity` for its similarity.

    Args:
        model: that is compared by; its weights are shared.
    """

    def __init__(self, model: Method) -> None:
        super().__init__()
        self.model, self.monotone = model, model.monotone
        self.train(model.training)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        return self.model.pair_cost(query, gallery)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return self.model.item_similarity(query, gallery)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        return self.model.matched_views(query, gallery)
