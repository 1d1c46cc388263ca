"""Questions of Fast Re-ranking (arXiv 2309.08154): measured on trained runs, which it does not train again."""

from __future__ import annotations

from raytrain.studies.papers.dvse import I2T, RSUM, T2I
from raytrain.studies.study import Claim, Factor, Level, Reference, Study

ANSWERS = "raytrain.studies.measures.reranking"
SCALES = (1, 2, 5, 10, 20, 50, 100, 170, 300, 500)
PUBLISHED_SCALES = "The published scales are 20 and 170."


def directions() -> Study:
    ways = {"rows only": "rows", "columns only": "columns", "both (dual softmax)": "both", "cross": "cross"}
    return Study(
        question="Over which queries must scores be normalised for re-ranking to help?",
        paper="A softmax over rows and columns of the score matrix raises recall in both directions.",
        factors=[
            Factor(
                "normalised along",
                {"none": Level()}
                | {
                    label: Level(answers=Reference(f"{ANSWERS}:normalised", {"way": way, "scale": 20.0}))
                    for label, way in ways.items()
                },
            )
        ],
        baseline="none",
        measures=[I2T, T2I, RSUM],
        claims=[
            Claim("Both raise image-to-text recall.", "both (dual softmax)", "i2t/recall_at_1", "above"),
            Claim("Both raise text-to-image recall.", "both (dual softmax)", "t2i/recall_at_1", "above"),
        ],
        drawn=("i2t/recall_at_1", "t2i/recall_at_1"),
        notes=[
            "Rows are captions, columns images; the scale is 20. Rows alone can change nothing for captions that "
            "ask for images: a softmax along a query's own row subtracts the same number, the log of the row's "
            "sum, from every score of that query, so the order of its gallery stays. For the same reason columns "
            "alone change nothing for images that ask for captions. Both zeros in the table are exact. What helps "
            "a direction is the normalisation over its competing queries, and cross is that alone, in each direction."
        ],
    )


def temperature() -> Study:
    return Study(
        question="How much does the scale of re-ranking matter?",
        paper=f"A softmax at a fixed temperature. {PUBLISHED_SCALES}",
        factors=[
            Factor(
                "scale",
                {"off": Level()}
                | {
                    f"scale {scale}": Level(
                        answers=Reference(f"{ANSWERS}:normalised", {"way": "cross", "scale": float(scale)}),
                        number=float(scale),
                    )
                    for scale in SCALES
                }
                | {
                    "chosen on other queries": Level(
                        answers=Reference(f"{ANSWERS}:chosen_on_others", {"scales": [float(s) for s in SCALES]})
                    )
                },
                log=True,
            )
        ],
        baseline="off",
        measures=[RSUM, I2T, T2I],
        claims=[
            Claim("Re-ranking at scale 20 raises rsum.", "scale 20", "rsum", "above"),
            Claim("Re-ranking at scale 170 raises rsum.", "scale 170", "rsum", "above"),
        ],
        drawn=("rsum", "i2t/recall_at_1", "t2i/recall_at_1"),
        notes=[
            "Chosen on other queries: half of the images, with their captions, are ranked at the scale that is best "
            "for the other half, and the reverse; the difference to the best scale of the curve is what choosing "
            "costs. Run the study with a recipe of each data set to see how far the best scale of one costs on "
            "another."
        ],
    )


def queries() -> Study:
    shares = {f"{percent} % of the queries": percent / 100 for percent in (1, 10, 50, 100)}
    banks = {f"{size:,} training queries": size for size in (100, 1_000)} | {"all training queries": 10**9}
    return Study(
        question="How many of the other queries must be present for re-ranking to help, and do training queries do "
        "as well?",
        paper="Scores are normalised over the whole test query set.",
        factors=[
            Factor(
                "normalised over",
                {"none": Level()}
                | {
                    label: Level(answers=Reference(f"{ANSWERS}:over_share", {"share": share, "scale": 20.0}))
                    for label, share in shares.items()
                }
                | {
                    label: Level(answers=Reference(f"{ANSWERS}:over_bank", {"size": size, "scale": 20.0}))
                    for label, size in banks.items()
                },
            )
        ],
        baseline="none",
        measures=[RSUM, I2T, T2I],
        claims=[
            Claim("The whole query set raises rsum.", "100 % of the queries", "rsum", "above"),
            Claim("A tenth of it is worse than all.", "10 % of the queries", "rsum", "below", "100 % of the queries"),
        ],
        notes=[
            "Every query is ranked, and scores are normalised over a random share of all queries, or over training "
            "images and captions alone (cross, scale 20). With training queries each query is ranked by itself."
        ],
    )
