"""A thread that keeps MLflow up to date with the journals of runs that train. It never blocks a run, nor fails one."""

from __future__ import annotations

import contextvars
import os
import threading
from pathlib import Path
from types import TracebackType

from raytrain.tracking import mlflow
from raytrain.tracking.store import goes_on, warn_once
from raytrain.tracking.uri import named


class Mirror:
    """Mirrors run folders whenever they are due; a context manager.

    A server that is away leads to one warning. What it missed is replayed as soon as it accepts anything again, or
    later by `raytrain track sync`.

    Args:
        uri: of the store; None mirrors nothing.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri
        self._due: dict[Path, None] = {}
        self._missed: dict[Path, None] = {}
        self._wake = threading.Condition()
        self._closing = False
        # MLflow's own defaults, seven tries of two minutes, would delay the end of a sweep; here a later try follows
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        inherited = contextvars.copy_context()  # warnings name what the caller gives
        self._thread = threading.Thread(target=lambda: inherited.run(self._work), name="mlflow mirror", daemon=True)
        if uri:
            self._thread.start()

    def due(self, folder: str | os.PathLike[str]) -> None:
        """Mirror the new lines of a folder's journal soon; a second call before that changes nothing."""
        if self.uri:
            with self._wake:
                self._due[Path(folder)] = None
                self._wake.notify()

    def close(self, timeout_s: float = 60.0) -> bool:
        """Mirror what is left; False where that did not succeed in `timeout_s` and is left to a later sync.

        A server that accepts nothing is tried twice more in all, and not once per folder.
        """
        with self._wake:
            self._due |= self._missed
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._thread.is_alive() and self.uri:
            warn_once(self.uri, f"MLflow did not answer within {timeout_s:g} s: {named(self.uri)}. {goes_on()}")
        return not self._thread.is_alive() and not self._missed

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        refused = 0  # in a row
        while True:
            with self._wake:
                while not self._due and not self._closing:
                    self._wake.wait()
                if not self._due:
                    return
                folder = next(iter(self._due))
                del self._due[folder]
            accepted = self._sync(folder)
            with self._wake:
                if accepted:
                    refused = 0
                    self._due |= self._missed
                    self._missed = {}
                else:
                    refused += 1
                    self._missed[folder] = None
                    if self._closing and refused > 1:
                        self._missed |= self._due
                        return

    def _sync(self, folder: Path) -> bool:
        """Whether MLflow has accepted what is new."""
        assert self.uri
        try:
            mlflow.sync(folder, self.uri)
        except Exception as error:  # whatever the tracker does, the run goes on
            warn_once(self.uri, f"MLflow did not take {folder}: {error}. {goes_on()}")
            return False
        return True
