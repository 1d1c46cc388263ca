"""The verbs that read recorded runs: leaderboard, cost and track."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from raytrain.cli.options import Experiment, Prices, Storage
from raytrain.cli.terminal import print_skipped
from raytrain.cli.verb import DATA, OUTPUT, Verbs, option, verb
from raytrain.errors import Problem

app = typer.Typer()
track = typer.Typer(cls=Verbs, no_args_is_help=True, help="Send recorded runs to MLflow.")


@verb(app, "leaderboard", "raytrain leaderboard --experiment emoji --out leaderboard", panel="Evaluate")
def run_leaderboard(
    storage: Storage = "runs",
    experiment: Experiment = None,
    out: Annotated[
        str | None,
        option("--out", OUTPUT, "folder for leaderboard.md, .csv, .tex, .html; default the storage", metavar="FOLDER"),
    ] = None,
    prices: Prices = None,
) -> dict[str, Any]:
    """Rank recorded runs, and write the table as Markdown, CSV, LaTeX and HTML."""
    from raytrain.api.leaderboard import leaderboard

    board = leaderboard(storage, experiment, prices=prices)
    print(board.text)
    paths = board.write(storage if out is None else out)
    return {
        "rows": board.rows,
        "counts": board.counts,
        "left_out": board.left_out,
        "sweeps": board.sweeps,
        "paths": paths,
        "skipped": board.skipped,
    }


@verb(app, "cost", "raytrain cost --storage /mnt/shared/runs --prices prices.yaml", panel="Evaluate")
def run_cost(
    storage: Storage = "runs",
    experiment: Experiment = None,
    runs: Annotated[bool, option("--runs", OUTPUT, "list every run too, also those of no sweep")] = False,
    prices: Prices = None,
) -> dict[str, Any]:
    """Show what each sweep took: seconds, how many of them were busy or lost, money."""
    from raytrain.review.accounting import read_journals, sweep_costs
    from raytrain.review.costs import run_costs
    from raytrain.review.prices import prices_of
    from raytrain.review.terminal import print_costs

    price_table = prices_of(storage, prices)
    skipped: list[Problem] = []
    journals = read_journals(Path(storage), experiment, skipped)
    costs, costs_of_runs = sweep_costs(journals, price_table), run_costs(journals, price_table)
    print_costs(costs, costs_of_runs if runs else None, price_table)
    print_skipped(skipped)
    return {
        "sweeps": [cost.as_dict() for cost in costs],
        "runs": costs_of_runs,
        "skipped": [problem.as_dict() for problem in skipped],
    }


@verb(track, "sync", "raytrain track sync --experiment emoji")
def run_track_sync(
    *,
    storage: Storage = "runs",
    experiment: Annotated[str, option("--experiment", DATA, "the experiment", metavar="NAME")],
    uri: Annotated[
        str | None,
        option(
            "--uri",
            OUTPUT,
            "MLflow store; default MLFLOW_TRACKING_URI, or else mlflow.db in the storage",
            metavar="URI",
        ),
    ] = None,
) -> dict[str, Any]:
    """Replay to MLflow what it has missed, and end there the runs that were killed."""
    from raytrain.tracking.mlflow import sync_tree
    from raytrain.tracking.uri import check_uri, default_uri, without_password

    uri = check_uri(uri or default_uri(storage))
    failed: list[Problem] = []
    skipped: list[Problem] = []
    mirrored = sync_tree(storage, experiment, uri, failed=failed, skipped=skipped)
    print(f"{len(mirrored)} runs of {experiment} mirrored to {without_password(uri)}")
    for problem in failed:
        print(problem, file=sys.stderr)
    print_skipped(skipped)
    return {
        "uri": uri,
        "runs": len(mirrored),
        "failed": [problem.as_dict() for problem in failed],
        "skipped": [problem.as_dict() for problem in skipped],
        "exit_code": 1 if failed else 0,
    }
