"""What `raytrain doctor` asks each node of a cluster: its versions, the storage, its clock, its GPUs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from raytrain.cluster.doctor.check import PACKAGES, Check

MOST_SKEW_S = 5.0  # journals of several hosts are ordered by their clocks
LEAST_SHM_GB = 1.0
TIMEOUT_S = 120.0  # a node's first task imports torch


def probe_node(storage: str, probe: str) -> dict[str, Any]:
    """Facts of the node that this runs on.

    Args:
        storage: folder of the runs.
        probe: name, and content, of a file that the driver has put there.

    Returns:
        {"host", "versions": {package: version or None}, "storage_seen", "storage_writable", "time": seconds since 1970,
        "cuda": torch's CUDA version or None, "interface": of gloo or None, "shm_gb": size of /dev/shm or None}
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    path = Path(storage) / probe
    try:
        seen = path.read_text(encoding="utf-8") == probe
        writes = os.access(storage, os.W_OK)
    except OSError:
        seen = writes = False
    import torch

    return {
        "host": socket.gethostname(),
        "versions": versions,
        "storage_seen": seen,
        "storage_writable": writes,
        "time": time.time(),
        "cuda": torch.version.cuda,
        "interface": os.environ.get("GLOO_SOCKET_IFNAME"),
        "shm_gb": shutil.disk_usage("/dev/shm").total / 1e9 if os.path.isdir("/dev/shm") else None,
    }


def check_nodes(storage: str | os.PathLike[str]) -> tuple[list[Check], int]:
    """A check per node of the connected cluster and one of their network, and the number of hosts that they are on."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = Path(storage).expanduser().resolve()
    probe = f".doctor-{uuid.uuid4().hex}"
    (folder / probe).write_text(probe, encoding="utf-8")
    live = [node for node in ray.nodes() if node["Alive"]]
    remote_probe = ray.remote(probe_node)
    checks, hosts, interfaces = [], set(), set()
    try:
        mine = probe_node(str(folder), probe)
        calls = []
        for node in live:
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            # without a CPU of its own, so that a busy cluster answers too
            options = {"num_cpus": 0, "scheduling_strategy": on_node, "max_retries": 0}
            calls.append((node, time.time(), remote_probe.options(**options).remote(str(folder), probe)))
        for node, sent, call in calls:
            name = f"node {node['NodeManagerAddress']}"
            try:
                facts = ray.get(call, timeout=TIMEOUT_S)
            except Exception as error:
                reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
                checks.append(Check(name, "failed", f"it cannot run our code: {reason}",
                                    "Install raytrain there as here, from constraints.txt."))  # fmt: skip
                continue
            hosts.add(facts["host"])
            interfaces.add(facts["interface"])
            checks.append(check_node(name, facts, mine, node["Resources"].get("GPU", 0.0), (sent, time.time())))
    finally:
        (folder / probe).unlink(missing_ok=True)
    if len(hosts) > 1 and None in interfaces:
        checks.append(
            Check("network", "absent", f"GLOO_SOCKET_IFNAME is not set on each of {len(hosts)} hosts",
                  "Set it (with GPUs NCCL_SOCKET_IFNAME) before `ray start`, or gloo may advertise 127.0.0.1.")
        )  # fmt: skip
    return checks, len(hosts)


def check_node(
    name: str, facts: dict[str, Any], mine: dict[str, Any], gpus: float, called: tuple[float, float]
) -> Check:
    """The worst that is wrong with a node, or that nothing is.

    Args:
        facts: of the node, as `probe_node` returns them.
        mine: those of this machine.
        gpus: that Ray counts on the node.
        called: when `probe_node` was called and when it had returned, on this machine's clock.
    """
    other = {
        package: (version, mine["versions"][package])
        for package, version in facts["versions"].items()
        if version != mine["versions"][package]
    }
    if other:
        pairs = ((package, there or "absent", here or "absent") for package, (there, here) in other.items())
        differences = ", ".join(f"{package} {there} (here {here})" for package, there, here in pairs)
        return Check(
            name, "failed", f"other versions: {differences}", "Use one image or constraints.txt on every node."
        )
    if not (facts["storage_seen"] and facts["storage_writable"]):
        what = "is another folder there" if not facts["storage_seen"] else "cannot be written to"
        return Check(name, "failed", f"the storage {what}", "Mount it at the same path on every node.")
    skew = max(called[0] - facts["time"], facts["time"] - called[1], 0.0)
    if skew > MOST_SKEW_S:
        return Check(name, "failed", f"its clock is {skew:.0f} s off", "Run a time service on every node.")
    if gpus and facts["cuda"] is None:
        return Check(name, "failed", f"{gpus:g} GPUs, and a torch that knows none", "Install torch's CUDA build there.")
    if facts["shm_gb"] is not None and facts["shm_gb"] < LEAST_SHM_GB:
        return Check(name, "absent", f"/dev/shm has {facts['shm_gb']:.2f} GB: Ray's objects go to the disk",
                     "docker run --shm-size=16g, or an emptyDir of medium Memory.")  # fmt: skip
    return Check(name, "ok", f"{facts['host']}, {gpus:g} GPUs, our versions, the storage, the clock")
