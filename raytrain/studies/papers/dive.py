"""Questions of DivE (Kim, Kim and Kwak, CVPR 2023); published values are of COCO's 1K test, in another budget."""

from __future__ import annotations

from raytrain.studies.papers.dvse import OVERLAP, RSUM
from raytrain.studies.study import Claim, Factor, Level, Measure, Reference, Study, settings

LOG_VARIANCE = Measure("diagnostics/set_log_variance", "log variance of sets", digits=2)
ELEMENTS = "raytrain.studies.measures.elements"
EVER_BEST = Measure(
    "ever_best", "share of elements that are ever the best match", Reference(f"{ELEMENTS}:share_ever_best"), digits=3
)
EVENNESS = Measure(
    "gradient_evenness", "least gradient of an element / largest", Reference(f"{ELEMENTS}:gradient_evenness"), digits=3
)
USED = Measure("diagnostics/effective_elements", "effective number of elements", digits=2)
MATCHED_BY = {"MIL": "max", "MP": "match_probability", "Chamfer": "chamfer", "smooth-Chamfer": "smooth_chamfer"}


def similarity() -> Study:
    return Study(
        question="Which similarity of sets trains the best model?",
        paper="Smooth-Chamfer is best; Chamfer, MIL and MP (PCME's match probability) follow.",
        factors=[
            Factor("similarity", {label: Level({"method.similarity": kind}) for label, kind in MATCHED_BY.items()})
        ],
        baseline="smooth-Chamfer",
        measures=[RSUM, LOG_VARIANCE, OVERLAP],
        claims=[
            Claim(f"{label} falls behind smooth-Chamfer.", label, "rsum", "below") for label in ("MIL", "MP", "Chamfer")
        ],
        methods=("dive",),
        published={
            "MIL": {"rsum": 491.7},
            "MP": {"rsum": 490.5},
            "Chamfer": {"rsum": 499.6},
            "smooth-Chamfer": {"rsum": 500.8},
        },
    )


def aggregator() -> Study:
    return Study(
        question="Which head makes the best sets, and the most diverse ones?",
        paper="Slots beat a Transformer and PIE-Net in rsum, and their sets have the largest variance.",
        factors=[
            Factor(
                "aggregator",
                {
                    "PIE-Net": Level({"method.aggregator": "pie_net"}),
                    "PIE-Net with MP": Level(
                        {"method.aggregator": "pie_net", "method.similarity": "match_probability"}
                    ),
                    "Transformer": Level({"method.aggregator": "transformer"}),
                    "slots": Level({"method.aggregator": "slots"}),
                },
            )
        ],
        baseline="slots",
        measures=[RSUM, LOG_VARIANCE],
        claims=[
            Claim(f"{label} has {what}.", label, measure, "below")
            for label in ("PIE-Net", "PIE-Net with MP", "Transformer")
            for measure, what in (("rsum", "less rsum than slots"), (LOG_VARIANCE.name, "less varied sets than slots"))
        ],
        methods=("dive",),
        published={
            "PIE-Net": {"rsum": 483.3, LOG_VARIANCE.name: -7.35},
            "PIE-Net with MP": {"rsum": 490.5, LOG_VARIANCE.name: -5.27},
            "Transformer": {"rsum": 496.1, LOG_VARIANCE.name: -2.27},
            "slots": {"rsum": 500.8, LOG_VARIANCE.name: -2.13},
        },
        drawn=("rsum", LOG_VARIANCE.name),
    )


def elements() -> Study:
    published = (492.6, 495.5, 497.4, 500.8, 498.4, 499.3)
    return Study(
        question="How many elements per set are best?",
        paper="rsum rises up to K = 4 and falls a little after it.",
        factors=[Factor("K", settings("method.views", range(1, 7), "K = {}"))],
        baseline="K = 4",
        measures=[RSUM, USED],
        claims=[
            Claim("K = 1 falls behind K = 4.", "K = 1", "rsum", "below"),
            Claim("K = 6 falls behind K = 4.", "K = 6", "rsum", "below"),
        ],
        methods=("dive",),
        published={f"K = {count}": {"rsum": rsum} for count, rsum in enumerate(published, 1)},
    )


def supervision() -> Study:
    kinds = ("smooth-Chamfer", "MIL", "Chamfer")
    return Study(
        question="Does a similarity that looks at the best pair alone leave elements without supervision?",
        paper="MIL trains the best pair alone (sparse supervision), Chamfer the best of each element, "
        "smooth-Chamfer all.",
        factors=[Factor("similarity", {label: Level({"method.similarity": MATCHED_BY[label]}) for label in kinds})],
        baseline="smooth-Chamfer",
        measures=[EVENNESS, EVER_BEST, RSUM],
        claims=[
            Claim("Under MIL gradients are less even.", "MIL", EVENNESS.name, "below"),
            Claim("Under MIL fewer elements are ever matched.", "MIL", EVER_BEST.name, "below"),
            Claim("Under Chamfer gradients are less even.", "Chamfer", EVENNESS.name, "below"),
        ],
        methods=("dive",),
        drawn=(EVENNESS.name, EVER_BEST.name),
        notes=[
            "Least gradient of an element / largest: in 10 random batches of 64 validation images with all their "
            "captions, the norm of the gradient that the triplet loss on the hardest negatives gives each element of "
            "an image, the least divided by the largest; the mean over images with a loss. Ever the best match: the "
            "share of image elements that are the closest one to some element of one of their captions."
        ],
    )


def successor() -> Study:
    matched = {"method.kind": "maxmatch", "method.similarity": "assignment"}
    info_nce = {
        "method.loss": "both", "method.infonce_weight": 0.01, "method.temperature": 0.07,
        "method.temperature_learned": False,
    }  # fmt: skip
    no_losses = {"method.global_weight": 0.0, "method.intra_weight": 0.0}
    return Study(
        question="Do sets that are matched one to one, as in MaxMatch, do better than DivE's?",
        paper="MaxMatch ranks better than DivE, and its sets vary more; its assignment and its two losses each add.",
        factors=[
            Factor(
                "method",
                {
                    "DivE": Level({"method.similarity": "smooth_chamfer"}),
                    "DivE, matched one to one": Level(matched | no_losses),
                    "DivE with MaxMatch's two losses": Level(
                        {"method.kind": "maxmatch", "method.similarity": "smooth_chamfer"}
                    ),
                    "MaxMatch": Level(matched | info_nce),
                },
            )
        ],
        baseline="DivE",
        measures=[RSUM, LOG_VARIANCE, OVERLAP, USED, EVENNESS],
        claims=[
            Claim("MaxMatch beats DivE.", "MaxMatch", "rsum", "above"),
            Claim("MaxMatch's sets vary more.", "MaxMatch", LOG_VARIANCE.name, "above"),
            Claim("The assignment alone beats DivE.", "DivE, matched one to one", "rsum", "above"),
            Claim("The two losses alone beat DivE.", "DivE with MaxMatch's two losses", "rsum", "above"),
        ],
        methods=("dive",),
        published={
            "DivE": {"rsum": 442.6, LOG_VARIANCE.name: -2.13},
            "MaxMatch": {"rsum": 469.9, LOG_VARIANCE.name: -1.68},
        },
        drawn=("rsum", LOG_VARIANCE.name),
        notes=[
            "All variants have the recipe's encoders, set module, K and budget. MaxMatch adds InfoNCE (weight 0.01, "
            "temperature 0.07) to the triplet loss. The published rsum is of Flickr30K's test, grid features and GRU."
        ],
    )


def what_elements_mean() -> Study:
    return Study(
        question="Do the elements of a trained set differ, and is each of them used?",
        paper="Elements attend to different parts of an image and match different captions of it.",
        factors=[Factor("model", {"trained": Level()})],
        baseline="trained",
        measures=[USED, EVER_BEST, OVERLAP, LOG_VARIANCE],
        methods=("dive",),
        drawn=(USED.name, EVER_BEST.name),
        maps=[Reference("raytrain.studies.measures.projection:element_map")],
        examples=Reference("raytrain.studies.measures.element_examples:element_examples"),
        notes=[
            "Examples are validation images and captions drawn at random. Cells are the image's feature grid, the "
            "stronger in colour the more the slot reads there in its last refinement, relative to its most read cell."
        ],
    )
