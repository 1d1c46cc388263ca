"""The leaderboard as data: rows, the tables that they form, and the metrics that a row shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from raytrain.errors import Problem
from raytrain.review.marks.budget import Budget
from raytrain.review.marks.filed import LeftOut

Split = Literal["val", "test"]
SPLITS: tuple[Split, ...] = ("val", "test")
MetricGroup = tuple[str, tuple[str, ...]]
IMAGE_TEXT: tuple[MetricGroup, ...] = tuple(
    (title, tuple(f"{direction}/recall_at_{k}" for k in (1, 5, 10)))
    for direction, title in (("i2t", "image to text"), ("t2i", "text to image"))
)
COMPOSED: tuple[MetricGroup, ...] = (
    ("image and text to image", ("recall_at_1", "recall_at_10", "recall_at_50", "map_at_r")),
)
METRICS = tuple(name for _, names in (*IMAGE_TEXT, *COMPOSED) for name in names)
"""What a row shows beside its rsum; a row has the metrics of its own kind of query alone."""


@dataclass(frozen=True)
class Scores:
    """Means over the runs of a row on one split, in percent.

    Args:
        metrics: {name: mean} of METRICS; None where a run lacks the metric.
        rsum: sum of the recalls; None where a run was not evaluated.
        rsum_sd: standard deviation over seeds; None for one seed.
    """

    metrics: Mapping[str, float | None]
    rsum: float | None = None
    rsum_sd: float | None = None


@dataclass(frozen=True)
class Headline:
    """What stands for a protocol that has no rsum.

    Args:
        name: split and metric, such as "val cirr/mean_recall".
        value: mean over the runs; None where a run lacks it.
        sd: standard deviation over seeds; None for one seed.
    """

    name: str
    value: float | None
    sd: float | None


@dataclass(frozen=True)
class Coverage:
    """The chances that bounds and p cover.

    Args:
        seeds: training seeds; False where a row has one, whose training noise is then not covered.
        gallery: the items that queries are ranked against. None where queries and items are the same images, as in a
            table of images with captions.
    """

    seeds: bool = False
    gallery: bool | None = None

    @property
    def over(self) -> str:
        """ "images", "images and seeds", "queries, gallery items and seeds"."""
        first = "images" if self.gallery is None else "queries"
        more = [*(["gallery items"] if self.gallery else []), *(["seeds"] if self.seeds else [])]
        return ", ".join([first, *more[:-1]]) + "".join(f" and {last}" for last in more[-1:])

    @property
    def gaps(self) -> str:
        """ "training noise not covered", or "" where nothing is left out."""
        left_out = ["training noise"] if not self.seeds else []
        left_out += ["gallery items"] if self.gallery is False else []
        return f"{' and '.join(left_out)} not covered" if left_out else ""


@dataclass(frozen=True)
class Interval:
    """Bounds of rsum on `split`: 95 % over what `coverage` says, for this row alone, in percent points."""

    split: Split
    low: float
    high: float
    coverage: Coverage = Coverage()


@dataclass(frozen=True)
class Comparison:
    """rsum of a row minus that of the first row which is re-ranked alike.

    Args:
        rank: of that first row.
        split: where both were compared.
        difference, low, high: in percent points; the bounds of all rows compared hold at once in 95 % of tables.
        p: corrected alike, so that it is below 0.05 where the bounds leave out zero.
        coverage: of bounds and p.
    """

    rank: int
    split: Split
    difference: float
    low: float
    high: float
    p: float
    coverage: Coverage = Coverage()


@dataclass(frozen=True)
class Cost:
    """Means per run, over all workers of a run; `money` is None where a price is not known."""

    worker_seconds: float
    gpu_seconds: float
    cpu_seconds: float
    lost_seconds: float
    money: float | None
    currency: str | None


@dataclass(frozen=True)
class Row:
    """Runs that differ by seed alone, under one protocol, re-ranked in one way or not at all.

    Args:
        fingerprint: of the data, 12 digits.
        protocol: of the test split; "validation only" where no test split was opened.
        experiment: of its runs.
        method: as `raytrain.config.method_name` names it.
        views: K, embeddings per item; None of an ensemble, whose members have theirs.
        composed: whether queries are a reference and a text.
        rerank: the temperatures in words; None without re-ranking.
        transductive: whether a query was ranked knowing all the other queries.
        seeds: ascending.
        runs, folders: one per seed.
        val, test: scores; those of test are None where not every run was evaluated there.
        headline: of a protocol without rsum; None elsewhere.
        interval: of the test rsum, else of the validation rsum; None where ranks are missing.
        cost: means per run.
        epochs: that the longest of its runs trained.
        commit: of its runs, sorted, separated by spaces; "v0.2.0" of an installed raytrain, which has none.
        config: of its first run, flat, by dotted names.
        ranks: by split, of each run {"i2t": (N,), "t2i": (M,), ...}, as `read_ranks` gives them; None where a run's
            are missing or are of other queries.
        settings: in which the rows of its method differ, in words.
        rank: place in its table, from 1.
        comparison: with the first row that is re-ranked alike; None for that row, and where ranks are missing.
        selection: on what its best epochs were chosen, in words; "" for the split "val" that is not trained on.
        openings: of the test split by its runs and their weights, the most of any of them.
        openings_in_all: of the same test rows by any weights; 0 where they were not counted.
        chance: by split, {metric: percent that a random order reaches} where the gallery is so small that it is much.
        gain: by split, its rsum minus that of the same runs without re-ranking; None without re-ranking.
        lowered: by split, {metric: percent points} of the recalls and rsum that re-ranking lowered.
        budget: of its first run.
        unverified: "training", "evaluation" or "training, evaluation": where a run of it read features unverified; "".
        unequal: how the budget differs from that of the first row that is re-ranked alike, in words; "" where equal.
    """

    fingerprint: str
    protocol: str
    experiment: str | None
    method: str
    views: int | None
    composed: bool
    rerank: str | None
    transductive: bool
    seeds: list[int]
    runs: list[str]
    folders: list[str]
    val: Scores
    test: Scores
    headline: Headline | None
    interval: Interval | None
    cost: Cost
    epochs: int
    commit: str
    config: Mapping[str, Any] = field(repr=False)
    ranks: Mapping[Split, list[dict[str, np.ndarray]] | None] = field(repr=False, compare=False)
    settings: str = ""
    rank: int = 0
    comparison: Comparison | None = None
    selection: str = ""
    openings: int = 0
    openings_in_all: int = 0
    chance: Mapping[Split, Mapping[str, float]] = field(default_factory=dict)
    gain: Mapping[Split, float | None] = field(default_factory=dict)
    lowered: Mapping[Split, Mapping[str, float]] = field(default_factory=dict)
    budget: Budget | None = None
    unequal: str = ""
    unverified: str = ""

    def scores(self, split: Split) -> Scores:
        return self.test if split == "test" else self.val

    @property
    def reranking(self) -> str | None:
        """ "transductive", "inductive" (over a bank of training queries), or None without re-ranking."""
        if self.rerank is None:
            return None
        return "transductive" if self.transductive else "inductive"


Table = Sequence[Row]
"""Rows that compare with one another: of the same data and protocol, selected on the same split, best first."""


class CurvePoint(NamedTuple):
    """A row of a curve: value of the setting, validation rsum, seeds, and their standard deviation (None of one)."""

    value: float
    rsum: float
    seeds: int
    sd: float | None = None


class Curve(NamedTuple):
    """Rows of one method that differ in one number alone.

    Args:
        method: as in the rows.
        setting: dotted name of the number.
        points: in ascending order of their values.
    """

    method: str
    setting: str
    points: list[CurvePoint]


@dataclass(frozen=True)
class Board:
    """A leaderboard.

    Args:
        rows: best first within each table.
        counts: {status: runs}, those without a row included.
        curves: what one setting does, all else alike.
        left_out: evaluation files and runs that do not count, and why.
        skipped: lines and files of runs that are damaged and were left out.
    """

    rows: list[Row]
    counts: dict[str, int]
    curves: list[Curve] = field(default_factory=list)
    left_out: Sequence[LeftOut] = ()
    skipped: list[Problem] = field(default_factory=list)

    @property
    def tables(self) -> list[list[Row]]:
        """Rows that compare with one another."""
        keys = dict.fromkeys(table_key(row) for row in self.rows)
        return [[row for row in self.rows if table_key(row) == key] for key in keys]


def table_key(row: Row) -> tuple[str, ...]:
    """Equal for rows that compare with one another, and ordered as their tables are."""
    return row.fingerprint, row.protocol, row.selection


def main_split(table: Table) -> Split:
    """The split whose recalls a narrow table shows: test where any row was evaluated there."""
    return "test" if any(row.test.rsum is not None for row in table) else "val"
