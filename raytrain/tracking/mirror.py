"""A thread that keeps MLflow up to a journal while a run trains. It never blocks the run, and never fails it."""

from __future__ import annotations

import os
import threading
import warnings
from types import TracebackType

from raytrain.tracking import mlflow


class Mirror:
    """Mirrors one run's folder whenever it is poked; a context manager.

    A server that is away is named once, as a warning; what it missed is replayed by the next poke that reaches it, or
    later by `raytrain track sync`.

    Args:
        folder: of the run.
        uri: of the store; None mirrors nothing.
    """

    def __init__(self, folder: str | os.PathLike[str], uri: str | None) -> None:
        self.folder, self.uri = folder, uri
        self._due, self._closing, self._warned = threading.Event(), threading.Event(), False
        # MLflow's own default is seven tries with growing pauses, minutes in all
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        self._thread = threading.Thread(target=self._work, name="mlflow mirror", daemon=True)
        if uri:
            self._thread.start()

    def poke(self) -> None:
        """The journal has new lines: mirror them soon. Several pokes before that are one."""
        self._due.set()

    def close(self, timeout_s: float = 60.0) -> bool:
        """Mirror what is left; False where that took longer than `timeout_s` and was left to a later sync."""
        self._closing.set()
        self._due.set()
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
            self._due.wait()
            # in this order: a poke or a close from here on asks for one more round
            self._due.clear()
            last = self._closing.is_set()
            self._sync()
            if last:
                return

    def _sync(self) -> None:
        assert self.uri
        try:
            mlflow.sync(self.folder, self.uri)
        except Exception as error:  # whatever the tracker does, the run goes on
            if not self._warned:
                self._warned = True
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
                warnings.warn(
                    f"MLflow did not take {self.folder} ({reason}). The run goes on and its journal keeps everything; "
                    "bring it in later with `raytrain track sync`.",
                    RuntimeWarning,
                    stacklevel=2,
                )
