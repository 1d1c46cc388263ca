"""Which runs are the same run, by the same settings on the same data, and which code a run was made with.

Sweeps and studies record runs in folders of their own. A study takes a finished run of any of them in place of training
it again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.config import completed
from raytrain.tracking.journal import has_writer, run_folders
from raytrain.tracking.run_record import RunRecord, read_run

PLACES = ("name", "experiment", "data.table")
"""Where a run and its data lie; what the data are, their fingerprint says."""


def code_of(start: Mapping[str, Any]) -> str | None:
    """The code of a run by its "start" event: its commit, or "v0.2.0" where an installed raytrain has none; or None."""
    versions = start.get("versions")
    version = versions.get("raytrain") if isinstance(versions, Mapping) else None
    return start.get("commit") or (f"v{version}" if isinstance(version, str) else None)


def run_identity(config: Mapping[str, Any], fingerprint: str) -> str:
    """sha256 of what decides a run's numbers.

    Args:
        config: flat settings, as `flatten` or a journal gives them; fields that came later are at their defaults.
        fingerprint: of the table.
    """
    decisive = {name: value for name, value in completed(config).items() if name not in PLACES}
    text = json.dumps([decisive, fingerprint], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class RecordedRuns:
    """The runs of a storage by their identity, in the order in which they were started.

    Args:
        by_identity: {identity: records}.
    """

    by_identity: Mapping[str, list[RunRecord]]

    def finished(self, identity: str, features: Mapping[str, str]) -> RunRecord | None:
        """The earliest run of this identity that was trained to its end and has a value; None where there is none.

        Args:
            features: {file: sha256} of the features that the table has now; a run on others is another one.
        """
        for record in self._of(identity, features):
            if record.status == "finished" and record.best is not None:
                return record
        return None

    def training(self, identity: str, features: Mapping[str, str]) -> RunRecord | None:
        """A run of this identity that a process is training now; None where there is none."""
        for record in self._of(identity, features):
            if record.is_open and has_writer(record.folder):
                return record
        return None

    def _of(self, identity: str, features: Mapping[str, str]) -> list[RunRecord]:
        return [
            record
            for record in self.by_identity.get(identity, [])
            if all(features.get(file) == digest for file, digest in (record.start.get("features") or {}).items())
        ]


def recorded_runs(storage: str | os.PathLike[str]) -> RecordedRuns:
    """All runs of a storage, of every experiment; sweeps themselves are none. Empty where there is no storage yet."""
    if not Path(storage).expanduser().exists():
        return RecordedRuns({})
    records = [read_run(folder) for folder in run_folders(storage, skipped=[])]
    by_identity: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.start.get("time") or 0.0, str(record.folder))):
        config, fingerprint = record.start.get("config"), record.start.get("fingerprint")
        if record.start.get("kind") == "run" and config and fingerprint:
            by_identity.setdefault(run_identity(config, str(fingerprint)), []).append(record)
    return RecordedRuns(by_identity)
