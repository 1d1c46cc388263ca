"""The leaderboard's rows, read from recorded runs and from nothing else.

Runs that differ only by seed are one row: their mean, their spread, and an interval over queries in which each query
counts with the share of seeds that answered it. Where a seed was run twice, the later run counts. Rows are ordered
by validation, never by test. Runs on different data (fingerprints) or test protocols are in different tables.
Re-ranked results are rows of their own, marked transductive, or inductive where a bank of training queries was used.
Each row is compared with the first row of its table that is re-ranked alike.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from raytrain.config import method_name
from raytrain.errors import Problem
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.significance import recall_intervals
from raytrain.review.board import METRICS, Board, Cost, Headline, Interval, Row, Scores, Split
from raytrain.review.comparison import compare_with_first, kept_ranks
from raytrain.review.curves import NOT_SETTINGS, curves_of
from raytrain.review.prices import Prices
from raytrain.review.runs import KINDS, Kind, ReviewedRun, read_runs

HAVE_A_COLUMN = ("method.kind", "method.views")
"""Fields that the settings of a row leave out."""


class RowRuns(NamedTuple):
    """The runs of one row, one per seed; the test protocol, None where no test split was opened; how re-ranked."""

    runs: Sequence[ReviewedRun]
    protocol: str | None
    kind: Kind

    @property
    def fingerprint(self) -> str:
        """Of the data, 12 digits."""
        return str(self.runs[0].start.get("fingerprint") or "unknown")[:12]


def read_board(storage: str | os.PathLike[str], experiment: str | None = None, prices: Prices | None = None) -> Board:
    """The leaderboard of an experiment, or of all experiments in a storage.

    Failed, pruned and unfinished runs are counted and have no row.
    """
    skipped: list[Problem] = []
    records = read_runs(storage, experiment, skipped)
    by_setting: dict[str, list[ReviewedRun]] = {}
    for run in records:
        if run.status == "finished" and run.val:
            by_setting.setdefault(_setting_key(run), []).append(run)
    groups = [group for runs in by_setting.values() for group in _row_runs(_latest_per_seed(runs))]
    rows = [_row(group, _protocol_name(group, groups), prices) for group in groups]
    rows.sort(key=lambda row: (row.fingerprint, row.protocol, -(row.val.rsum or 0), row.runs))
    board = Board(rows, dict(Counter(run.status for run in records)), curves_of(rows), skipped)
    return replace(board, rows=[row for table in board.tables for row in _placed(table)])


def _setting_key(run: ReviewedRun) -> str:
    """Equal for runs that differ by seed alone."""
    settings = {name: value for name, value in run.config.items() if name not in NOT_SETTINGS}
    return json.dumps([run.start.get("fingerprint"), run.start.get("experiment"), settings], sort_keys=True)


def _latest_per_seed(runs: Sequence[ReviewedRun]) -> list[ReviewedRun]:
    """The latest run of each seed, of those that were evaluated on test where there are any; by seed.

    The same run twice is one result, and which of the two counts must not depend on how good it was.
    """
    kept: dict[int, ReviewedRun] = {}
    for run in sorted(runs, key=lambda run: (any(e.get("split") == "test" for e in run.evaluations), run.started)):
        kept[run.seed] = run
    return [kept[seed] for seed in sorted(kept)]


def _row_runs(runs: Sequence[ReviewedRun]) -> Iterable[RowRuns]:
    """The rows of runs that differ by seed alone: one per test protocol and way of re-ranking."""
    evaluations = [evaluation for run in runs for evaluation in run.evaluations]
    protocols = {e["protocol"] for e in evaluations if e.get("split") == "test" or _headline_name(e)}
    for protocol in sorted(protocols) or [None]:
        for kind in KINDS:
            same_kind = [run for run in runs if kind == "plain" or run.evaluation(run.val_protocol, kind)]
            if same_kind:
                yield RowRuns(same_kind, protocol, kind)


def _protocol_name(group: RowRuns, groups: Sequence[RowRuns]) -> str:
    """The protocol of its table.

    Rows that never opened the test split stand beside those that did, unless these used several protocols.
    """
    if group.protocol is not None:
        return group.protocol
    others = {other.protocol for other in groups if other.fingerprint == group.fingerprint} - {None}
    return str(others.pop()) if len(others) == 1 else "validation only"


def _row(group: RowRuns, protocol_name: str, prices: Prices | None) -> Row:
    """The row but for what depends on its table: settings, rank and comparison."""
    runs, protocol, kind = group
    first = runs[0]
    val = [run.evaluation(run.val_protocol, kind) for run in runs]
    test = [run.evaluation(protocol, kind) if protocol else None for run in runs]
    if kind != "plain":  # temperatures may have been searched again since the test was scored
        test = [t if t and v and t.get("rerank") == v.get("rerank") else None for t, v in zip(test, val, strict=True)]
    # without re-ranking the journal knows the best epoch, whether or not an evaluation was written
    val_metrics = [run.val for run in runs] if kind == "plain" else [v["metrics"] if v else None for v in val]
    test_scores = _scores([t["metrics"] if t else None for t in test])
    ranks: dict[Split, Any] = {
        "val": kept_ranks(val),
        "test": kept_ranks(test) if test_scores.rsum is not None else None,
    }
    split: Split = "test" if test_scores.rsum is not None else "val"
    return Row(
        fingerprint=group.fingerprint,
        protocol=protocol_name,
        experiment=first.start.get("experiment"),
        method=method_name(first.config),
        views=first.config.get("method.views", 1),
        composed="recall_at_1" in first.val,
        rerank=None if kind == "plain" else _temperatures([v["rerank"] for v in val if v]),
        transductive=kind == "transductive",
        seeds=sorted(run.seed for run in runs),
        runs=[run.name for run in runs],
        folders=[str(run.folder) for run in runs],
        val=_scores(val_metrics),
        test=test_scores,
        headline=_headline(test),
        interval=Interval(split, *recall_intervals(ranks[split])["rsum"]) if ranks[split] else None,
        cost=_cost(runs, prices),
        epochs=max(run.epochs for run in runs),
        commit=" ".join(sorted({str(run.start.get("commit") or "unknown") for run in runs})),
        config=first.config,
        ranks=ranks,
    )


def _scores(metrics: Sequence[Mapping[str, float] | None]) -> Scores:
    """Means over the runs of a row, and the spread of rsum; None throughout where a run is missing."""
    present = [of_run for of_run in metrics if of_run is not None and "rsum" in of_run]
    if len(present) < len(metrics):
        return Scores(dict.fromkeys(METRICS))
    means = {
        name: statistics.fmean(of_run[name] for of_run in present)
        if all(name in of_run for of_run in present)
        else None
        for name in METRICS
    }
    sums = [of_run["rsum"] for of_run in present]
    return Scores(means, statistics.fmean(sums), statistics.stdev(sums) if len(sums) > 1 else None)


def _headline_name(evaluation: Mapping[str, Any]) -> str | None:
    """ "val mean_recall": split and metric that stand for a protocol without rsum; None for one that has it."""
    metric = evaluation.get("headline", "rsum")
    return None if metric == "rsum" else f"{evaluation.get('split')} {metric}"


def _headline(evaluations: Sequence[Mapping[str, Any] | None]) -> Headline | None:
    """What stands for the row's protocol where it has no rsum; its value is None where a run lacks it."""
    names = {_headline_name(evaluation) for evaluation in evaluations if evaluation is not None}
    name = names.pop() if len(names) == 1 else None
    if name is None:
        return None
    values = [e["metrics"].get(e["headline"]) for e in evaluations if e is not None]
    if len(values) < len(evaluations) or None in values:
        return Headline(name, None, None)
    return Headline(name, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _cost(runs: Sequence[ReviewedRun], prices: Prices | None) -> Cost:
    money = [run.usage.money(prices) for run in runs]
    priced = [amount for amount in money if amount is not None]
    return Cost(
        worker_seconds=statistics.fmean(run.usage.worker_seconds for run in runs),
        gpu_seconds=statistics.fmean(run.usage.gpu_seconds for run in runs),
        cpu_seconds=statistics.fmean(run.usage.cpu_seconds for run in runs),
        lost_seconds=statistics.fmean(run.usage.lost_seconds for run in runs),
        money=statistics.fmean(priced) if len(priced) == len(money) else None,
        currency=prices.currency if prices else None,
    )


def _temperatures(settings: Sequence[Mapping[str, Any]]) -> str:
    """The re-ranking of a row's runs in words."""
    words = set()
    for setting in settings:
        temperatures = Temperatures.from_dict(setting or {})
        words.add(temperatures.describe() + ("" if temperatures.transductive else " (inductive)"))
    if len(words) == 1:
        return words.pop()
    return "temperatures of each run" + (" (inductive)" if all("(inductive)" in text for text in words) else "")


def _placed(table: Sequence[Row]) -> list[Row]:
    """The rows of one table with their settings, ranks and comparisons."""
    rows = [
        replace(row, rank=rank, settings=settings)
        for rank, (row, settings) in enumerate(zip(table, _settings(table), strict=True), start=1)
    ]
    for alike in dict.fromkeys(row.reranking for row in rows):
        places = [place for place, row in enumerate(rows) if row.reranking == alike]
        for place, comparison in zip(places, compare_with_first([rows[place] for place in places]), strict=True):
            rows[place] = replace(rows[place], comparison=comparison)
    return rows


def _settings(table: Sequence[Row]) -> list[str]:
    """Of each row the settings in which the rows of its method differ: "margin=0.2, lr=0.001"."""
    differing = {
        method: _differing([row for row in table if row.method == method]) for method in {r.method for r in table}
    }
    return [
        ", ".join(
            f"{name.rpartition('.')[2]}={_short(row.config[name])}"
            for name in differing[row.method]
            if name in row.config
        )
        for row in table
    ]


def _differing(rows: Sequence[Row]) -> list[str]:
    """Names of the fields in which rows of one method differ, without those that have a column of their own."""
    names = dict.fromkeys(name for row in rows for name in row.config)
    return [
        name
        for name in names
        if name not in (*NOT_SETTINGS, *HAVE_A_COLUMN) and len({json.dumps(row.config.get(name)) for row in rows}) > 1
    ]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
