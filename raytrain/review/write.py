"""The leaderboard's files, and its tables in the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from raytrain.errors import Problem, distinct
from raytrain.files import replacing
from raytrain.review.accounting import Events, read_journals, sweep_costs
from raytrain.review.board import Board, Row
from raytrain.review.columns import as_dict
from raytrain.review.contact_sheets.of_report import contact_sheets_of
from raytrain.review.leaderboard import board_of
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.pages.report_page import report_html
from raytrain.review.prices import Prices
from raytrain.review.report.report import report_of_row
from raytrain.review.tables import to_csv, to_latex, to_markdown, to_text
from raytrain.review.trials import sweeps_of

REPORTS = "reports"
"""Folder beside the leaderboard's files, with a folder per experiment and a page per row's runs."""


def write_leaderboard(
    storage: str | os.PathLike[str],
    experiment: str | None = None,
    out: str | os.PathLike[str] | None = None,
    prices: Prices | None = None,
) -> dict[str, Any]:
    """Print the tables and write leaderboard.md, .csv, .tex and .html, and a report of each row's runs in reports/.

    Args:
        storage: folder that holds experiments.
        experiment: one of them; None takes all.
        out: folder for the files; None takes the storage.
        prices: per hour, for money beside the seconds.

    Returns:
        {"rows": [...], "counts": {...}, "left_out": [{"run", "file", "why"}, ...], "sweeps": what each took, "paths":
        [...], "skipped": damaged lines and files}
    """
    skipped: list[Problem] = []
    journals = read_journals(Path(storage), experiment, skipped)  # once: runs may be writing
    board = board_of(journals, prices, skipped)
    costs = sweep_costs(journals, prices)
    sweeps = sweeps_of(journals, skipped)
    print(to_text(board))
    folder = Path(out if out is not None else storage).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    reports = _write_reports(folder, board, journals, skipped)
    page = to_html(board, sweeps, costs, reports)
    files = {
        "md": to_markdown(board),
        "csv": to_csv(board),
        "tex": to_latex(board),
        "html": page,
    }
    paths = []
    for suffix, text in files.items():
        path = folder / f"leaderboard.{suffix}"
        _write(path, text)
        paths.append(str(path))
    return {
        "rows": [as_dict(row) for row in board.rows],
        "counts": board.counts,
        "left_out": [left._asdict() for left in board.left_out],
        "sweeps": [cost.as_dict() for cost in costs],
        "paths": paths,
        "skipped": [problem.as_dict() for problem in distinct(board.skipped)],
    }


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
