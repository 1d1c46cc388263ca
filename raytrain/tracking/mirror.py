"""A thread that keeps MLflow up to journals while runs train. It never blocks a run, and never fails one."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from types import TracebackType

from raytrain.tracking import mlflow


class Mirror:
    """Mirrors run folders whenever they are due; a context manager.

    A server that is away is named once, as a warning; what it missed is replayed when the folder is due again and the
    server is back, or later by `raytrain track sync`.

    Args:
        uri: of the store; None mirrors nothing.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri
        self._due: dict[Path, None] = {}
        self._wake = threading.Condition()
        self._closing = self._warned = False
        # MLflow's own default is seven tries with growing pauses, minutes in all
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        self._thread = threading.Thread(target=self._work, name="mlflow mirror", daemon=True)
        if uri:
            self._thread.start()

    def due(self, folder: str | os.PathLike[str]) -> None:
        """The folder's journal has new lines: mirror them soon. Asking twice before that is asking once."""
        if self.uri:
            with self._wake:
                self._due[Path(folder)] = None
                self._wake.notify()

    def close(self, timeout_s: float = 60.0) -> bool:
        """Mirror what is left; False where that took longer than `timeout_s` and was left to a later sync."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._due and not self._closing:
                    self._wake.wait()
                if not self._due:
                    return
                folder = next(iter(self._due))
                del self._due[folder]
            self._sync(folder)

    def _sync(self, folder: Path) -> None:
        assert self.uri
        try:
            mlflow.sync(folder, self.uri)
        except Exception as error:  # whatever the tracker does, the run goes on
            if not self._warned:
                self._warned = True
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
                warnings.warn(
                    f"MLflow did not take {folder} ({reason}). The run goes on and its journal keeps everything; "
                    "bring it in later with `raytrain track sync`.",
                    RuntimeWarning,
                    stacklevel=2,
                )
