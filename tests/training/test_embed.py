from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.training.embed import embed_split, score, score_split
from raytrain.training.feed import open_feed
from raytrain.training.fit import build_method
from raytrain.training.run import open_tables
from tests.runs import tiny


@pytest.mark.parametrize("method", ["vse_infinity", "dvse", "dive", "vsepp", "pvse", "pcme", "pcmepp"])
def test_scores_do_not_depend_on_how_many_queries_are_compared_at_once(
    method: str, table: Table, tmp_path: Path
) -> None:
    config = tiny(table, tmp_path, method__kind=method)
    split, feed, cpu = open_tables(config)["val"], open_feed(config, table), torch.device("cpu")
    model = build_method(config, feed)
    query, gallery = embed_split(model, split, feed, cpu)
    whole = score(model, query, gallery)
    assert whole.shape == (len(split.texts), len(split.items))
    assert not whole.requires_grad
    for block in (1, 200, 1000):
        torch.testing.assert_close(score(model, query, gallery, block), whole)
    torch.testing.assert_close(score_split(model, split, feed, cpu), whole)
    assert model.training
