"""The verbs of a cluster: submit and doctor. Ray is imported once one of them runs."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from raytrain.cli.verb import CLUSTER, DATA, OUTPUT, option, verb
from raytrain.errors import UsageError

app = typer.Typer()
_JOB = "Job"


@verb(
    app,
    "submit",
    "raytrain submit -- raytrain sweep dvse --recipe run.yaml --trials 48",
    panel="Cluster",
    flags_first=True,
)
def run_submit(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="what the job runs, after two dashes")
    ] = None,
    address: Annotated[
        str | None,
        option("--address", CLUSTER, "dashboard, http://127.0.0.1:8265; default RAY_API_SERVER_ADDRESS", metavar="URL"),
    ] = None,
    plain_http: Annotated[bool, option("--plain-http", CLUSTER, "send the token unencrypted to another host")] = False,
    working_dir: Annotated[
        str,
        option("--working-dir", _JOB, "folder to send, without what .rayignore and .gitignore name", metavar="FOLDER"),
    ] = ".",
    env: Annotated[
        list[str] | None,
        option("--env", _JOB, "environment variable of the job; no secrets; may be repeated", metavar="NAME=VALUE"),
    ] = None,
    runtime_env: Annotated[
        str | None,
        option("--runtime-env", _JOB, "YAML with further fields of Ray's runtime environment", metavar="FILE"),
    ] = None,
    max_mb: Annotated[float, option("--max-mb", _JOB, "refuse to send more megabytes than this")] = 100.0,
    again: Annotated[bool, option("--again", _JOB, "run the command even if it has succeeded before")] = False,
    no_wait: Annotated[bool, option("--no-wait", OUTPUT, "return once the job is submitted")] = False,
) -> dict[str, Any]:
    """Send this folder and a command to a cluster, and follow the job to its exit code."""
    from raytrain.cluster.jobs.submit import submit

    if not all("=" in variable for variable in env or ()):
        raise UsageError("--env wants NAME=VALUE")
    return submit(
        command or [],
        address=address,
        working_dir=working_dir,
        env=dict(variable.partition("=")[::2] for variable in env or ()),
        runtime_env=_read_runtime_env(runtime_env),
        max_mb=max_mb,
        again=again,
        wait=not no_wait,
        plain_http=plain_http,
    )


def _read_runtime_env(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from raytrain.config.yaml_files import read_yaml

    fields = dict(read_yaml(path, "runtime environment"))
    if "working_dir" in fields:
        raise UsageError(f"{path} holds fields of a runtime environment, without working_dir (that is --working-dir)")
    return fields


@verb(app, "doctor", "raytrain doctor --address auto --storage /mnt/shared/runs", panel="Cluster")
def run_doctor(
    storage: Annotated[str, option("--storage", DATA, "folder that runs are written to", metavar="FOLDER")] = "runs",
    address: Annotated[
        str | None,
        option("--address", CLUSTER, "cluster to check; default RAY_ADDRESS, or else no cluster", metavar="ADDRESS"),
    ] = None,
    tracking: Annotated[
        str | None,
        option("--tracking", OUTPUT, "MLflow store or server to check; default the storage's own", metavar="URI"),
    ] = None,
) -> dict[str, Any]:
    """Check versions, nodes, authentication, storage, GPUs and MLflow."""
    from raytrain.cluster.doctor.doctor import doctor

    checks = doctor(storage, address or os.environ.get("RAY_ADDRESS"), tracking)
    for check in checks:
        print(f"{check.state:7s} {check.name}: {check.found}" + (f"\n        {check.fix}" if check.fix else ""))
    refused = any(check.state == "refused" for check in checks)
    failed = any(check.state == "failed" for check in checks)
    return {"checks": [check.as_dict() for check in checks], "exit_code": 4 if refused else 1 if failed else 0}
