"""Addresses of MLflow's store: a sqlite file by its absolute path, or a server."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raytrain.errors import UsageError, argument

_VARIABLE = "MLFLOW_TRACKING_URI"


def default_uri(storage: str | os.PathLike[str]) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file in the storage, by its absolute path."""
    return os.environ.get(_VARIABLE) or f"sqlite:///{Path(storage).expanduser().resolve() / 'mlflow.db'}"


def check_uri(uri: str) -> str:
    """The URI itself.

    Raises:
        UsageError: neither a sqlite file by its absolute path nor a server.
    """
    parts = _split(uri)
    if parts and parts.scheme == "sqlite" and not parts.netloc and re.match(r"//[^/]", parts.path):
        return uri  # sqlite:////data/mlflow.db: three slashes of the scheme, then an absolute path
    if parts and parts.scheme in ("http", "https") and parts.hostname:
        return uri
    raise UsageError(
        f"MLflow store '{without_password(uri)}' ({_origin(uri)}) is neither sqlite:////absolute/path/mlflow.db nor "
        "http(s)://host:port. A relative path would land in a job's temporary folder and be lost, and MLflow no longer "
        f"takes plain files. {argument('tracking', 'none')} leaves MLflow out."
    )


def _split(uri: str) -> Any:
    """The parts of a URI; None of one that has none, such as http://[1."""
    try:
        return urlsplit(uri)
    except ValueError:
        return None


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite store; None of a server."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:") else None


def named(uri: str) -> str:
    """The store for a message, with where its URI came from: "http://host:5000 (of MLFLOW_TRACKING_URI)"."""
    return f"{sqlite_path(uri) or without_password(uri)} ({_origin(uri)})"


def page_of(experiment_id: str, run_id: str | None = None) -> str:
    """The place in MLflow's pages of an experiment's list of runs, or of one run.

    Without the workflow type MLflow opens its pages on traces of language models, which are empty here.
    """
    run = "" if run_id is None else f"/{run_id}"
    return f"#/experiments/{experiment_id}/runs{run}?workflowType=machine_learning"


def where_to_look(uri: str, experiment_id: str) -> str:
    """How to open the list of an experiment's runs: the command that serves a sqlite store, and the address."""
    page = f"/{page_of(experiment_id)}"
    if sqlite_path(uri) is None:
        return f"{without_password(uri).rstrip('/')}{page}"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}, then http://127.0.0.1:5000{page}"


def _origin(uri: str) -> str:
    path = sqlite_path(uri)
    if uri and uri == os.environ.get(_VARIABLE):
        return f"of {_VARIABLE}"
    if path is not None and path.is_absolute() and path.name == "mlflow.db":
        return "the storage's own"
    return f"of {argument('tracking', flag='--tracking or --uri')}"


def without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", uri)
