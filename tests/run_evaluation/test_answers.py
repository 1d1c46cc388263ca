"""What was retrieved for single queries, against a full sort of the scores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.evaluation.contact_sheet import Asked
from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.methods.base import Method
from raytrain.run_evaluation.answers import answered, blocks_of, refuse_protocol
from raytrain.scoring.protocol_runner import Scored, split_result


def made_up(table: Table, ties: bool = False) -> Scored:
    """Random scores of the validation split by a method that names no views."""
    split = table.split("val")
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(len(split.texts), len(split.items), generator=generator)
    scores = scores.round() if ties else scores
    made = SimpleNamespace(model=Method(), split=split, query=torch.zeros(len(split.texts), 4), bank=None, whole=True,
                           gallery=torch.zeros(len(split.items), 4), matrix=scores)  # fmt: skip
    return cast(Scored, made)


@pytest.mark.parametrize("temperatures", [None, Temperatures("cross", 4.0, 4.0), Temperatures("product", 2.0, None)])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("direction", ["t2i", "i2t"])
def test_the_first_five_are_those_of_a_full_sort(
    table: Table, direction: Asked, ties: bool, temperatures: Temperatures | None
) -> None:
    scored = made_up(table, ties)
    owner = torch.from_numpy(scored.split.item_of_text)  # type: ignore[union-attr]
    result = evaluate(scored.matrix, owner, "split/val", temperatures)
    scores = scored.matrix
    if temperatures and (normaliser := temperatures.normaliser(direction, scores)):
        scores = normaliser(scores)
    scores = scores.T if direction == "i2t" else scores
    rows, column = (scored.split.texts, table.texts) if direction == "i2t" else (scored.split.items, table.items)
    ids = [column["id"][row].as_py() for row in rows.tolist()]
    chosen = [5, 0, 3]
    for position, query in zip(chosen, answered(scored, result, direction, chosen), strict=True):
        order = sorted(range(scores.shape[1]), key=lambda place: (-float(scores[position, place]), -place))
        right = {
            p for p in order if owner[p if direction == "i2t" else position] == (position if direction == "i2t" else p)
        }
        (ranking,) = query.rankings
        assert [entry.score for entry in ranking.first] == [float(scores[position, place]) for place in order[:5]]
        assert [entry.right for entry in ranking.first] == [place in right for place in order[:5]]
        first = min(right, key=order.index)
        assert ranking.best.rank == 1 + order.index(first) and ranking.best.id == ids[first]


def test_items_of_the_class_answer_under_a_class_protocol(table: Table) -> None:
    scored = made_up(table)
    result = split_result(scored, "class/val")
    groups = table.items["group"].to_numpy()[scored.split.items].astype(str)
    blocks = list(blocks_of(scored, result, "t2i"))
    for block in blocks:
        for query, right in zip(block.queries.tolist(), block.right, strict=True):
            own = groups[scored.split.item_of_text[query]]  # type: ignore[union-attr]
            assert {int(place) for place in right if place >= 0} == set(np.flatnonzero(groups == own).tolist())
    (query,) = answered(scored, result, "t2i", [2])
    assert query.rankings[0].best.rank - 1 == int(result.ranks["t2i"][2])


def test_an_image_without_a_caption_asks_nothing(table: Table) -> None:
    scored = made_up(table)
    owner = torch.where(torch.from_numpy(scored.split.item_of_text) == 2, 1, 0)  # type: ignore[union-attr]
    scored.split.item_of_text[:] = owner.numpy()  # type: ignore[union-attr]
    result = evaluate(scored.matrix, owner, "split/val")
    (block,) = blocks_of(scored, result, "i2t")
    assert block.queries.tolist() == [0, 1] and (result.ranks["i2t"][2:] == -1).all()


@pytest.mark.parametrize(
    "protocol", ["split/val", "karpathy/test", "coco/5k", "partial/flickr30k/1k", "composed/multi"]
)
def test_protocols_of_a_whole_split_pass(protocol: str) -> None:
    refuse_protocol(protocol)


@pytest.mark.parametrize("protocol", ["coco/1k5f", "partial/coco/cxc", "partial/fashioniq/val_union", "cirr/val"])
def test_other_protocols_are_refused_in_words(protocol: str) -> None:
    with pytest.raises(UsageError, match=f"{protocol} has no contact sheet"):
        refuse_protocol(protocol)
