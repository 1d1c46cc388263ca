"""What submit and doctor ask and answer; the cluster is a stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.cluster.doctor.check import Check


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of what submits."""
    calls: list[Any] = []

    def submit(words: list[str], **more: Any) -> dict[str, Any]:
        calls.append((words, more))
        return {"submission_id": "raytrain-1", "exit_code": 3}

    monkeypatch.setitem(sys.modules, "raytrain.cluster.jobs.submit", SimpleNamespace(submit=submit))
    return calls


@pytest.mark.parametrize(
    "line",
    [
        "submit -- python jobs/train.py r --workers 2 --json a.b=c",
        "submit python jobs/train.py r --workers 2 --json a.b=c",
        "submit --address http://h:1 -- python jobs/train.py r --workers 2 --json a.b=c",
    ],
)
def test_the_command_keeps_its_own_flags(line: str, asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 3
    assert asked[0][0] == ["python", "jobs/train.py", "r", "--workers", "2", "--json", "a.b=c"]
    assert asked[0][1]["address"] == ("http://h:1" if "--address" in line else None)
    assert capsys.readouterr().out == ""


def test_two_dashes_inside_the_command_are_its_own(asked: list[Any]) -> None:
    main(["submit", "--", "env", "--", "python", "x.py"])
    assert asked[0][0] == ["env", "--", "python", "x.py"]


def test_flags_reach_the_job(asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "env.yaml").write_text("pip: [einops]\n", encoding="utf-8")
    flags = f"--working-dir {tmp_path} --env A=1 --env B=x=y --runtime-env {tmp_path}/env.yaml --max-mb 5 --again"
    assert main(f"submit {flags} --no-wait --plain-http --json -- true".split()) == 3
    assert asked == [(["true"], {
        "address": None, "working_dir": str(tmp_path), "env": {"A": "1", "B": "x=y"},
        "runtime_env": {"pip": ["einops"]}, "max_mb": 5.0, "again": True, "wait": False, "plain_http": True,
    })]  # fmt: skip
    assert json.loads(capsys.readouterr().out)["submission_id"] == "raytrain-1"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--env A", "--env wants NAME=VALUE"),
        ("--runtime-env nowhere.yaml", "nowhere.yaml cannot be read as YAML"),
        ("--runtime-env list.yaml", "list.yaml holds no runtime environment"),
        ("--runtime-env place.yaml", "without working_dir (that is --working-dir)"),
    ],
)
def test_a_wrong_environment_submits_nothing(
    flags: str, message: str, asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("list.yaml").write_text("- 1\n", encoding="utf-8")
    Path("place.yaml").write_text("working_dir: .\n", encoding="utf-8")
    assert main(["submit", *flags.split(), "--", "true"]) == 2
    assert message in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(
    ("states", "code"), [(["ok", "absent"], 0), (["ok", "failed"], 1), (["refused", "failed"], 4)], ids=str
)
def test_the_worst_check_decides_what_doctor_exits_with(
    states: list[Any], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    checks = [Check(f"check {state}", state, "found", "mend it" if state != "ok" else "") for state in states]
    fake = SimpleNamespace(doctor=lambda *given: calls.append(given) or checks)
    monkeypatch.setitem(sys.modules, "raytrain.cluster.doctor.doctor", fake)
    monkeypatch.setenv("RAY_ADDRESS", "host:1")
    assert main(["doctor"]) == code
    text = capsys.readouterr().out
    assert f"{states[0]:7s} check {states[0]}: found\n" in text and "\n        mend it\n" in text
    assert main(["doctor", "--storage", "s", "--address", "auto", "--tracking", "none", "--json"]) == code
    printed = json.loads(capsys.readouterr().out)
    assert [check["state"] for check in printed["checks"]] == states and printed["exit_code"] == code
    assert calls == [("runs", "host:1", None), ("s", "auto", "none")]
