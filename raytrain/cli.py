"""The command line: `raytrain <verb>`; `python jobs/<verb>.py` is the same command for `raytrain submit`.

Each verb is a function of parsed arguments that returns what `--json` prints. Heavy imports stay inside the verbs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from raytrain.errors import RaytrainError, UsageError

EXAMPLES = """examples:
  raytrain data detect my_pictures
  raytrain data build emoji --out tables/emoji
  raytrain data encode tables/emoji --backbone lite0
  raytrain train dvse_emoji optim.num_epochs=2
  raytrain sweep dvse --recipe dvse_emoji --trials 8 --workers 2
  raytrain evaluate runs/emoji/RUN --split test
  raytrain leaderboard --experiment emoji

exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 refused, 75 interrupted and resumable"""

_TOLD = re.compile("recall|r_precision|map_at_r")  # what the terminal shows of an evaluation; --json has all of it


def entry() -> None:
    """The console script."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    try:
        result = args.run(args)
    except RaytrainError as error:
        print(f"raytrain {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if args.json and result:
        print(json.dumps(result, ensure_ascii=False, default=str), flush=True)
    return int(result.get("exit_code", 0))


def build_parser() -> argparse.ArgumentParser:
    from raytrain.cluster.operations import add_operations
    from raytrain.cluster.verbs import add_verbs

    parser = argparse.ArgumentParser(
        prog="raytrain",
        description="Train and search ambiguous cross-modal retrieval methods on a cluster.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_data(verbs)
    add_verbs(verbs)
    add_operations(verbs)
    _add_evaluate(verbs)
    _add_rerank(verbs)
    _add_leaderboard(verbs)
    _add_track(verbs)
    return parser


def add_verb(
    verbs: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], dict[str, Any]], example: str
) -> argparse.ArgumentParser:
    """A verb with `--json` and an example that works."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    verb.set_defaults(run=run)
    return verb


def _add_data(verbs: Any) -> None:
    from raytrain.cluster.verbs import OverridesAnywhere

    data = verbs.add_parser("data", help="build, check and encode tables")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")

    build = add_verb(
        actions, "build", "a table from a public layout or the embedded default", _data_build,
        "raytrain data build karpathy --root flickr8k --out tables/flickr8k",
    )  # fmt: skip
    build.add_argument(
        "source",
        help="emoji, karpathy, coco, precomp, vse_images, butd_tsv, cub; your own: captions, imagefolder, "
        "webdataset, huggingface; triplets: emoji_triplets, products, fashion_iq, cirr, composed",
    )
    build.__class__ = OverridesAnywhere  # option=value may stand before, between and after the flags
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
    from raytrain.data.accounting import annotated
    from raytrain.data.build import build

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
        "missing": len(table.description["missing"]),
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
    from raytrain.data.check import check

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
    from raytrain.cluster.encode import encode
    from raytrain.data.table import Table
    from raytrain.encoders.tokens import short_name

    name = args.name or short_name(args.backbone)
    if args.if_missing and name in Table(args.table).features:
        print(f"{args.table} has {name} already")
        return {"features": name, "items_per_second": None}
    return encode(
        args.table, args.backbone, name=args.name, kind=args.kind, dtype=args.dtype, batch_size=args.batch_size,
        workers=args.workers, allow_missing=args.allow_missing, pad=args.target_pad, shard_items=args.shard_items,
        replace=args.replace,
    )  # fmt: skip


def _add_evaluate(verbs: Any) -> None:
    verb = add_verb(
        verbs, "evaluate", "metrics of a run's best checkpoint by protocol", _evaluate,
        "raytrain evaluate runs/emoji/RUN --split test",
    )  # fmt: skip
    verb.add_argument("folders", nargs="+", metavar="RUN", help="folder of a run")
    verb.add_argument("--split", default="val", help="test is for final evaluation: each opening is recorded")
    verb.add_argument(
        "--protocol",
        help="split/NAME (default), karpathy/NAME, class/NAME; published: flickr30k/1k, coco/5k, coco/1k5f, coco/eccv, "
        "coco/cxc, cub/unseen, cub/seen, fashioniq/original, fashioniq/val_union, cirr/val; partial/ before these",
    )
    verb.add_argument("--annotations", metavar="FOLDER", help="the *_test.csv of CxC, for coco/cxc")
    verb.add_argument("--submission", metavar="FOLDER", help="write the files for CIRR's server, with --split test")
    verb.add_argument(
        "--shards", type=int, default=0, metavar="N",
        help="rank over N Ray actors, each with a share of the images; 0 ranks in this process (default)",
    )  # fmt: skip
    verb.add_argument("--diagnostics", action="store_true", help="sets, hubs, margins, and recall by uncertainty too")


def _evaluate(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.cluster.evaluate import evaluate
    from raytrain.training.evaluate import submit_run

    if args.submission:
        if len(args.folders) > 1 or args.protocol:
            raise UsageError("--submission takes one run, and no --protocol: the server's own is cirr/test1")
        written = submit_run(args.folders[0], args.split, args.submission)
        print(f"{written['run']}: {' and '.join(written['files'])}, {written['queries']['query']:,} queries each")
        return written
    found = [
        evaluate(folder, args.split, args.protocol, args.shards, args.annotations, args.diagnostics)
        for folder in args.folders
    ]
    for one in found:
        kinds = (("", "metrics"), (" re-ranked (transductive)", "rerank"), (" re-ranked (inductive)", "inductive"))
        for title, metrics in ((title, one[kind]) for title, kind in kinds):
            if metrics:
                shown = [name for name in metrics if name == one["headline"] or _TOLD.search(name)]
                numbers = "  ".join(f"{name.replace('recall_at_', 'R@')} {metrics[name]:.1f}" for name in shown)
                print(f"{one['run']} {one['protocol']}{title}: {numbers}")
        for what in ("queries", "gallery"):
            print(f"  {what}: {', '.join(f'{name} {number:,}' for name, number in one[what].items())}")
        for note in one["notes"]:
            print(f"  {note}")
        if one["diagnostics"]:
            _print_diagnostics(one["diagnostics"])
    return found[0] if len(found) == 1 else {"runs": found}


def _print_diagnostics(found: dict[str, Any]) -> None:
    numbers = (f"{name.partition('/')[2]} {value:.3g}" for name, value in found.items() if name != "calibration")
    print(f"  {', '.join(numbers)}")
    if found["calibration"]:
        print("  R@10 by predicted uncertainty, the most certain tenth first:", end=" ")
        print(" ".join(f"{part['recall']:.1f}" for part in found["calibration"]))


def _add_rerank(verbs: Any) -> None:
    verb = add_verb(
        verbs, "rerank", "search re-ranking temperatures over a run's cached validation similarities", _rerank,
        "raytrain rerank runs/emoji/RUN --trials 200\n  raytrain rerank runs/emoji/RUN --bank 500,2000",
    )  # fmt: skip
    verb.add_argument("folder", metavar="RUN", help="folder of a run")
    verb.add_argument("--trials", type=int, default=200, help="settings a direction beside the grid; 0 needs no Optuna")
    verb.add_argument("--seed", type=int, default=0, help="of the sampler and of the bank's draw")
    verb.add_argument(
        "--modes", default="cross,product,additive", help="what may be chosen: cross, product, additive, mtfn"
    )
    verb.add_argument(
        "--bank", default="", metavar="SIZES",
        help="normalise over so many training queries, each size tried, and not over the queries themselves",
    )  # fmt: skip
    verb.add_argument(
        "--pooling", default="", help="ways to pool DVSE's views to try beside the run's: max, mean, log_mean_exp"
    )


def _rerank(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.errors import UsageError
    from raytrain.evaluation.temperature_search import searchable
    from raytrain.review.rerank import rerank_run

    modes, poolings = searchable(args.modes.split(",")), [name for name in args.pooling.split(",") if name]
    try:
        sizes = [int(size) for size in args.bank.split(",") if size]
    except ValueError:
        raise UsageError(f"--bank {args.bank}: give whole numbers, as in --bank 500,2000") from None
    rescore = None
    if sizes or poolings:
        from raytrain.training.rescore import Rescore

        rescore = Rescore(args.folder)
    found = rerank_run(args.folder, args.trials, args.seed, modes, sizes, poolings, rescore)
    print(f"{found['params']}: val rsum {found['before']:.1f} -> {found['after']:.1f}, "
          f"{found['settings_tried']} settings in {found['seconds']:.1f} s")  # fmt: skip
    return found


def _add_leaderboard(verbs: Any) -> None:
    verb = add_verb(
        verbs, "leaderboard", "the table of tracked runs", _leaderboard,
        "raytrain leaderboard --experiment emoji --out leaderboard",
    )  # fmt: skip
    verb.add_argument("--storage", default="runs", help="folder that holds experiments (default runs)")
    verb.add_argument("--experiment", help="one experiment; default all of them")
    verb.add_argument("--out", help="folder for leaderboard.md, .csv and .html; default the storage folder")
    verb.add_argument("--prices", help="price table, docs/prices.example.yaml; default prices.yaml in the storage")


def _leaderboard(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.review.leaderboard import write_leaderboard
    from raytrain.review.prices import prices_of

    return write_leaderboard(args.storage, args.experiment, args.out, prices_of(args.storage, args.prices))


def _add_track(verbs: Any) -> None:
    track = verbs.add_parser("track", help="MLflow, from the runs' journals")
    actions = track.add_subparsers(dest="action", required=True, metavar="ACTION")
    verb = add_verb(
        actions, "sync", "replay to MLflow what it has not seen, and close what was killed", _track_sync,
        "raytrain track sync --experiment emoji",
    )  # fmt: skip
    verb.add_argument("--storage", default="runs")
    verb.add_argument("--experiment", required=True)
    verb.add_argument("--uri", help="default MLFLOW_TRACKING_URI, else mlflow.db in the storage folder")


def _track_sync(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.tracking.mlflow import default_uri, prepare_store, sync_tree

    uri = args.uri or default_uri(args.storage)
    prepare_store(uri)
    found = sync_tree(args.storage, args.experiment, uri)
    print(f"{len(found)} runs of {args.experiment} mirrored to {uri}")
    return {"uri": uri, "runs": len(found)}


if __name__ == "__main__":
    entry()
