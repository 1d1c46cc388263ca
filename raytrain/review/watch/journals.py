"""The journals of a sweep, read again and again: its own, and those of its runs that have not been recorded as ended.

A trial that the sweep has recorded is not read any more: its value, epochs and error stand in the sweep's journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raytrain.errors import DataError, Problem
from raytrain.tracking.journal import has_writer
from raytrain.tracking.journal_tail import JournalTail
from raytrain.tracking.run_record import RunRecord, first_start, run_record
from raytrain.tracking.step_progress import StepProgress, read_step_progress
from raytrain.tracking.sweep_record import SearchIdentity, has_driver, is_sweep, runs_named_after

SILENT_S = 120.0
"""Without a line for this long, it is asked whether a process still holds the sweep: an epoch may take longer."""


@dataclass(frozen=True)
class RunJournal:
    """A run's journal at one moment.

    Args:
        record: of the run.
        began: when its present life began; None before its first start.
        last: when its last line was written; None without one.
        epochs: of the whole run; 0 where the journal does not say.
        life: its present one; None before its first start.
        position: where it stands within its epoch; None where that is not known.
    """

    record: RunRecord
    began: float | None
    last: float | None
    epochs: int = 0
    life: str | None = None
    position: StepProgress | None = None


@dataclass(frozen=True)
class Journals:
    """What the journals of a sweep, or of a run outside one, say at one moment.

    Args:
        folder: of the sweep or run.
        events: of its own journal.
        runs: {name: journal} of the sweep's runs that are not recorded as ended; of a run outside a sweep its own.
        is_sweep: whether it is one.
        searched: names of the fields that the sweep searches.
        is_held: whether a process that this host can see drives it. It is looked up after SILENT_S without a line.
        problems: lines and files that are left out.
    """

    folder: Path
    events: Sequence[Mapping[str, Any]]
    runs: Mapping[str, RunJournal]
    is_sweep: bool = True
    searched: Sequence[str] = ()
    is_held: bool = False
    problems: Sequence[Problem] = field(default_factory=list)

    @property
    def last(self) -> float | None:
        """When the last line of any of these journals was written, in seconds since 1970; None without one."""
        times = [float(event["time"]) for event in self.events[-1:]]
        return max([*times, *(run.last for run in self.runs.values() if run.last is not None)], default=None)


class JournalsReader:
    """Reads the journals of a sweep or run as they grow: each look costs what is new, and a look per open run.

    Args:
        folder: of the sweep or run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = JournalTail(folder)
        self._runs: dict[str, JournalTail] = {}
        self._seen: dict[str, RunJournal] = {}
        self._problems: dict[Problem, None] = {}
        self._searched: list[str] | None = None

    def look(self, now: float) -> Journals:
        """The journals as they are.

        Args:
            now: seconds since 1970.
        """
        self._own.look()
        events = self._own.events
        of_sweep = is_sweep(self.folder, events)
        if of_sweep:
            recorded = {str(event["run"]) for event in events if event["event"] == "trial"}
            names = [run.name for run in runs_named_after(self.folder)]
            self._follow([name for name in names if name not in recorded], first_start(events).get("uid"))
        else:
            self._seen = {self.folder.name: _run_journal(self.folder, events)}
        self._problems |= dict.fromkeys([*self._own.problems, *(p for t in self._runs.values() for p in t.problems)])
        journals = Journals(
            self.folder,
            list(events),
            {name: _with_position(run) for name, run in self._seen.items()},
            of_sweep,
            self._searched_fields() if of_sweep else (),
            problems=list(self._problems),
        )
        if journals.last is not None and now - journals.last <= SILENT_S:
            return journals
        is_held = has_driver(self.folder) if of_sweep else has_writer(self.folder)
        return replace(journals, is_held=is_held)

    def _follow(self, names: Sequence[str], uid: str | None) -> None:
        self._runs = {name: self._runs.get(name) or JournalTail(self.folder.parent / name) for name in names}
        for name in self._seen.keys() - self._runs.keys():
            del self._seen[name]
        for name, tail in self._runs.items():
            if tail.look() or name not in self._seen:
                self._seen[name] = _run_journal(tail.path.parent, tail.events)
        others = [
            name
            for name, run in self._seen.items()
            if uid is not None and run.record.start.get("parent") not in (None, uid)
        ]
        for name in others:  # of an earlier sweep of this name
            del self._seen[name]

    def _searched_fields(self) -> list[str]:
        if self._searched is None:
            try:
                self._searched = list(SearchIdentity.read(self.folder).space)
            except FileNotFoundError:
                return []
            except DataError as error:
                self._searched = []
                self._problems |= dict.fromkeys(error.problems)
        return self._searched


def _run_journal(folder: Path, events: Sequence[Mapping[str, Any]]) -> RunJournal:
    lives = [event for event in events if event["event"] in ("start", "resume")]
    last = float(events[-1]["time"]) if events else None
    record = run_record(folder, list(events))
    epochs = (record.start.get("config") or {}).get("optim.num_epochs") or 0
    began, life = (float(lives[-1]["time"]), lives[-1].get("life")) if lives else (None, None)
    return RunJournal(record, began, last, int(epochs), life)


def _with_position(run: RunJournal) -> RunJournal:
    """A run that trains, with where it stands now: its first rank replaces the file while the journal says nothing."""
    if not run.record.is_open:
        return run
    return replace(run, position=read_step_progress(run.record.folder, run.life))
