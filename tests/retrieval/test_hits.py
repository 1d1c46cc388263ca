"""What a hit holds, and how people count its views."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.gallery import gallery_of
from raytrain.retrieval.hits import hits_of, view_text
from raytrain.retrieval.index.certificate import Certainty


@pytest.mark.parametrize(
    ("query", "entry", "text"), [(None, None, ""), (None, 2, "3"), (0, None, "1"), (0, 2, "1 / 3")]
)
def test_views_are_counted_from_one(query: int | None, entry: int | None, text: str) -> None:
    assert view_text(query, entry) == text


class SecondOfTwo(Method):
    """Every entry's second view matches a query's only one."""

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        return torch.tensor([-1, 1]).expand(len(query), len(gallery), 2)


def test_hits_stand_in_the_order_given_with_the_scores_of_their_places() -> None:
    gallery = gallery_of("images", ["a", "b", "c"], torch.zeros(3, 2, 4))
    scored = Certainty("scored", 3)
    hits = hits_of(SecondOfTwo(), torch.zeros(4), torch.tensor([0.3, 0.1]), torch.tensor([2, 0]), gallery, scored)
    assert hits.certainty == scored
    assert [(hit.rank, hit.id, hit.position, round(hit.score, 6)) for hit in hits] == [
        (1, "c", 2, 0.3),
        (2, "a", 0, 0.1),
    ]
    assert {(hit.query_view, hit.item_view) for hit in hits} == {(None, 1)}
