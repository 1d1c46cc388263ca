"""Errors of MLflow, its database and its server, each in one line that says what to do."""

from __future__ import annotations

import errno
import json
import sqlite3

import pytest

from raytrain.errors import TrackingError, UsageError
from raytrain.tracking.faults import explained, why

FILE, SERVER = "sqlite:////data/mlflow.db", "http://host:5000"


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        (FILE, sqlite3.OperationalError("database is locked"), "locked by another process. Wait"),
        (FILE, sqlite3.OperationalError("database or disk is full"), "Make room"),
        (FILE, OSError(errno.ENOSPC, "No space left on device"), "Make room"),
        (FILE, sqlite3.DatabaseError("file is not a database"), "Move it away"),
        (FILE, sqlite3.DatabaseError("database disk image is malformed"), "Move it away"),
        (FILE, sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (FILE, PermissionError(errno.EACCES, "Permission denied"), "cannot be written"),
        (FILE, OSError(errno.EROFS, "Read-only file system"), "cannot be written"),
        (FILE, Exception("Detected out-of-date database schema (found version a"), f"mlflow db upgrade {FILE}"),
        (FILE, sqlite3.OperationalError("no such table: runs"), "half made"),
        (FILE, RuntimeError("of no known kind\nwith a second line"), "RuntimeError: of no known kind."),
        (SERVER, ConnectionError("Max retries exceeded with url: /"), "does not answer. Is it running"),
        (SERVER, TimeoutError("timed out"), "does not answer"),
        (SERVER, Exception("failed with error code 503 != 200. Response body: '<html>'"), "HTTP 503"),
        (SERVER, Exception("too many 500 error responses"), "HTTP 500"),
        (SERVER, json.JSONDecodeError("Expecting value", "<", 0), "not MLflow's API"),
        (SERVER, AttributeError("'list' object has no attribute 'get'"), "not MLflow's API"),
        (SERVER, Exception("The experiment 1 must be in the 'active' state."), "mlflow experiments restore"),
    ],
)
def test_a_cause_has_its_remedy(uri: str, error: Exception, words: str) -> None:
    line = why(error, uri)
    assert words in line and "\n" not in line
    outer = RuntimeError("of MLflow")
    outer.__cause__ = error
    assert words in why(outer, uri) or "of no known kind" in words
    with pytest.raises(TrackingError, match=r"host:5000|/data/mlflow.db"), explained(uri):
        raise outer


def test_a_mistake_of_the_command_line_stays_one() -> None:
    with pytest.raises(UsageError, match="pip install"), explained(FILE):
        raise UsageError('mirroring runs needs MLflow: pip install "raytrain[mlflow]"')
