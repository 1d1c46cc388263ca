"""Joining a Ray cluster, or starting one on this machine that nobody without its token can use."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raytrain.cluster import compat
from raytrain.cluster.patience import patient
from raytrain.config import RunConfig, override
from raytrain.errors import RefusedError, UsageError

LOCAL_OBJECT_STORE_BYTES = 1 << 30
"""Of a cluster that is started here. Features are memory-mapped from the table: only metrics and encoding pass it."""


@patient
def connect(address: str | None = None) -> dict[str, Any]:
    """Connect to a cluster, or start one here, with token authentication; a no-op when already connected.

    Args:
        address: "auto" for the cluster that this machine belongs to, or "host:port". None takes RAY_ADDRESS, which is
            set inside a submitted job, and where that is not set starts a cluster that ends with this process.

    Returns:
        Facts for a log: {"address": ..., "started": bool}.

    Raises:
        RefusedError: a cluster would start without authentication.
        UsageError: nothing answers at `address`, or the token is wrong.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    # before Ray is imported, since its core reads these once
    if address is None:
        ensure_token()
    # workers stay in the driver's directory: with a folder per trial, relative paths would mean something else
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import ray

    if ray.is_initialized():
        return {"address": ray.get_runtime_context().gcs_address, "started": False}
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": bool(os.environ.get("RAYTRAIN_RAY_LOGS"))}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            with _known_address(ray.util.get_node_ip_address()):
                ray.init(
                    address="local",
                    dashboard_host="127.0.0.1",
                    include_dashboard=True,  # without it Ray's cleaner floods the log
                    object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                    **compat.temp_dir(Path(tempfile.gettempdir()) / f"raytrain-{os.getuid()}"),  # short: for sockets
                    **quiet,
                )
    except (ConnectionError, ray.exceptions.RayError, ValueError) as error:
        if address is None:
            raise
        raise UsageError(
            f"no Ray cluster could be joined at '{address}': {error}\nIs it running, and do RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH name its token?"
        ) from None
    return {"address": ray.get_runtime_context().gcs_address, "started": address is None}


@contextlib.contextmanager
def _known_address(ip: str) -> Iterator[None]:
    """Inside, the environment that workers inherit holds the address of the cluster that is started here.

    Ray's own helpers ask for "the" cluster of a machine. Where there are two they would fail, and the CPUs of a trial
    that was stopped early would never be freed.
    """
    with socket.socket() as free:
        free.bind((ip, 0))
        port = free.getsockname()[1]
    variables = {"RAY_GCS_SERVER_PORT": str(port), "RAY_ADDRESS": f"{ip}:{port}"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ensure_token() -> None:
    """Turn token authentication on for a cluster started here, with a token that only this user can read.

    Raises:
        RefusedError: RAY_AUTH_MODE asks for an open cluster.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token":
        raise RefusedError(
            f"RAY_AUTH_MODE is '{mode}': anyone who reaches the cluster could run code on it. "
            "Unset it, or set RAY_AUTH_MODE=token."
        )
    os.environ["RAY_AUTH_MODE"] = "token"
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(Path.home() / ".raytrain" / "ray_auth_token")))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: of two processes that start together one writes, the other reads
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))


def in_submitted_job() -> bool:
    """Whether this process was started by `ray job submit`."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def placed(config: RunConfig) -> RunConfig:
    """The config with absolute paths, which mean the same in every worker.

    Raises:
        UsageError: a relative storage inside a submitted job, whose directory is deleted with the job.
    """
    if in_submitted_job():
        absolute_in_job("storage", config.storage)
    changes = {
        "storage": str(Path(config.storage).expanduser().resolve()),
        "data.table": str(Path(config.data.table).expanduser().resolve()),
    }
    return override(config, changes)


def absolute_in_job(name: str, path: str) -> None:
    if not Path(path).expanduser().is_absolute():
        raise UsageError(
            f"{name}={path} is relative: a submitted job runs in a directory that is deleted afterwards. "
            f"Give a path that every node mounts, for example {name}=/mnt/shared/runs."
        )
