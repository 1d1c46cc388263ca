"""`raytrain evaluate`: a run's best checkpoint on a split, by protocol, with and without what was searched for it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raytrain.data.table import AnySplit, QuerySplit, Table, open_split
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.protocols.cirr import submissions, write_submissions
from raytrain.evaluation.protocols.protocols import PARTIAL, Result
from raytrain.evaluation.report import write_evaluation
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.record import BANK_NAME, NAME, RerankRecord
from raytrain.methods.base import Method
from raytrain.run_evaluation.diagnose import diagnose
from raytrain.run_evaluation.rescore import bank_scores, pool_views_by
from raytrain.scoring.composed_queries import composed_queries
from raytrain.scoring.embed import embed_split
from raytrain.scoring.feed import Feed
from raytrain.scoring.protocol_runner import Scored, queries_for_protocol, split_result
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint, provenance
from raytrain.training.run import load_run, unchanged_table

Ranker = Callable[[Path, AnySplit, str], Result]
"""A finished checkpoint's folder, a split and a protocol -> what it says, found in another way than in this process."""


def evaluate_run(
    folder: str | os.PathLike[str],
    split: str = "val",
    protocol: str | None = None,
    annotations: str | os.PathLike[str] | None = None,
    ranker: Ranker | None = None,
    diagnostics: bool = False,
) -> dict[str, Any]:
    """Metrics of a run's best checkpoint on a split, without and, where temperatures were searched, with re-ranking.

    Opening the test split is counted and written to the run's journal.

    Args:
        folder: of the run.
        split: of the run's table.
        protocol: default `split/<split>`, the whole split.
        annotations: folder of the CSV files of CxC, for coco/cxc.
        ranker: ranks the split instead of this process; re-ranking, which needs all scores in one place, is left out.
        diagnostics: look at the embeddings and scores too (raytrain/run_evaluation/diagnose.py).

    Returns:
        {"protocol", "metrics", "headline": name of the metric that stands for it, "queries", "gallery", "notes",
        "fingerprint", "rerank": metrics or None, "inductive": metrics or None, "diagnostics": as `diagnose`
        or None, "files", "test_openings"}
    """
    protocol = protocol or f"split/{split}"
    if annotations is not None and protocol.removeprefix(PARTIAL) != "coco/cxc":
        raise UsageError(f"--annotations is for coco/cxc; {protocol} reads none")
    opened = _open_run(folder, split)
    rows = queries_for_protocol(open_split(opened.table, split, allow_test=True), protocol)
    seen = None
    if ranker is not None:
        if diagnostics:
            raise UsageError("diagnostics look at all scores in one place: leave --shards out")
        results: Iterable[Result] = [ranker(opened.saved.path, rows, protocol)]
    else:
        searched = _searched(opened, split)
        scored = opened.embed(rows, whole=bool(searched) or diagnostics)
        results = (
            split_result(_rescored(opened, scored, one), protocol, one, annotations) for one in (None, *searched)
        )
        seen = diagnose(scored, opened.feed) if diagnostics else None
    found: dict[str, Any] = {}
    files = []
    for result in results:
        also = {"diagnostics": seen} if seen and not result.rerank else {}
        file = write_evaluation(opened.folder, result, opened.facts | also)
        files.append(str(file))
        kind = "rerank" if result.transductive else "inductive" if result.inductive else "metrics"
        found[kind] = dict(result.metrics)
        opened.note(result, file.name)
    return {
        "run": str(opened.folder),
        "split": split,
        "protocol": result.protocol,
        "headline": result.headline,
        "queries": dict(result.queries),
        "gallery": dict(result.gallery),
        "notes": list(result.notes),
        "fingerprint": opened.table.fingerprint,
        "files": files,
        "test_openings": opened.facts["test_openings"],
        "rerank": None,
        "inductive": None,
        "diagnostics": seen,
        **found,
    }


def submit_run(folder: str | os.PathLike[str], split: str, out: str | os.PathLike[str]) -> dict[str, Any]:
    """The two files that CIRR's server scores, from a run's best checkpoint; the opening is counted and written.

    Args:
        folder: of the run.
        split: "test", which holds test1.
        out: folder of the two files.

    Returns:
        {"run", "split", "protocol", "files", "queries", "gallery", "fingerprint", "test_openings"}
    """
    opened = _open_run(folder, split)
    rows = open_split(opened.table, split, allow_test=True)
    source = opened.table.description.source.get("name")
    if not isinstance(rows, QuerySplit) or source != "cirr":
        raise UsageError(f"--submission is for a run on a table of the source cirr; this one is of {source}")
    scored = opened.embed(rows)
    files = write_submissions(submissions(scored.blocks(), composed_queries(rows)), out)
    opened.note(Result("cirr/test1", {}, {}, {}), files[0].name)
    return {
        "run": str(opened.folder),
        "split": split,
        "protocol": "cirr/test1",
        "files": [str(file) for file in files],
        "queries": {"query": len(rows)},
        "gallery": {"query": len(rows.items) - 1},
        "fingerprint": opened.table.fingerprint,
        "test_openings": opened.facts["test_openings"],
    }


@dataclass(frozen=True)
class _Opened:
    """A run whose best checkpoint may be evaluated, and what its evaluation files say of it."""

    folder: Path
    model: Method
    feed: Feed
    table: Table
    saved: checkpoint.Checkpoint
    facts: dict[str, Any]

    def embed(self, rows: AnySplit, whole: bool = False) -> Scored:
        """The split through the method; `whole`: the matrix of its scores is wanted anyway."""
        embedded = embed_split(self.model, rows, self.feed, default_device())
        return Scored(self.model, rows, *embedded, self.saved.config.evaluation.memory_mib, whole)

    def note(self, result: Result, file: str) -> None:
        """Write the evaluation into the run's journal."""
        split = self.facts["split"]
        kind = "rerank/" if result.transductive else "inductive/" if result.inductive else ""
        Journal(self.folder).write(
            "evaluation",
            split=split,
            protocol=result.protocol,
            metrics={f"{kind}{split}/{name}": value for name, value in result.metrics.items()},
            rerank=result.rerank.as_dict() if result.rerank else None,
            file=file,
            test_openings=self.facts["test_openings"],
        )


def _open_run(folder: str | os.PathLike[str], split: str) -> _Opened:
    """The run, after the checks that keep its test numbers honest."""
    folder = Path(folder).expanduser().resolve()
    if folder.name.startswith(checkpoint.PREFIX):
        raise UsageError(f"{folder.name} is a checkpoint; give its run, {folder.parent}, whose journal counts openings")
    journal = Journal(folder)
    end = journal.last("end")
    if split == "test" and checkpoint.best(folder) and (end is None or end["status"] not in ("finished", "pruned")):
        raise RefusedError(f"{folder.name} has not finished; the test split is for finished runs")
    model, feed, saved = load_run(folder)
    table = unchanged_table(saved)
    openings = sum(e["event"] == "evaluation" and e["split"] == "test" and not e["rerank"] for e in journal.read())
    facts = {
        "split": split,
        "fingerprint": table.fingerprint,
        "checkpoint": saved.path.name,
        "seed": saved.config.seed,
        "commit": provenance.commit(),
        "test_openings": openings + (split == "test"),
    }
    return _Opened(folder, model, feed, table, saved, facts)


def _searched(opened: _Opened, split: str) -> list[Temperatures]:
    """What was searched and holds for this split: a bank is of other queries than those that are ranked."""
    found = searched_temperatures(opened.folder)
    trained = split == opened.saved.config.data.train_split
    return [one for one in found if not (trained and any(one.bank_sizes))]


def _rescored(opened: _Opened, scored: Scored, temperatures: Temperatures | None) -> Scored:
    """The split with the scores that temperatures are for, and their bank of training queries."""
    rows = scored.split
    if temperatures is None or isinstance(rows, QuerySplit):
        return scored
    if temperatures.pooling:
        model = copy.copy(opened.model)  # shares its weights
        pool_views_by(model, temperatures.pooling)
        scored = replace(scored, model=model)
    if any(temperatures.bank_sizes):
        train = opened.table.split(opened.saved.config.data.train_split)
        sizes, seed, embedded = temperatures.bank_sizes, temperatures.bank_seed, (scored.query, scored.gallery)
        bank = bank_scores(scored.model, opened.feed, train, rows, sizes, seed, embedded)
        scored = replace(scored, bank=bank)
    return scored


def searched_temperatures(folder: Path) -> list[Temperatures]:
    """What `rerank` found on validation for this run: over the queries, over a bank of training queries, or both."""
    by_kind: dict[bool, Temperatures] = {}
    for name in (NAME, BANK_NAME):
        path = folder / name
        if path.exists():
            temperatures = RerankRecord.read(path).temperatures
            if temperatures.active:
                by_kind[temperatures.transductive] = temperatures  # a row of each kind
    return list(by_kind.values())
