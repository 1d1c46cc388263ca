"""The leaderboard's rows, read from recorded runs and from nothing else.

Runs that differ only by seed are one row: their mean, their spread, and an interval over images and seeds. Where a seed
was run twice, the later run counts. Rows are ordered by validation, never by test. Runs on different data
(fingerprints) or test protocols are in different tables. Re-ranked results are rows of their own, marked transductive,
or inductive where a bank of training queries was used. Each row is compared with the first row of its table that is
re-ranked alike.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.config import method_name
from raytrain.errors import Problem
from raytrain.evaluation.ranking.chance import trivial_recalls
from raytrain.evaluation.reranking.change import lowered
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.accounting import Events, read_journals
from raytrain.review.board import METRICS, Board, Cost, Headline, Row, Scores, Split, table_key
from raytrain.review.charts.curves import NOT_SETTINGS, curves_of
from raytrain.review.comparison import compare_with_first, interval_of, kept_ranks
from raytrain.review.marks.budget import budget_of
from raytrain.review.marks.filed import LeftOut
from raytrain.review.marks.selection import is_trained_on, selected_on
from raytrain.review.marks.settings import settings_in_words
from raytrain.review.marks.unverified import evaluated_unverified
from raytrain.review.prices import Prices
from raytrain.review.runs import KINDS, Kind, ReviewedRun, runs_of
from raytrain.tracking.run_identity import code_of

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
    """The leaderboard of an experiment, or of all experiments in a storage."""
    skipped: list[Problem] = []
    return board_of(read_journals(Path(storage), experiment, skipped), prices, skipped)


def board_of(journals: Mapping[Path, Events], prices: Prices | None, skipped: list[Problem]) -> Board:
    """The leaderboard of the runs among the journals.

    Failed, pruned and unfinished runs are counted and have no row.

    Args:
        journals: as `read_journals` gives them.
        prices: per hour.
        skipped: what was left out of the journals; the problems of further files are added, and the board keeps it.
    """
    records = runs_of(journals, skipped)
    by_setting: dict[str, list[ReviewedRun]] = {}
    for run in records:
        if run.status == "finished" and run.val:
            by_setting.setdefault(_setting_key(run), []).append(run)
    left_out = [file for run in records for file in run.left_out]
    groups: list[RowRuns] = []
    for runs in by_setting.values():
        kept = {run.seed: run for run in _latest_per_seed(runs)}
        groups += _row_runs(list(kept.values()))
        left_out += [
            LeftOut(run.folder.name, "", f"seed {run.seed} of these settings counts from {kept[run.seed].folder.name}")
            for run in runs
            if run is not kept[run.seed]
        ]
    rows = [_row(group, _protocol_name(group, groups), prices) for group in groups]
    rows.sort(key=lambda row: (*table_key(row), -(row.val.rsum or 0), row.runs))
    counts = dict(Counter(run.status for run in records))
    curves = curves_of([row for row in rows if not is_trained_on(row.selection)])
    board = Board(rows, counts, curves, left_out, skipped)
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
    # without re-ranking the journal knows the best epoch, whether or not an evaluation was written
    plain_val: list[Mapping[str, float] | None] = [run.val for run in runs]
    val_metrics = plain_val if kind == "plain" else [v["metrics"] if v else None for v in val]
    test_metrics = [t["metrics"] if t else None for t in test]
    plain_tests = [run.evaluation(protocol) if protocol else None for run in runs]
    plain_test = [t["metrics"] if t else None for t in plain_tests]
    test_scores = _scores(test_metrics)
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
        views=None if "ensemble.members" in first.config else first.config.get("method.views", 1),
        composed="recall_at_1" in first.val,
        rerank=None if kind == "plain" else _temperatures([v["rerank"] for v in val if v]),
        transductive=kind == "transductive",
        seeds=sorted(run.seed for run in runs),
        runs=[run.name for run in runs],
        folders=[str(run.folder) for run in runs],
        val=_scores(val_metrics),
        test=test_scores,
        headline=_headline(test),
        interval=interval_of(split, ranks[split]),
        cost=_cost(runs, prices),
        epochs=max(run.epochs for run in runs),
        commit=" ".join(sorted({str(code_of(run.start) or "unknown") for run in runs})),
        config=first.config,
        ranks=ranks,
        selection=selected_on(first.config, first.start),
        openings=max(run.openings.of_run for run in runs),
        openings_in_all=max(run.openings.of_test for run in runs),
        chance={"val": _chance(val, first), "test": _chance(test)},
        gain={"val": _gain(plain_val, val_metrics), "test": _gain(plain_test, test_metrics)} if kind != "plain" else {},
        lowered={
            "val": lowered(_means(plain_val), _means(val_metrics)),
            "test": lowered(_means(plain_test), _means(test_metrics)),
        },
        budget=budget_of(first.record),
        unverified=_unverified(runs, [*val, *test]),
    )


def _unverified(runs: Sequence[ReviewedRun], evaluations: Sequence[Mapping[str, Any] | None]) -> str:
    """ "training, evaluation": in which of the two a row's features were read unverified; "" where in neither."""
    parts = {"training": any(run.unverified for run in runs), "evaluation": evaluated_unverified(evaluations)}
    return ", ".join(part for part, is_unverified in parts.items() if is_unverified)


def _means(metrics: Sequence[Mapping[str, float] | None]) -> dict[str, float]:
    """{name: mean over the runs} of the metrics that all runs have; {} where a run was not evaluated."""
    present = [of_run for of_run in metrics if of_run is not None]
    if not present or len(present) < len(metrics):
        return {}
    names = [name for name in present[0] if all(name in of_run for of_run in present)]
    return {name: statistics.fmean(of_run[name] for of_run in present) for name in names}


def _gain(before: Sequence[Mapping[str, float] | None], after: Sequence[Mapping[str, float] | None]) -> float | None:
    """Mean rsum after re-ranking minus that before; None where a run lacks one of the two."""
    rsum_before, rsum_after = _means(before).get("rsum"), _means(after).get("rsum")
    return None if rsum_before is None or rsum_after is None else rsum_after - rsum_before


def _chance(evaluations: Sequence[Mapping[str, Any] | None], run: ReviewedRun | None = None) -> dict[str, float]:
    """{metric: percent} that chance reaches, by the sizes in the evaluations, or else in the run's journal."""
    sized = next((e for e in evaluations if e and e.get("queries") and e.get("gallery")), None)
    if sized is not None:
        return trivial_recalls(sized["metrics"], sized["queries"], sized["gallery"])
    validation = run.start.get("validation") if run is not None else None
    if run is None or not isinstance(validation, Mapping):
        return {}
    queries, gallery = (_counts(validation.get(name)) for name in ("queries", "gallery"))
    return trivial_recalls(run.val, queries, gallery)


def _counts(sizes: object) -> dict[str, int]:
    """The whole numbers of a mapping in a journal, which may hold anything."""
    pairs = sizes.items() if isinstance(sizes, Mapping) else ()
    return {str(name): size for name, size in pairs if isinstance(size, int)}


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
    firsts = [next(place for place, row in enumerate(table) if row.reranking == other.reranking) for other in table]
    configs, methods = [row.config for row in table], [row.method for row in table]
    settings = settings_in_words(configs, methods, firsts, (*NOT_SETTINGS, *HAVE_A_COLUMN))
    rows = [
        replace(row, rank=rank, settings=words, unequal=_unequal(row, table[first]))
        for rank, (row, words, first) in enumerate(zip(table, settings, firsts, strict=True), start=1)
    ]
    for alike in dict.fromkeys(row.reranking for row in rows):
        places = [place for place, row in enumerate(rows) if row.reranking == alike]
        for place, comparison in zip(places, compare_with_first([rows[place] for place in places]), strict=True):
            rows[place] = replace(rows[place], comparison=comparison)
    return rows


def _unequal(row: Row, first: Row) -> str:
    """ "2 x the samples of row 1": how the budget of a row differs from that of the row that it is compared with."""
    return row.budget.against(first.budget) if row.budget and first.budget else ""
