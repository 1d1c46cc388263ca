"""The best of variants that differ in a setting to be tuned, as a further row of a study's report."""

from __future__ import annotations

from collections.abc import Mapping

from raytrain.studies.study import Study
from raytrain.studies.verdict import Measured


def best_variants(study: Study, measured: Mapping[str, Measured]) -> dict[str, str]:
    """{name in `Study.best_of`: its best variant}, by the mean of the study's first measure, larger is better.

    Variants with fewer seeds than others of the same name do not count: a single good seed is no better setting. Names
    none of whose variants has a value are left out.
    """
    measure = study.measures[0].name
    best = {}
    for name, variants in study.best_of.items():
        means = {
            variant: (len(measured[variant].values[measure]), mean)
            for variant in variants
            if (mean := measured[variant].mean(measure)) is not None
        }
        if means:
            best[name] = max(means, key=means.__getitem__)
    return best
