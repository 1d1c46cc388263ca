"""The studies of RAU can be planned from its recipe, and share the runs that they have in common."""

from __future__ import annotations

import pytest
import torch

from raytrain.config import RAUConfig, flatten, override
from raytrain.encoders.gaussian import UncertaintyBlocks
from raytrain.losses import bhattacharyya, gaussian_mmd, symmetric_divergence, wasserstein_loss
from raytrain.recipes import RECIPES
from raytrain.studies.papers.rau import DISTANCES, ambiguity, components, cost, distance, distribution
from raytrain.tracking.run_identity import run_identity
from tests.studies.papers.definitions import check_studies

RECIPE = RECIPES["rau_products_all"]()


def test_every_study_of_the_paper_can_be_planned() -> None:
    assert check_studies("rau", {"rau": RECIPE}) == {
        "rau/ambiguity": 5, "rau/blocks": 12, "rau/components": 8, "rau/cost": 6, "rau/distance": 11,
        "rau/distribution": 2, "rau/theta": 13,
    }  # fmt: skip


def test_studies_of_the_same_losses_share_their_runs() -> None:
    def runs(study: object) -> set[str]:
        variants = study.variants(RECIPE)  # type: ignore[attr-defined]
        return {run_identity(flatten(override(RECIPE, variant.changes)), "data") for variant in variants}

    assert len(runs(components())) == 8
    assert runs(ambiguity()) < runs(components()) and runs(distribution()) < runs(components())
    assert len(runs(distance()) & runs(components())) == 2 and len(runs(cost()) & runs(components())) == 2


def test_all_distances_cost_the_same_at_the_start_at_each_of_their_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    features, no_noise = torch.randn(2, 64, 256, generator=generator), torch.zeros(2, 64, 256)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        source, target = (UncertaintyBlocks(256, 2, "chain")(side, no_noise) for side in features)
    given = source.mean, source.log_variance, target.mean, target.log_variance
    distances = {
        "squared 2-Wasserstein": wasserstein_loss(*given),
        "2-Wasserstein": wasserstein_loss(*given, root=True),
        "symmetric KL": symmetric_divergence(*given),
        "Bhattacharyya": bhattacharyya(*given),
        "MMD": gaussian_mmd(*given),
    }
    for label, (fields, weights) in DISTANCES.items():
        assert [weight * float(distances[label].mean()) for weight in weights] == pytest.approx([1.7, 17], rel=0.1)
        RAUConfig.model_validate({name.removeprefix("method."): value for name, value in fields.items()})
    best = distance().best_of
    assert [*best] == [f"{label}, best of its weights" for label in DISTANCES] and distance().baseline in best
