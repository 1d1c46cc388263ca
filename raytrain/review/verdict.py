"""The verdict of a board in sentences: what leads, by how much, how sure that is, on what data, over how many seeds.

The first row of a table is the one with the highest validation score; where some rows were evaluated on test, the first
of these. It is compared with the best row of another method, or with the next row where there is one method. A
difference whose interval holds zero decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.review.board import Board, Row, Split, Table, main_split
from raytrain.review.cell_text import gain, method_title, p_value, run_names, with_spread
from raytrain.review.comparison import compare_with_first
from raytrain.review.marks.selection import is_trained_on
from raytrain.review.watch.progress import Progress
from raytrain.tracking.run_record import first_start

DECIDED_P = 0.05
MOST_VERDICTS = 4
"""Tables whose verdict stands on a page, the ones with most rows."""


class Verdict(NamedTuple):
    """A sentence, and further ones on what it rests on."""

    sentence: str
    notes: Sequence[str] = ()


def verdicts_of(board: Board, least_methods: int = 1) -> list[Verdict]:
    """A verdict per table, of those with most rows; what is still open makes none of them final.

    Args:
        least_methods: tables with fewer methods get none.
    """
    several = [table for table in board.tables if len({row.method for row in table}) >= least_methods]
    tables = sorted(several, key=len, reverse=True)[:MOST_VERDICTS]
    verdicts = [verdict_of(table) for table in tables]
    left = len(several) - len(tables)
    last = [f"{left} smaller tables have no sentence here."] if left else []
    if count := board.counts.get("open"):
        last.append(f"Not final: {count} run{'s have' if count > 1 else ' has'} no end yet.")
    if verdicts and last:
        verdicts[-1] = Verdict(verdicts[-1].sentence, [*verdicts[-1].notes, *last])
    return verdicts


def verdict_of(table: Table) -> Verdict:
    """The verdict of one table, which has at least one row."""
    plain = [row for row in table if row.rerank is None] or list(table)
    evaluated = [row for row in plain if row.ranks["test"]]
    if evaluated and not plain[0].ranks["test"]:
        # a trial of one seed may stand above the rows that were chosen, trained again and evaluated: these are judged
        pairs = zip(evaluated, compare_with_first(evaluated), strict=True)
        plain = [replace(row, comparison=comparison) for row, comparison in pairs]
    first = plain[0]
    others = [row for row in plain[1:] if row.method != first.method] or plain[1:]
    # a trial that was not evaluated may stand above the row of its method that was: what can be compared comes first
    compared = [row for row in others if row.comparison is not None and row.comparison.rank == first.rank]
    rival = next(iter(compared or others), None)
    where = _where(first)
    if rival is None:
        sentence = f"{_name(first)} stands alone on {where}: {_score(first, main_split(table))}. Nothing is compared."
    else:
        sentence = f"{_difference(first, rival, main_split(table))}, on {where}."
    return Verdict(sentence, [note for note in _notes(table, first, rival) if note])


def _difference(first: Row, rival: Row, split: Split) -> str:
    """The first row against another, by their interval where there is one."""
    names = f"{_name(first)} and {_name(rival)}"
    comparison = rival.comparison
    if comparison is None or comparison.rank != first.rank:
        return _bare_difference(first, rival, split)
    lead, low, high = -comparison.difference, -comparison.high, -comparison.low
    sure = (
        f"95 % interval {low:+.1f} to {high:+.1f}, {p_value(comparison.p)}, over {comparison.coverage.over}"
        f"{f'; {comparison.coverage.gaps}' if comparison.coverage.gaps else ''}"
    )
    points = f"{abs(lead):.1f} points of {comparison.split} rsum"
    if comparison.p >= DECIDED_P:
        ahead = "ahead" if lead >= 0 else "behind"
        return f"Nothing is decided between {names}: the first is {points} {ahead} ({sure})"
    if lead < 0:
        return f"{_name(first)} has the best validation, but {_name(rival)} is {points} above it ({sure})"
    return f"{_name(first)} leads {_name(rival)} by {points} ({sure})"


def _bare_difference(first: Row, rival: Row, split: Split) -> str:
    """Where the ranks of queries were not kept, no one can say how sure a difference is."""
    sides: tuple[Split, ...] = (split, "val")
    for side in sides:
        mine, other = first.scores(side).rsum, rival.scores(side).rsum
        if mine is not None and other is not None:
            what, lead = f"{side} rsum", mine - other
            break
    else:
        if not (first.headline and rival.headline) or None in (first.headline.value, rival.headline.value):
            return f"{_name(first)} and {_name(rival)} were not measured alike"
        what, lead = first.headline.name, (first.headline.value or 0.0) - (rival.headline.value or 0.0)
    side_word = "ahead of" if lead >= 0 else "behind"
    return (
        f"{_name(first)} is {abs(lead):.1f} points of {what} {side_word} {_name(rival)}; how sure that is cannot be "
        "said, since ranks of the same queries were not kept for both"
    )


def _notes(table: Table, first: Row, rival: Row | None) -> list[str]:
    rows = [first] if rival is None else [first, rival]
    compared = sum(row.comparison is not None for row in table)
    split = rival.comparison.split if rival is not None and rival.comparison else main_split(table)
    seeds = " and ".join(f"{len(row.seeds)} seed{'s' * (len(row.seeds) > 1)} of {_name(row)}" for row in rows)
    notes = [f"It rests on {seeds}."]
    if any(len(row.seeds) == 1 for row in rows) and rival is not None:
        notes.append("A row of one seed may move with another seed by more than the interval says.")
    if split == "val" and rival is not None:
        notes.append("Best epochs and settings were chosen on this validation split, which flatters the first row.")
    if compared > 1:
        notes.append(f"Interval and p are corrected for the {compared} rows that are compared with a first row.")
    if rival is not None and rival.unequal:
        notes.append(f"Budgets differ: {_name(rival)} had {rival.unequal} of the first row.")
    if is_trained_on(first.selection):
        notes.append(f"Selected on {first.selection}: this validation is none.")
    if any(row.unverified for row in rows):
        notes.append("Features were read without comparing them with the table's checksums.")
    if first.openings > 1 or first.openings_in_all > 1:
        in_all = f" of {first.openings_in_all} openings in all" if first.openings_in_all else ""
        notes.append(f"The test split was opened {first.openings} times{in_all} with the first row's weights.")
    reranked = next((row for row in table if row.rerank is not None), None)
    if reranked is not None and first.rerank is None and gain(reranked):
        notes.append(f"Re-ranked ({reranked.reranking}), {_name(reranked)} changes by {gain(reranked)}.")
    return notes


def sweep_verdict(name: str, events: Sequence[Mapping[str, Any]], board: Board, status: str) -> Verdict:
    """What a sweep's trials decided.

    Args:
        name: of the sweep.
        events: of its journal.
        board: with the rows of its runs, for their interval against the recipe's.
        status: "finished", "running", "silent", and so on.
    """
    config: Mapping[str, Any] = first_start(events).get("config") or {}
    metric, table = str(config.get("evaluation.select") or "val/rsum"), _table_name(config)
    trials = list({int(event["number"]): event for event in events if event["event"] == "trial"}.values())
    scored = [trial for trial in trials if trial.get("value") is not None]
    states = [str(trial["state"]) for trial in trials]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    of_all = f"{len(trials)} trial{'s' * (len(trials) != 1)}" + (f" ({counts})" if counts else "")
    ended = {"finished": "", "running": "It is still running. "}.get(status, f"It is {status}. ")
    if not scored:
        return Verdict(f"{ended}Sweep {name} has no value yet: {of_all}.")
    end: Mapping[str, Any] = next((event for event in reversed(events) if event["event"] == "end"), {})
    chosen = end["best"].get("run") if isinstance(end.get("best"), Mapping) else None
    ranked = sorted(scored, key=lambda t: (t["run"] == chosen, t["state"] == "complete", t["value"]), reverse=True)
    best = ranked[0]
    sentence = f"{ended}{best['run']} {'leads' if status == 'finished' else 'leads so far'} among {of_all} of sweep "
    sentence += f"{name} with {metric} {best['value']:.2f} on table {table}"
    recipe = next((trial for trial in scored if trial["number"] == 0), None)
    notes = []
    if best["number"] == 0:
        sentence += "; it is the recipe itself (trial 0), so the search gained nothing"
    elif recipe is not None:
        sentence += f", {best['value'] - recipe['value']:+.2f} against the recipe (trial 0)"
        notes.append(_against_recipe(board, str(best["run"]), str(recipe["run"])))
    row = next((row for row in board.rows if best["run"] in row.runs and row.rerank is None), None)
    if row is not None and row.test.rsum is not None:
        notes.append(f"On test it reaches {_score(row, 'test')}.")
    if len(ranked) > 1:
        notes.append(f"The next trial, {ranked[1]['run']}, has {ranked[1]['value']:.2f}.")
    repeats = {event.get("number"): event for event in events if event["event"] == "repeat"}
    values = (repeats.get(best["number"]) or {}).get("values")
    if isinstance(values, list) and len(values) > 1:
        mean, std = repeats[best["number"]].get("mean"), repeats[best["number"]].get("std")
        if isinstance(mean, (int, float)) and isinstance(std, (int, float)):
            notes.append(f"Over {len(values)} seeds the best trial has {mean:.2f} ± {std:.2f}.")
    else:
        notes.append("Each trial has one seed, so small differences may be chance.")
    if len(trials) > 1:
        notes.append(f"The best of {len(trials)} trials on validation is flattered by the choice; test says how much.")
    return Verdict(f"{sentence}.", [note for note in notes if note])


def _against_recipe(board: Board, best: str, recipe: str) -> str:
    """How sure the difference from the recipe is, where its row was compared with that of the best run."""
    plain = [row for row in board.rows if row.rerank is None]
    first = next((row for row in plain if best in row.runs), None)
    row = next((row for row in plain if recipe in row.runs), None)
    if first is None or row is None or row.comparison is None or row.comparison.rank != first.rank:
        return "How sure the difference from the recipe is cannot be said: ranks of queries were not kept for both."
    comparison = row.comparison
    verdict = "decided" if comparison.p < DECIDED_P else "not decided"
    return (
        f"The difference from the recipe is {verdict}: {-comparison.difference:+.1f} points of {comparison.split} "
        f"rsum, 95 % interval {-comparison.high:+.1f} to {-comparison.low:+.1f}, {p_value(comparison.p)}, over "
        f"{comparison.coverage.over}{f'; {comparison.coverage.gaps}' if comparison.coverage.gaps else ''}."
    )


def _name(row: Row) -> str:
    views = f"K = {row.views}, " if row.views is not None and row.views > 1 else ""
    return f"{method_title(row)} ({views}{run_names(row)})"


def _score(row: Row, split: Split) -> str:
    scores = row.scores(split)
    if scores.rsum is None and row.headline is not None and row.headline.value is not None:
        return f"{row.headline.name} {with_spread(row.headline.value, row.headline.sd)}"
    bounds = ""
    if row.interval is not None and row.interval.split == split:
        gaps = f"; {row.interval.coverage.gaps}" if row.interval.coverage.gaps else ""
        bounds = f" (95 % {row.interval.low:.1f} to {row.interval.high:.1f} over {row.interval.coverage.over}{gaps})"
    return f"{split} rsum {with_spread(scores.rsum, scores.rsum_sd) or 'not measured'}{bounds}"


def _where(row: Row) -> str:
    return f"table {_table_name(row.config)} (data {row.fingerprint}), protocol {row.protocol}"


def _table_name(config: Mapping[str, Any]) -> str:
    return Path(str(config.get("data.table") or "unknown")).name


def run_verdict(row: Row | None, progress: Progress | None, board: Board) -> Verdict:
    """What a run by itself, or the runs of a row, reached; where the board has rows beside it, how they compare.

    Args:
        row: None of a run that has not finished.
        progress: of a run that is looked at by itself.
        board: that the row stands on.
    """
    state = _state(progress) if progress is not None and progress.status != "finished" else ""
    if row is None:
        return Verdict(state or "No epoch of this run has been recorded.", [])
    table = next((table for table in board.tables if any(row is other for other in table)), [row])
    split: Split = "test" if row.test.rsum is not None else "val"
    alike = [other for other in table if other.reranking == row.reranking]
    place = f". It is {alike.index(row) + 1} of the {len(alike)} rows that are re-ranked alike"
    sentence = f"{_name(row)} reaches {_score(row, split)} on {_where(row)}"
    if row.comparison is not None:
        comparison = row.comparison
        first = next((other for other in table if other.rank == comparison.rank), row)
        verdict = "below" if comparison.difference < 0 else "above"
        sure = "not decided" if comparison.p >= DECIDED_P else "decided"
        gaps = f"; {comparison.coverage.gaps}" if comparison.coverage.gaps else ""
        sentence += (
            f"{place}, {abs(comparison.difference):.1f} points of {comparison.split} rsum {verdict} {_name(first)}: "
            f"{sure} (95 % interval {comparison.low:+.1f} to {comparison.high:+.1f}, {p_value(comparison.p)}, over "
            f"{comparison.coverage.over}{gaps})"
        )
    elif len(alike) > 1:
        sentence += place
    notes = [state] if state else []
    notes += [note for note in _notes(table, row, None) if note]
    if len(alike) == 1:
        notes.append("A run by itself is compared with nothing.")
    return Verdict(f"{sentence}.", notes)


def _state(progress: Progress) -> str:
    """How far a run is that has not finished."""
    epochs = f"{progress.done} of {progress.total} epochs" if progress.total else f"{progress.done} epochs"
    best = f"; best {progress.metric} so far {progress.best.value:.2f} ({progress.best.state})" if progress.best else ""
    if progress.status in ("running", "starting"):
        return f"{progress.name} is still {progress.status}: {epochs} done{best}. Nothing here is final."
    if progress.status == "silent":
        return f"{progress.name} has written nothing for {progress.age_s / 60:.0f} minutes: {epochs} done{best}."
    why = f": {progress.error.splitlines()[0]}" if progress.error and progress.error.splitlines() else ""
    return f"{progress.name} ended as {progress.status} after {epochs}{best}{why}."
