"""What is checked before a job is sent, and how it is named and followed; the cluster is a stand-in here."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cluster.jobs import submit
from raytrain.errors import RefusedError, UsageError

pytest.importorskip("ray", reason="Ray is not installed")
LOCAL = "http://127.0.0.1:8265"


class Cluster:
    """Stands in for Ray's client: remembers jobs, and plays a log that may break off."""

    def __init__(self, log: list[str] | None = None, breaks: int = 0) -> None:
        self.jobs: dict[str, Any] = {}
        self.submitted: list[dict[str, Any]] = []
        self.log, self.breaks, self.ends = log or [], breaks, ("SUCCEEDED", 0)

    def get_job_info(self, job: str) -> Any:
        if job not in self.jobs:
            raise RuntimeError("Request failed with status code 404: no such job")
        status, code = self.jobs[job]
        from ray.job_submission import JobStatus

        return SimpleNamespace(status=JobStatus(status), message="", driver_exit_code=code)

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: dict[str, Any]) -> str:
        self.submitted.append({"entrypoint": entrypoint, "id": submission_id, "runtime_env": runtime_env})
        self.jobs[submission_id] = ("RUNNING", None)
        return submission_id

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        for number, text in enumerate(self.log):
            if self.breaks and number == 1:
                self.breaks -= 1
                raise RuntimeError("closed unexpectedly")
            yield text
        self.jobs[job] = self.ends


def send(
    cluster: Cluster, tree: Path, monkeypatch: pytest.MonkeyPatch, words: str = "python job.py", **more: Any
) -> Any:
    monkeypatch.setattr(submit, "_client", lambda address: cluster)
    return submit.submit(words.split(), address=LOCAL, working_dir=str(tree), **more)


def test_the_id_follows_the_content_and_nothing_else(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(**more: Any) -> str:
        return str(send(Cluster(), tree, monkeypatch, wait=False, **more)["submission_id"])

    first = named()
    os.utime(tree / "job.py", (1, 1))
    (tree / "runs" / "another.bin").write_text("ignored")
    assert named() == first
    assert named(words="python job.py --seed 1") != first
    assert named(env={"A": "1"}) != first
    (tree / "job.py").write_text("print('other')")
    assert named() != first


def test_submitting_twice_runs_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(["done\n"])
    first = send(cluster, tree, monkeypatch)
    second = send(cluster, tree, monkeypatch)
    assert len(cluster.submitted) == 1
    assert (first["joined"], second["joined"]) == (False, True)
    assert second["submission_id"] == first["submission_id"] and second["exit_code"] == 0
    assert send(cluster, tree, monkeypatch, again=True)["submission_id"] == f"{first['submission_id']}-2"


def test_after_a_failure_it_is_tried_again_under_the_next_number(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.ends = ("FAILED", 3)
    first = send(cluster, tree, monkeypatch)
    assert first["exit_code"] == 3
    cluster.ends = ("STOPPED", None)
    second = send(cluster, tree, monkeypatch)
    assert second["submission_id"] == f"{first['submission_id']}-2" and second["exit_code"] == 75
    assert [job["id"] for job in cluster.submitted] == [first["submission_id"], second["submission_id"]]


def test_the_log_is_printed_once_through_a_broken_connection(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit.time, "sleep", lambda seconds: None)
    out = io.StringIO()
    with redirect_stdout(out):
        send(Cluster(["one\ntwo\n", "three\n", "four\n"], breaks=2), tree, monkeypatch)
    assert out.getvalue() == "one\ntwo\nthree\nfour\n"


def test_a_command_keeps_its_words(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    monkeypatch.setattr(submit, "_client", lambda address: cluster)
    submit.submit(["python", "job.py", "a b"], address=LOCAL, working_dir=str(tree), wait=False, env={"A": "1"})
    (job,) = cluster.submitted
    assert job["entrypoint"] == "python job.py 'a b'"
    assert job["runtime_env"]["env_vars"]["A"] == "1"
    assert ".git" in job["runtime_env"]["excludes"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"env": {"HF_TOKEN": "x"}}, "runtime_env.env_vars.HF_TOKEN"),
        ({"env": {"NOTE": "key AKIA" + "A1B2" * 4}}, "runtime_env.env_vars.NOTE: it holds an AWS access key"),
        ({"runtime_env": {"pip": ["https://me:pass" + "@host/simple"]}}, r"runtime_env.pip\[0\]: it holds a password"),
        ({"words": "python job.py --api-key 12"}, "entry point, --api-key"),
        ({"words": "WANDB_API_KEY=12 python job.py"}, "entry point, WANDB_API_KEY"),
        ({"words": "python job.py hf_" + "a" * 32}, "entry point, word 3: it holds a Hugging Face token"),
    ],
)
def test_secrets_are_refused_and_not_repeated(
    tree: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], place: str
) -> None:
    cluster = Cluster()
    with pytest.raises(RefusedError, match=place) as error:
        send(cluster, tree, monkeypatch, **change)
    assert error.value.exit_code == 4
    assert not cluster.submitted
    for secret in ("AKIA", "me:pass", "hf_aaa"):
        assert secret not in str(error.value).replace("HF_TOKEN", "")


def test_secrets_in_files_are_refused_by_name_and_by_shape(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / ".env").write_text("A=1")
    (tree / "part" / "note.txt").write_text("-----BEGIN RSA PRIVATE" + " KEY-----")
    with pytest.raises(RefusedError, match=r"(?s)\.env: a file of this name.*part/note.txt: it holds a private key"):
        send(Cluster(), tree, monkeypatch)


def test_the_clusters_own_token_never_travels(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    with pytest.raises(RefusedError, match="this cluster's token"):
        send(Cluster(), tree, monkeypatch, env={"X": "0123456789abcdef" * 4})


def test_the_token_is_not_sent_over_plain_http_to_another_host(tree: Path) -> None:
    with pytest.raises(RefusedError, match="plain HTTP on another host"):
        submit.reachable("http://head.example:8265", plain_http=False)
    assert submit.reachable("http://head.example:8265", plain_http=True) == "http://head.example:8265"
    assert submit.reachable("https://head.example", plain_http=False) == "https://head.example"
    os.environ.pop("RAY_API_SERVER_ADDRESS")
    with pytest.raises(UsageError, match="name the cluster's dashboard"):
        submit.reachable(None, plain_http=False)


def test_a_cluster_without_authentication_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(RefusedError, match="RAY_AUTH_MODE is '"):
        submit.reachable(LOCAL, plain_http=False)


def test_no_cluster_at_the_address_is_a_usage_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)  # Ray looks for one before it looks for a cluster
    with pytest.raises(UsageError, match="no cluster answers at"):
        submit.submit(["python", "job.py"], address="http://127.0.0.1:9", working_dir=str(tree))
