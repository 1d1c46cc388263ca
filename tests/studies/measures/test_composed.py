"""Measures of composed runs, on a run that was trained for a step."""

from __future__ import annotations

import numpy as np
import pytest

from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures import composed


def test_a_class_of_queries_is_those_with_so_many_targets() -> None:
    ranks, targets = np.array([0, 20, 3, -1, 50]), np.array([1, 1, 2, 2, 5])
    assert composed.recall_of_class(ranks, targets, 1, 1, 10) == 50.0
    assert composed.recall_of_class(ranks, targets, 2, 2, 10) == 100.0  # one without a rank is left out
    assert composed.recall_of_class(ranks, targets, 3, 9, 10) == 0.0
    assert composed.recall_of_class(ranks, targets, 7, 9, 10) is None


def test_every_query_of_this_table_has_two_targets(composed_run: MeasuredRun) -> None:
    assert composed.recall_by_targets(composed_run, 1, 1, 10) is None
    of_two = composed.recall_by_targets(composed_run, 2, 2, 10)
    assert of_two == pytest.approx(composed_run.record.best_metrics["val/recall_at_10"])


def test_further_positives_are_a_share_and_some_of_them_are_right(composed_run: MeasuredRun) -> None:
    share, right = composed.further_share(composed_run), composed.further_right(composed_run)
    assert share is not None and 0 < share < 100
    assert right is not None and 0 <= right <= 100
