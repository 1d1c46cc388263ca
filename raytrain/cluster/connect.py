"""Joining a Ray cluster, or starting one on this machine that nobody without its token can use."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.cluster import compat
from raytrain.cluster.auth_token import make_token, refuse_open_cluster, use_token
from raytrain.cluster.patience import patient
from raytrain.cluster.private_folder import private_folder, tmpdir_of_ray
from raytrain.config import RunConfig, override
from raytrain.errors import RefusedError, UsageError

LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACE = "lo" if sys.platform == "linux" else "lo0"
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
        RefusedError: a cluster would start without authentication, the one that is joined asks for none, or others
            can read the token.
        UsageError: nothing answers at `address`, or the token is wrong.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    # before Ray is imported, since its core reads these once
    if address is None:
        make_token()
        compat.keep_to_loopback()
        # torch's processes would listen on the address that the host name stands for
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK_INTERFACE)
    else:
        use_token()
        if ":" in address and "://" not in address:  # host:port; others are asked once Ray has found them
            refuse_open_cluster(address)
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
            folder = private_folder()
            with _environment(_known_address(LOOPBACK) | tmpdir_of_ray(folder)):
                ray.init(
                    address="local",
                    dashboard_host="127.0.0.1",
                    include_dashboard=True,  # without it Ray's cleaner floods the log
                    object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                    **compat.temp_dir(folder),
                    **quiet,
                )
    except (ConnectionError, ray.exceptions.RayError, ValueError) as error:
        if address is None:
            raise
        raise UsageError(
            f"no Ray cluster could be joined at '{address}': {error}\nIs it running, and do RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH name its token?"
        ) from None
    joined = ray.get_runtime_context().gcs_address
    try:
        if address is not None:
            refuse_open_cluster(joined)
        elif joined.rpartition(":")[0] != LOOPBACK:
            raise RefusedError(f"Ray started on {joined}, which other hosts reach, and not on this machine's loopback")
    except RefusedError:
        ray.shutdown()
        raise
    return {"address": joined, "started": address is None}


def _known_address(ip: str) -> dict[str, str]:
    """Variables from which workers know the address of the cluster that is started here.

    Ray's own helpers ask for "the" cluster of a machine. Where there are two they would fail, and the CPUs of a trial
    that was stopped early would never be freed.
    """
    with socket.socket() as free:
        free.bind((ip, 0))
        port = free.getsockname()[1]
    return {"RAY_GCS_SERVER_PORT": str(port), "RAY_ADDRESS": f"{ip}:{port}"}


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, the environment that Ray's processes inherit has these variables."""
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
    if config.optim.start_from is not None:
        changes["optim.start_from"] = str(Path(config.optim.start_from).expanduser().resolve())
    return override(config, changes)


def absolute_in_job(name: str, path: str) -> None:
    if not Path(path).expanduser().is_absolute():
        raise UsageError(
            f"{name}={path} is relative: a submitted job runs in a directory that is deleted afterwards. "
            f"Give a path that every node mounts, for example {name}=/mnt/shared/runs."
        )
