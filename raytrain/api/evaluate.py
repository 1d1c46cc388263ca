"""`raytrain.evaluate` and `raytrain.rerank`: what a finished run reaches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from raytrain.api.mirroring import mirrored
from raytrain.api.outside_errors import public_call
from raytrain.api.results import Evaluation, Reranking
from raytrain.errors import UsageError, argument
from raytrain.progress import Listener

MODES = ("cross", "product", "additive")
"""Forms of re-ranking that `rerank` chooses from where nothing else is said."""


def evaluate(
    run: str | os.PathLike[str],
    split: str = "val",
    protocol: str | None = None,
    *,
    annotations: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    shards: int = 0,
    diagnostics: bool = False,
    sheet: bool = False,
    verify: bool = True,
    tracking: str | None = None,
    progress: Listener | None = None,
) -> Evaluation:
    """Measure the best checkpoint of a run on a split, without re-ranking and with the temperatures searched for it.

    The result is written to the run's folder and journal. Every opening of the test split is counted there.

    Args:
        run: folder of a finished run.
        split: of its table; "test" is for final evaluation.
        protocol: of that split (docs/evaluation.md lists them); None takes "split/" and its name, the whole split.
        annotations: folder of CxC's CSV files, for coco/cxc.
        table: folder of the run's table, where it was moved since training.
        shards: rank on this many Ray actors, each with a share of the images; 0 ranks in this process.
        diagnostics: also measure embedding sets, hubs, margins, and recall by uncertainty.
        sheet: also make a contact sheet.
        verify: compare the features with their sha256; the evaluation records whether.
        tracking: MLflow store; None writes to the storage's own where that is there, "none" leaves it out.
        progress: called with a `ProgressEvent` per line of news; None is silent.

    Returns:
        metrics, sizes and notes; with `rerank` and `inductive` where temperatures were searched.

    Raises:
        UsageError: no such run, split or protocol, or options that exclude each other.
        DataError: the checkpoint or the table is damaged.
        RefusedError: the table has changed since training, or the test split of a run that has not finished.
    """
    given = (os.fspath(run), split, protocol)
    if shards and sheet:
        raise UsageError(
            f"{argument('sheet')} goes without {argument('shards')}, whose actors keep no scores to look at"
        )
    if shards and table:
        both = f"{argument('table')} goes without {argument('shards')}"
        raise UsageError(f"{both}, whose actors read the table where training did")
    with public_call(progress), mirrored([given[0]], tracking):
        if shards:
            from raytrain.cluster.evaluate import evaluate_by_shards

            return Evaluation.of(evaluate_by_shards(*given, shards, diagnostics, verify))
        from raytrain.run_evaluation.evaluate import evaluate_run
        from raytrain.run_evaluation.sheets import evaluate_with_sheet

        moved: dict[str, Any] = {"table": table} if table else {}
        measure = evaluate_with_sheet if sheet else evaluate_run
        return Evaluation.of(measure(*given, annotations, diagnostics=diagnostics, verify_features=verify, **moved))


def rerank(
    run: str | os.PathLike[str],
    trials: int = 200,
    *,
    seed: int = 0,
    modes: Sequence[str] = MODES,
    bank: Sequence[int] = (),
    pooling: Sequence[str] = (),
    tracking: str | None = None,
    progress: Listener | None = None,
) -> Reranking:
    """Search the temperatures of Fast Re-ranking on a run's cached validation similarities.

    They are written into the run's folder, where `evaluate` finds them. Only validation and training queries are read.

    Args:
        run: folder of a finished run that kept its validation similarities.
        trials: that TPE draws in each direction, in addition to a grid; 0 needs no Optuna.
        seed: of the sampler, and of the draw of a bank.
        modes: forms of re-ranking to choose from: cross, product, additive, mtfn.
        bank: numbers of training queries to normalise over, each tried; () normalises over the queries themselves.
        pooling: ways to pool a method's view scores, tried besides the run's own: max, mean, log_mean_exp.
        tracking: as in `evaluate`.
        progress: called with a `ProgressEvent` per line of news; None is silent.

    Returns:
        what was chosen, and what it gains on queries that the choice has not seen.

    Raises:
        UsageError: the run kept no similarities, or a mode or size that does not exist.
        DataError: they are damaged.
        RefusedError: they are of other data than the run's, or the run answers composed queries.
    """
    from raytrain.evaluation.temperature_search.search import searchable
    from raytrain.run_evaluation.rerank import rerank_run

    folder, chosen_modes = os.fspath(run), searchable(modes)
    with public_call(progress):
        rescore = None
        if bank or pooling:
            from raytrain.run_evaluation.rescore import Rescore

            rescore = Rescore(folder)
        with mirrored([folder], tracking):
            return Reranking.of(rerank_run(folder, trials, seed, chosen_modes, list(bank), list(pooling), rescore))
