"""`raytrain report`: a page on a run, a sweep or an experiment, from journals and evaluation files alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.options import Experiment, Prices, Storage, Tracking
from raytrain.cli.terminal import print_skipped
from raytrain.cli.verb import OUTPUT, option, verb
from raytrain.errors import UsageError

app = typer.Typer()


@verb(
    app,
    "report",
    "raytrain report runs/emoji/RUN",
    "raytrain report SWEEP --storage /mnt/shared/runs",
    "raytrain report emoji --out emoji.html",
    panel="Evaluate",
)
def run_report(
    subject: Annotated[
        str,
        typer.Argument(metavar="RUN|SWEEP|EXPERIMENT", help="folder of a run, sweep or experiment, or its name"),
    ],
    storage: Storage = "runs",
    experiment: Experiment = None,
    out: Annotated[
        str | None,
        option("--out", OUTPUT, "the page; default report.html in the folder of its subject", metavar="FILE"),
    ] = None,
    prices: Prices = None,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Write a page with the verdict, the table, curves of training, and how the search went.

    It is one file that needs neither network nor JavaScript. MLflow gets it beside the run or sweep, unless --out names
    another place.
    """
    from raytrain.api.mirroring import mirrored
    from raytrain.review.prices import prices_of
    from raytrain.review.report.subject import read_subject
    from raytrain.review.write_report import write_report

    if out is not None and tracking is not None:
        raise UsageError(
            "--tracking goes without --out: MLflow gets the page that lies in the folder of its run or sweep"
        )
    about = read_subject(subject, storage, experiment)
    in_journal = [str(about.folder)] if out is None and about.kind != "experiment" else []
    with mirrored(in_journal, tracking):
        result = write_report(about, out, prices_of(about.storage, prices))
    print(result["verdict"])
    print(f"Report: {result['path']}")
    print_skipped(about.skipped)
    return result
