"""Checks what a sweep depends on, before it runs: versions, nodes, authentication, storage, GPUs, MLflow."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from raytrain.cluster import compat
from raytrain.cluster.auth_token import token_path
from raytrain.cluster.doctor.check import PACKAGES, Check
from raytrain.errors import RaytrainError, RefusedError, pip_install
from raytrain.files import others_may_read

LEAST_FREE_GB = 10.0  # a sweep keeps two checkpoints of each run
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def doctor(storage: str | os.PathLike[str], address: str | None = None, tracking_uri: str | None = None) -> list[Check]:
    """All checks; one that fails does not stop the others.

    Args:
        storage: folder that runs are written to.
        address: of the cluster; None checks this machine alone.
        tracking_uri: of MLflow; None takes the storage's own.
    """
    checks = [*versions(), check_storage(storage), gpu(), token_file()]
    hosts = 1
    if address:
        checks += _guarded("cluster", lambda: cluster(address))
        if checks[-1].name != "cluster":  # it could be joined
            from raytrain.cluster.doctor.nodes import check_nodes

            node_checks, hosts = check_nodes(storage)
            checks += node_checks
    else:
        checks.append(
            Check("cluster", "absent", "none named: train and sweep start one of their own, for as long as they run",
                  "To check a running one: raytrain doctor --address auto")
        )  # fmt: skip
    checks += _guarded("mlflow", lambda: [tracking(storage, tracking_uri, hosts)])
    return checks


def versions() -> list[Check]:
    """One check per package, with its version."""
    checks = []
    for package in PACKAGES:
        try:
            checks.append(Check(package, "ok", importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            extra = {"ray": "ray", "optuna": "ray", "mlflow": "mlflow", "transformers": "encode"}.get(package)
            fix = pip_install(extra) if extra else "pip install raytrain"
            checks.append(Check(package, "absent", "not installed", fix))
    return checks


def check_storage(storage: str | os.PathLike[str]) -> Check:
    """Whether the storage can be written to and has LEAST_FREE_GB free."""
    path = Path(storage).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        return Check("storage", "failed", f"{path}: {error}", "Name a folder that every node mounts and may write to.")
    free = shutil.disk_usage(path).free / 1e9
    if free < LEAST_FREE_GB:
        return Check(
            "storage", "failed", f"{path}: {free:.1f} GB free", f"Make room for {LEAST_FREE_GB:g} GB at least."
        )
    return Check("storage", "ok", f"{path}: {free:.0f} GB free")


def token_file() -> Check:
    """Whether nobody else can read the token that this machine would show to a cluster."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check("token", "ok", "in RAY_AUTH_TOKEN; a file shows in fewer places")
    path = token_path()
    if not path.exists():
        return Check("token", "absent", f"no {path}: a cluster started here makes its own",
                     "To join one, copy its token there, or set RAY_AUTH_TOKEN_PATH.")  # fmt: skip
    if others_may_read(path):
        return Check(
            "token", "refused", f"others may read {path}", f"chmod 600 {path}, and give the cluster a new one."
        )
    return Check("token", "ok", str(path))


def gpu() -> Check:
    """The GPUs of this machine."""
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "absent", "none on this machine", "")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check("gpu", "ok", ", ".join(names))


def cluster(address: str) -> list[Check]:
    """Whether the cluster can be joined and asks for a token, and its dashboard too.

    Raises:
        UsageError: the cluster cannot be joined.
        RefusedError: it asks for no token, or others can read the token.
    """
    from raytrain.cluster.connect import connect
    from raytrain.cluster.resources import live_nodes

    connect(address)
    nodes = live_nodes()
    total = {name: sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU")}
    checks = [Check("cluster", "ok", f"{len(nodes)} nodes, {total['CPU']:g} CPUs, {total['GPU']:g} GPUs")]
    checks.append(Check("authentication", "ok", "the head refuses who shows no token"))
    url = compat.dashboard_url()
    if url and _host(url) in LOOPBACK and not on_head():
        at = f"{url} of the head, which the head alone reaches"
        return [*checks, Check("dashboard", "absent", at, "Run doctor on the head to check it.")]
    return [*checks, dashboard(url)]


def on_head() -> bool:
    """Whether this process runs on the node of the cluster's head."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return any(node["NodeID"] == here and compat.HEAD_NODE in node["Resources"] for node in ray.nodes())


def _host(address: str) -> str:
    return address.removeprefix("http://").rpartition(":")[0]


def dashboard(address: str | None) -> Check:
    """Whether the dashboard at host:port (None: there is none) refuses to list its jobs to one who has no token."""
    if not address:
        return Check("dashboard", "absent", "none", "Ray's cleaner floods the log without it; leave it on.")
    url = f"http://{address.removeprefix('http://')}/api/jobs/"
    try:
        with urllib.request.urlopen(url, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            fix = "" if _host(address) in LOOPBACK else "Start the head with --dashboard-host=127.0.0.1."
            return Check("dashboard", "ok", f"{address} asks for the token", fix)
        return Check("dashboard", "failed", f"{address} answers {error.code}", "Look at the cluster's log.")
    except OSError as error:
        return Check("dashboard", "failed", f"{address}: {error}", "Look at the cluster's log.")
    return Check(
        "dashboard", "refused", f"{address} answers without a token: whoever reaches it runs code here",
        "Start the cluster again with RAY_AUTH_MODE=token.",
    )  # fmt: skip


def tracking(storage: str | os.PathLike[str], uri: str | None, hosts: int = 1) -> Check:
    """Whether the MLflow store fits the number of hosts, and its server answers.

    Raises:
        UsageError: a store that would not last.
        TrackingError: a sqlite file that is locked, damaged or cannot be written.
        OSError: the server does not answer.
    """
    from raytrain.tracking.faults import explained
    from raytrain.tracking.store import try_lock
    from raytrain.tracking.uri import check_uri, default_uri

    uri = check_uri(uri or default_uri(storage))
    if uri.startswith("sqlite:"):
        path = Path(uri.removeprefix("sqlite:///"))
        note = "" if path.exists() else " (made by the first run)"
        if hosts > 1:
            return Check("mlflow", "failed", f"{path}{note} serves one host, and the cluster has {hosts}",
                         "Run `mlflow server` on the head and give --tracking http://HEAD:5000.")  # fmt: skip
        if path.exists():
            with explained(uri):
                try_lock(path)
        return Check("mlflow", "ok", f"{path}{note}; several hosts need a server: --tracking http://...")
    with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10) as answer:
        return Check("mlflow", "ok", f"server answers {answer.status}")


def _guarded(name: str, check: Callable[[], list[Check]]) -> list[Check]:
    """The checks that a function makes, or a failed one named `name` where it raises."""
    try:
        return check()
    except RefusedError as error:
        return [Check(name, "refused", str(error), "")]
    except RaytrainError as error:
        return [Check(name, "failed", str(error), "")]
    except (OSError, ImportError) as error:
        return [Check(name, "failed", f"{type(error).__name__}: {error}", "Is it running, and reachable from here?")]
