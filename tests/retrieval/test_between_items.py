"""Gallery items compared with gallery items."""

from __future__ import annotations

import torch

from raytrain.retrieval import Retriever
from raytrain.retrieval.between_items import BetweenItems


def test_each_view_of_an_item_asks_and_the_mean_counts(retriever: Retriever) -> None:
    items = torch.nn.functional.normalize(torch.randn(3, 2, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    between = BetweenItems(retriever.model)
    one_by_one = torch.stack([retriever.model.similarity(items[:, view], items) for view in range(2)]).mean(0)
    torch.testing.assert_close(between.similarity(items, items), one_by_one)
    matched = between.matched_views(items, items)
    assert matched is not None and matched.shape == (3, 3, 2)
