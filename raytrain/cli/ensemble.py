"""The verb ensemble: the mean of several runs' similarities as a run of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.options import Tracking
from raytrain.cli.verb import DATA, OUTPUT, option, verb

app = typer.Typer()


@verb(
    app,
    "ensemble",
    "raytrain ensemble runs/flickr8k/dvse-s0 runs/flickr8k/dvse-s1",
    "raytrain ensemble runs/flickr8k/dvse runs/flickr8k/dive --scale standard --name both",
    panel="Evaluate",
)
def run_ensemble(
    folders: Annotated[list[str], typer.Argument(metavar="RUN", help="folders of two finished runs or more")],
    scale: Annotated[
        str,
        option(
            "--scale",
            DATA,
            "none: the mean of the scores as they are; standard: of each run's by their mean and spread on validation",
            metavar="NAME",
        ),
    ] = "none",
    name: Annotated[
        str,
        option("--name", OUTPUT, "of the ensemble, beside the first run; default from the time", metavar="NAME"),
    ] = "",
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Average the similarities of finished runs on one table: a run of its own to evaluate and re-rank."""
    from raytrain.api.mirroring import mirrored
    from raytrain.run_evaluation.ensemble import ensemble_runs, new_folder

    folder = str(new_folder(folders[0], name))
    with mirrored([folder], tracking):
        result = ensemble_runs(folders, scale, folder.rpartition("/")[2])
    for member in result["members"]:
        own = f"{member['val']:.1f}" if member["val"] is not None else "unknown"
        print(f"{member['run']}: {member['method']}, {result['select']} {own}")
    print(f"{result['run']}: {result['method']}, {result['select']} {result['val'][result['select']]:.1f}")
    return result
