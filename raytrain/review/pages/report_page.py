"""The page of a report: one HTML file that needs nothing else, at most 2 MB; what it shows is escaped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.config import method_label, method_name
from raytrain.review.board import Row
from raytrain.review.charts.diagnostics import calibration_chart, diagnostics_of
from raytrain.review.charts.slices import shown_fields
from raytrain.review.charts.timeline import timeline
from raytrain.review.charts.training import LOSS, TrainedRun, diagnostic_curves, epoch_curves
from raytrain.review.costs import clock
from raytrain.review.escaping import plain
from raytrain.review.pages.board_tables import MOST_ROWS, filters_of, page_tables
from raytrain.review.pages.figures import (
    Figure,
    curve_figures,
    field_figures,
    importance_of,
    rerank_figures_of,
    sweep_figures,
)
from raytrain.review.pages.leaderboard_page import closing, written_now
from raytrain.review.rendering import asset, render_page
from raytrain.review.report.report import Report, ReportedSweep
from raytrain.review.runs import ReviewedRun
from raytrain.review.tables import summary
from raytrain.tracking.run_identity import code_of

MOST_BYTES = 2_000_000
"""Size of a page."""
MOST_RUNS = 24
"""Runs whose section has curves, the best; those of further rows of the tables have settings alone."""
MOST_TRIALS = 500
"""Trials that the table of a sweep lists, the best."""
MOST_TRIAL_FIELDS = 6
MOST_RERANKED = 3
"""Runs whose re-ranking search is drawn."""
MOST_CURVES = 12
"""Curves of one setting that are drawn."""


class SweepPart(NamedTuple):
    """A sweep as templates/report.html.j2 draws it; `rows` are (name of the run, cells)."""

    name: str
    facts: list[tuple[str, str]]
    timeline: list[Figure]
    figures: list[Figure]
    fields: list[Figure]
    brush: str
    headers: list[str]
    rows: list[tuple[str, list[str]]]
    more: int


class RunPart(NamedTuple):
    """A run as templates/report.html.j2 draws it."""

    identity: str
    name: str
    facts: list[tuple[str, str]]
    figures: list[Figure]
    settings: str


class ContactSheets(NamedTuple):
    """The section of contact sheets, which the caller makes.

    Args:
        render: makes the section, of headings h3 and below, within so many bytes; "" where there is none.
        styles: files of templates/ that it needs beside style.css.
    """

    render: Callable[[int], Markup]
    styles: tuple[str, ...] = ()


def report_html(report: Report, contact_sheets: ContactSheets | None = None) -> str:
    """The page of a report.

    Args:
        contact_sheets: of the report's run; left out, with a sentence, where the page would grow beyond MOST_BYTES.
    """
    values = _values(report)

    def page(styles: tuple[str, ...], section: Markup, note: str) -> str:
        return render_page(
            "report.html.j2", ("style.css", *styles), ("script.js",),
            contact_sheets=section, contact_sheets_note=note, **values,
        )  # fmt: skip

    bare = page((), Markup(""), "")
    if contact_sheets is None:
        return bare
    styles = sum(len(asset(name)) for name in contact_sheets.styles)
    room = MOST_BYTES - len(bare.encode()) - styles - 1000
    section = contact_sheets.render(room)
    if not section:
        return bare
    if len(section.encode()) > room:
        return page((), Markup(""), "The contact sheets would make this page larger than 2 MB and are left out.")
    return page(contact_sheets.styles, section, "")


def _values(report: Report) -> dict[str, Any]:
    """What templates/report.html.j2 shows but for contact sheets."""
    pairs = _pairs(report)
    draws = len(report.runs) > 1  # of one run, the curves stand above
    runs = [_run_part(run, reviewed, draws and place < MOST_RUNS) for place, (run, reviewed) in enumerate(pairs)]
    identities = {run.name: run.identity for run in runs}
    reports = {row.folders[0]: f"#{identities[row.runs[0]]}" for row in report.board.rows if row.runs[0] in identities}
    return {
        "title": f"{report.name} - raytrain report",
        "report": report,
        "verdicts": report.verdicts,
        "written": written_now(),
        "state": _state(report),
        "summary": plain(summary(report.board)),
        "facts": _facts(report),
        "tables": page_tables(report.board.tables, reports, MOST_ROWS),
        "filters": filters_of(report.board.tables),
        "training": _training(report.runs),
        "has_marks": any(run.resumed_after or run.record.status == "failed" for run in report.runs),
        "curves": curve_figures(report.board.curves[:MOST_CURVES]),
        "sweeps": [_sweep_part(number, sweep) for number, sweep in enumerate(report.sweeps)],
        "timeline": _timeline_of_run(report),
        "diagnostics": _diagnostics(report),
        "reranking": [f for row in _reranked(report.board.rows) for f in rerank_figures_of(row, report.board.skipped)],
        "runs": runs,
        "left_out": [str(left) for left in report.board.left_out],
        **closing(report.board, report.costs),
    }


def _state(report: Report) -> str:
    """ "running", "failed" and so on of a run or sweep that has not simply finished; "" else."""
    status = report.progress.status if report.progress else "finished"
    return "" if status == "finished" else status


def _facts(report: Report) -> list[tuple[str, str]]:
    """What it is about, in pairs of words."""
    configs = [run.config for run in report.reviewed]
    methods = dict.fromkeys(method_label(method_name(config)).title for config in configs)
    tables = dict.fromkeys(Path(str(config.get("data.table") or "unknown")).name for config in configs)
    epochs = sum(run.epochs for run in report.reviewed)
    seconds = sum(run.usage.worker_seconds for run in report.reviewed)
    lost = sum(run.usage.lost_seconds for run in report.reviewed)
    facts = [
        ("Method" if len(methods) == 1 else "Methods", ", ".join(methods)),
        ("Table" if len(tables) == 1 else "Tables", ", ".join(tables)),
        ("Epochs", f"{epochs:,}"),
        ("Worker time", clock(seconds)),
        ("Lost", clock(lost) if lost >= 0.5 else ""),
    ]
    return [(name, text) for name, text in facts if text]


def _pairs(report: Report) -> list[tuple[TrainedRun, ReviewedRun]]:
    """The runs with a section: the first run of each row that is shown, in their order, then the best of the others."""
    rows = [row for table in report.board.tables for row in table[:MOST_ROWS]]
    first_runs = list(dict.fromkeys(row.folders[0] for row in rows))
    places = {folder: place for place, folder in enumerate(first_runs)}
    by_folder = {run.folder: run for run in report.reviewed}
    ranked = sorted(report.runs, key=lambda run: places.get(str(run.record.folder), len(places)))
    return [(run, by_folder[run.record.folder]) for run in ranked[: max(MOST_RUNS, len(places))]]


def _run_part(run: TrainedRun, reviewed: ReviewedRun, draws: bool) -> RunPart:
    record = run.record
    best = "none" if record.best is None else f"{record.best:.2f} at epoch {record.best_epoch}"
    facts = [
        ("Status", reviewed.status if reviewed.status != "open" else "no end yet"),
        (f"Best {record.select}", best),
        ("Epochs", f"{record.epochs} of {record.config.get('optim.num_epochs', '?')}"),
        ("Seed", str(reviewed.seed)),
        ("Restarts", str(record.resumed) if record.resumed else ""),
        ("Worker time", clock(reviewed.usage.worker_seconds)),
        ("Device", str(record.start.get("device") or "")),
        ("Commit", (code_of(record.start) or "")[:12]),
        ("Error", (record.error or "").partition("\n")[0]),
    ]
    curves = (record.select, LOSS) if draws else ()
    figures = [Figure(f"{metric} of {run.name}", epoch_curves([run], metric, metric)) for metric in curves]
    settings = "\n".join(f"{name}: {value}" for name, value in record.config.items() if not name.startswith("search."))
    return RunPart(
        f"run-{record.folder.name}".replace(" ", "_"),
        run.name,
        [(name, text) for name, text in facts if text],
        [figure for figure in figures if figure.drawing],
        settings,
    )


def _training(runs: Sequence[TrainedRun]) -> list[Figure]:
    """Selection metric and loss of all runs; runs that select by different metrics are in different charts."""
    figures = []
    selects = dict.fromkeys(run.record.select for run in runs)
    for select in selects:
        alike = [run for run in runs if run.record.select == select]
        figures.append(Figure(f"{select} by epoch", epoch_curves(alike, select, select)))
    figures.append(Figure("Training loss by epoch", epoch_curves(runs, LOSS, LOSS)))
    return [figure for figure in figures if figure.drawing]


def _timeline_of_run(report: Report) -> list[Figure]:
    """Lives of runs outside sweeps, where any of them was started again."""
    if report.sweeps or not any(run.record.resumed for run in report.reviewed):
        return []
    drawing = timeline(None, report.journals)
    return [Figure("When it trained: triangles are restarts, crosses kills and failures", drawing, is_wide=True)]


def _sweep_part(number: int, reported: ReportedSweep) -> SweepPart:
    sweep = reported.sweep
    drawing = timeline(reported.events, reported.runs, reported.cost.slots if reported.cost else None)
    timelines = [
        Figure("Slots over time: triangles are restarts, crosses kills and failures, grey is idle", drawing, True)
    ]
    figures, fields, headers, rows = list[Figure](), list[Figure](), list[str](), list[tuple[str, list[str]]]()
    more = 0
    if sweep is not None:
        importance = importance_of(sweep)
        figures = sweep_figures(reported.name, sweep, importance)
        fields = list(field_figures(number, sweep, importance))
        largest = {field: share for shares in importance.values() for field, share in shares.items()}
        headers, rows = _trial_table(sweep.trials, shown_fields(sweep.trials, largest)[:MOST_TRIAL_FIELDS])
        more = max(0, len(rows) - MOST_TRIALS)
    brush = next((figure.brush for figure in fields if figure.brush), "")
    return SweepPart(
        reported.name, _sweep_facts(reported), [f for f in timelines if f.drawing], figures, fields, brush, headers,
        rows[:MOST_TRIALS], more,
    )  # fmt: skip


def _sweep_facts(reported: ReportedSweep) -> list[tuple[str, str]]:
    progress, cost = reported.progress, reported.cost
    states = ", ".join(f"{count} {state}" for state, count in progress.states.items() if count)
    facts = [("Status", progress.status), ("Trials", states)]
    if progress.status == "running":
        left = "unknown" if progress.left_s is None else f"about {clock(progress.left_s)}"
        facts += [("Time left", left), ("Slots busy", str(progress.slots_busy))]
    if cost is not None:
        waited = max(0.0, 1.0 - cost.busy - cost.lost)
        facts += [
            ("Wall time", clock(cost.wall_seconds)),
            ("Slots", f"{cost.slots}, busy {cost.busy:.0%}, lost {cost.lost:.0%}, idle {waited:.0%} of the time"),
            ("Restarts", str(cost.restarts + cost.driver_restarts)),
        ]
    facts += [(f"Failed {failure.run}", failure.error[:200]) for failure in progress.failures[-5:]]
    return facts


def _trial_table(
    trials: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Headers, and per trial its run and cells, the highest value first."""
    headers = ["Run", "Value", "State", "Epochs", *(field.rpartition(".")[2] for field in fields)]
    ranked = sorted(trials, key=lambda trial: (trial.get("value") is None, -(trial.get("value") or 0.0)))
    rows = []
    for trial in ranked:
        value, params = trial.get("value"), trial["params"]
        cells = [str(trial["run"]), "" if value is None else f"{value:.2f}", str(trial["state"]),
                 str(trial.get("epochs") or "")]  # fmt: skip
        rows.append((str(trial["run"]), cells + [_setting(params.get(field)) for field in fields]))
    return headers, rows


def _setting(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _diagnostics(report: Report) -> dict[str, Any]:
    """Curves by epoch, a table of what evaluations measured, and recall by predicted uncertainty."""
    figures = [Figure(caption, drawing) for caption, drawing in diagnostic_curves(report.runs)]
    measured: dict[tuple[str, str], dict[str, float]] = {}
    for run in report.reviewed:
        for evaluation in run.evaluations:
            if numbers := diagnostics_of(evaluation):
                measured[run.name, str(evaluation["protocol"])] = numbers
            if drawing := calibration_chart(evaluation):
                caption = f"Recall by predicted uncertainty, {run.name}, {evaluation['protocol']}"
                figures.append(Figure(caption, drawing))
    names = list(dict.fromkeys(itertools.chain.from_iterable(measured.values())))
    rows = [
        [run, protocol, *("" if name not in numbers else f"{numbers[name]:.3g}" for name in names)]
        for (run, protocol), numbers in measured.items()
    ]
    return {"figures": figures, "headers": ["Run", "Protocol", *names], "rows": rows}


def _reranked(rows: Sequence[Row]) -> Iterator[Row]:
    """Transductive rows, the best ones, one per run."""
    by_run = {row.folders[0]: row for row in reversed(rows) if row.transductive}
    return itertools.islice((row for row in rows if by_run.get(row.folders[0]) is row), MOST_RERANKED)
