"""What re-ranking lowered."""

from __future__ import annotations

from raytrain.evaluation.reranking.change import lowered, lowered_note

BEFORE = {"rsum": 300.0, "pessimistic_rsum": 299.0, "i2t/recall_at_1": 40.0, "t2i/map_at_r": 5.0, "i2t/mean_rank": 9.0}


def test_recalls_precisions_and_rsum_that_fell_are_named() -> None:
    after = BEFORE | {"rsum": 297.9, "pessimistic_rsum": 1.0, "i2t/mean_rank": 2.0, "t2i/map_at_r": 6.0}
    assert {name: round(fall, 6) for name, fall in lowered(BEFORE, after).items()} == {"rsum": 2.1}
    assert lowered_note("test", BEFORE, after) == ["re-ranking lowers test rsum by 2.1"]


def test_nothing_is_said_where_nothing_fell() -> None:
    assert lowered(BEFORE, BEFORE) == {} and lowered({}, BEFORE) == {}
    assert lowered_note("val", BEFORE, BEFORE | {"rsum": 301.0}) == []
