"""Flags that several verbs take, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raytrain.cli.names import complete_recipe
from raytrain.cli.verb import CLUSTER, DATA, OUTPUT, escape, option
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from raytrain.config import RunConfig

Gpu = Literal["auto", "yes", "no"]


_RECIPE = "name of a recipe, or a YAML file"
Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help=_RECIPE, autocompletion=complete_recipe)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="a.b=value", help=escape("changes of the recipe: optim.lr=1e-4 optim.decay_epochs=[5,8]")),
]
Storage = Annotated[str, option("--storage", DATA, "folder that holds experiments", metavar="FOLDER")]
Experiment = Annotated[str | None, option("--experiment", DATA, "one experiment; default all of them", metavar="NAME")]
Prices = Annotated[
    str | None,
    option(
        "--prices",
        OUTPUT,
        "price table, as docs/prices.example.yaml; default prices.yaml in the storage",
        metavar="FILE",
    ),
]
Tracking = Annotated[
    str | None,
    option(
        "--tracking",
        OUTPUT,
        "MLflow: sqlite:////absolute/path, http://server, or none; default the storage's own",
        metavar="URI",
    ),
]
FinishedRun = Annotated[str, typer.Argument(metavar="RUN", help="folder of a finished run")]
TrainedModel = Annotated[
    str, typer.Argument(metavar="RUN", help="folder of a finished run or of an export, or models:/NAME@champion")
]
OtherTable = Annotated[
    str | None,
    option("--table", DATA, "table to use; default the run's own, or where that was moved", metavar="FOLDER"),
]
OneSplit = Annotated[str | None, option("--split", DATA, "one split of the table; default all of it", metavar="NAME")]
Device = Annotated[
    str | None, option("--device", CLUSTER, "cpu, cuda or cuda:1; default a GPU if there is one", metavar="NAME")
]
NoVerify = Annotated[
    bool,
    option("--no-verify", DATA, "read features without comparing them with table.json; recorded with the result"),
]
Address = Annotated[
    str | None,
    option(
        "--address",
        CLUSTER,
        "Ray cluster: auto, or host:port; default RAY_ADDRESS, or a cluster on this machine",
        metavar="ADDRESS",
    ),
]
GPU = option("--gpu", CLUSTER, "one GPU per worker; auto: where there is one")
CPUS_PER_WORKER = option("--cpus-per-worker", CLUSTER, "CPUs per worker")
GPUS_PER_WORKER = option("--gpus-per-worker", CLUSTER, "GPUs per worker; below 1, trials share a GPU and its memory")
MAX_FAILURES = option("--max-failures", CLUSTER, "worker groups that may be lost before a run fails")


def run_of(recipe: str, overrides: Sequence[str] | None) -> RunConfig:
    """The run of a recipe or YAML file, changed as the command line says."""
    from raytrain.config import override, parse_overrides
    from raytrain.recipes.load import load_recipe

    base = load_recipe(recipe)
    return override(base, parse_overrides(base, overrides or ()))


def use_gpu(gpu: Gpu) -> bool | None:
    """None where Ray's resources decide."""
    return {"auto": None, "yes": True, "no": False}[gpu]


def worker_resources(cpus: float | None, gpus: float | None) -> dict[str, float]:
    """Of one worker; one of each where only the other is given, and {} where neither is."""
    if cpus is None and gpus is None:
        return {}
    cpus, gpus = 1.0 if cpus is None else cpus, 1.0 if gpus is None else gpus
    if cpus <= 0 or gpus <= 0:
        raise UsageError("--cpus-per-worker and --gpus-per-worker are above 0; --gpu no leaves GPUs out")
    return {"CPU": cpus, "GPU": gpus}


def print_runs_page(uri: str | None, experiment: str) -> None:
    """Print how to open an experiment's runs in MLflow, where this process has mirrored one of them."""
    if uri is not None:
        from raytrain.tracking.mlflow import runs_page

        if page := runs_page(uri, experiment):
            print(f"MLflow: {page}")
