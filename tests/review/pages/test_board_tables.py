"""Tables as pages draw them: bars, links, how many rows, which columns can be chosen."""

from __future__ import annotations

import pytest

from raytrain.review.pages.board_tables import MOST_CHOICES, filters_of, page_tables
from raytrain.review.rendering import asset
from tests.review.made_rows import made_row, made_scores


def test_bars_start_below_the_lowest_row_and_end_at_the_best() -> None:
    rows = [made_row(val=made_scores(rsum)) for rsum in (340.0, 320.0)]
    (table,) = page_tables([rows], {})
    assert [table.bar_percent(row, "val") for row in rows] == [100.0, 50.0]  # from 320 - 20 / 2 - 10 = 300 to 340
    (alone,) = page_tables([rows[:1]], {})
    assert alone.bar_percent(rows[0], "val") == 100.0


def test_a_row_links_to_the_report_of_its_first_run() -> None:
    rows = [made_row(folders=["/f/a", "/f/b"]), made_row(folders=["/f/c"])]
    (table,) = page_tables([rows], {"/f/a": "#run-a"})
    assert [table.report(row) for row in rows] == ["#run-a", ""]


def test_rows_beyond_the_limit_are_counted() -> None:
    (table,) = page_tables([[made_row(rank=n) for n in range(1, 6)]], {}, most_rows=3)
    assert ([row.rank for row in table.rows], table.more) == ([1, 2, 3], 2)


def test_the_style_can_hide_every_choice() -> None:
    style = asset("style.css")
    assert all(f".board:has(.pick{number}:not(:checked)) .c{number}" in style for number in range(MOST_CHOICES))


@pytest.mark.parametrize(("rows", "names"), [
    ([made_row()], []),
    ([made_row(), made_row(protocol="coco/5k")], ["protocol"]),
    ([made_row(), made_row(method="dive"), made_row(rerank="x", transductive=True)], ["method", "rerank"]),
])  # fmt: skip
def test_a_filter_has_more_than_one_value(rows: list[object], names: list[str]) -> None:
    assert [name for name, _, _ in filters_of([rows])] == names  # type: ignore[list-item]
