"""Embeddings in the plane: the two directions in which those of both sides vary most."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.studies.examples import PointMap
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures.gaussians import means_of_queries, means_of_targets

MOST_POINTS = 400
"""Of each series."""


def element_map(run: MeasuredRun) -> PointMap:
    """The elements of validation images and captions, a series per side and place in the set."""
    sides = {}
    for side, embedded in zip(("caption", "image"), run.embedded, strict=True):
        sets = embedded if embedded.ndim == 3 else embedded[:, None]
        for place in range(sets.shape[1]):
            sides[f"{side} element {place + 1}"] = sets[:, place].float()
    return PointMap("Elements of captions and images, first two principal directions", plane(sides))


def gaussian_map(run: MeasuredRun) -> PointMap | None:
    """The means of the predicted Gaussians of queries and images; None of a run without blocks of both."""
    queries, targets = means_of_queries(run), means_of_targets(run)
    if queries is None or targets is None:
        return None
    return PointMap("Means of queries and targets, first two principal directions",
                    plane({"queries": queries, "targets": targets}))  # fmt: skip


def plane(series: dict[str, Tensor]) -> dict[str, list[tuple[float, float]]]:
    """{name: (N, D)} -> {name: N points}, at most MOST_POINTS evenly spaced ones of each; no sign is drawn by chance.

    The directions are those of all points together, around their mean; each points to where its largest part is
    positive.
    """
    kept = {name: points[:: -(-len(points) // MOST_POINTS)] for name, points in series.items()}
    together = torch.cat([*kept.values()]).double()
    centre = together.mean(0)
    directions = torch.linalg.svd(together - centre, full_matrices=False).Vh[:2]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * largest.sign()
    return {
        name: [(float(x), float(y)) for x, y in ((points.double() - centre) @ directions.T).tolist()]
        for name, points in kept.items()
    }
