"""The studies of RAU can be planned from its recipe, and share the runs that they have in common."""

from __future__ import annotations

from raytrain.config import flatten, override
from raytrain.recipes import RECIPES
from raytrain.studies.papers.rau import ambiguity, components, cost, distance, distribution
from raytrain.tracking.run_identity import run_identity
from tests.studies.papers.definitions import check_studies

RECIPE = RECIPES["rau_products"]()


def test_every_study_of_the_paper_can_be_planned() -> None:
    assert check_studies("rau", {"rau": RECIPE}) == {
        "rau/ambiguity": 5, "rau/blocks": 12, "rau/components": 8, "rau/cost": 6, "rau/distance": 3,
        "rau/distribution": 2, "rau/theta": 13,
    }  # fmt: skip


def test_studies_of_the_same_losses_share_their_runs() -> None:
    def runs(study: object) -> set[str]:
        variants = study.variants(RECIPE)  # type: ignore[attr-defined]
        return {run_identity(flatten(override(RECIPE, variant.changes)), "data") for variant in variants}

    assert len(runs(components())) == 8
    assert runs(ambiguity()) < runs(components()) and runs(distribution()) < runs(components())
    assert len(runs(distance()) & runs(components())) == 2 and len(runs(cost()) & runs(components())) == 2
