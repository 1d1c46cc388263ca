"""The leaderboard: rows made from recorded runs, and from nothing else.

Runs that differ only by seed are one row: their mean, their spread, and an interval over queries in which each query
counts with the share of seeds that answered it. Of a seed that was run twice the later run counts. Rows are ordered
by validation, never by test. Runs on different data (fingerprints) or test protocols are in different tables.
Re-ranked results are rows of their own, marked transductive, or inductive where a bank of training queries was used.
Each row is tested against the first of its table that is re-ranked as it is, or is not.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.significance import recall_intervals
from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.review.comparison import against_first, kept_ranks
from raytrain.review.curves import NOT_SETTINGS, Curve, curves_of
from raytrain.review.prices import Prices
from raytrain.review.runs import KINDS, Kind, ReviewedRun, read_runs

Group = tuple[str, tuple[str, ...]]
IMAGE_TEXT: tuple[Group, ...] = tuple(
    (title, tuple(f"{direction}/recall_at_{k}" for k in (1, 5, 10)))
    for direction, title in (("i2t", "image to text"), ("t2i", "text to image"))
)
COMPOSED: tuple[Group, ...] = (
    ("image and text to image", ("recall_at_1", "recall_at_10", "recall_at_50", "map_at_r")),
)
"""What a row shows beside its rsum, by what its queries are."""
METRICS = tuple(name for group in (*IMAGE_TEXT, *COMPOSED) for name in group[1])
UNTOLD = ("method.kind", "method.views")  # columns of their own


@dataclass(frozen=True)
class Board:
    """The rows, best first within each table, how many runs of which status there were, and what one setting does."""

    rows: list[dict[str, Any]]
    counts: dict[str, int]
    curves: list[Curve] = field(default_factory=list)

    @property
    def tables(self) -> list[list[dict[str, Any]]]:
        """Rows that may be compared with one another."""
        keys = dict.fromkeys((row["fingerprint"], row["protocol"]) for row in self.rows)
        return [[row for row in self.rows if (row["fingerprint"], row["protocol"]) == key] for key in keys]


def rows(storage: str | os.PathLike[str], experiment: str | None = None) -> list[dict[str, Any]]:
    """The rows of `read_board`."""
    return read_board(storage, experiment).rows


def read_board(storage: str | os.PathLike[str], experiment: str | None = None, prices: Prices | None = None) -> Board:
    """Rows and counts of an experiment, or of all experiments in a storage.

    A row has: rank, fingerprint (12 digits), protocol, experiment, method, views, settings (what differs between rows
    of one method), rerank (text or None), transductive, seeds, runs, folders, val/... and test/... METRICS and rsum in
    percent (None where not every run of the row was evaluated, or the metric is of another kind of query),
    val/rsum_sd and test/rsum_sd over seeds (None for one), headline (split and metric that stand for a protocol without
    rsum, such as "val cirr/mean_recall", or None), headline_value and headline_sd, interval_split, rsum_low and
    rsum_high (95 % over queries), first, first_split, first_difference, first_low, first_high and first_p (see
    `against_first`), worker_seconds, gpu_seconds, cpu_seconds, lost_seconds and money (mean a run; money is None where
    a price is not known), currency, epochs, commit. Failed, pruned and unfinished runs are counted and have no row.
    """
    runs = read_runs(storage, experiment)
    groups: dict[str, list[ReviewedRun]] = {}
    for run in runs:
        if run.status == "finished" and run.val:
            groups.setdefault(_same_but_seed(run), []).append(run)
    found = []
    for same in groups.values():
        group = _one_a_seed(same)
        protocols = {e["protocol"] for run in group for e in run.evaluations if e.get("split") == "test" or _named(e)}
        for protocol in sorted(protocols) or [None]:
            for kind in KINDS:
                same_kind = [run for run in group if kind == "plain" or run.evaluation(run.val_protocol, kind)]
                if same_kind:
                    found.append(_row(same_kind, protocol, kind) | _costs(same_kind, prices))
    _name_protocols(found)
    found.sort(key=lambda row: (row["fingerprint"], row["protocol"], -(row["val/rsum"] or 0), row["runs"]))
    board = Board(found, dict(Counter(run.status for run in runs)), curves_of(found))
    for table in board.tables:
        _tell_settings(table)
        for rank, row in enumerate(table, start=1):
            row["rank"] = rank
        for alike in dict.fromkeys(_reranked(row) for row in table):
            against_first([row for row in table if _reranked(row) == alike])
        for row in table:
            del row["config"], row["ranks"]
    return board


def write_leaderboard(
    storage: str | os.PathLike[str],
    experiment: str | None = None,
    out: str | os.PathLike[str] | None = None,
    prices: Prices | None = None,
) -> dict[str, Any]:
    """Print the table and write leaderboard.md, .csv and .html.

    Args:
        storage: folder that holds experiments.
        experiment: one of them; None takes all.
        out: folder for the files; None takes the storage.
        prices: of an hour, for money beside the seconds.

    Returns:
        {"rows": [...], "counts": {...}, "sweeps": what each took, "paths": [...]}
    """
    from raytrain.review.page import to_html
    from raytrain.review.plots import read_sweeps
    from raytrain.review.tables import to_csv, to_markdown, to_text

    board = read_board(storage, experiment, prices)
    costs = sweep_costs(read_journals(Path(storage), experiment), prices)
    print(to_text(board))
    folder = Path(out if out is not None else storage).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    page = to_html(board, read_sweeps(storage, experiment), costs)
    for name, text in (("md", to_markdown(board)), ("csv", to_csv(board)), ("html", page)):
        path = folder / f"leaderboard.{name}"
        part = path.with_name(f"{path.name}.part")
        part.write_text(text, encoding="utf-8", newline="")
        os.replace(part, path)
        paths.append(str(path))
    return {
        "rows": board.rows,
        "counts": board.counts,
        "sweeps": [cost.as_dict() for cost in costs],
        "paths": paths,
    }


def _same_but_seed(run: ReviewedRun) -> str:
    settings = {name: value for name, value in run.config.items() if name not in NOT_SETTINGS}
    return json.dumps([run.start.get("fingerprint"), run.start.get("experiment"), settings], sort_keys=True)


def _one_a_seed(runs: Sequence[ReviewedRun]) -> list[ReviewedRun]:
    """The latest run of each seed, of those that were evaluated on test where there are any; by seed.

    The same run twice is one result, and which of the two counts must not depend on how good it was.
    """
    kept: dict[int, ReviewedRun] = {}
    for run in sorted(runs, key=lambda run: (any(e.get("split") == "test" for e in run.evaluations), run.started)):
        kept[run.seed] = run
    return [kept[seed] for seed in sorted(kept)]


def _row(group: Sequence[ReviewedRun], protocol: str | None, kind: Kind) -> dict[str, Any]:
    first = group[0]
    val = [run.evaluation(run.val_protocol, kind) for run in group]
    test = [run.evaluation(protocol, kind) if protocol else None for run in group]
    if kind != "plain":  # temperatures may have been searched again since the test was scored
        test = [t if t and v and t.get("rerank") == v.get("rerank") else None for t, v in zip(test, val, strict=True)]
    # without re-ranking the journal knows the best epoch, whether or not an evaluation was written
    val_metrics = [run.val for run in group] if kind == "plain" else [v["metrics"] if v else None for v in val]
    row: dict[str, Any] = {
        "rank": 0,
        "fingerprint": str(first.start.get("fingerprint") or "unknown")[:12],
        "protocol": protocol,
        "experiment": first.start.get("experiment"),
        "method": _method(first.config),
        "views": first.config.get("method.views", 1),
        "composed": "recall_at_1" in first.val,
        "settings": "",
        "rerank": None if kind == "plain" else _told({json.dumps(v["rerank"], sort_keys=True) for v in val if v}),
        "transductive": kind == "transductive",
        "seeds": sorted(run.seed for run in group),
        "runs": [run.name for run in group],
        "folders": [str(run.folder) for run in group],
        "config": first.config,
    }
    for split, metrics in (("val", val_metrics), ("test", [t["metrics"] if t else None for t in test])):
        row |= _means(split, metrics)
    row |= _headline(test)
    row["ranks"] = {"val": kept_ranks(val), "test": kept_ranks(test) if row["test/rsum"] is not None else None}
    split = "test" if row["test/rsum"] is not None else "val"
    ranks = row["ranks"][split]
    low, high = recall_intervals(ranks)["rsum"] if ranks else (None, None)
    row |= {"interval_split": split if ranks else None, "rsum_low": low, "rsum_high": high}
    row["epochs"] = max(run.epochs for run in group)
    row["commit"] = " ".join(sorted({str(run.start.get("commit") or "unknown") for run in group}))
    return row


def _costs(group: Sequence[ReviewedRun], prices: Prices | None) -> dict[str, Any]:
    """Means a run; money is None where the price of one is not known."""
    units = ("worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds")
    money = [run.usage.money(prices) for run in group]
    known = [one for one in money if one is not None]
    return {unit: statistics.fmean(getattr(run.usage, unit) for run in group) for unit in units} | {
        "money": statistics.fmean(known) if len(known) == len(money) else None,
        "currency": prices.currency if prices else None,
    }


def groups(row: Mapping[str, Any]) -> tuple[Group, ...]:
    """The metrics that a row shows, in groups."""
    return COMPOSED if row["composed"] else IMAGE_TEXT


def _means(split: str, metrics: Sequence[Mapping[str, float] | None]) -> dict[str, Any]:
    """Means over the runs of a row, and the spread of rsum; None throughout where a run is missing."""
    whole = [one for one in metrics if one is not None and "rsum" in one]
    complete = len(whole) == len(metrics)
    means: dict[str, Any] = {
        f"{split}/{name}": statistics.fmean(one[name] for one in whole)
        if complete and all(name in one for one in whole)
        else None
        for name in (*METRICS, "rsum")
    }
    sums = [one["rsum"] for one in whole]
    return means | {f"{split}/rsum_sd": statistics.stdev(sums) if complete and len(sums) > 1 else None}


def _named(evaluation: Mapping[str, Any]) -> str | None:
    """ "val mean_recall": split and metric that stand for a protocol without rsum; None for one that has it."""
    headline = evaluation.get("headline", "rsum")
    return None if headline == "rsum" else f"{evaluation.get('split')} {headline}"


def _headline(evaluations: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """What stands for the row's protocol where it has no rsum; its mean and spread over the runs."""
    names = {_named(one) for one in evaluations if one is not None}
    name = names.pop() if len(names) == 1 else None
    values = [one["metrics"].get(one["headline"]) for one in evaluations if one is not None and name]
    complete = bool(values) and len(values) == len(evaluations) and None not in values
    return {
        "headline": name,
        "headline_value": statistics.fmean(values) if complete else None,
        "headline_sd": statistics.stdev(values) if complete and len(values) > 1 else None,
    }


def _reranked(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a row is re-ranked, and whether with all queries at hand."""
    return row["rerank"] is not None, row["transductive"]


def _method(config: Mapping[str, Any]) -> str:
    """The method's kind; the baselines of composed retrieval are known by their composition."""
    kind = str(config.get("method.kind", "unknown"))
    return f"composed/{config.get('method.composition')}" if kind == "composed" else kind


def _told(settings: Iterable[str]) -> str:
    """Temperatures in a few words."""
    told = set()
    for text in settings:
        one = Temperatures.from_dict(json.loads(text) or {})
        told.add(one.told() + ("" if one.transductive else " (inductive)"))
    if len(told) == 1:
        return told.pop()
    return "temperatures of each run" + (" (inductive)" if all("(inductive)" in text for text in told) else "")


def _name_protocols(found: Sequence[dict[str, Any]]) -> None:
    """Rows that never opened the test split stand beside those that did, unless these used several protocols."""
    for row in found:
        if row["protocol"] is None:
            others = {r["protocol"] for r in found if r["fingerprint"] == row["fingerprint"]} - {
                None,
                "validation only",
            }
            row["protocol"] = next(iter(others)) if len(others) == 1 else "validation only"


def _tell_settings(table: Sequence[dict[str, Any]]) -> None:
    """Write into each row the settings in which its method's rows differ."""
    for method in {row["method"] for row in table}:
        mine = [row for row in table if row["method"] == method]
        names = dict.fromkeys(name for row in mine for name in row["config"])
        told = [
            name
            for name in names
            if name not in (*NOT_SETTINGS, *UNTOLD) and len({json.dumps(row["config"].get(name)) for row in mine}) > 1
        ]
        for row in mine:
            parts = (
                f"{name.rpartition('.')[2]}={_short(row['config'][name])}" for name in told if name in row["config"]
            )
            row["settings"] = ", ".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
