"""Images of a query that are read in different ways stand in one batch; an item is named by its id."""

from __future__ import annotations

import pytest
import torch

from raytrain.data.load.readers import Batch
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval.query_images import regions_of, row_of


def doubled(values: list[float]) -> Batch:
    return {"regions": torch.tensor(values)[:, None] * 2}


def negated(values: list[float]) -> Batch:
    return {"regions": -torch.tensor(values)[:, None]}


def test_each_image_is_read_by_its_own_reader_in_the_order_given() -> None:
    assert regions_of([(doubled, 1.0), (doubled, 3.0)])["regions"].tolist() == [[2.0], [6.0]]
    assert regions_of([(doubled, 1.0), (negated, 3.0), (doubled, 2.0)])["regions"].tolist() == [[2.0], [-3.0], [4.0]]


def test_an_item_has_its_row_and_another_id_is_an_error(table: Table) -> None:
    ids = table.items["id"].to_pylist()
    assert [row_of(table, identity) for identity in ids[:3]] == [0, 1, 2]
    with pytest.raises(UsageError, match="has no item 'nobody'"):
        row_of(table, "nobody")
