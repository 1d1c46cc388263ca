"""The verb that turns a finished run into what other programs read: export."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.verb import DATA, OUTPUT, option, verb

app = typer.Typer()


@verb(
    app,
    "export",
    "raytrain export runs/emoji/RUN --to hub --out emoji-search",
    "raytrain export runs/emoji/RUN --to hub,onnx",
    panel="Use",
)
def run_export(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="folder of a finished run")],
    *,
    to: Annotated[
        str,
        option(
            "--to",
            OUTPUT,
            "hub: a folder for the Hugging Face hub, which raytrain.load opens too; onnx: graphs of encoders and scores",
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
) -> dict[str, Any]:
    """Write the best model of a run for use elsewhere: a folder for the hub, ONNX graphs."""
    from raytrain.retrieval.export.options import ExportOptions
    from raytrain.retrieval.export.targets import export_run

    options = ExportOptions(with_gallery=gallery, licence=licence)
    result = export_run(folder, [name for name in to.split(",") if name], out, table, options)
    for target, path in result["paths"].items():
        print(f"{target}: {path}")
    return result
