"""The columns of the leaderboard: one list for text, Markdown, LaTeX, CSV, JSON and the HTML page.

To add, remove or change a column, edit COLUMNS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from raytrain.review.board import COMPOSED, IMAGE_TEXT, SPLITS, MetricGroup, Row, Split, Table, main_split
from raytrain.review.cell_text import (
    by_chance,
    comparison,
    comparison_bounds,
    covered,
    difference,
    gain,
    headline,
    headline_name,
    interval,
    interval_bounds,
    interval_header,
    lost,
    method_title,
    money,
    number,
    opened,
    reranking,
    run_names,
    short_commit,
    short_metric,
    with_spread,
)
from raytrain.review.column import DATA, EVERY, LINES, WIDE, Column, Form, PageCell, Text, Value, header_of


def columns_of(table: Table, form: Form) -> list[Column]:
    """The columns that a table shows in one form, in the order of COLUMNS, long ones last."""
    shown = [
        column
        for column in COLUMNS
        if form in column.forms
        and (column.split in (None, main_split(table)) or form in column.both_splits)
        and header_of(column, table)
        and (not column.optional or any(column.text(row) for row in table))
    ]
    return sorted(shown, key=lambda column: column.long)


def data_of(form: Literal["csv", "json"]) -> dict[str, Value]:
    """{name: value of a row} of every column that CSV or JSON has."""
    return {name: value for column in COLUMNS if form in column.forms for name, value in column.data.items()}


def as_dict(row: Row) -> dict[str, Any]:
    """A row as `raytrain leaderboard --json` prints it."""
    return {name: value(row) for name, value in data_of("json").items()}


def _metric_columns(split: Split, groups: Sequence[MetricGroup]) -> Iterator[Column]:
    """A column per group of metrics: "37.2 / 69.8 / 79.7" on a line, a cell per metric on the page."""
    for place, (title, names) in enumerate(groups):
        direction, _, _ = names[0].rpartition("/")
        ks = "/".join(name.rpartition("_")[2] for name in names if "recall_at_" in name)
        parts = [split if place == 0 else "", direction, f"R@{ks}", "mAP@R" if "map_at_r" in names else ""]
        metrics = {name: _metric(split, name) for name in names}

        def values(row: Row, names: Sequence[str] = names) -> str:
            numbers = [_number(split, name)(row) for name in names]
            return " / ".join(numbers) if any(numbers) else ""

        yield Column(
            f"{split} {title}",
            " ".join(part for part in parts if part),
            metrics[names[0]],
            values,
            fields={f"{split}/{name}": value for name, value in metrics.items()},
            forms=EVERY,
            split=split,
            both_splits=frozenset(("markdown", "page")),
            optional=True,
            page=[
                PageCell(
                    short_metric(name),
                    f"{split} {title}",
                    value,
                    _number(split, name),
                    hidden=lambda table: main_split(table) != split,
                )
                for name, value in metrics.items()
            ],
        )


def _metric(split: Split, name: str) -> Value:
    return lambda row: row.scores(split).metrics[name]


def _number(split: Split, name: str) -> Text:
    """ "37.2", or "100.0 (chance 90.1)" where the gallery is so small that the recall says little."""
    return lambda row: (text := number(row.scores(split).metrics[name])) and text + by_chance(row, split, name)


def _rsum_column(split: Split) -> Column:
    def between(row: Row) -> str:
        return interval_bounds(row) if row.interval and row.interval.split == split else ""

    return Column(
        f"{split}/rsum",
        f"{split} rsum",
        lambda row: row.scores(split).rsum,
        lambda row: with_spread(row.scores(split).rsum, row.scores(split).rsum_sd),
        fields={
            f"{split}/rsum": lambda row: row.scores(split).rsum,
            f"{split}/rsum_sd": lambda row: row.scores(split).rsum_sd,
        },
        forms=EVERY,
        split=split,
        both_splits=WIDE,
        optional=True,
        page=[PageCell("rsum", split, detail=between, macro="bar", narrow=lambda table: True)],
    )


def _without_gpu(table: Table) -> bool:
    return not any(row.cost.gpu_seconds for row in table)


COLUMNS: tuple[Column, ...] = (
    Column(
        "rank", "#", lambda row: row.rank, forms=EVERY, page=[PageCell("#", macro="rank", narrow=lambda table: True)]
    ),
    Column("fingerprint", "data", lambda row: row.fingerprint, forms=DATA),
    Column("protocol", "protocol", lambda row: row.protocol, forms=DATA),
    Column("experiment", "experiment", lambda row: row.experiment, forms=DATA),
    Column(
        "method", "method", lambda row: row.method, method_title, forms=EVERY,
        page=[
            PageCell(
                "Method", key=method_title, detail=run_names, tooltip=lambda row: ", ".join(row.runs), macro="method",
                left=True, narrow=lambda table: True,
            )
        ],
    ),
    Column("views", "K", lambda row: row.views, forms=EVERY),
    Column("composed", "composed", lambda row: row.composed, forms=frozenset(("json",))),
    Column("settings", "settings", lambda row: row.settings, forms=DATA | LINES, optional=True, long=True),
    Column("rerank", "FR", lambda row: row.rerank, forms=DATA | LINES, optional=True),
    Column(
        "transductive", "re-ranked", lambda row: row.transductive, reranking,
        forms=DATA | {"brief"}, optional=True,
    ),
    Column(
        "seeds", "seeds", lambda row: row.seeds, lambda row: str(len(row.seeds)),
        page=[
            PageCell(
                "Seeds", key=lambda row: len(row.seeds), tooltip=lambda row: f"seeds {', '.join(map(str, row.seeds))}"
            )
        ],
    ),
    *(
        column
        for split in SPLITS
        for column in (*_metric_columns(split, IMAGE_TEXT), *_metric_columns(split, COMPOSED), _rsum_column(split))
    ),
    Column(
        "headline", headline_name, lambda row: row.headline and row.headline.value, headline, forms=EVERY,
        fields={
            "headline": lambda row: row.headline and row.headline.name,
            "headline_value": lambda row: row.headline and row.headline.value,
            "headline_sd": lambda row: row.headline and row.headline.sd,
        },
        page=[PageCell(headline_name, "protocol", narrow=lambda table: True)],
    ),
    Column(
        "interval", interval_header, lambda row: row.interval and row.interval.low, interval, forms=EVERY - {"page"},
        fields={
            "interval_split": lambda row: row.interval and row.interval.split,
            "rsum_low": lambda row: row.interval and row.interval.low,
            "rsum_high": lambda row: row.interval and row.interval.high,
        },
    ),
    Column(
        "comparison", "against first", lambda row: row.comparison and row.comparison.difference, comparison,
        optional=True,
        fields={
            "first": lambda row: row.comparison and row.comparison.rank,
            "first_split": lambda row: row.comparison and row.comparison.split,
            "first_difference": lambda row: row.comparison and row.comparison.difference,
            "first_low": lambda row: row.comparison and row.comparison.low,
            "first_high": lambda row: row.comparison and row.comparison.high,
            "first_p": lambda row: row.comparison and row.comparison.p,
        },
        page=[
            PageCell(
                "rsum", "against first",
                text=difference,
                detail=comparison_bounds,
                tooltip=lambda row: f"to row {row.comparison.rank} on {row.comparison.split}" if row.comparison else "",
            )
        ],
    ),
    Column(
        "worker_seconds", "seconds",
        lambda row: row.cost.worker_seconds, lambda row: number(row.cost.worker_seconds, 0),
        page=[PageCell("Worker s", detail=lambda row: f"{lost(row)} lost" if lost(row) else "")],
    ),
    Column(
        "gpu_seconds", "GPU s", lambda row: row.cost.gpu_seconds, lambda row: number(row.cost.gpu_seconds, 0),
        page=[PageCell("GPU s", hidden=_without_gpu)],
    ),
    Column("cpu_seconds", "CPU s", lambda row: row.cost.cpu_seconds, forms=DATA),
    Column("lost_seconds", "lost s", lambda row: row.cost.lost_seconds, lost, forms=DATA | LINES, optional=True),
    Column(
        "money", "money", lambda row: row.cost.money, money, optional=True,
        fields={"money": lambda row: row.cost.money, "currency": lambda row: row.cost.currency},
        page=[PageCell("Money", left=True)],
    ),
    Column("epochs", "epochs", lambda row: row.epochs, forms=DATA),
    Column(
        "commit", "commit", lambda row: row.commit, short_commit,
        page=[
            PageCell("Commit", tooltip=lambda row: row.commit, macro="code", left=True, hidden=lambda table: True)
        ],
    ),
    Column("runs", "runs", lambda row: row.runs, run_names, forms=DATA | {"brief"}),
    Column("folders", "folders", lambda row: row.folders, forms=DATA),
    Column(
        "over", "over", lambda row: row.interval and covered(row.interval.coverage), forms=DATA,
        fields={
            "interval_over": lambda row: row.interval and covered(row.interval.coverage),
            "first_over": lambda row: row.comparison and covered(row.comparison.coverage),
        },
    ),
    Column(
        "gain", "FR gain", lambda row: row.gain.get("test"), gain, optional=True,
        fields={
            "rerank_gain/val": lambda row: row.gain.get("val"),
            "rerank_gain/test": lambda row: row.gain.get("test"),
            "rerank_lowers_test": lambda row: dict(row.lowered.get("test", {})),
        },
        page=[PageCell("FR gain", macro="words", left=True)],
    ),
    Column(
        "unequal", "budget", lambda row: row.unequal, optional=True,
        page=[PageCell("Budget", macro="words", left=True)],
    ),
    Column("unverified", "unverified in", lambda row: row.unverified, optional=True),
    Column(
        "openings", "test opened", lambda row: row.openings, opened, optional=True,
        page=[PageCell("Test opened", hidden=lambda table: True)],
        fields={"test_openings": lambda row: row.openings, "test_openings_in_all": lambda row: row.openings_in_all},
    ),
    Column("selection", "selected on", lambda row: row.selection, forms=DATA),
    Column(
        "chance", "chance",
        lambda row: {f"{split}/{name}": value for split in SPLITS for name, value in row.chance.get(split, {}).items()},
        forms=DATA,
    ),
)  # fmt: skip
