"""MLflow beside what is called: which store mirrors the journals, and sending it what finished runs receive."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path


def chosen_uri(tracking: str | None, storage: str) -> str | None:
    """The MLflow URI; None where MLflow is not installed and was not asked for, or where "none" was.

    Args:
        tracking: as the user gave it.
        storage: folder that holds experiments, whose own store is the default.

    Raises:
        UsageError: `tracking` or MLFLOW_TRACKING_URI is no address of a store.
    """
    if tracking == "none" or (not tracking and importlib.util.find_spec("mlflow") is None):
        return None
    from raytrain.tracking.uri import check_uri, default_uri

    return check_uri(tracking or default_uri(storage))


def tracking_uri(tracking: str | None, storage: str) -> str | None:
    """As `chosen_uri`, and its store is made ready.

    One that cannot be used leads to a warning, and is tried again while runs train.
    """
    uri = chosen_uri(tracking, storage)
    if uri is not None:
        from raytrain.tracking.store import prepare_or_warn

        prepare_or_warn(uri)
    return uri


@contextlib.contextmanager
def mirrored(folders: Sequence[str], tracking: str | None) -> Iterator[None]:
    """Sends MLflow what the work inside writes into finished runs, also where it fails at one of several.

    Args:
        folders: of the runs.
        tracking: as the user gave it. Without it, only a store that is there already is written to: a run that was
            trained without MLflow stays without.

    Raises:
        UsageError: `tracking` or MLFLOW_TRACKING_URI is no address of a store; nothing has been done.
    """
    runs = [Path(folder).expanduser().resolve() for folder in dict.fromkeys(folders)]
    stores = {run: _store_of(run, tracking) for run in runs}
    before = {run: _journal_bytes(run) for run in runs}
    try:
        yield
    finally:
        for uri in {uri for uri in stores.values() if uri}:
            written = [run for run in runs if stores[run] == uri and _journal_bytes(run) != before[run]]
            if written:
                from raytrain.tracking.mirror import Mirror

                with Mirror(uri) as mirror:
                    for run in written:
                        mirror.due(run)


def _store_of(run: Path, tracking: str | None) -> str | None:
    from raytrain.tracking.uri import default_uri, sqlite_path

    storage = str(run.parent.parent)
    own = sqlite_path(default_uri(storage))
    if not tracking and own is not None and not own.exists():
        return None
    return tracking_uri(tracking, storage)


def _journal_bytes(run: Path) -> int:
    """Size of a run's journal, which is only ever appended to."""
    from raytrain.tracking.journal import NAME

    try:
        return (run / NAME).stat().st_size
    except OSError:
        return 0
