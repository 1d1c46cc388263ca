"""space.json of a sweep: what is searched, from which recipe, on which data. A resumed sweep must have the same one.

And the file that the sweep's driver holds locked while it lives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from raytrain.files import is_locked, read_model, write_json
from raytrain.tracking.run_record import first_start

NAME = "space.json"
OF_SWEEP = re.compile(r"-t\d+(-s\d+)?$")
"""How the name of a sweep's run continues the sweep's: a trial, or its repetition with another seed."""
LOCK = "lock"


class SearchIdentity(BaseModel):
    """What makes two sweeps the same search. Parts that a newer version has added are kept, and compared.

    Args:
        space: {field of the config: its Optuna distribution, as that package writes it to JSON}.
        base: the recipe's settings by dotted names, without those that no result depends on.
        data: fingerprint of the table.
        search: settings of the search: seed, early stopping and the like.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    space: dict[str, dict[str, Any]]
    base: dict[str, Any]
    data: str
    search: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> SearchIdentity:
        """What the sweep in `folder` searches.

        Raises:
            FileNotFoundError: the folder is no sweep's.
            DataError: the file is damaged; each problem names the field.
        """
        return read_model(folder / NAME, cls, "Start a new sweep under another name.")

    def write(self, folder: Path) -> None:
        """Write space.json into `folder`, atomically."""
        write_json(folder / NAME, self.model_dump())


def is_sweep(folder: Path, events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a folder with this journal is of a sweep, also before its start is written."""
    start = first_start(events)
    return start.get("kind") == "sweep" or (not start and (folder / NAME).exists())


def runs_named_after(sweep: Path) -> list[Path]:
    """Folders beside a sweep's that are named as its runs are, by name; an earlier sweep of its name left some too."""
    try:
        names = sorted(os.listdir(sweep.parent))
    except OSError:
        return []
    pattern = re.compile(re.escape(sweep.name) + OF_SWEEP.pattern)
    return [sweep.parent / name for name in names if pattern.match(name)]


def has_driver(folder: Path) -> bool:
    """Whether a process that this host can see holds the sweep's lock; on a file system without locks, never."""
    return is_locked(folder / LOCK, shared=True)
