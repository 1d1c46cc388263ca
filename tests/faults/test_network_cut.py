"""Two hosts, which are network namespaces of this machine, and the cable between them is cut while a trial trains."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raytrain.config import to_yaml
from raytrain.tracking.journal import Journal
from tests.faults.test_kills import epochs, wait_for
from tests.ray_cluster import LocalCluster, start_cluster
from tests.runs import small_run
from tests.tables import make_table

pytestmark = [pytest.mark.faults, pytest.mark.cluster, pytest.mark.slow]
EPOCHS = 20
HOSTS = tuple(f"rt{os.getpid()}{side}" for side in "ab")
CABLE = "eth0"  # what each host calls its end


@dataclass
class TwoHosts(LocalCluster):
    """The head alone on one host, every other node on the second one."""

    def __post_init__(self) -> None:
        self.env |= {
            "GLOO_SOCKET_IFNAME": CABLE,
            # a node is declared dead after some seconds and not after half a minute, and one that is cut off ends
            # after as many and not after minutes
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "3",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
            "RAY_grpc_client_keepalive_time_ms": "2000",
            "RAY_grpc_client_keepalive_timeout_ms": "2000",
        }

    def host(self, node: int) -> tuple[list[str], str]:
        return ["ip", "netns", "exec", HOSTS[min(node, 1)]], f"10.77.0.{min(node, 1) + 1}"

    def workers_on(self, host: int) -> set[int]:
        return set(self.workers()) & pids(HOSTS[host])


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def pids(host: str) -> set[int]:
    return {int(line) for line in ip("netns", "pids", host).split()}


def lay_cable() -> None:
    ends = [f"v{os.getpid()}{side}" for side in "ab"]
    ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for number, (host, end) in enumerate(zip(HOSTS, ends, strict=True), 1):
        ip("netns", "add", host)
        ip("link", "set", end, "netns", host, "name", CABLE)
        for name in ("lo", CABLE):
            ip("-n", host, "link", "set", name, "up")
        ip("-n", host, "address", "add", f"10.77.0.{number}/24", "dev", CABLE)
        ip("-n", host, "route", "add", "default", "dev", CABLE)  # by which Ray finds its own address


def remove_hosts() -> None:
    for host in HOSTS:
        with contextlib.suppress(subprocess.CalledProcessError):
            for pid in pids(host):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            ip("netns", "delete", host)  # and its end of the cable, and so the other
    with contextlib.suppress(subprocess.CalledProcessError):
        ip("link", "delete", f"v{os.getpid()}a")  # where it was never handed out


@pytest.fixture
def hosts() -> Iterator[TwoHosts]:
    for module in ("ray", "optuna"):
        pytest.importorskip(module)
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command `ip`")
    try:
        lay_cable()
    except subprocess.CalledProcessError as error:
        remove_hosts()
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    try:
        cluster = start_cluster(kind=TwoHosts)
        assert isinstance(cluster, TwoHosts)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        remove_hosts()
    assert not set(HOSTS) & set(ip("netns", "list").split())


def test_a_sweep_whose_hosts_lose_each_other_ends_without_errors_once_a_second_host_is_back(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    make_table(tmp_path / "table", items=64)
    (tmp_path / "run.yaml").write_text(to_yaml(small_run(tmp_path, num_epochs=EPOCHS, batch_size=64)))
    command = ["-m", "raytrain.cli", "sweep", "dvse_core", "--recipe", str(tmp_path / "run.yaml"), "--name", "cut"]
    command += ["--trials", "1", "--workers", "2", "--rerank-trials", "0", "--tracking", "none", "--json"]
    run = tmp_path / "runs" / "small" / "cut-t000"
    driver = hosts.python(*command)
    try:
        wait_for(lambda: len(epochs(run)) >= 2, driver)
        ranks = [hosts.workers_on(host) for host in range(2)]
        assert [len(found) for found in ranks] == [1, 1]  # one run over both hosts
        ip("-n", HOSTS[1], "link", "set", CABLE, "down")
        at_cut = len(epochs(run))
        assert at_cut < EPOCHS
        wait_for(lambda: hosts.nodes[1].poll() is not None, driver)  # the host that was cut off noticed,
        wait_for(lambda: not hosts.workers_on(1), driver)  # its rank ended with it (Ray's agents take a minute more),
        wait_for(lambda: not ranks[0] & hosts.workers_on(0), driver)  # and the rank on the head does not wait for it
        assert len(epochs(run)) <= at_cut + 1  # nobody trained on alone
        ip("-n", HOSTS[1], "link", "set", CABLE, "up")
        hosts.start_node(f"--address={hosts.address}", f"--temp-dir={hosts.folder / 'x'}")
        out, err = driver.communicate(timeout=240)
    finally:
        driver.kill()
    assert driver.returncode == 0, out + err
    result = json.loads(out)  # and nothing else, whatever Ray had to say of lost nodes
    assert result["trials"] == {"total": 1, "complete": 1, "pruned": 0, "failed": 0}
    events = Journal(run).read()
    resume = next(event for event in events if event["event"] == "resume")
    assert 1 <= resume["epoch"] < EPOCHS
    assert resume["checkpoint"]
    assert epochs(run) == list(range(1, EPOCHS + 1))  # none twice, none missing
    assert [event["status"] for event in events if event["event"] == "end"][-1] == "finished"
