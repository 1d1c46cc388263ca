"""Tables of rows that compare with one another."""

from __future__ import annotations

from raytrain.review.board import Board, main_split
from tests.review.made_rows import made_row, made_scores


def test_rows_of_other_data_or_protocol_are_other_tables_in_order() -> None:
    rows = [made_row(), made_row(protocol="coco/1k5f"), made_row(rank=2), made_row(fingerprint="b" * 12)]
    assert Board(rows, {}).tables == [[rows[0], rows[2]], [rows[1]], [rows[3]]]


def test_one_row_that_was_evaluated_on_test_makes_test_the_main_split() -> None:
    tested = made_row(test=made_scores(310.0))
    assert main_split([made_row(), tested]) == "test"
    assert main_split([made_row()]) == "val"
    assert tested.scores("test").rsum == 310.0 and tested.scores("val").rsum == 300.0


def test_a_row_says_how_it_was_re_ranked() -> None:
    assert made_row().reranking is None
    assert made_row(rerank="cross i2t 20", transductive=True).reranking == "transductive"
    assert made_row(rerank="cross i2t 20 (inductive)").reranking == "inductive"
