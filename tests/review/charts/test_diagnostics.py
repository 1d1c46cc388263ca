"""Diagnostics of evaluation files, which hold whatever was written into them."""

from __future__ import annotations

from typing import Any

import pytest

from raytrain.review.charts.diagnostics import calibration_chart, diagnostics_of

MEASURED = {
    "diagnostics/i2t/hubness": 1.5,
    "diagnostics/margin": -0.2,
    "calibration": [{"queries": 5, "uncertainty": 0.1 * n, "recall": 90.0 - n} for n in range(10)],
}


def test_numbers_are_given_by_their_names() -> None:
    assert diagnostics_of({"diagnostics": MEASURED}) == {"i2t/hubness": 1.5, "margin": -0.2}


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {"diagnostics/x": "high", "y": 2, "diagnostics/z": float("nan")}])
def test_what_is_no_number_is_left_out(wrong: Any) -> None:
    assert diagnostics_of({"diagnostics": wrong}) == {}
    assert calibration_chart({"diagnostics": wrong}) == ""


def test_recall_by_uncertainty_has_a_point_per_tenth() -> None:
    svg = calibration_chart({"diagnostics": MEASURED})
    assert svg.count("<circle") == 10 and "from 90.0 of the most certain tenth of queries to 81.0" in svg
    for damaged in ({"calibration": None}, {"calibration": ["x", {"recall": 3}]}, {"calibration": {"a": 1}}):
        assert calibration_chart({"diagnostics": damaged}) == ""
