"""A question about the method, as `raytrain study run` answers it."""

from __future__ import annotations

from raytrain.studies.study import Claim, Factor, Measure, Study, settings


def two_towers_width() -> Study:
    return Study(
        question="Do wider MLPs rank better?",
        paper="Nothing is published on this example.",
        factors=[Factor("width", settings("method.hidden", (128, 256, 512), "width {}"), log=True)],
        baseline="width 512",
        measures=[Measure("rsum", "rsum")],
        claims=[Claim("A width of 128 falls behind 512.", "width 128", "rsum", "below")],
        methods=("two_towers",),
    )
