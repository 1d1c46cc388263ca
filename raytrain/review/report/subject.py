"""What a report is about: a run, a sweep or an experiment, found by folder or name, with its journals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from raytrain.errors import Problem, UsageError, no_such_name
from raytrain.review.accounting import forward, read_journals
from raytrain.tracking.journal import Journal, experiments, run_folders
from raytrain.tracking.run_lookup import run_named
from raytrain.tracking.run_record import first_start
from raytrain.tracking.sweep_record import OF_SWEEP, is_sweep, runs_named_after

Kind = Literal["run", "sweep", "experiment"]


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        kind: what `folder` is.
        folder: of the run, the sweep or the experiment.
        journals: {folder: events} of its runs and sweeps. Of a run that belongs to a sweep also the sweep's, for what
            its workers were given; the report shows nothing else of that.
        skipped: lines and files that are left out.
    """

    kind: Kind
    folder: Path
    journals: dict[Path, list[dict[str, Any]]]
    skipped: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def storage(self) -> Path:
        """The folder that holds its experiment."""
        return self.folder.parent if self.kind == "experiment" else self.folder.parent.parent

    @property
    def sweeps(self) -> list[Path]:
        """Folders of the sweeps that are shown, by name."""
        if self.kind == "run":
            return []
        return [folder for folder, events in self.journals.items() if is_sweep(folder, events)]

    @property
    def runs(self) -> list[Path]:
        """Folders of the runs that are shown, by name."""
        return [folder for folder, events in self.journals.items() if not is_sweep(folder, events)]


def read_subject(
    folder_or_name: str, storage: str | os.PathLike[str] = "runs", experiment: str | None = None
) -> Subject:
    """The subject of a report, with all that its journals say.

    Args:
        folder_or_name: a folder of a run, a sweep or an experiment, or the name of one in the storage.
        storage: folder that holds experiments.
        experiment: where runs and sweeps are looked up by name; None looks in all.

    Raises:
        UsageError: there is none, or several experiments have one of this name.
    """
    given = Path(folder_or_name).expanduser()
    if given.is_dir() and given.resolve().name in experiments(given.resolve().parent):
        return _experiment(given.resolve())
    is_name = os.sep not in folder_or_name
    if is_name and experiment is None and Path(storage).expanduser().is_dir():
        root = Path(storage).expanduser().resolve()
        if folder_or_name in (names := experiments(root)):
            return _experiment(root / folder_or_name)
        if not given.exists():
            runs = [folder.name for folder in run_folders(root, None, skipped=[])]
            if folder_or_name not in runs:
                raise UsageError(
                    f"{root}: {no_such_name('run, sweep or experiment', folder_or_name, [*names, *_first_words(runs)])}"
                )
    return _run_or_sweep(run_named(folder_or_name, storage, experiment))


def _first_words(runs: Sequence[str], most: int = 40) -> list[str]:
    """Names of sweeps and of runs outside sweeps, which an error can list."""
    return list(dict.fromkeys(OF_SWEEP.sub("", name) for name in runs))[:most]


def _experiment(folder: Path) -> Subject:
    skipped: list[Problem] = []
    return Subject("experiment", folder, read_journals(folder.parent, folder.name, skipped), skipped)


def _run_or_sweep(folder: Path) -> Subject:
    skipped: list[Problem] = []
    own = forward(Journal(folder).read(skipped))
    journals = {folder: own}
    if is_sweep(folder, own):
        uid = first_start(own).get("uid")
        for run in runs_named_after(folder):
            events = forward(Journal(run).read(skipped))
            parent = first_start(events).get("parent")
            if uid is None or parent in (None, uid):  # not of an earlier sweep of this name
                journals[run] = events
        return Subject("sweep", folder, journals, skipped)
    sweep = folder.with_name(OF_SWEEP.sub("", folder.name))
    if sweep != folder and first_start(own).get("parent"):
        journals[sweep] = forward(Journal(sweep).read([]))
    return Subject("run", folder, journals, skipped)
