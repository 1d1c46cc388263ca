"""What a node of a cluster may lack, where each thing is wrong by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from raytrain.cluster.doctor.nodes import check_node, probe_node

HERE = {
    "host": "a", "versions": {"python": "3.11.9", "torch": "2.13.0", "ray": "2.60.0"}, "storage_seen": True,
    "storage_writable": True, "time": 1000.0, "cuda": "12.6", "interface": "eth0", "shm_gb": 16.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "gpus", "state", "found"),
    [
        ({}, 1.0, "ok", "a, 1 GPUs"),
        ({"versions": HERE["versions"] | {"torch": "2.12.0"}}, 0.0, "failed", r"torch 2\.12\.0 \(here 2\.13\.0\)"),
        ({"versions": HERE["versions"] | {"ray": None}}, 0.0, "failed", r"ray absent \(here 2\.60\.0\)"),
        ({"storage_seen": False}, 0.0, "failed", "another folder"),
        ({"storage_writable": False}, 0.0, "failed", "cannot be written"),
        ({"time": 1060.0}, 0.0, "failed", "58 s off"),
        ({"time": 940.0}, 0.0, "failed", "60 s off"),
        ({"cuda": None}, 8.0, "failed", "8 GPUs, and a torch that knows none"),
        ({"cuda": None}, 0.0, "ok", "0 GPUs"),
        ({"shm_gb": 0.064}, 0.0, "absent", "/dev/shm has 0.06 GB"),
    ],
)
def test_a_node_is_judged_by_the_worst_that_is_wrong(
    change: dict[str, Any], gpus: float, state: str, found: str
) -> None:
    check = check_node("node a", HERE | change, HERE, gpus, called=(1000.0, 1002.0))
    assert check.state == state
    assert re.search(found, check.found)
    assert bool(check.fix) == (state != "ok")


def test_a_node_sees_the_storage_by_what_the_driver_wrote(tmp_path: Path) -> None:
    (tmp_path / "probe").write_text("probe")
    assert probe_node(str(tmp_path), "probe")["storage_seen"]
    assert not probe_node(str(tmp_path), "another")["storage_seen"]
    assert probe_node(str(tmp_path), "probe")["versions"]["torch"]
