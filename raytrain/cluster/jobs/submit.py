"""Submitting a job to a cluster: it is checked, never run twice by accident, and followed to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raytrain.cluster.auth_token import refuse_open_dashboard, token_path, use_token
from raytrain.cluster.jobs import package, secrets
from raytrain.errors import RefusedError, UsageError
from raytrain.progress import say

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_ATTEMPTS = 100
STOPPED = 75  # the exit code of a sweep that was interrupted: it can be resumed


def submit(
    words: Sequence[str],
    *,
    address: str | None = None,
    working_dir: str = ".",
    env: Mapping[str, str] | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    max_mb: float = 100.0,
    again: bool = False,
    wait: bool = True,
    plain_http: bool = False,
) -> dict[str, Any]:
    """Send a working directory and a command to a cluster, follow its output here, and return how it ended.

    The submission's id is a hash of the command, the environment and the content of the files. A job of that id that
    is waiting, running or done is joined and not started again; after one that failed or was stopped there is a new
    attempt, `<id>-2` and so on.

    Args:
        words: the command.
        address: of the cluster's dashboard; None takes RAY_API_SERVER_ADDRESS.
        working_dir: folder that is sent, without what .rayignore and .gitignore name.
        env: environment variables of the job.
        runtime_env: further fields of Ray's runtime environment.
        max_mb: most megabytes to send.
        again: run it even where it has succeeded before.
        wait: follow the job; otherwise return once it is submitted.
        plain_http: allow the token to be sent unencrypted to another host.

    Returns:
        {"submission_id", "status", "joined": whether it was there already, "exit_code", "files", "bytes"}

    Raises:
        UsageError: nothing answers at the address, or the files are too large.
        RefusedError: a secret would travel in the job, or the token without encryption.
    """
    if not words:
        raise UsageError("give the command after --: raytrain submit -- raytrain sweep dvse --recipe dvse_emoji")
    address = reachable(address, plain_http)
    sent = package.list_package(Path(working_dir))
    sent.refuse_above(max_mb)
    environment = {**(runtime_env or {})}
    variables = {**environment.get("env_vars", {}), **(env or {})}
    refuse_secrets(words, {**environment, "env_vars": variables}, sent)
    identity = [list(words), {**environment, "env_vars": variables}, sent.digest()]
    base = "raytrain-" + hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    environment |= {
        "working_dir": str(sent.root),
        "excludes": [*environment.get("excludes", []), *package.NEVER_SENT, *sent.loops],
        "env_vars": {**_commit(sent.root), **variables},
    }
    refuse_open_dashboard(address)
    client = _client(address)
    job, joined = _start(client, base, shlex.join(words), environment, again)
    answer = {"submission_id": job, "joined": joined, "files": len(sent.sizes), "bytes": sent.bytes}
    say(f"{job} {'is there already: joined' if joined else 'submitted'} ({len(sent.sizes)} files, "
        f"{sent.bytes / 1e6:.1f} MB); stop it by: ray job stop {job}")  # fmt: skip
    if not wait:
        return {**answer, "status": client.get_job_info(job).status.value, "exit_code": 0}
    info = follow(client, job)
    say(f"{job} {info.status.value.lower()}" + (f": {info.message}" if info.message else ""))
    return {**answer, "status": info.status.value, "exit_code": exit_code(info)}


def reachable(address: str | None, plain_http: bool) -> str:
    """The dashboard's address, checked to be one that the token may be sent to, and set in the environment for Ray.

    Raises:
        UsageError: no address is given, here or in the environment.
        RefusedError: authentication is turned off, others can read the token, or the address is plain HTTP on another
            host.
    """
    address = (address or os.environ.get("RAY_API_SERVER_ADDRESS") or "").rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise UsageError(
            "name the cluster's dashboard: --address http://127.0.0.1:8265, or RAY_API_SERVER_ADDRESS; reach it by "
            "`ray dashboard cluster.yaml`, ssh -L or kubectl port-forward"
        )
    use_token()
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not plain_http:
        raise RefusedError(
            f"{address} is plain HTTP on another host: the token could be read on the way. Reach the dashboard through "
            "a tunnel (`ray dashboard`, ssh -L, kubectl port-forward) or HTTPS; inside a trusted network --plain-http."
        )
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray's client prefers it to its argument
    return address


def refuse_secrets(words: Sequence[str], environment: Mapping[str, Any], sent: package.Package) -> None:
    """Refuse to send a secret.

    Raises:
        RefusedError: naming every place that holds one, without the secret.
    """
    own = [os.environ.get("RAY_AUTH_TOKEN", "")]
    with contextlib.suppress(OSError):
        own.append(token_path().read_text(encoding="utf-8").strip())
    findings = [
        *secrets.in_words(words, own),
        *secrets.in_values("runtime_env", environment, own),
        *secrets.in_files(sent.root, sent.sizes, own),
    ]
    if findings:
        raise RefusedError(
            "a job's environment, command and files can be read by all who see the dashboard; secrets were found in\n  "
            + "\n  ".join(findings)
            + "\nPut a secret into a file on the nodes (file_mounts, a Kubernetes Secret) and name its path, as in "
            "HF_TOKEN_PATH=/run/secrets/hf; leave files out by .rayignore."
        )


def _start(client: Any, base: str, entrypoint: str, environment: Mapping[str, Any], again: bool) -> tuple[str, bool]:
    """The job's id, and whether it was there already."""
    for attempt in range(1, MOST_ATTEMPTS):
        job = base if attempt == 1 else f"{base}-{attempt}"
        status = _status(client, job)
        if status is None:
            try:
                client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=dict(environment))
            except RuntimeError as error:
                if _status(client, job) is None:  # somebody else submitted it in this moment
                    raise UsageError(f"the cluster did not take the job: {error}") from None
                return job, True
            return job, False
        if status in ("PENDING", "RUNNING") or (status == "SUCCEEDED" and not again):
            return job, True
    raise UsageError(f"{base} was tried {MOST_ATTEMPTS} times; look at its log before trying again")


def _status(client: Any, job: str) -> str | None:
    """A job's status; None where the cluster has no such job."""
    try:
        return str(client.get_job_info(job).status.value)
    except RuntimeError as error:
        if "404" in str(error):
            return None
        raise UsageError(f"the cluster did not answer: {error}") from None


def follow(client: Any, job: str, pause_s: float = 1.0, patience_s: float = 300.0) -> Any:
    """Print the job's output here as it comes, through lost connections, until it has ended; its last state.

    Raises:
        UsageError: the cluster did not answer for `patience_s`.
    """
    from aiohttp import ClientError

    printed, heard = [0], time.monotonic()
    try:
        while True:
            try:
                # the state before the log: a job that has ended by now writes no more
                info = client.get_job_info(job)
                asyncio.run(_tail(client, job, printed))
                if info.status.is_terminal():
                    return info
                heard = time.monotonic()
            except (RuntimeError, OSError, ClientError) as error:
                if time.monotonic() - heard > patience_s:
                    raise UsageError(f"lost {job}: {error}. The same command follows it again.") from None
                say(f"the connection broke off ({type(error).__name__}); trying again")
            time.sleep(pause_s)
    except KeyboardInterrupt:
        say(f"\n{job} goes on without you; the same command follows it again")
        raise


async def _tail(client: Any, job: str, printed: list[int]) -> None:
    """Print what comes after the first `printed[0]` characters, and add it to their number."""
    read = 0
    async for text in client.tail_job_logs(job):
        sys.stdout.write(text[max(0, printed[0] - read) :])
        sys.stdout.flush()
        read += len(text)
        printed[0] = max(printed[0], read)


def exit_code(info: Any) -> int:
    """Exit code of the job's own process, where Ray knows it; otherwise by the job's status."""
    if info.driver_exit_code is not None and info.driver_exit_code >= 0:
        return int(info.driver_exit_code)
    return {"SUCCEEDED": 0, "STOPPED": STOPPED}.get(info.status.value, 1)


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
        client.get_version()
        return client
    except AuthenticationError as error:
        why = str(error).partition(". ")[0]
        raise RefusedError(f"{address} refuses this token ({why}); RAY_AUTH_TOKEN_PATH names its file") from None
    except (ConnectionError, RuntimeError) as error:
        raise UsageError(f"no cluster answers at {address}: {error}") from None


def _commit(root: Path) -> dict[str, str]:
    """The commit of the files that are sent, which a job could not find out itself."""
    from raytrain.training.provenance import commit

    name = commit(root)
    return {"RAYTRAIN_COMMIT": name} if name else {}
