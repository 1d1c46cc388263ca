"""Numbers as reports write them."""

from __future__ import annotations

from raytrain.studies.report import Cell
from raytrain.studies.report_text import READING, difference_text, number, signed, value_text


def test_a_value_has_its_spread_and_what_was_published() -> None:
    assert value_text(Cell(312.44, 0.81, None, None, 500.8, 1)) == "312.4 ± 0.8 (published 500.8)"
    assert value_text(Cell(0.1234, None, None, None, None, 3)) == "0.123"
    assert value_text(Cell(None, None, None, None, None, 1)) == "-"


def test_a_difference_has_its_interval_or_says_that_one_seed_is_too_few() -> None:
    assert difference_text(Cell(1.0, 0.1, -3.14, (-4.0, -2.2), None, 1)) == "-3.1 (-4.0 to -2.2)"
    assert difference_text(Cell(1.0, None, 2.0, None, None, 0)) == "+2 (one seed)"
    assert difference_text(Cell(1.0, 0.1, None, None, None, 1)) == ""


def test_zero_has_no_minus() -> None:
    assert (number(-0.01, 1), signed(-0.01, 1), number(12345.6, 0)) == ("0.0", "+0.0", "12,346")


def test_the_reading_names_the_level_once() -> None:
    assert "95 % interval" in READING
