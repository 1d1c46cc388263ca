"""The verbs that give a finished run's model to others: export and promote."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.options import FinishedRun, Tracking
from raytrain.cli.verb import DATA, OUTPUT, option, verb

app = typer.Typer()


@verb(
    app,
    "export",
    "raytrain export runs/emoji/RUN --to hub --out emoji-search",
    "raytrain export runs/emoji/RUN --to hub,onnx,mlflow",
    panel="Use",
)
def run_export(
    folder: FinishedRun,
    *,
    to: Annotated[
        str,
        option(
            "--to",
            OUTPUT,
            "hub: a folder for the Hugging Face hub, which raytrain.load opens too; onnx: graphs; mlflow: the "
            "registry; faiss: the table's images as an index",
            metavar="TARGETS",
        ),
    ],
    out: Annotated[
        str | None,
        option(
            "--out",
            OUTPUT,
            "folder to write, one below it per target where there are several; default export/TARGET in the run's",
            metavar="FOLDER",
        ),
    ] = None,
    gallery: Annotated[
        bool, option("--gallery", OUTPUT, "hub: also the embeddings, ids and captions of the table's images")
    ] = False,
    licence: Annotated[
        str | None, option("--licence", OUTPUT, "hub: licence of the weights, as the hub names it", metavar="NAME")
    ] = None,
    table: Annotated[
        str | None, option("--table", DATA, "the run's table, where it was moved since training", metavar="FOLDER")
    ] = None,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Write the best model of a run for use elsewhere: a folder for the hub, ONNX graphs, MLflow's registry, FAISS."""
    from raytrain.retrieval.export.options import ExportOptions
    from raytrain.retrieval.export.targets import export_run

    options = ExportOptions(with_gallery=gallery, licence=licence, tracking=tracking)
    result = export_run(folder, [name for name in to.split(",") if name], out, table, options)
    for target, path in result["paths"].items():
        print(f"{target}: {path}")
    return result


@verb(app, "promote", "raytrain promote runs/emoji/RUN", panel="Use")
def run_promote(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="folder of a run that was evaluated on validation")],
    *,
    table: Annotated[
        str | None, option("--table", DATA, "the run's table, where it was moved since training", metavar="FOLDER")
    ] = None,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Make a run's model the champion of its experiment in MLflow's registry."""
    from pathlib import Path

    from raytrain.errors import UsageError
    from raytrain.retrieval.registry.promote import promote
    from raytrain.tracking.uri import check_uri, default_uri

    if tracking == "none":
        raise UsageError("champions are in MLflow; --tracking none leaves it out")
    uri = check_uri(tracking or default_uri(Path(folder).expanduser().resolve().parent.parent))
    result = promote(folder, uri, table)
    print(f"{result['uri']} is version {result['version']}: {result['metric']} {result['value']:.2f}")
    before, difference = result["previous"], result["difference"]
    if before is not None:
        compared = "not comparable: other data or protocol" if difference is None else f"{difference:+.2f}"
        print(f"  before it was version {before['version']} ({before['run']}): {compared}")
    return result
