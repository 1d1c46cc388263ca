"""`raytrain data`: build, check and encode tables."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer

from raytrain.cli.names import complete_source, source_fields, source_names
from raytrain.cli.verb import CLUSTER, DATA, OUTPUT, Verbs, option, verb

app = typer.Typer(cls=Verbs, no_args_is_help=True, help="Build, check and encode tables.")
_CHECKS, _ENCODER = "Checks", "Encoder"
Table = Annotated[str, typer.Argument(metavar="TABLE", help="folder of a table")]


@verb(
    app,
    "build",
    "raytrain data build karpathy --root flickr8k --out tables/flickr8k",
    "raytrain data build captions --root mine --out tables/mine text=title val=0.1",
    names=source_names,
    fields=source_fields,
)
def run_build(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="layout of the files, as karpathy or captions", autocompletion=complete_source
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="option=value", help="options of the source, see docs/data.md")
    ] = None,
    *,
    root: Annotated[
        str | None, option("--root", DATA, "folder of the data set's files; emoji needs none", metavar="FOLDER")
    ] = None,
    allow_missing: Annotated[
        float | None,
        option(
            "--allow-missing",
            DATA,
            "fraction of the annotated images that may be missing or broken; recorded in the table and in every result",
            metavar="FRACTION",
        ),
    ] = None,
    out: Annotated[str, option("--out", OUTPUT, "folder of the table", metavar="TABLE")],
) -> dict[str, Any]:
    """Build a table from the files of a data set, or from the embedded emoji."""
    from raytrain.data.build import build, parse_options
    from raytrain.data.table.coverage import annotated, remarks_on

    options = parse_options(source, overrides or [])
    if allow_missing is not None:
        options["allow_missing"] = allow_missing
    table = build(source, root, out, **options)
    images = annotated(table)["items"]
    parts = ", ".join(f"{name} {count['items']:,} / {count['texts']:,}" for name, count in table.splits.items())
    missing = f"missing {images['missing']:,} of {images['annotated']:,} images"
    print(f"{table.path}: images / texts: {parts}; {missing}; {table.fingerprint[:12]}")
    remarks = remarks_on(table)
    for remark in remarks:
        print(f"  {remark}")
    return {
        "table": str(table.path),
        "fingerprint": table.fingerprint,
        "items": len(table.items),
        "texts": len(table.texts),
        "queries": len(table.texts if table.queries is None else table.queries),
        "missing": len(table.description.missing),
        "splits": table.splits,
        "remarks": remarks,
    }


@verb(app, "detect", "raytrain data detect flickr8k")
def run_detect(
    root: Annotated[str, typer.Argument(metavar="FOLDER", help="folder of a data set's files")],
) -> dict[str, Any]:
    """Tell which sources can read a folder, what is missing, and the command that builds its table."""
    from raytrain.data.detect import detect

    candidates = detect(root)
    for rank, candidate in enumerate(candidates):
        best = " (best)" if rank == 0 and len(candidates) > 1 else ""
        print(f"{candidate.source}{best}: {'; '.join(candidate.layout.found)}")
        for what in candidate.layout.missing:
            print(f"  missing: {what}")
        if candidate.command:
            print(f"  {candidate.command}")
    return {"root": root, "layouts": [candidate.as_dict() for candidate in candidates]}


@verb(app, "check", "raytrain data check tables/flickr8k", "raytrain data check tables/mine --fail-on near --all")
def run_check(
    table: Table,
    workers: Annotated[
        int | None, option("--workers", _CHECKS, "processes that read images; default one per core")
    ] = None,
    fail_on: Annotated[
        Literal["nothing", "copies", "near"],
        option(
            "--fail-on",
            _CHECKS,
            "which images in two splits are errors: exact copies, near duplicates as well, or nothing",
        ),
    ] = "copies",
    no_images: Annotated[bool, option("--no-images", _CHECKS, "skip the images, which take most of the time")] = False,
    all_: Annotated[bool, option("--all", OUTPUT, "list every problem of a kind, not the first twenty")] = False,
) -> dict[str, Any]:
    """Verify every hash, shape, reference and image of a table, and that its splits share no image."""
    from raytrain.data.check.check import check

    problems = check(table, images=not no_images, workers=workers, fail_on=fail_on, keep=sys.maxsize if all_ else 20)
    for problem in problems:
        print(problem, file=sys.stderr)
    counts = {
        level: sum(1 + problem.more for problem in problems if problem.level == level) for level in ("error", "warning")
    }
    print(f"{table}: {counts['error'] or 'no'} problems, {counts['warning'] or 'no'} warnings")
    ok = not counts["error"]
    return {"ok": ok, "problems": [problem.as_dict() for problem in problems], "exit_code": 0 if ok else 3}


@verb(app, "vocabulary", "raytrain data vocabulary vocab.pkl --out vocab.json")
def run_vocabulary(
    file: Annotated[str, typer.Argument(metavar="FILE", help="published vocab.pkl")],
    out: Annotated[str, option("--out", OUTPUT, "JSON file to write", metavar="FILE")],
) -> dict[str, Any]:
    """Convert a published vocab.pkl to JSON without running the code in it."""
    from pathlib import Path

    from raytrain.data.legacy_vocabulary import read_pickled
    from raytrain.files import write_json

    vocabulary = read_pickled(file)
    write_json(Path(out), vocabulary.to_json())
    print(f"{out}: {len(vocabulary)} words")
    return {"path": out, "words": len(vocabulary)}


@verb(
    app,
    "encode",
    "raytrain data encode tables/flickr8k --backbone lite0",
    "raytrain data encode tables/coco --backbone models/clip --kind text",
)
def run_encode(
    table: Table,
    backbone: Annotated[
        str,
        option(
            "--backbone",
            _ENCODER,
            "lite0, lite1, lite2, minilm, or a folder or name that transformers loads",
            metavar="NAME",
        ),
    ],
    kind: Annotated[
        Literal["image", "text"] | None, option("--kind", _ENCODER, "which tower of a model that has both")
    ] = None,
    dtype: Annotated[Literal["float16", "float32"], option("--dtype", _ENCODER, "type of the features")] = "float16",
    target_pad: Annotated[
        float | None,
        option("--target-pad", _ENCODER, "pad images whose sides have a larger ratio than this", metavar="RATIO"),
    ] = None,
    batch_size: Annotated[int, option("--batch-size", _ENCODER, "images or texts per batch")] = 64,
    allow_missing: Annotated[
        float, option("--allow-missing", DATA, "fraction of unreadable images to tolerate", metavar="FRACTION")
    ] = 0.0,
    workers: Annotated[int, option("--workers", CLUSTER, "Ray Data actors; 0 encodes in this process")] = 0,
    shard_items: Annotated[
        int, option("--shard-items", CLUSTER, "images or texts per shard: what a kill costs at most, per worker")
    ] = 2048,
    name: Annotated[
        str | None, option("--name", OUTPUT, "name of the features; default that of the backbone", metavar="NAME")
    ] = None,
    if_missing: Annotated[
        bool, option("--if-missing", OUTPUT, "do nothing if the table has features of this name")
    ] = False,
    replace: Annotated[
        bool, option("--replace", OUTPUT, "replace features of this name, and unfinished shards of them")
    ] = False,
) -> dict[str, Any]:
    """Add features of a frozen backbone to a table."""
    from raytrain.data.encode.encode import encode
    from raytrain.data.table import Table as DataTable
    from raytrain.encoders.tokens import short_name

    feature = name or short_name(backbone)
    if if_missing and feature in DataTable(table).features:
        print(f"{table} has {feature} already")
        return {"features": feature, "items_per_second": None}
    options: dict[str, Any] = {
        "name": name, "kind": kind, "dtype": dtype, "batch_size": batch_size, "allow_missing": allow_missing,
        "pad": target_pad, "shard_items": shard_items, "replace": replace,
    }  # fmt: skip
    if workers == 0:
        return encode(table, backbone, **options)
    from raytrain.cluster.encode import encode_on_ray

    return encode_on_ray(table, backbone, workers, **options)
