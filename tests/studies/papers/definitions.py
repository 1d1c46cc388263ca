"""What every study of raytrain's own has to be."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from raytrain.config import RunConfig, override
from raytrain.studies import STUDIES


def check_studies(paper: str, recipes: Mapping[str, RunConfig]) -> dict[str, int]:
    """{study: number of its variants}, after each of them was made from the recipe of its method and has its parts.

    Args:
        paper: module of the studies.
        recipes: {method: recipe}; "" takes studies of any method.
    """
    counts = {}
    for name in (name for name in STUDIES if name.startswith(f"{paper}/")):
        study = STUDIES[name]()
        recipe = recipes[study.methods[0] if study.methods else ""]
        variants = study.variants(recipe)
        assert len({variant.name for variant in variants}) == len(variants), name
        for variant in variants:
            override(recipe, variant.changes)
        measures = {measure.name for measure in study.measures}
        assert {claim.measure for claim in study.claims} <= measures and {*study.drawn} <= measures, name
        assert {*(study.scatter or ())} <= measures and {*study.published} <= {variant.name for variant in variants}
        assert study.question.endswith("?") and study.paper.endswith("."), name
        references = [measure.of for measure in study.measures] + [variant.answers for variant in variants]
        for reference in references:
            if reference is not None:
                module, _, function = reference.function.partition(":")
                assert callable(getattr(importlib.import_module(module), function))
        counts[name] = len(variants)
    return counts
