"""`raytrain evaluate`: a run's best checkpoint on a split, by protocol, with and without re-ranking."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.data.table import AnySplit, QuerySplit, open_split
from raytrain.errors import UsageError, argument
from raytrain.evaluation.protocols.cirr import submissions, write_submissions
from raytrain.evaluation.protocols.named_split import refuse_other_split
from raytrain.evaluation.protocols.protocols import PARTIAL, Result
from raytrain.evaluation.ranking.chance import chance_note, trivial_recalls
from raytrain.evaluation.report import write_evaluation
from raytrain.evaluation.reranking.change import lowered, lowered_note
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.record import BANK_NAME, NAME, RerankRecord
from raytrain.run_evaluation.diagnose import diagnose
from raytrain.run_evaluation.opened_run import OpenedRun, open_for_evaluation
from raytrain.run_evaluation.rescore import bank_scores, pool_views_by
from raytrain.scoring.composed_queries import composed_queries
from raytrain.scoring.protocol_runner import Scored, queries_for_protocol, split_result

Ranker = Callable[[Path, AnySplit, str], Result]
"""(folder of a finished checkpoint, split, protocol) -> the protocol's result, not ranked in this process."""


class Evaluated(NamedTuple):
    """A result with the scores that it is of, and the file that records it."""

    scored: Scored
    result: Result
    file: Path


Viewer = Callable[[Sequence[Evaluated]], None]
"""Takes the results of an evaluation, the one without re-ranking first, to look at single queries."""


def evaluate_run(
    folder: str | os.PathLike[str],
    split: str = "val",
    protocol: str | None = None,
    annotations: str | os.PathLike[str] | None = None,
    ranker: Ranker | None = None,
    diagnostics: bool = False,
    verify_features: bool = True,
    table: str | os.PathLike[str] | None = None,
    viewer: Viewer | None = None,
) -> dict[str, Any]:
    """Metrics of a run's best checkpoint on a split, without re-ranking and with the temperatures searched for it.

    Each evaluation is written to the run's folder and journal, and openings of the test split are counted there.

    Args:
        folder: of the run.
        split: of the run's table.
        protocol: default `split/<split>`, the whole split; of the split that is evaluated.
        annotations: folder of the CSV files of CxC, for coco/cxc.
        ranker: ranks the split instead of this process. Re-ranking needs all scores in one place and is left out.
        diagnostics: add diagnostics of embeddings and scores (raytrain/run_evaluation/diagnose.py).
        verify_features: compare the features with their sha256 in table.json; the evaluation records whether.
        table: folder of the run's table, where it was moved since training.
        viewer: looks at what was ranked, in this opening of the split.

    Returns:
        {"run", "split", "protocol", "metrics", "headline": name of the metric to show, "queries", "gallery", "notes",
        "chance": {recall: percent that a random order reaches, where that is much}, "fingerprint", "rerank": metrics or
        None, "inductive": metrics or None, "lowered": {"rerank" or "inductive": {metric: points that it lost}},
        "diagnostics": as `diagnose` or None, "files", "test_openings": with these weights or of this run,
        "test_openings_in_all": of these test rows by any weights}

    Raises:
        UsageError: a protocol that does not exist, is of another split or not for this table, or options that exclude
            each other.
        RefusedError: the table has changed, the test split of a run that has not finished, or a published protocol on
            another number of images and captions.
    """
    protocol = protocol or f"split/{split}"
    if annotations is not None and protocol.removeprefix(PARTIAL) != "coco/cxc":
        raise UsageError(f"{argument('annotations')} is for coco/cxc; {protocol} reads none")
    run = open_for_evaluation(folder, split, verify_features, table)
    queries = queries_for_protocol(open_split(run.table, split, allow_test=True), protocol)
    diagnosed = None
    if ranker is not None:
        if diagnostics:
            raise UsageError(f"diagnostics look at all scores in one place: leave {argument('shards')} out")
        assert viewer is None, "a ranker leaves no scores to look at"
        results = [ranker(run.only_model("actors rank with one model").saved.path, queries, protocol)]
    else:
        searched = _temperatures_for(run, split)
        scored = run.embed(queries, whole=bool(searched) or diagnostics or viewer is not None)
        results, viewed = [], []
        for temperatures in (None, *searched):
            rescored = _rescored(run, scored, temperatures)
            results.append(split_result(rescored, protocol, temperatures, annotations))
            if viewer is not None:  # else nothing keeps the matrix of a pooling
                viewed.append(rescored)
        diagnosed = diagnose(scored, run.feed) if diagnostics else None
    counted = run.count_openings(protocol)  # here, so that what was refused has opened nothing
    plain = results[0]
    metrics: dict[str, Any] = {}
    files, fallen, notes = [], {}, [*plain.notes, *chance_note(trivial_recalls(*_sizes(plain)))]
    for result in results:
        extra = {"diagnostics": diagnosed} if diagnosed and not result.rerank else {}
        if result.rerank:
            sentences = lowered_note(split, plain.metrics, result.metrics)
            result = replace(result, notes=[*result.notes, *sentences])
            notes += [sentence for sentence in result.notes if sentence not in notes]
        file = write_evaluation(run.folder, result, counted | extra)
        files.append(str(file))
        kind = "rerank" if result.transductive else "inductive" if result.inductive else "metrics"
        metrics[kind] = dict(result.metrics)
        if kind != "metrics":
            fallen[kind] = lowered(plain.metrics, result.metrics)
        run.log(result, file)
    if viewer is not None:
        viewer([Evaluated(*parts) for parts in zip(viewed, results, map(Path, files), strict=True)])
    return {
        "run": str(run.folder),
        "split": split,
        "protocol": plain.protocol,
        "headline": plain.headline,
        "queries": dict(plain.queries),
        "gallery": dict(plain.gallery),
        "notes": notes,
        "chance": trivial_recalls(*_sizes(plain)),
        "lowered": fallen,
        "fingerprint": run.table.fingerprint,
        "files": files,
        "test_openings": counted["test_openings"],
        "test_openings_in_all": counted["test_openings_in_all"],
        "features_verified": verify_features,
        "rerank": None,
        "inductive": None,
        "diagnostics": diagnosed,
        **metrics,
    }


def submit_run(folder: str | os.PathLike[str], split: str, out: str | os.PathLike[str]) -> dict[str, Any]:
    """Write the two files that CIRR's server scores, from a run's best checkpoint; counts as opening the test split.

    Args:
        folder: of the run.
        split: "test", which holds test1.
        out: folder to write the two files to.

    Returns:
        {"run", "split", "protocol", "files", "queries", "gallery", "fingerprint", "test_openings",
        "test_openings_in_all"}

    Raises:
        UsageError: the run's table is not of the source cirr, or the split is not test.
        RefusedError: as `evaluate_run`, or the split is not the whole of test1.
    """
    run = open_for_evaluation(folder, split)
    source = run.table.description.source.get("name")
    if source != "cirr":
        raise UsageError(f"--submission is for a run on a table of the source cirr; this one is of {source}")
    refuse_other_split("cirr/test1", split)
    queries = open_split(run.table, split, allow_test=True)
    assert isinstance(queries, QuerySplit)
    scored = run.embed(queries)
    named = submissions(scored.blocks(), composed_queries(queries))
    counted = run.count_openings("cirr/test1")
    files = write_submissions(named, out)
    run.log(Result("cirr/test1", {}, {}, {}), files[0])
    return {
        "run": str(run.folder),
        "split": split,
        "protocol": "cirr/test1",
        "files": [str(file) for file in files],
        "queries": {"query": len(queries)},
        "gallery": {"query": len(queries.items) - 1},
        "fingerprint": run.table.fingerprint,
        "test_openings": counted["test_openings"],
        "test_openings_in_all": counted["test_openings_in_all"],
    }


def _sizes(result: Result) -> tuple[Mapping[str, float], Mapping[str, int], Mapping[str, int]]:
    return result.metrics, result.queries, result.gallery


def _temperatures_for(run: OpenedRun, split: str) -> list[Temperatures]:
    """The temperatures searched for the run, without those of a bank where the bank would hold this split's queries."""
    trained = split == run.train_split
    return [item for item in searched_temperatures(run.folder) if not (trained and any(item.bank_sizes))]


def _rescored(run: OpenedRun, scored: Scored, temperatures: Temperatures | None) -> Scored:
    """The split with the pooling of scores and the bank of training queries that the temperatures were found with."""
    split = scored.split
    if temperatures is None or isinstance(split, QuerySplit):
        return scored
    if temperatures.pooling:
        model = copy.copy(run.only_model("pooling view scores").model)  # shares its weights
        pool_views_by(model, temperatures.pooling)
        scored = replace(scored, model=model)
    if any(temperatures.bank_sizes):
        feed, train = run.only_model("a bank of training queries").feed, run.table.split(run.train_split)
        sizes, seed, embedded = temperatures.bank_sizes, temperatures.bank_seed, (scored.query, scored.gallery)
        bank = bank_scores(scored.model, feed, train, split, sizes, seed, embedded)
        scored = replace(scored, bank=bank)
    return scored


def searched_temperatures(folder: Path) -> list[Temperatures]:
    """The temperatures that `rerank` found on validation: over the queries, over a bank of training queries, or both.

    There is at most one of each kind. A search that gained nothing has none.
    """
    kinds: dict[bool, Temperatures] = {}
    for name in (NAME, BANK_NAME):
        path = folder / name
        if path.exists():
            temperatures = RerankRecord.read(path).temperatures
            if temperatures.active:
                kinds[temperatures.transductive] = temperatures
    return list(kinds.values())
