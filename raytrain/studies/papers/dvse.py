"""Questions of DVSE (arXiv 2309.08154), which could only be read in its abstracts: the claims are theirs."""

from __future__ import annotations

from raytrain.config import DVSEConfig, RunConfig
from raytrain.studies.study import Claim, Factor, Level, Measure, Reference, Study, settings

RSUM = Measure("rsum", "rsum")
I2T, T2I = Measure("i2t/recall_at_1", "i2t R@1"), Measure("t2i/recall_at_1", "t2i R@1")
OVERLAP = Measure("diagnostics/set_cosine", "mean cosine between views", digits=3)
VIEWS = "raytrain.studies.measures.views"
WEIGHT_VARIATION = Measure(
    "weight_variation", "variation of a weight over batches", Reference(f"{VIEWS}:weight_variation"), digits=3
)
EFFECTIVE_RANK = Measure("effective_rank", "effective rank of views", Reference(f"{VIEWS}:effective_rank"), digits=2)
WEIGHT_ACCURACY = Measure(
    "weight_accuracy", "correlation of weight and right answers", Reference(f"{VIEWS}:weight_accuracy"), digits=3
)
MEASURED = "raytrain.studies.measures.costs"
COSTS = [
    Measure("parameters", "parameters, thousands", Reference(f"{MEASURED}:parameters")),
    Measure("step_ms", "worker milliseconds per step", Reference(f"{MEASURED}:step_ms")),
    Measure("query_ms", "milliseconds per 100 queries searched", Reference(f"{MEASURED}:query_ms")),
    Measure("training_mib", "MiB of GPU memory in training", Reference(f"{MEASURED}:training_mib"), digits=0),
]
COST_NOTES = [
    "Times are those of the machines that trained and measured; compare variants, not machines.",
    "Memory is the most that two training steps on the largest batch hold of a GPU. Where the report is made without a "
    "GPU it is not measured, and a dash stands in its place.",
]
PLAIN_VIEWS = {"method.orth_weight": 0.0, "method.weight_fn": "none"}
BATCHES = (32, 64, 128, 256, 512)


def views() -> Study:
    return Study(
        question="Does one view per image fall behind several, and how many are enough?",
        paper="K sub-embeddings per image rank better than one; no table of K could be read.",
        factors=[Factor("K", settings("method.views", range(1, 9), "K = {}"))],
        baseline="K = 4",
        measures=[RSUM, I2T, T2I, Measure("cost/index_bytes", "bytes per image in an index", digits=0)],
        claims=[Claim("K = 1 falls behind K = 4.", "K = 1", "rsum", "below")],
        methods=("dvse",),
        drawn=("rsum", "i2t/recall_at_1", "t2i/recall_at_1"),
    )


def ancestor() -> Study:
    mv_vse = {
        "method.kind": "mv_vse", "method.bounds": "smooth", "method.margin": 0.0, "method.view_layer": "mlp",
        "method.region_pooling": "encoder",
    }  # fmt: skip
    return Study(
        question="Do DVSE's weights and orthogonality add anything to plain views, and views anything to one vector?",
        paper="K sub-embeddings, weights from their variance and an orthogonality constraint rank better than one "
        "vector and than MV-VSE, the earlier method of views.",
        factors=[
            Factor(
                "method",
                {
                    "VSE-infinity": Level({"method.kind": "vse_infinity"}),
                    "MV-VSE": Level(mv_vse),
                    "DVSE without weights and orthogonality": Level(PLAIN_VIEWS),
                    "DVSE": Level(),
                },
            )
        ],
        baseline="DVSE",
        measures=[RSUM, I2T, T2I, OVERLAP],
        claims=[
            Claim("One vector falls behind DVSE.", "VSE-infinity", "rsum", "below"),
            Claim("MV-VSE falls behind DVSE.", "MV-VSE", "rsum", "below"),
            Claim("Plain views fall behind DVSE.", "DVSE without weights and orthogonality", "rsum", "below"),
        ],
        methods=("dvse",),
        notes=[
            "All methods have the recipe's encoders, K, optimiser and epochs, with the same image branch. MV-VSE has "
            "the MLP views and the pooling of the others in place of its linear ones with max pooling, and the smooth "
            "form of its bounds without a margin."
        ],
    )


def cost() -> Study:
    kinds = {
        "VSE-infinity": "vse_infinity", "VSE++": "vsepp", "DVSE": "dvse", "MV-VSE": "mv_vse", "PVSE": "pvse",
        "DivE": "dive", "MaxMatch": "maxmatch", "PCME": "pcme", "PCME++": "pcmepp",
    }  # fmt: skip
    return Study(
        question="What do views, sets and uncertainty cost beside one vector, in training and in search?",
        paper="Costs were not compared in what could be read.",
        factors=[Factor("method", {label: Level({"method.kind": kind}) for label, kind in kinds.items()})],
        baseline="VSE-infinity",
        measures=[*COSTS, Measure("cost/index_bytes", "bytes per image in an index", digits=0), RSUM],
        methods=("dvse",),
        drawn=("step_ms", "query_ms"),
        notes=[
            "Methods have the recipe's encoders, K and budget, and otherwise their own defaults, which are not tuned: "
            "compare costs, not accuracy. rau/cost compares the methods of composed queries.",
            *COST_NOTES,
        ],
    )


def batch() -> Study:
    return Study(
        question="Does accuracy drop with large batches, and do estimates of a view's variance get steadier or "
        "less so?",
        paper="Accuracy drops with very large batches, because the variance estimate becomes unstable.",
        factors=[Factor("batch size and budget", _batches)],
        baseline="batch 128, equal epochs",
        measures=[RSUM, I2T, T2I, WEIGHT_VARIATION],
        claims=[
            Claim("Batches of 512 fall behind batches of 128.", "batch 512, equal epochs", "rsum", "below"),
            Claim(
                "The estimate gets less steady with the batch.", "batch 512, equal epochs", "weight_variation", "above"
            ),
        ],
        methods=("dvse",),
        drawn=("rsum", "weight_variation"),
        notes=[
            "Variation of a weight: in 50 batches of the run's own size (at most half of the pairs that are drawn on, "
            "up to 4,096 of the training split) a quarter of the pairs stay and the others are drawn anew; per pair "
            "that stays and view, the standard deviation of its weight over these batches is divided by its mean. "
            "0 is an estimate that does not depend on the batch."
        ],
    )


def _batches(recipe: RunConfig) -> dict[str, Level]:
    """Batch sizes at the recipe's epochs, and at as many steps as batches of 128 take in them."""
    levels = {f"batch {size}, equal epochs": Level({"optim.batch_size": size}) for size in BATCHES}
    for size in BATCHES:
        ratio = size / 128
        changes = {
            "optim.batch_size": size,
            "optim.num_epochs": max(1, round(ratio * recipe.optim.num_epochs)),
            "optim.decay_epochs": [max(1, round(ratio * epoch)) for epoch in recipe.optim.decay_epochs],
        }
        method = recipe.method
        if isinstance(method, DVSEConfig) and method.loss != "infonce":
            changes["method.mean_warmup_epochs"] = ratio * method.mean_warmup_epochs
        levels[f"batch {size}, equal steps"] = Level(changes)
    return levels


def uncertainty() -> Study:
    return Study(
        question="Which estimate of a view's uncertainty should weight its loss, and in which direction?",
        paper="Weights from the variance of a view's negatives beat uniform ones; two sentences of the summary "
        "contradict each other on whether a high or a low variance gets more.",
        factors=[
            Factor(
                "weights",
                {
                    "variance, low gets more": Level({"method.weight_fn": "inv"}),
                    "variance, high gets more": Level({"method.weight_fn": "var"}),
                    "variance, low gets more (softmax)": Level({"method.weight_fn": "softmax_neg"}),
                    "variance, high gets more (softmax)": Level({"method.weight_fn": "softmax_pos"}),
                    "entropy, low gets more": Level({"method.weight_fn": "entropy_low"}),
                    "entropy, high gets more": Level({"method.weight_fn": "entropy_high"}),
                    "confidence, low gets more": Level({"method.weight_fn": "confidence_low"}),
                    "confidence, high gets more": Level({"method.weight_fn": "confidence_high"}),
                    "none": Level({"method.weight_fn": "none"}),
                },
            )
        ],
        baseline="none",
        measures=[RSUM, I2T, T2I, WEIGHT_ACCURACY],
        claims=[Claim("Weights from the variance beat uniform ones.", "variance, low gets more", "rsum", "above")],
        methods=("dvse",),
        notes=[
            "Entropy is that of the softmax of a view's scores with the other members of the batch; confidence the "
            "margin of the best of them over the second.",
            "Correlation of weight and right answers: Pearson's, over captions and views of 50 random batches of the "
            "validation split (128 images each, at most half of them), between a view's weight and whether this view "
            "alone ranks the caption's own image first in the batch; 0 where views are weighted alike.",
        ],
    )


def orthogonality() -> Study:
    weights = (1e-3, 1e-2, 1e-1, 1.0)
    schedules = ("adaptive", "constant", "ramp_up", "decay")
    levels = {"weight 0": Level({"method.orth_weight": 0.0})} | {
        f"weight {weight:g} {schedule}": Level({"method.orth_weight": weight, "method.orth_schedule": schedule})
        for schedule in schedules
        for weight in weights
    }
    return Study(
        question="Does keeping views apart raise accuracy, and how do overlap and accuracy go together?",
        paper="A dynamic orthogonality constraint on the views contributes to accuracy.",
        factors=[Factor("weight and schedule of the orthogonality", levels)],
        baseline="weight 0",
        measures=[RSUM, OVERLAP, EFFECTIVE_RANK],
        claims=[Claim("The dynamic constraint beats none.", "weight 0.1 adaptive", "rsum", "above")],
        methods=("dvse",),
        drawn=("rsum", "diagnostics/set_cosine"),
        scatter=("diagnostics/set_cosine", "rsum"),
        notes=["Effective rank: exp of the entropy of the singular values of an image's views, from 1 to K."],
    )


def components() -> Study:
    return Study(
        question="Do the variance weights and the orthogonality each contribute?",
        paper="Both contribute.",
        factors=[
            Factor(
                "components",
                {
                    "full": Level(),
                    "without orthogonality": Level({"method.orth_weight": 0.0}),
                    "without variance weights": Level({"method.weight_fn": "none"}),
                    "neither": Level(PLAIN_VIEWS),
                },
            )
        ],
        baseline="full",
        measures=[RSUM, I2T, T2I],
        claims=[
            Claim("Without orthogonality accuracy falls.", "without orthogonality", "rsum", "below"),
            Claim("Without variance weights accuracy falls.", "without variance weights", "rsum", "below"),
            Claim("Without both accuracy falls.", "neither", "rsum", "below"),
        ],
        methods=("dvse",),
    )


def backbone() -> Study:
    return Study(
        question="Does the gain of several views depend on the image and text features?",
        paper="Region features of a detector and BERT; other features were not compared in what could be read.",
        factors=[Factor("features", _features), Factor("views", settings("method.views", (1, 4), "K = {}"))],
        baseline="recipe's features, K = 1",
        measures=[RSUM, I2T, T2I],
        methods=("dvse",),
        notes=["The features are those that the recipe's table holds; encode it with further backbones to add them."],
    )


def _features(recipe: RunConfig) -> dict[str, Level]:
    """The recipe's own features, and those with one of the two arrays replaced by another of the table."""
    from raytrain.data.table import Table

    described = Table(recipe.data.table).description.features
    own = {"image": recipe.data.image_features, "text": recipe.data.text_features}
    fields = {"image": "data.image_features", "text": "data.text_features"}
    levels = {"recipe's features": Level()}
    for name, feature in sorted(described.items()):
        if own[feature.kind] is not None and name != own[feature.kind]:
            levels[f"{feature.kind} {name}"] = Level({fields[feature.kind]: name})
    return levels
