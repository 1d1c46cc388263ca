"""The verbs of the command line that make and check tables. Heavy imports stay inside the verbs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from raytrain.cli.verb import add_verb


def add_data(verbs: Any) -> None:
    """Adds `data` and its actions; each sets `run`, which takes the parsed arguments and returns the JSON result."""
    data = verbs.add_parser("data", help="build, check and encode tables")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")

    build = add_verb(
        actions, "build", "a table from a public layout or the embedded default", _data_build,
        "raytrain data build karpathy --root flickr8k --out tables/flickr8k", anywhere=True,
    )  # fmt: skip
    build.add_argument(
        "source",
        help="emoji, karpathy, coco, precomp, vse_images, butd_tsv, cub; your own: captions, imagefolder, "
        "webdataset, huggingface; triplets: emoji_triplets, products, fashion_iq, cirr, composed",
    )
    build.add_argument("overrides", nargs="*", metavar="option=value", help="options of the source, see docs/data.md")
    build.add_argument("--root", help="folder of the data set's files (emoji needs none)")
    build.add_argument("--out", required=True, help="folder of the table")
    build.add_argument(
        "--allow-missing", type=float, metavar="SHARE",
        help="share of the annotated images that may be missing or broken; the table and its results say so for ever",
    )  # fmt: skip

    detect = add_verb(
        actions, "detect", "which source a folder fits, what is missing, and the command that builds it", _data_detect,
        "raytrain data detect flickr8k",
    )  # fmt: skip
    detect.add_argument("root", help="folder of a data set's files")

    check = add_verb(
        actions, "check", "verify every hash, shape, reference and image, and that splits share none", _data_check,
        "raytrain data check tables/flickr8k",
    )  # fmt: skip
    check.add_argument("table")
    check.add_argument("--workers", type=int, help="processes that read images (default one a core)")
    check.add_argument(
        "--fail-on", choices=["nothing", "copies", "near"], default="copies",
        help="which images in two splits are errors: exact copies (default), near duplicates as well, or nothing",
    )  # fmt: skip
    check.add_argument("--no-images", action="store_true", help="leave the images alone, which take most of the time")
    check.add_argument("--all", action="store_true", help="list all problems of a kind, not the first twenty")

    vocabulary = add_verb(
        actions, "vocabulary", "a published vocab.pkl as JSON, without running what is in it", _data_vocabulary,
        "raytrain data vocabulary vocab.pkl --out vocab.json",
    )  # fmt: skip
    vocabulary.add_argument("file")
    vocabulary.add_argument("--out", required=True, help="the JSON file")

    encode = add_verb(
        actions, "encode", "add features of a frozen backbone to a table", _data_encode,
        "raytrain data encode tables/flickr8k --backbone lite0",
    )  # fmt: skip
    encode.add_argument("table")
    encode.add_argument("--backbone", required=True, help="lite0, minilm, or a folder or name that transformers loads")
    encode.add_argument("--kind", choices=["image", "text"], help="which tower of a model that has both")
    encode.add_argument("--name", help="name of the features; default the backbone's")
    encode.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    encode.add_argument("--batch-size", type=int, default=64)
    encode.add_argument("--workers", type=int, default=0, help="Ray Data actors; 0 encodes in this process")
    encode.add_argument("--allow-missing", type=float, default=0.0, help="share of unreadable images to put up with")
    encode.add_argument(
        "--target-pad", type=float, metavar="RATIO", help="pad images that are longer than this ratio of their sides"
    )
    encode.add_argument(
        "--shard-items", type=int, default=2048, help="images or texts that a kill costs at most, for each worker"
    )
    encode.add_argument("--if-missing", action="store_true", help="do nothing where features of this name are there")
    encode.add_argument(
        "--replace", action="store_true", help="put it in place of a feature, or unfinished shards, of this name"
    )


def _data_build(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.config import parse_overrides
    from raytrain.data.build import build
    from raytrain.data.table.coverage import annotated

    options = parse_overrides(args.overrides)
    if args.allow_missing is not None:
        options["allow_missing"] = args.allow_missing
    table = build(args.source, args.root, args.out, **options)
    images = annotated(table)["items"]
    summary = {
        "table": str(table.path),
        "fingerprint": table.fingerprint,
        "items": len(table.items),
        "texts": len(table.texts),
        "queries": len(table.texts if table.queries is None else table.queries),
        "missing": len(table.description.missing),
        "splits": table.splits,
    }
    parts = ", ".join(f"{name} {count['items']:,} / {count['texts']:,}" for name, count in table.splits.items())
    missing = f"missing {images['missing']:,} of {images['annotated']:,} images"
    print(f"{table.path}: images / texts: {parts}; {missing}; {table.fingerprint[:12]}")
    return summary


def _data_detect(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.data.detect import detect

    found = detect(args.root)
    for place, one in enumerate(found):
        print(f"{one.source}{' (best)' if place == 0 and len(found) > 1 else ''}: {'; '.join(one.layout.found)}")
        for what in one.layout.missing:
            print(f"  missing: {what}")
        print(f"  {one.command}")
    return {"root": args.root, "layouts": [one.as_dict() for one in found]}


def _data_check(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.data.check.check import check

    found = check(
        args.table, images=not args.no_images, workers=args.workers, fail_on=args.fail_on,
        keep=sys.maxsize if args.all else 20,
    )  # fmt: skip
    for problem in found:
        print(problem, file=sys.stderr)
    number = {level: sum(1 + one.more for one in found if one.level == level) for level in ("error", "warning")}
    print(f"{args.table}: {number['error'] or 'no'} problems, {number['warning'] or 'no'} warnings")
    ok = not number["error"]
    return {"ok": ok, "problems": [problem.as_dict() for problem in found], "exit_code": 0 if ok else 3}


def _data_vocabulary(args: argparse.Namespace) -> dict[str, Any]:
    from pathlib import Path

    from raytrain.data.legacy_vocabulary import read_pickled
    from raytrain.files import write_json

    vocabulary = read_pickled(args.file)
    write_json(Path(args.out), vocabulary.to_json())
    print(f"{args.out}: {len(vocabulary)} words")
    return {"path": args.out, "words": len(vocabulary)}


def _data_encode(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.data.encode.encode import encode
    from raytrain.data.table import Table
    from raytrain.encoders.tokens import short_name

    name = args.name or short_name(args.backbone)
    if args.if_missing and name in Table(args.table).features:
        print(f"{args.table} has {name} already")
        return {"features": name, "items_per_second": None}
    options: dict[str, Any] = {
        "name": args.name, "kind": args.kind, "dtype": args.dtype, "batch_size": args.batch_size,
        "allow_missing": args.allow_missing, "pad": args.target_pad, "shard_items": args.shard_items,
        "replace": args.replace,
    }  # fmt: skip
    if args.workers == 0:
        return encode(args.table, args.backbone, **options)
    from raytrain.cluster.encode import encode_on_ray

    return encode_on_ray(args.table, args.backbone, args.workers, **options)
