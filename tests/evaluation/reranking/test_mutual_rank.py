"""Re-sorting by mutual places, as MTFN does it, against plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.reranking import mutual_rank
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.mutual_rank import resorted
from raytrain.evaluation.temperature_search.search import search_temperatures
from tests.evaluation.reranking.test_fast_reranking import hubs


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


def loops_of(scores: Tensor, owner: Tensor, first: int) -> list[int]:
    places = by_hand(scores.tolist(), first)
    return [places[text][int(owner[text])] for text in range(len(scores))]


def test_it_is_a_transductive_mode_that_the_search_compares_where_it_is_asked_to() -> None:
    similarity, owner = hubs(12)
    found = search_temperatures(similarity, owner, 0, 0, "split/val", ("mtfn",))
    assert {setting.mode for setting in found.tried["t2i"]} == {"off", "mtfn"}
    assert found.after.transductive
    assert found.best.mode_of("t2i") == "mtfn"
    assert found.best.t2i is not None
    assert found.after.ranks["t2i"].tolist() == loops_of(similarity, owner, int(found.best.t2i))
    turned = evaluate(similarity, owner, "split/val", Temperatures("mtfn", 5, None)).ranks["i2t"]
    places = by_hand(similarity.T.tolist(), 5)
    assert turned.tolist() == [min(places[n][m] for m in range(36) if owner[m] == n) for n in range(12)]
