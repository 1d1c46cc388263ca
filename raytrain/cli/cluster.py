"""The verbs of running a cluster: submit, doctor and cost. Ray is imported once one of the first two runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from raytrain.cli.verb import add_verb
from raytrain.errors import UsageError


def add_operations(subparsers: Any) -> None:
    """Adds submit, doctor and cost; each sets `run`, which takes the parsed arguments and returns the JSON result."""
    submit = add_verb(
        subparsers, "submit", "send this folder and a command to a cluster, and follow it to its exit code", run_submit,
        "raytrain submit -- python jobs/sweep.py dvse --recipe dvse_flickr8k --trials 24 --workers 2 "
        "storage=/mnt/shared/runs data.table=/mnt/shared/tables/flickr8k",
    )  # fmt: skip
    submit.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what the job runs")
    submit.add_argument("--address", help="the dashboard, http://127.0.0.1:8265; default RAY_API_SERVER_ADDRESS")
    submit.add_argument(
        "--working-dir", default=".", help="folder to send, without what .rayignore and .gitignore name"
    )
    submit.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="of the job; no secrets")
    submit.add_argument("--runtime-env", metavar="FILE", help="YAML with further fields of Ray's runtime environment")
    submit.add_argument("--max-mb", type=float, default=100.0, help="refuse to send more (default 100)")
    submit.add_argument("--again", action="store_true", help="run it again where it has succeeded before")
    submit.add_argument("--no-wait", action="store_true", help="return once it is submitted")
    submit.add_argument("--plain-http", action="store_true", help="send the token unencrypted to another host")

    doctor = add_verb(
        subparsers, "doctor", "check versions, nodes, authentication, storage, GPUs and MLflow", run_doctor,
        "raytrain doctor --address auto --storage /mnt/shared/runs",
    )  # fmt: skip
    doctor.add_argument("--storage", default="runs", help="folder that runs are written to")
    doctor.add_argument("--address", help="cluster to check; default RAY_ADDRESS, or none")
    doctor.add_argument("--tracking", help="MLflow store or server to check; default the storage's own")

    cost = add_verb(
        subparsers, "cost", "what each sweep took: seconds, shares that were busy and lost, money", run_cost,
        "raytrain cost --storage /mnt/shared/runs --prices prices.yaml",
    )  # fmt: skip
    cost.add_argument("--storage", default="runs", help="folder that holds experiments (default runs)")
    cost.add_argument("--experiment", help="one experiment; default all of them")
    cost.add_argument("--runs", action="store_true", help="each run too, of a sweep or of none")
    cost.add_argument("--prices", help="price table, docs/prices.example.yaml; default prices.yaml in the storage")


def run_submit(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.cluster.jobs.submit import submit

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    env = dict(one.partition("=")[::2] for one in args.env)
    if not all("=" in one for one in args.env):
        raise UsageError("--env wants NAME=VALUE")
    return submit(
        words,
        address=args.address,
        working_dir=args.working_dir,
        env=env,
        runtime_env=_runtime_env(args.runtime_env),
        max_mb=args.max_mb,
        again=args.again,
        wait=not args.no_wait,
        plain_http=args.plain_http,
    )


def _runtime_env(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(found, dict) or "working_dir" in found:
        raise UsageError(f"{path} holds fields of a runtime environment, without working_dir (that is --working-dir)")
    return found


def run_doctor(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.cluster.doctor.doctor import doctor

    checks = doctor(args.storage, args.address or os.environ.get("RAY_ADDRESS"), args.tracking)
    for check in checks:
        print(f"{check.state:7s} {check.name}: {check.found}" + (f"\n        {check.fix}" if check.fix else ""))
    refused = any(check.state == "refused" for check in checks)
    failed = any(check.state == "failed" for check in checks)
    return {"checks": [check.as_dict() for check in checks], "exit_code": 4 if refused else 1 if failed else 0}


def run_cost(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.review.accounting import read_journals, sweep_costs
    from raytrain.review.costs import run_costs
    from raytrain.review.prices import prices_of
    from raytrain.review.terminal import print_costs

    prices = prices_of(args.storage, args.prices)
    journals = read_journals(Path(args.storage), args.experiment)
    costs, runs = sweep_costs(journals, prices), run_costs(journals, prices)
    print_costs(costs, runs if args.runs else None, prices)
    return {"sweeps": [cost.as_dict() for cost in costs], "runs": runs}
