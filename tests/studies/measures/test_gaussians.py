"""Measures of RAU's Gaussians, on a run that was trained for a step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures import gaussians


def test_the_distance_of_clouds_is_that_of_their_means_and_deviations() -> None:
    points = torch.tensor([[0.0, 0.0], [2.0, 4.0]], dtype=torch.float64)
    assert gaussians.distance_of_clouds(points, points) == 0
    assert gaussians.distance_of_clouds(points, points + torch.tensor([3.0, 4.0])) == pytest.approx(5.0)
    deviations = (math.sqrt(2), math.sqrt(8))
    assert gaussians.distance_of_clouds(points, 1 + 0 * points) == pytest.approx(
        math.sqrt(1 + deviations[0] ** 2 + deviations[1] ** 2), rel=1e-5
    )


def test_a_run_has_sigmas_of_both_sides_near_where_they_start(composed_run: MeasuredRun) -> None:
    for sigma in (gaussians.sigma_of_queries(composed_run), gaussians.sigma_of_targets(composed_run)):
        assert sigma == pytest.approx(math.exp(-2), rel=0.5)
    distance = gaussians.cloud_distance(composed_run)
    assert distance is not None and distance > 0


def test_parts_by_sigma_are_equal_and_make_up_the_recall_of_all(composed_run: MeasuredRun) -> None:
    whole = composed_run.record.best_metrics["val/recall_at_10"]
    assert gaussians.recall_by_sigma(composed_run, 0, bins=1, k=10) == pytest.approx(whole)
    halves = [gaussians.recall_by_sigma(composed_run, number, bins=2, k=10) for number in (0, 1, 2)]
    assert halves[0] is not None and halves[1] is not None and halves[2] is None
    answered = int((np.asarray(composed_run.ranks["query"]) >= 0).sum())
    assert (halves[0] * ((answered + 1) // 2) + halves[1] * (answered // 2)) / answered == pytest.approx(whole)
