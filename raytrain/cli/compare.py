"""The verb compare: two finished runs, query by query."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.options import Tracking
from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import DATA, OUTPUT, option, verb

app = typer.Typer()


@verb(
    app,
    "compare",
    "raytrain compare runs/flickr8k/dvse runs/flickr8k/vse --html compare.html",
    "raytrain compare runs/emoji/a0,runs/emoji/a1 runs/emoji/b0 --split test",
    panel="Evaluate",
)
def run_compare(
    a: Annotated[str, typer.Argument(metavar="A", help="folder of a run, or of several seeds, with commas between")],
    b: Annotated[str, typer.Argument(metavar="B", help="the same, of the other side")],
    split: Annotated[
        str,
        option("--split", DATA, "test only where both sides were evaluated on it", metavar="NAME"),
    ] = "val",
    protocol: Annotated[
        str | None, option("--protocol", DATA, "of the split; default split/NAME, the whole split", metavar="NAME")
    ] = None,
    html: Annotated[
        str | None,
        option(
            "--html",
            OUTPUT,
            "page with the queries that differ most, in pictures; evaluates a run of each side again",
            metavar="FILE",
        ),
    ] = None,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Compare two finished runs: paired differences, queries won and lost, settings."""
    from raytrain.api.mirroring import mirrored
    from raytrain.review.contact_sheets.comparison_page import metric_rows
    from raytrain.run_evaluation.compare import compare_runs

    first, second = ([folder for folder in side.split(",") if folder] for side in (a, b))
    with mirrored([*first, *second], tracking):
        answer = compare_runs(first, second, split, protocol, html)
    print(f"{answer['verdict']}, {answer['protocol']}")
    print_columns([("metric", "A", "B", "A - B", "95 % interval", "p"), *metric_rows(answer)])
    print(f"Paired over {answer['covers']}." + (f" Note: {answer['not_covered']}." if answer["not_covered"] else ""))
    for direction, counts in answer["changes"].items():
        print(f"{direction} queries: A ranks {counts['a_better']:,} higher, B {counts['b_better']:,}; "
              f"{counts['equal']:,} alike")  # fmt: skip
    if answer["settings"]:
        print_columns([("setting", "A", "B"), *((name, *map(str, pair)) for name, pair in answer["settings"].items())])
    if answer["html"]:
        print(answer["html"])
    return answer
