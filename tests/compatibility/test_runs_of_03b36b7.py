"""Tables, runs and a sweep that commit 03b36b7 wrote (make_files.py): commands print of them what they printed then."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from raytrain.cli.main import main
from raytrain.review.columns import data_of
from raytrain.run_evaluation.evaluate import evaluate_run
from tests.compatibility.make_files import FILES, csv_rows, read_journal

MADE: dict[str, Any] = json.loads((FILES / "made.json").read_text(encoding="utf-8"))
GROUPS = list(MADE["commands"])
NOT_COMPARED = {
    "seconds", "cost",  # how long this machine took, now
    "what", "fix", "notes",  # sentences, which may be worded anew
    "settings",  # names more than it named then
    "intervals", "rsum_low", "rsum_high", "first_low", "first_high", "first_p",  # which cover seeds by now
}  # fmt: skip

pytest.importorskip("optuna", reason="temperatures are searched with Optuna, and sweeps by it")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the files, whose runs and tables know that they lie there now."""
    target = tmp_path / "moved"
    shutil.copytree(FILES, target)
    for path in target.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".yaml"):
            path.write_text(here(path.read_text(encoding="utf-8"), target), encoding="utf-8")
    for path in target.rglob("checkpoint_*/manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["files"]["config.yaml"] = hashlib.sha256(path.with_name("config.yaml").read_bytes()).hexdigest()
        path.write_text(json.dumps(manifest), encoding="utf-8")
    return target


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the files were made: how sums round depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A cluster of two CPUs that is already joined; a sweep without a trial left asks it for nothing else."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("this test starts no Ray")

    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        context = SimpleNamespace(gcs_address=address, get_job_id=lambda: "job", get_node_id=lambda: "node")
        node = {"NodeID": "node", "Alive": True, "Resources": {"CPU": 2.0}}
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))  # not one that this machine may have
        monkeypatch.setattr(
            "raytrain.cluster.connect.refuse_open_cluster", lambda address: None
        )  # nobody answers there
        monkeypatch.setattr(ray, "init", refuse)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
        monkeypatch.setattr(ray, "nodes", lambda: [node])
        yield


def here(text: str, place: Path) -> str:
    return text.replace(MADE["place"], str(place))


def results(group: str, place: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[Any, Any]]:
    """(what 03b36b7 printed, what is printed now) of each command of a group, one after the other."""
    pairs = []
    for recorded in MADE["commands"][group]:
        before = json.loads(here(json.dumps(recorded["result"]), place))
        assert main([here(word, place) for word in [*recorded["command"], "--json"]]) == 0, capsys.readouterr().err
        pairs.append((before, json.loads(capsys.readouterr().out.splitlines()[-1])))
    return pairs


def assert_same(before: Any, now: Any, where: str = "result") -> None:
    """Every key and number of `before` is in `now`, floats to 1e-6; `now` may have further keys."""
    if isinstance(before, dict):
        assert isinstance(now, dict) and before.keys() <= now.keys(), f"{where}: {set(before) - set(now)} missing"
        for key, value in before.items():
            if key == "paths":  # more forms of a leaderboard may be written
                assert set(value) <= set(now[key]), f"{where}.{key}"
            elif key not in NOT_COMPARED:
                assert_same(value, now[key], f"{where}.{key}")
    elif isinstance(before, list):
        assert isinstance(now, list) and len(before) == len(now), where
        for at, (value, other) in enumerate(zip(before, now, strict=True)):
            assert_same(value, other, f"{where}[{at}]")
    elif isinstance(before, float):
        assert now == pytest.approx(before, rel=1e-6, abs=1e-6), where
    else:
        assert now == before, where


def test_temperatures_that_were_found_evaluate_as_they_did(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """rerank chooses by cross-validation now, and takes nothing on ten images; files of before are read and applied."""
    (first, now), (second, banks), (before, _) = results("rerank", place, capsys)
    assert now["before"] == first["before"] and banks["before"] == second["before"]
    assert now["params"]["mode"] == banks["params"]["mode"] == "off"
    run = place / "storage" / "compatibility" / "finished"
    for name, recorded in (("rerank.json", first), ("rerank.inductive.json", second)):
        document = json.loads((run / name).read_text(encoding="utf-8"))
        del document["held_out"]
        (run / name).write_text(json.dumps({**document, "params": recorded["params"]}), encoding="utf-8")
    result = evaluate_run(run, "test")
    assert_same({**before, "test_openings": 2}, {**result, "diagnostics": None})


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("resume", "sweep", "rerank")])
def test_commands_say_what_they_said(group: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for before, now in results(group, place, capsys):
        assert_same(before, now)


def test_the_leaderboard_has_the_cells_that_it_had(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results("list", place, capsys)
    cells = csv_rows(place / "board" / "leaderboard.csv")
    before = [[here(cell, place) for cell in row] for row in MADE["leaderboard.csv"]]
    kept = [at for at, name in enumerate(data_of("csv")) if name not in NOT_COMPARED and at < len(before[0])]
    assert [[row[at] for at in kept] for row in cells] == [[row[at] for at in kept] for row in before]
    assert len(cells) > 4


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for before, now in results("resume", place, capsys):
        assert_same(before, now)
    run = place / "storage" / "compatibility" / "interrupted"
    events = read_journal(run)
    assert [event["event"] for event in events][:4] == ["start", "epoch", "end", "resume"]
    whole = MADE["uninterrupted"]
    epochs = [event["metrics"] for event in events if event["event"] == "epoch"]
    assert len(epochs) == len(whole["epochs"])
    for before, now in zip(whole["epochs"], epochs, strict=True):
        timeless = {name: value for name, value in before.items() if not name.startswith("cost/")}
        assert now == {**now, **{name: pytest.approx(value, rel=1e-6) for name, value in timeless.items()}}


def test_a_finished_sweep_is_the_same_search_and_has_the_same_best(
    no_ray: None, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((before, now),) = results("sweep", place, capsys)
    assert now["rerank"]["before"] == before.pop("rerank")["before"]  # temperatures are chosen otherwise now
    assert_same(before, now)
    assert now["trials"]["total"] == 3
    assert read_journal(place / "storage" / "compatibility" / "views")[-1]["event"] == "cost"
