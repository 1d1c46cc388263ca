"""Every private name of Ray that raytrain.cluster touches, each with the reason why no public one will do.

tests/cluster/test_compat.py holds them against the installed Ray: after an upgrade it says what to look at here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HEAD_NODE = "node:__internal_head__"
"""A resource that Ray gives to the head of a cluster alone; its name is public nowhere."""
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""What a head answers to anyone who may ask it anything; no public call goes without the token that Ray has read."""
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""The file in a run's folder from which Ray Train resumes a run; nothing public says whether it is intact."""

Rule = Callable[[Path], bool]
"""Whether a path is left out of what is sent to a cluster."""


def dashboard_url() -> str | None:
    """host:port of the connected cluster's dashboard, or None: ray.init tells it, and nothing does so afterwards."""
    import ray

    return ray._private.worker.get_dashboard_url() or None


def keep_to_loopback() -> None:
    """Have a cluster that this process starts listen on the loopback alone.

    Ray does so where it takes the machine for one that can be no node of a larger cluster, and asks the environment
    whether it is, once; an address given to ray.init it replaces by one that other hosts reach.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if "ray" in sys.modules:
        from ray._private import ray_constants

        ray_constants.ENABLE_RAY_CLUSTER = False


def temp_dir(folder: Path) -> dict[str, Any]:
    """Arguments of ray.init, private ones, that put the files of a cluster which it starts under `folder`."""
    return {"_temp_dir": str(folder)}


def ignore_rule(root: Path, patterns: Sequence[str]) -> Rule:
    """The rule that Ray makes of `excludes` in a runtime environment; a submission lists its files by the same one."""
    from ray._private.runtime_env import packaging

    return packaging._get_excludes(root, list(patterns))  # type: ignore[no-any-return]


def ignore_file_rules(folder: Path) -> list[Rule]:
    """The rules that Ray takes from .gitignore and .rayignore of a folder that it sends."""
    from ray._private.runtime_env import packaging

    quiet = logging.getLogger(__name__)  # Ray's own names every ignore file
    rules: list[Rule] = packaging.get_excludes_from_ignore_files(folder, include_gitignore=True, logger=quiet)
    return rules


def raised_by_worker(error: BaseException) -> BaseException:
    """What a worker of Ray Train raised: its wrapper shows the worker's traceback and keeps the error to itself."""
    inner = getattr(error, "_base_exc", error)
    return inner if isinstance(inner, BaseException) else error


def snapshot_checkpoints(file: Path) -> list[str] | None:
    """Names of the checkpoint folders that a SNAPSHOT lists; None where a kill left half of it.

    Ray writes the file in place, and refuses to start a run from a damaged one.
    """
    try:
        return [
            str(entry["checkpoint_dir_name"]) for entry in json.loads(file.read_text("utf-8"))["checkpoint_results"]
        ]
    except (ValueError, KeyError, TypeError):
        return None


def open_no_replica_port() -> None:
    """In a replica of Ray Serve that is being opened: have it listen nowhere.

    It would listen on all interfaces, ask for no token, and unpickle what it is sent. Requests of the proxy come as
    calls of an actor, which Ray asks the token for; nothing public leaves the port out.
    """
    from ray.serve._private import replica

    assert hasattr(replica, "add_port_to_grpc_server"), "this Ray Serve opens its port in another way"
    replica.add_port_to_grpc_server = lambda server, address: 0
