"""A Ray cluster of several nodes on this machine, with token authentication, for tests and benchmarks that need one.

Started by `ray start` under a folder, ports and a token of its own, and ended by its own process ids: `ray stop` would
end every cluster of the machine.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
NICENESS = {"RAY_worker_niceness": "0"}
"""Of Ray's workers, 15 by default: the tests without Ray, which run beside those of a cluster, would come first."""


@dataclass
class LocalCluster:
    """Nodes of one CPU each, the head first; two of them, so that a training of two workers spans both."""

    folder: Path
    port: int
    dashboard_port: int
    env: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.host(0)[1]}:{self.port}"

    def host(self, node: int) -> tuple[list[str], str]:
        """What a command that runs where a node is begins with, and the node's address."""
        return [], "127.0.0.1"

    @property
    def site(self) -> Path:
        """Folder of packages that a test installs on every node, and removes again."""
        return self.folder / "site"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def start_head(self) -> None:
        self.start_node(
            "--head",
            f"--port={self.port}",
            f"--temp-dir={self.folder / 'r'}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard_port}",
            f"--ray-client-server-port={free_port()}",
        )
        self.wait()

    def add_node(self) -> None:
        # a folder of its own, as on a host of its own: in a shared one each node's agent removes the other's job files
        self.start_node(f"--address={self.address}", f"--temp-dir={self.folder / f'w{len(self.nodes)}'}")

    def kill_node(self, index: int) -> list[int]:
        """SIGKILL of everything that a node started, as if its power were cut; the process ids."""
        ended = self.processes(index)
        for pid in ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nodes[index].wait(10)
        return ended

    def processes(self, index: int) -> list[int]:
        """Process ids of a node: those of the session that `ray start` was given."""
        result = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()  # the name before may hold anything
                if int(fields[3]) == self.nodes[index].pid and fields[0] != "Z":
                    result.append(int(path.name))
        return sorted(result)

    def start_node(self, *arguments: str) -> None:
        within, ip = self.host(len(self.nodes))
        ports = ["--dashboard-agent-listen-port", "--dashboard-agent-grpc-port", "--metrics-export-port"]
        command = [
            *within,
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--block",
            "--num-cpus=1",
            "--num-gpus=0",
            *arguments,
        ]
        command += [f"--node-ip-address={ip}", "--disable-usage-stats", "--object-store-memory=100000000"]
        command += ["--include-log-monitor=false"]  # it reads logs for drivers that show them
        command += [f"{name}={free_port()}" for name in ports]
        # helpers of Ray's that run there ask for "the" cluster of a machine, which may have several
        env = self.env | {"RAY_ADDRESS": self.address}
        # a session of its own: whatever it starts can be ended with it
        with open(self.folder / f"node{len(self.nodes)}.log", "wb") as log:
            self.nodes.append(
                subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True, cwd=ROOT)
            )

    def python(self, *arguments: str) -> subprocess.Popen[str]:
        """A driver: Python with these arguments, told where the cluster is."""
        return subprocess.Popen(
            [*self.host(0)[0], sys.executable, *arguments],
            env=self.env | {"RAY_ADDRESS": self.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, *arguments: str, timeout_s: float = 240.0) -> subprocess.CompletedProcess[str]:
        process = self.python(*arguments)
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def everything(self) -> list[int]:
        """Process ids of this cluster, its drivers and workers among them: known by the token that they carry."""
        mine = f"RAY_AUTH_TOKEN_PATH={self.env['RAY_AUTH_TOKEN_PATH']}".encode()
        result = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mine in (path / "environ").read_bytes():
                    result.append(int(path.name))
        return result

    def workers(self) -> list[int]:
        """Process ids of its Ray Train workers."""
        return [pid for pid in self.everything() if b"TrainWorker" in command_of(pid)]

    def training(self, among: Collection[int] | None = None) -> dict[int, Path]:
        """{process id of an actor: folder of the run that it trains}, by the files that each rank holds open there.

        `among`: processes to look at; None looks at all of this cluster. An actor's title does not say whether it
        trains: Tune's own lose theirs for a moment at every epoch.
        """
        result = {}
        for pid in self.everything() if among is None else among:
            for link in Path(f"/proc/{pid}/fd").glob("*") if command_of(pid).startswith(b"ray::") else ():
                with contextlib.suppress(OSError):
                    path = link.readlink()
                    if path.name == "journal.jsonl" or path.name.startswith("stacks-rank"):
                        result[pid] = path.parent
        return result

    def wait(self, timeout_s: float = 240.0) -> None:
        """Until every node says that it has joined.

        A node that asks for a head before it is up gives up sooner than the head of a busy machine.
        """
        deadline = time.monotonic() + timeout_s
        for index, node in enumerate(self.nodes):
            log = self.folder / f"node{index}.log"
            while "Ray runtime started" not in log.read_text(errors="replace"):
                if node.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"node {index} did not come up:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.5)

    def stop(self) -> None:
        for each, pause in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 0.0)):
            for node in self.nodes:
                try:
                    os.killpg(node.pid, each)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + pause
            while time.monotonic() < deadline and any(node.poll() is None for node in self.nodes):
                time.sleep(0.1)
        for node in self.nodes:
            node.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def shared_cluster() -> LocalCluster:
    """The one cluster of a test session; it ends with the session."""
    cluster = start_cluster()
    atexit.register(cluster.stop)
    return cluster


def start_cluster(nodes: int = 2, kind: type[LocalCluster] = LocalCluster, attempts: int = 3) -> LocalCluster:
    """A cluster of so many nodes that is up. A busy machine may need a second attempt."""
    for attempt in range(1, attempts):
        try:
            return _start_cluster(nodes, kind)
        except RuntimeError as error:
            print(f"attempt {attempt} of {attempts} to start Ray failed: {str(error).splitlines()[0]}", file=sys.stderr)
    return _start_cluster(nodes, kind)


def _start_cluster(nodes: int, kind: type[LocalCluster]) -> LocalCluster:
    folder = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))  # short: it holds sockets
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    env |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder / 'site'}",
        "OMP_NUM_THREADS": "1",
        **NICENESS,
        "CUDA_VISIBLE_DEVICES": "",  # the same cluster wherever the tests run
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        "RAY_enable_metrics_collection": "0",  # a share of a core, that nobody looks at
        "RAY_raylet_start_wait_time_s": "120",  # 30 s by default, which a machine with other work may not have
    }
    cluster = kind(folder, free_port(), free_port(), env)
    cluster.site.mkdir()
    try:
        cluster.start_head()
        for _ in range(1, nodes):
            cluster.add_node()
        cluster.wait()
    except BaseException:
        cluster.stop()
        raise
    return cluster


def command_of(pid: int) -> bytes:
    """The command line of a process, NUL between its arguments; empty once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def run_with_own_ray(script: str, *arguments: str) -> str:
    """The output of a Python script in a process that starts a Ray of its own, under a folder and token of its own.

    Ray reads its authentication when it is imported, and ends with the process that started it.
    """
    short = tempfile.mkdtemp(prefix="ro", dir="/tmp")  # it holds sockets, whose paths may have 107 characters
    try:
        (Path(short) / "token").touch(mode=0o600)
        (Path(short) / "token").write_text(secrets.token_hex(32))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{short}/token", "RAY_TMPDIR": short, "TMPDIR": short,
            "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **NICENESS,
        }  # fmt: skip
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
