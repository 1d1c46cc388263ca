"""Finding a run or a sweep by its folder, or by its name in a storage."""

from __future__ import annotations

import os
from pathlib import Path

from raytrain.errors import UsageError, did_you_mean, no_such_name
from raytrain.tracking import sweep_record
from raytrain.tracking.journal import NAME, run_folders


def run_named(folder_or_name: str, storage: str | os.PathLike[str] = "runs", experiment: str | None = None) -> Path:
    """The folder of a run or sweep, which has a journal or, in its first second, the space.json of a sweep.

    Args:
        folder_or_name: a folder, or the name of one in the storage.
        storage: folder that holds experiments.
        experiment: one of them; None looks in all.

    Raises:
        UsageError: there is none, or several experiments have one of this name.
    """
    given = Path(folder_or_name).expanduser()
    if experiment is None and _is_run(given):
        return given.resolve()
    if os.sep in folder_or_name:
        beside = [path.name for path in sorted(given.parent.glob("*")) if _is_run(path)]
        raise UsageError(f"{given} is no folder of a run or sweep{did_you_mean(given.name, beside)}")
    folders = run_folders(storage, experiment, skipped=[])
    named = [folder for folder in folders if folder.name == folder_or_name]
    if len(named) == 1:
        return named[0]
    if named:
        owners = ", ".join(folder.parent.name for folder in named)
        raise UsageError(f"several experiments have a run '{folder_or_name}': {owners}; choose one by --experiment")
    sweeps = [folder.name for folder in folders if (folder / sweep_record.NAME).exists()]
    raise UsageError(f"{Path(storage).expanduser().resolve()}: {no_such_name('sweep', folder_or_name, sweeps)}")


def _is_run(folder: Path) -> bool:
    return (folder / NAME).exists() or (folder / sweep_record.NAME).exists()
