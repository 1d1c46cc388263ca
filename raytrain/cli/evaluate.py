"""The verbs that measure a finished run: evaluate and rerank."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from raytrain.cli.options import NoVerify, Tracking
from raytrain.cli.verb import CLUSTER, DATA, OUTPUT, SEARCH, option, verb
from raytrain.errors import UsageError

app = typer.Typer()
_SHOWN = re.compile("recall|r_precision|map_at_r")  # what the terminal shows of an evaluation; --json has all of it


@verb(
    app,
    "evaluate",
    "raytrain evaluate runs/emoji/RUN --split test",
    "raytrain evaluate runs/coco/RUN --split test --protocol coco/eccv",
    panel="Evaluate",
)
def run_evaluate(
    folders: Annotated[list[str], typer.Argument(metavar="RUN", help="folder of a run; several are evaluated in turn")],
    split: Annotated[
        str,
        option("--split", DATA, "test is for final evaluation: every time it is opened is recorded", metavar="NAME"),
    ] = "val",
    protocol: Annotated[
        str | None,
        option(
            "--protocol",
            DATA,
            "of the evaluated split: split/NAME (default), karpathy/NAME, class/NAME; published: flickr30k/1k, "
            "coco/5k, coco/1k5f, coco/eccv, coco/cxc, cub/unseen, cub/seen, fashioniq/original, "
            "fashioniq/val_union, cirr/val; partial/ before any of these",
            metavar="NAME",
        ),
    ] = None,
    annotations: Annotated[
        str | None, option("--annotations", DATA, "folder of CxC's *_test.csv, for coco/cxc", metavar="FOLDER")
    ] = None,
    table: Annotated[
        str | None, option("--table", DATA, "the run's table, where it was moved since training", metavar="FOLDER")
    ] = None,
    shards: Annotated[
        int,
        option(
            "--shards",
            CLUSTER,
            "rank on N Ray actors, each with a share of the images; 0 ranks in this process",
            metavar="N",
        ),
    ] = 0,
    submission: Annotated[
        str | None,
        option("--submission", OUTPUT, "write the files for CIRR's server; needs --split test", metavar="FOLDER"),
    ] = None,
    diagnostics: Annotated[
        bool, option("--diagnostics", OUTPUT, "also measure embedding sets, hubs, margins, and recall by uncertainty")
    ] = False,
    sheet: Annotated[
        bool,
        option(
            "--sheet", OUTPUT, "also make a contact sheet: 24 queries per rule and direction, with what they retrieve"
        ),
    ] = False,
    no_verify: NoVerify = False,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Measure the best checkpoint of a run by a retrieval protocol."""
    if submission:
        if len(folders) > 1 or protocol:
            raise UsageError("--submission takes one run, and no --protocol: the server's own is cirr/test1")
        from raytrain.api.mirroring import mirrored
        from raytrain.run_evaluation.evaluate import submit_run

        with mirrored(folders, tracking):
            written = submit_run(folders[0], split, submission)
        print(f"{written['run']}: {' and '.join(written['files'])}, {written['queries']['query']:,} queries each")
        return written
    from raytrain.api.evaluate import evaluate
    from raytrain.progress import to_stderr

    results = [
        evaluate(
            folder,
            split,
            protocol,
            annotations=annotations,
            table=table,
            shards=shards,
            diagnostics=diagnostics,
            sheet=sheet,
            verify=not no_verify,
            tracking=tracking,
            progress=to_stderr,
        ).as_dict()
        for folder in folders
    ]
    for result in results:
        _print_evaluation(result)
    return results[0] if len(results) == 1 else {"runs": results}


def _number(name: str, value: float, chance: float | None) -> str:
    """ "t2i/R@10 100.0 (chance 90.1)": a metric, and what a random order reaches where that is much."""
    return f"{name.replace('recall_at_', 'R@')} {value:.1f}" + (f" (chance {chance:.1f})" if chance else "")


def _print_evaluation(result: Mapping[str, Any]) -> None:
    kinds = (("", "metrics"), (" re-ranked (transductive)", "rerank"), (" re-ranked (inductive)", "inductive"))
    for title, metrics in ((title, result[kind]) for title, kind in kinds):
        if metrics:
            shown = [name for name in metrics if name == result["headline"] or _SHOWN.search(name)]
            numbers = "  ".join(_number(name, metrics[name], result["chance"].get(name)) for name in shown)
            print(f"{result['run']} {result['protocol']}{title}: {numbers}")
    for what in ("queries", "gallery"):
        print(f"  {what}: {', '.join(f'{name} {number:,}' for name, number in result[what].items())}")
    for note in result["notes"]:
        print(f"  {note}")
    if result["split"] == "test":
        in_all = f", of {result['test_openings_in_all']} of these test rows"
        print(f"  opening {result['test_openings']} of test by this run or its weights{in_all}")
    if page := result.get("sheet_page"):
        print(f"  contact sheet: {page}")
    if diagnostics := result["diagnostics"]:
        numbers = ", ".join(
            f"{name.partition('/')[2]} {value:.3g}" for name, value in diagnostics.items() if name != "calibration"
        )
        print(f"  {numbers}")
        if diagnostics["calibration"]:
            recalls = " ".join(f"{part['recall']:.1f}" for part in diagnostics["calibration"])
            print(f"  R@10 by predicted uncertainty, the most certain tenth first: {recalls}")


@verb(
    app,
    "rerank",
    "raytrain rerank runs/emoji/RUN --trials 200",
    "raytrain rerank runs/emoji/RUN --bank 500,2000",
    panel="Evaluate",
)
def run_rerank(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="folder of a run")],
    trials: Annotated[
        int, option("--trials", SEARCH, "TPE trials per direction, in addition to the grid; 0 needs no Optuna")
    ] = 200,
    seed: Annotated[int, option("--seed", SEARCH, "seed of the sampler and of the draw of the bank")] = 0,
    modes: Annotated[
        str,
        option(
            "--modes", SEARCH, "forms of re-ranking to choose from: cross, product, additive, mtfn", metavar="NAMES"
        ),
    ] = "cross,product,additive",
    bank: Annotated[
        str,
        option(
            "--bank",
            SEARCH,
            "normalise over this many training queries instead of the test queries; each size is tried",
            metavar="SIZES",
        ),
    ] = "",
    pooling: Annotated[
        str,
        option(
            "--pooling",
            SEARCH,
            "ways to pool the view scores of DVSE, tried besides the run's own: max, mean, log_mean_exp",
            metavar="NAMES",
        ),
    ] = "",
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Search re-ranking temperatures on the cached validation similarities of a run."""
    from raytrain.api.evaluate import rerank
    from raytrain.progress import to_stderr

    try:
        sizes = [int(size) for size in bank.split(",") if size]
    except ValueError:
        raise UsageError(f"--bank {bank}: give whole numbers, as in --bank 500,2000") from None
    result = rerank(
        folder,
        trials,
        seed=seed,
        modes=modes.split(","),
        bank=sizes,
        pooling=[name for name in pooling.split(",") if name],
        tracking=tracking,
        progress=to_stderr,
    )
    print(
        f"{result.params}: val rsum {result.before:.1f} -> {result.after:.1f}, "
        f"{result.settings_tried} settings in {result.seconds:.1f} s"
    )
    print(_held_out_line(result.held_out["rsum"], result.params))
    if result.lowered:
        print(f"  lowers {', '.join(f'{name} by {fall:.1f}' for name, fall in result.lowered.items())} on validation")
    return result.as_dict()


def _held_out_line(held_out: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What the choice gains on queries that it has not seen."""
    error = "" if held_out["standard_error"] is None else f" (standard error {held_out['standard_error']:.1f})"
    line = f"  on held-out queries, {held_out['folds']} folds: rsum {held_out['gain']:+.1f}{error}"
    unchanged = params.get("mode") == "off" and not params.get("pooling")
    return line + ("; too little is gained: scores stay as they are" if unchanged else "")
