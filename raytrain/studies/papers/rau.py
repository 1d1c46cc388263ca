"""Questions of RAU (arXiv 2308.08131), of which only the abstract could be read: the claims are its own."""

from __future__ import annotations

from typing import Any

from raytrain.studies.papers.dvse import COST_NOTES, COSTS
from raytrain.studies.study import Claim, Factor, Level, Measure, Reference, Study

R1, R10, R50 = (Measure(f"recall_at_{k}", f"R@{k}") for k in (1, 10, 50))
MAP = Measure("val/map_at_r", "mAP@R", digits=2)
COMPOSED = "raytrain.studies.measures.composed"
GAUSSIANS = "raytrain.studies.measures.gaussians"
OFF = {"isu": {"method.isu_weight": 0.0}, "csu": {"method.csu_weight": 0.0}, "dr": {"method.dr_weight": 0.0}}


def _without(*names: str) -> dict[str, Any]:
    return {field: value for name in names for field, value in OFF[name].items()}


PARTS = {
    "base": Level(_without("isu", "csu", "dr")),
    "ISU alone": Level(_without("csu", "dr")),
    "CSU alone": Level(_without("isu", "dr")),
    "DR alone": Level(_without("isu", "csu")),
    "without ISU": Level(_without("isu")),
    "without CSU": Level(_without("csu")),
    "without DR": Level(_without("dr")),
    "all": Level(),
}
"""A recipe whose own weight of a part is 0 has equal variants, which share their runs."""


def components() -> Study:
    return Study(
        question="What does each of the three uncertainty losses add?",
        paper="All three contribute; without distribution regularisation fine-grained recall falls while R@50 rises.",
        factors=[Factor("losses", PARTS)],
        baseline="all",
        measures=[R1, R10, R50, MAP],
        claims=[
            Claim("The base alone falls behind all three.", "base", "recall_at_10", "below"),
            Claim("Without DR, R@1 falls.", "without DR", "recall_at_1", "below"),
            Claim("Without DR, R@50 rises.", "without DR", "recall_at_50", "above"),
        ],
        methods=("rau",),
        drawn=("recall_at_1", "recall_at_10", "recall_at_50"),
    )


def theta() -> Study:
    absolute = {
        f"cosine {value:.1f}": Level({"method.theta": value, "method.theta_mode": "absolute"}, number=value)
        for value in (tenth / 10 for tenth in range(1, 10))
    }
    quantiles = {
        f"quantile {value:g}": Level({"method.theta": value, "method.theta_mode": "quantile"})
        for value in (0.9, 0.99, 0.998, 0.999)
    }
    return Study(
        question="From which similarity on should another target count as a positive?",
        paper="Targets that are close to a query's own are positives too; the threshold could not be read.",
        factors=[Factor("theta", absolute | quantiles)],
        baseline="cosine 0.8",
        measures=[
            R1, R10, R50,
            Measure("further_share", "further positives, % of pairs", Reference(f"{COMPOSED}:further_share"), digits=2),
            Measure("further_right", "of them right, %", Reference(f"{COMPOSED}:further_right")),
        ],
        methods=("rau",),
        drawn=("recall_at_1", "recall_at_10", "recall_at_50"),
        notes=[
            "Further positives are counted on the validation queries: pairs of a query and another query's target "
            "whose cosine reaches theta, and how many of these targets answer the query."
        ],
    )  # fmt: skip


def blocks() -> Study:
    return Study(
        question="Do more uncertainty-aware blocks trade R@1 for R@50?",
        paper="Too many blocks are over-uncertain: R@50 rises and R@1 falls.",
        factors=[
            Factor("blocks", {f"n = {n}": Level({"method.blocks": n}, number=n) for n in range(1, 7)}),
            Factor("wiring", {kind: Level({"method.wiring": kind}) for kind in ("chain", "parallel")}),
        ],
        baseline="n = 2, chain",
        measures=[R1, R10, R50],
        claims=[
            Claim("Six blocks have less R@1 than two.", "n = 6, chain", "recall_at_1", "below"),
            Claim("Six blocks have more R@50 than two.", "n = 6, chain", "recall_at_50", "above"),
        ],
        methods=("rau",),
        drawn=("recall_at_1", "recall_at_50"),
    )


DISTANCES: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "squared 2-Wasserstein": ({"method.dr_distance": "wasserstein", "method.dr_root": False}, (0.01, 0.1)),
    "2-Wasserstein": ({"method.dr_distance": "wasserstein", "method.dr_root": True}, (0.13, 1.3)),
    "symmetric KL": ({"method.dr_distance": "symmetric_kl", "method.dr_root": False}, (0.0003, 0.003)),
    "Bhattacharyya": ({"method.dr_distance": "bhattacharyya", "method.dr_root": False}, (0.0015, 0.015)),
    "MMD": ({"method.dr_distance": "mmd", "method.dr_root": False}, (3.0, 30.0)),
}
"""{name: (fields, values of dr_weight)}; at each of the two all distances cost the same when training starts."""


def distance() -> Study:
    names = {label: [f"{label}, weight {weight:g}" for weight in weights] for label, (_, weights) in DISTANCES.items()}
    levels = {
        name: Level({**fields, "method.dr_weight": weight})
        for label, (fields, weights) in DISTANCES.items()
        for name, weight in zip(names[label], weights, strict=True)
    }
    best = {f"{label}, best of its weights": among for label, among in names.items()}
    return Study(
        question="Is the squared 2-Wasserstein distance a better regulariser than others?",
        paper="The 2-Wasserstein distance keeps the two distributions together; others were not compared.",
        factors=[Factor("distance and weight", levels | {"none": Level(_without("dr"))})],
        baseline="squared 2-Wasserstein, best of its weights",
        measures=[R10, R1, R50, MAP],
        claims=[Claim("Without a distance R@10 falls.", "none", "recall_at_10", "below")],
        methods=("rau",),
        best_of=best,
        notes=[
            "Distances differ by orders of magnitude, so each has two weights of its own: those at which it costs "
            "about as much as the squared 2-Wasserstein distance does at 0.01 and at 0.1 when training starts (at "
            "D = 256 the distances are then 170, its root 13, symmetric KL 5,600, Bhattacharyya 1,200, MMD 0.56).",
            "Every distance is judged by the better of its two weights. That choice is made on the queries that judge "
            "it and raises all distances a little, but not 'none', which has nothing to choose; the intervals do not "
            "cover it.",
        ],
    )


def distribution() -> Study:
    return Study(
        question="What does distribution regularisation do to the predicted Gaussians?",
        paper="It keeps the distributions of sources and targets together.",
        factors=[Factor("regularisation", {"with DR": Level(), "without DR": Level(_without("dr"))})],
        baseline="with DR",
        measures=[
            Measure("sigma_source", "mean sigma of queries", Reference(f"{GAUSSIANS}:sigma_of_queries"), digits=3),
            Measure("sigma_target", "mean sigma of targets", Reference(f"{GAUSSIANS}:sigma_of_targets"), digits=3),
            Measure("cloud_distance", "2-Wasserstein of the clouds", Reference(f"{GAUSSIANS}:cloud_distance"), 3),
            Measure("diagnostics/uncertainty_rank_correlation", "rank correlation of sigma and rank", digits=3),
            *(
                Measure(
                    f"recall_at_10_sigma_{number}", f"R@10, {label} quarter by sigma",
                    Reference(f"{GAUSSIANS}:recall_by_sigma", {"number": number, "bins": 4, "k": 10}),
                )
                for number, label in enumerate(("most certain", "second", "third", "least certain"))
            ),
            R10,
        ],
        claims=[Claim("Without DR the two clouds are further apart.", "without DR", "cloud_distance", "above")],
        methods=("rau",),
        drawn=("cloud_distance", "recall_at_10"),
        maps=[Reference("raytrain.studies.measures.projection:gaussian_map")],
        notes=[
            "Of the last block, without noise, over the validation queries and the validation images. The distance "
            "is that of the Gaussians, with diagonal covariances, that fit the means of each side.",
            "Quarters by sigma: the validation queries in the order of their predicted mean sigma. Where sigma is "
            "calibrated, recall falls from the most certain quarter to the least certain one. Quarters are compared "
            "over seeds alone.",
        ],
    )  # fmt: skip


def cost() -> Study:
    composed = {
        label: Level({"method.kind": "composed", "method.composition": kind})
        for label, kind in (("Combiner", "combiner"), ("TIRG", "tirg"), ("sum", "sum"))
    }
    mgur = {"method.kind": "composed", "method.composition": "fusion", "method.base_loss": "multi_grained"}
    return Study(
        question="What does uncertainty cost in parameters and time, in training and in search?",
        paper="Nothing at test time: features are deterministic there.",
        factors=[
            Factor("method", {"RAU": Level(), "RAU, base alone": PARTS["base"]} | composed | {"MGUR": Level(mgur)})
        ],
        baseline="RAU, base alone",
        measures=[
            *COSTS,
            R10,
        ],
        methods=("rau",),
        drawn=("step_ms", "query_ms"),
        notes=COST_NOTES,
    )


def ambiguity() -> Study:
    classes = (("one right target", 1, 1), ("two right targets", 2, 2), ("three or more right targets", 3, 10**9))
    return Study(
        question="Where do the uncertainty losses help, if anywhere: on queries with one right target or with several?",
        paper="Uncertainty is for the ambiguity of queries with several right targets; no split by their number is "
        "known.",
        factors=[Factor("losses", {name: level for name, level in PARTS.items() if not name.startswith("without")})],
        baseline="base",
        measures=[
            R10,
            *(
                Measure(
                    f"recall_at_10_{least}", f"R@10, {label}",
                    Reference(f"{COMPOSED}:recall_by_targets", {"least": least, "most": most, "k": 10}),
                )
                for label, least, most in classes
            ),
        ],
        claims=[Claim("All three losses help with three or more right targets.", "all", "recall_at_10_3", "above")],
        methods=("rau",),
        drawn=("recall_at_10_1", "recall_at_10_3"),
        notes=["Classes of queries are compared over seeds alone."],
    )  # fmt: skip
