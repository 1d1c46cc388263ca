"""What a column shows of a row where it says little of itself, and what it says of the data."""

from __future__ import annotations

from raytrain.review.column import Column, PageCell, header_of
from tests.review.made_rows import made_row


def test_a_column_without_a_format_writes_its_value_and_nothing_for_none() -> None:
    assert Column("runs", "runs", lambda row: len(row.runs)).text(made_row(runs=["a", "b"])) == "2"
    assert Column("none", "none", lambda row: None).text(made_row()) == ""
    assert Column("runs", "runs", lambda row: 1, format=lambda row: "one").text(made_row()) == "one"


def test_a_column_stands_on_the_page_under_its_header_unless_it_says_otherwise() -> None:
    (cell,) = Column("runs", "the runs", lambda row: 1).page_cells
    assert header_of(cell, [made_row()]) == "the runs"
    cells = [PageCell("a"), PageCell(lambda table: f"of {len(table)}")]
    own = Column("runs", "the runs", lambda row: 1, page=cells).page_cells
    assert [header_of(cell, [made_row()]) for cell in own] == ["a", "of 1"]


def test_csv_and_json_get_the_fields_in_place_of_the_value() -> None:
    assert list(Column("runs", "runs", lambda row: 1).data) == ["runs"]
    assert list(Column("runs", "runs", lambda row: 1, fields={"a": len, "b": len}).data) == ["a", "b"]  # type: ignore[arg-type,dict-item]
