"""Re-ranking by mutual ranks, as MTFN does it, against plain loops."""

from __future__ import annotations

import pytest
import torch

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.reranking import mutual_rank
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.mutual_rank import resorted
from tests.evaluation.scores import hubs


def order_by_hand(values: list[float]) -> list[int]:
    """Best first; of equal ones the higher index first."""
    return sorted(range(len(values)), key=lambda i: (-values[i], -i))


def by_hand(scores: list[list[float]], first: int) -> list[list[int]]:
    lists = [order_by_hand([row[g] for row in scores]) for g in range(len(scores[0]))]  # the queries of each item
    places = []
    for query, row in enumerate(scores):
        order = order_by_hand(row)
        head = sorted(order[:first], key=lambda item: lists[item].index(query))  # a stable sort
        whole = head + order[first:]
        places.append([whole.index(item) for item in range(len(row))])
    return places


@pytest.mark.parametrize("first", [0, 1, 3, 50])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 1), (11, 8)])
def test_places_equal_loops(shape: tuple[int, int], ties: bool, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual_rank, "BLOCK_ELEMENTS", 3 * shape[1])  # uneven blocks
    scores = torch.rand(*shape, generator=torch.Generator().manual_seed(1))
    scores = (scores * 3).round() if ties else scores
    assert resorted(scores, first).tolist() == by_hand(scores.tolist(), first)


def test_siblings_do_not_help_a_caption() -> None:
    """Only a caption's own place counts: what its image thinks of the other captions cannot carry it forward."""
    # captions 0 and 1 are of image 0; image 0 likes caption 0 best, caption 1 after both captions of image 1
    scores = torch.tensor([[0.9, 0.1], [0.30, 0.35], [0.4, 0.5], [0.5, 0.6]])
    owner = torch.tensor([0, 0, 1, 1])
    chosen = Temperatures("mtfn", None, 2)
    ranks = evaluate(scores, owner, "split/val", chosen).ranks["t2i"]
    assert ranks[1] == 1  # with its sibling's place, the first of image 0, it would be 0
    without = evaluate(scores[1:], owner[1:], "split/val", chosen).ranks["t2i"]
    assert without[0] == ranks[1]


def test_evaluation_ranks_both_directions_by_mutual_ranks() -> None:
    similarity, owner = hubs(12)
    ranks = evaluate(similarity, owner, "split/val", Temperatures("mtfn", 5, 3)).ranks
    by_text, by_image = by_hand(similarity.tolist(), 3), by_hand(similarity.T.tolist(), 5)
    assert ranks["t2i"].tolist() == [by_text[text][int(owner[text])] for text in range(36)]
    assert ranks["i2t"].tolist() == [min(by_image[n][m] for m in range(36) if owner[m] == n) for n in range(12)]
