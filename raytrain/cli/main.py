"""The command line: `raytrain <verb>`; `python jobs/<verb>.py` is the same command for `raytrain submit`.

Each verb is a function of parsed arguments that returns what `--json` prints. Heavy imports stay inside the verbs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from raytrain.cli.verb import add_verb
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


def entry(*verb: str) -> None:
    """The console script, and a job's, which names its verb."""
    code = main([*verb, *sys.argv[1:]])
    sys.stdout = sys.stderr  # libraries have last words, and nothing follows a result
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    stdout = sys.stdout
    try:
        # all else that is said, by Ray too, is for people to read
        with contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext():
            result = args.run(args)
    except RaytrainError as error:
        print(f"raytrain {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if args.json and result:
        print(json.dumps(result, ensure_ascii=False, default=str), file=stdout, flush=True)
    return int(result.get("exit_code", 0))


def build_parser() -> argparse.ArgumentParser:
    from raytrain.cli.cluster import add_operations
    from raytrain.cli.data import add_data
    from raytrain.cli.train_and_sweep import add_verbs

    parser = argparse.ArgumentParser(
        prog="raytrain",
        description="Train and search ambiguous cross-modal retrieval methods on a cluster.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_data(verbs)
    add_verbs(verbs)
    add_operations(verbs)
    _add_evaluate(verbs)
    _add_rerank(verbs)
    _add_leaderboard(verbs)
    _add_track(verbs)
    return parser


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
    from raytrain.run_evaluation.evaluate import submit_run

    if args.submission:
        if len(args.folders) > 1 or args.protocol:
            raise UsageError("--submission takes one run, and no --protocol: the server's own is cirr/test1")
        written = submit_run(args.folders[0], args.split, args.submission)
        print(f"{written['run']}: {' and '.join(written['files'])}, {written['queries']['query']:,} queries each")
        return written
    found = [_evaluate_folder(folder, args) for folder in args.folders]
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


def _evaluate_folder(folder: str, args: argparse.Namespace) -> dict[str, Any]:
    if args.shards == 0:
        from raytrain.run_evaluation.evaluate import evaluate_run

        return evaluate_run(folder, args.split, args.protocol, args.annotations, diagnostics=args.diagnostics)
    from raytrain.cluster.evaluate import evaluate_by_shards

    return evaluate_by_shards(folder, args.split, args.protocol, args.shards, args.diagnostics)


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
    from raytrain.evaluation.temperature_search.search import searchable
    from raytrain.run_evaluation.rerank import rerank_run

    modes, poolings = searchable(args.modes.split(",")), [name for name in args.pooling.split(",") if name]
    try:
        sizes = [int(size) for size in args.bank.split(",") if size]
    except ValueError:
        raise UsageError(f"--bank {args.bank}: give whole numbers, as in --bank 500,2000") from None
    rescore = None
    if sizes or poolings:
        from raytrain.run_evaluation.rescore import Rescore

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
    verb.add_argument("--out", help="folder for leaderboard.md, .csv, .tex and .html; default the storage folder")
    verb.add_argument("--prices", help="price table, docs/prices.example.yaml; default prices.yaml in the storage")


def _leaderboard(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.review.prices import prices_of
    from raytrain.review.write import write_leaderboard

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
