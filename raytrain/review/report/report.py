"""A report as data: what its page shows, computed from journals and evaluation files alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raytrain.review.accounting import Events, SweepCost, sweep_costs
from raytrain.review.board import Board, Row
from raytrain.review.charts.training import TrainedRun, trained_run
from raytrain.review.leaderboard import board_of
from raytrain.review.prices import Prices
from raytrain.review.report.subject import Kind, Subject
from raytrain.review.runs import ReviewedRun, runs_of
from raytrain.review.trials import Sweep, sweeps_of
from raytrain.review.verdict import Verdict, run_verdict, sweep_verdict, verdicts_of
from raytrain.review.watch.journals import JournalsReader
from raytrain.review.watch.progress import Progress
from raytrain.review.watch.progress_of import progress_of


@dataclass(frozen=True)
class ReportedSweep:
    """A sweep of a report.

    Args:
        name: of its folder.
        events: of its journal.
        sweep: its trials and its space; None before the first trial ended.
        runs: {folder: events} of its runs.
        progress: how far it is.
        cost: what it took.
    """

    name: str
    events: Events
    sweep: Sweep | None
    runs: Mapping[Path, Events]
    progress: Progress
    cost: SweepCost | None


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Args:
        kind, name: of its subject.
        verdicts: what is decided, the first first.
        board: rows of its finished runs.
        runs: with an epoch, best first.
        reviewed: all runs, by folder.
        sweeps: by name.
        progress: of a run or sweep.
        costs: of its sweeps.
        journals: {folder: events} of the runs.
    """

    kind: Kind
    name: str
    verdicts: Sequence[Verdict]
    board: Board
    runs: Sequence[TrainedRun]
    reviewed: Sequence[ReviewedRun]
    sweeps: Sequence[ReportedSweep]
    progress: Progress | None
    costs: Sequence[SweepCost]
    journals: Mapping[Path, Events]


def read_report(subject: Subject, prices: Prices | None = None, now: float | None = None) -> Report:
    """The report on a subject.

    Args:
        now: seconds since 1970, by which a run counts as silent; None takes the clock.
    """
    now = time.time() if now is None else now
    journals, skipped = subject.journals, subject.skipped
    board = board_of(journals, prices, skipped)
    shown = set(subject.runs)
    reviewed = [run for run in runs_of(journals, []) if run.folder in shown]
    costs = {Path(cost.folder): cost for cost in sweep_costs(journals, prices)} if subject.sweeps else {}
    trials = sweeps_of({folder: journals[folder] for folder in subject.sweeps}, skipped)
    sweeps = [
        _reported(folder, journals, trials.get(f"{folder.parent.name}/{folder.name}"), costs.get(folder), now, subject)
        for folder in subject.sweeps
    ]
    progress = None
    if subject.kind == "run":
        progress = progress_of(JournalsReader(subject.folder).look(now), now)
    elif subject.kind == "sweep":
        progress = sweeps[0].progress
    return Report(
        kind=subject.kind,
        name=subject.name,
        verdicts=_verdicts(subject, board, sweeps, progress),
        board=board,
        runs=_best_first([run.record for run in reviewed], journals),
        reviewed=reviewed,
        sweeps=sweeps,
        progress=progress,
        costs=list(costs.values()),
        journals={folder: journals[folder] for folder in subject.runs},
    )


def report_of_row(rows: Sequence[Row], board: Board, journals: Mapping[Path, Events]) -> Report:
    """The report on the runs of a leaderboard's row, re-ranked or not, as the leaderboard links to it.

    Args:
        rows: of the same runs.
        board: that they stand on.
        journals: of its runs.
    """
    folders = [Path(folder) for folder in rows[0].folders]
    own = {folder: journals[folder] for folder in folders if folder in journals}
    reviewed = runs_of(own, [])
    return Report(
        kind="run",
        name=" and ".join(rows[0].runs) if len(folders) < 4 else f"{rows[0].runs[0]} and {len(folders) - 1} more",
        verdicts=[run_verdict(rows[0], None, board)],
        board=replace(board, rows=list(rows), curves=[], left_out=[], counts={"finished": len(own)}, skipped=[]),
        runs=_best_first([run.record for run in reviewed], own),
        reviewed=reviewed,
        sweeps=[],
        progress=None,
        costs=[],
        journals=own,
    )


def _reported(
    folder: Path,
    journals: Mapping[Path, Events],
    sweep: Sweep | None,
    cost: SweepCost | None,
    now: float,
    subject: Subject,
) -> ReportedSweep:
    events = journals[folder]
    uid = _uid(events)
    runs = {run: journals[run] for run in subject.runs if uid is not None and _parent(journals[run]) == uid}
    progress = progress_of(JournalsReader(folder).look(now), now)
    return ReportedSweep(folder.name, events, sweep, runs, progress, cost)


def _uid(events: Events) -> Any:
    return next((event.get("uid") for event in events if event["event"] == "start"), None)


def _parent(events: Events) -> Any:
    return next((event.get("parent") for event in events if event["event"] == "start"), None)


def _best_first(records: Sequence[Any], journals: Mapping[Path, Events]) -> list[TrainedRun]:
    with_epochs = [record for record in records if record.epoch_events]
    ranked = sorted(with_epochs, key=lambda record: (record.best is None, -(record.best or 0.0), record.folder.name))
    return [trained_run(record, journals[record.folder]) for record in ranked]


def _verdicts(
    subject: Subject, board: Board, sweeps: Sequence[ReportedSweep], progress: Progress | None
) -> list[Verdict]:
    if subject.kind == "run":
        row = next((row for row in board.rows if row.rerank is None), None)
        return [run_verdict(row, progress, board)]
    of_sweeps = [sweep_verdict(sweep.name, sweep.events, board, sweep.progress.status) for sweep in sweeps]
    if subject.kind == "sweep":  # trials of one method are the sweep's own verdict
        return [*of_sweeps, *verdicts_of(board, least_methods=2)]
    return [*verdicts_of(board), *of_sweeps] or [Verdict("No run has been recorded to an end yet.")]
