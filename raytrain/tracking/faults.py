"""What is wrong with MLflow's store, in one line: the store, where its URI came from, the cause and what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from raytrain.errors import TrackingError, UsageError
from raytrain.tracking.uri import named, sqlite_path, without_password


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turns any error of MLflow, its database or its server into a TrackingError of one line.

    Raises:
        TrackingError: the store, where its URI came from, what is wrong and what to do.
    """
    try:
        yield
    except (UsageError, TrackingError):
        raise
    except (Exception, SystemExit) as error:  # a migration of MLflow that fails exits
        raise TrackingError(f"{named(uri)}: {why(error, uri).rstrip('.')}") from error


_SYNC = "then `raytrain track sync` brings in what is missing"
_DATABASE_CAUSES = (
    (r"locked", f"is locked by another process. Wait for it or end it; {_SYNC}."),
    (r"disk is full|No space left|Disk quota", f"there is no room on its disk. Make room; {_SYNC}."),
    (
        r"not a database|malformed|disk image|unsupported file format|Is a directory|disk I/O error",
        "is no whole database. Move it away; `raytrain track sync` makes a new one from the journals.",
    ),
    (
        r"readonly|read-only|Read-only|unable to open database|Permission denied|Not a directory|File exists",
        f"cannot be written. Give yourself the right to, or name another store; {_SYNC}.",
    ),
    (
        r"out-of-date database schema|locate revision",
        "has the schema of another version of MLflow. Copy it, and `mlflow db upgrade {uri}` brings an older one up to "
        "date; a newer one needs the newer MLflow.",
    ),
    (r"no such table|already exists|no such column", f"is half made. Move it away; {_SYNC}."),
)
_SERVER_CAUSES = (
    (
        r"too many (\d+) error responses|error code (\d+)|\((\d\d\d)\)|HTTP (\d+)",
        "answers with HTTP {code}; look at the server's log, {sync}.",
    ),
    (
        r"timed out|Timeout|refused|Max retries|Name or service|resolve|Connection|RemoteDisconnected",
        "does not answer. Is it running, and reachable from here? Start it; {sync}.",
    ),
    (
        r"Expecting value|JSON|parse|<html|<!DOCTYPE|Extra data|AttributeError|KeyError|TypeError",
        "answers something that is not MLflow's API. Is this the address of an MLflow server?",
    ),
)


def why(error: BaseException, uri: str) -> str:
    """What is wrong, and what to do, in a line; the error itself where its cause is not one that is known."""
    if isinstance(error, SystemExit):
        return f"is half made or of another version of MLflow. Move it away; {_SYNC}."
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(f"{type(link).__name__}: {link}")
        link = link.__cause__ or link.__context__
    text = "\n".join(texts)
    if "active' state" in text or "is deleted" in text:
        return "an experiment or a run of it was deleted in MLflow; restore it there (`mlflow experiments restore`)."
    if sqlite_path(uri) is None:
        for pattern, words in _SERVER_CAUSES:
            if match := re.search(pattern, text):
                code = next((group for group in match.groups() if group), "")
                return words.format(code=code, sync=_SYNC)
    for pattern, words in _DATABASE_CAUSES:
        if re.search(pattern, text):
            return words.replace("{uri}", without_password(uri))
    return f"{texts[0].splitlines()[0][:300]}."
