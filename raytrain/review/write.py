"""The leaderboard as a value that becomes files, and text for a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from raytrain.errors import Problem, distinct
from raytrain.files import replacing
from raytrain.review.accounting import Events, SweepCost, read_journals, sweep_costs
from raytrain.review.board import Board, Row
from raytrain.review.columns import as_dict
from raytrain.review.contact_sheets.of_report import contact_sheets_of
from raytrain.review.leaderboard import board_of
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.pages.report_page import report_html
from raytrain.review.prices import Prices
from raytrain.review.report.report import report_of_row
from raytrain.review.tables import to_csv, to_latex, to_markdown, to_text
from raytrain.review.trials import Sweep, sweeps_of

REPORTS = "reports"
"""Folder beside the leaderboard's files, with a folder per experiment and a page per row's runs."""


@dataclass(frozen=True)
class Leaderboard:
    """Recorded runs, ranked: a value that becomes text, files, or a DataFrame.

    Attributes:
        rows: {column: value} of each row, such as "method", "val/rsum", "test/i2t/recall_at_1" and "seeds", in the
            order of their tables; `pandas.DataFrame(board.rows)` takes them.
        counts: {status: number of runs}.
        left_out: {"run", "file", "why"} of each run or file that no row counts.
        sweeps: what each sweep took.
        board: the tables as values of `raytrain.review`.
    """

    rows: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]
    left_out: Sequence[Mapping[str, Any]]
    sweeps: Sequence[Mapping[str, Any]]
    board: Board = field(repr=False)
    _journals: Mapping[Path, Events] = field(repr=False)
    _costs: Sequence[SweepCost] = field(repr=False)
    _trials: Mapping[str, Sweep] = field(repr=False)

    @property
    def text(self) -> str:
        """The tables for a terminal."""
        return to_text(self.board)

    @property
    def skipped(self) -> list[dict[str, object]]:
        """Damaged lines and files that were left out: {"file", "row", "what", "fix", ...} of each."""
        return [problem.as_dict() for problem in distinct(self.board.skipped)]

    def write(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write leaderboard.md, .csv, .tex and .html, and a report of each row's runs in reports/; their paths.

        Args:
            folder: for the files; made where it is missing.
        """
        folder = Path(folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        reports = _write_reports(folder, self.board, self._journals, self.board.skipped)
        page = to_html(self.board, self._trials, self._costs, reports)
        files = {
            "md": to_markdown(self.board),
            "csv": to_csv(self.board),
            "tex": to_latex(self.board),
            "html": page,
        }
        paths = []
        for suffix, text in files.items():
            path = folder / f"leaderboard.{suffix}"
            _write(path, text)
            paths.append(str(path))
        return paths


def read_leaderboard(
    storage: str | os.PathLike[str], experiment: str | None = None, prices: Prices | None = None
) -> Leaderboard:
    """The leaderboard of the runs in a storage.

    Args:
        storage: folder that holds experiments.
        experiment: one of them; None takes all.
        prices: per hour, for money beside the seconds.
    """
    skipped: list[Problem] = []
    journals = read_journals(Path(storage), experiment, skipped)  # once: runs may be writing
    board = board_of(journals, prices, skipped)
    costs = sweep_costs(journals, prices)
    return Leaderboard(
        rows=[as_dict(row) for row in board.rows],
        counts=board.counts,
        left_out=[left._asdict() for left in board.left_out],
        sweeps=[cost.as_dict() for cost in costs],
        board=board,
        _journals=journals,
        _costs=costs,
        _trials=sweeps_of(journals, skipped),
    )


def _write_reports(
    folder: Path, board: Board, journals: Mapping[Path, Events], skipped: list[Problem]
) -> dict[str, str]:
    """Write a report of each row's runs, with contact sheets where `evaluate --sheet` made some.

    Returns:
        {folder of a row's first run: address of its report, relative to `folder`}
    """
    rows: dict[str, list[Row]] = {}
    for row in board.rows:
        rows.setdefault(row.folders[0], []).append(row)
    addresses = {}
    for first, of_runs in rows.items():
        run = Path(first)
        path = folder / REPORTS / run.parent.name / f"{run.name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        report = report_of_row(of_runs, board, journals)
        _write(path, report_html(report, contact_sheets_of(report, skipped)))
        addresses[first] = quote(f"{REPORTS}/{run.parent.name}/{path.name}")
    return addresses


def _write(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
