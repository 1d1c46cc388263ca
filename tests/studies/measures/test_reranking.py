"""Answers of the rerank studies: what a softmax along a query's own row leaves, and what it changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank
from raytrain.studies.measured_run import ranks_of
from raytrain.studies.measures.reranking import chosen_on_others, normalised, over_share
from tests.review.made_runs import scores


@pytest.fixture(scope="module")
def run() -> Any:
    return SimpleNamespace(similarity=scores(0, 0.8))


def same(a: Any, b: Any, *names: str) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in names)


def test_rows_alone_leave_captions_and_columns_alone_leave_images_exactly(run: Any) -> None:
    before = ranks_of(*run.similarity)
    rows, columns = (normalised(run, way, 20.0) for way in ("rows", "columns"))
    assert same(rows, before, "t2i", "item_of_text") and not same(rows, before, "i2t")
    assert same(columns, before, "i2t") and not same(columns, before, "t2i")


def test_cross_is_each_direction_over_its_own_queries(run: Any) -> None:
    cross = normalised(run, "cross", 20.0)
    assert same(cross, normalised(run, "columns", 20.0), "t2i")
    assert same(cross, normalised(run, "rows", 20.0), "i2t")


def test_both_is_the_product_of_two_softmaxes(run: Any) -> None:
    similarity, owner = run.similarity
    both = normalised(run, "both", 5.0)
    product = (5 * similarity.double()).softmax(0) * (5 * similarity.double()).softmax(1)
    assert same(both, ranks_of(product, owner), "i2t", "t2i")
    assert same(both, ranks_of(fast_rerank(similarity, 5.0, "product"), owner), "t2i")


def test_the_whole_query_set_as_a_bank_is_cross_and_a_share_is_less(run: Any) -> None:
    similarity, owner = run.similarity
    whole = over_share(run, 1.0, 5.0)
    expected = evaluate(similarity, owner, "split/val", Temperatures("cross", 5.0, 5.0)).ranks
    assert same(whole, {name: ranks.numpy() for name, ranks in expected.items()}, "i2t", "t2i")
    assert not same(over_share(run, 0.1, 5.0), whole, "t2i")
    assert same(over_share(run, 0.1, 5.0), over_share(run, 0.1, 5.0), "t2i", "i2t")


def test_a_scale_that_is_chosen_on_other_queries_is_that_of_one_scale_or_of_two(run: Any) -> None:
    (one,) = [chosen_on_others(run, [5.0])]
    assert same(one, normalised(run, "cross", 5.0), "i2t", "t2i", "item_of_text")
    chosen, scales = chosen_on_others(run, [0.5, 5.0, 500.0]), (0.5, 5.0, 500.0)
    by_scale = [normalised(run, "cross", scale) for scale in scales]
    for name in ("i2t", "t2i"):
        assert all(any(chosen[name][at] == of[name][at] for of in by_scale) for at in range(len(chosen[name])))
