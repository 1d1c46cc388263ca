"""Embeddings in the plane keep the two directions in which they vary most."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures.projection import MOST_POINTS, gaussian_map, plane


def test_points_of_a_plane_keep_their_distances_and_signs_are_fixed() -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(30, 2, generator=generator) * torch.tensor([3.0, 1.0])
    basis = torch.linalg.qr(torch.randn(8, 2, generator=generator)).Q
    drawn = plane({"a": (flat @ basis.T)[:10], "b": (flat @ basis.T)[10:]})
    points = np.array(drawn["a"] + drawn["b"])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    expected = np.linalg.norm(flat.numpy()[:, None] - flat.numpy()[None], axis=-1)
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    assert drawn == plane({"a": (flat @ basis.T)[:10], "b": (flat @ basis.T)[10:]})


def test_large_series_are_thinned_evenly() -> None:
    drawn = plane({"a": torch.randn(1000, 3), "b": torch.randn(5, 3)})
    assert len(drawn["a"]) <= MOST_POINTS and len(drawn["b"]) == 5


def test_the_map_of_a_run_has_both_clouds(composed_run: MeasuredRun) -> None:
    drawn = gaussian_map(composed_run)
    assert drawn is not None and {*drawn.series} == {"queries", "targets"}
    assert len(drawn.series["targets"]) == pytest.approx(30)
