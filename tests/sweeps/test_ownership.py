"""Who may write to a sweep's folder: one driver, for one search, once what a former driver started is gone."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.ownership import _actors, claim, identify, open_journal, wait_for_former, writers
from raytrain.tracking.journal import Journal
from raytrain.tracking.sweep_record import NAME, SearchIdentity


def search_of(data: str) -> SearchIdentity:
    return SearchIdentity(space={}, base={}, data=data, search={})


def test_a_sweeps_folder_has_one_driver_and_one_search(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(UsageError, match="no sweep 's'"), claim(folder, resume=True):
        pass
    with claim(folder, resume=False):
        identify(folder, search_of("f"))
        with pytest.raises(RefusedError, match="another driver"), claim(folder, resume=True):
            pass
    with pytest.raises(RefusedError, match='resume="s"'), claim(folder, resume=False):
        pass
    with claim(folder, resume=True), pytest.raises(RefusedError, match="data: was f, is g"):
        identify(folder, search_of("g"))


def test_a_file_system_without_locks_refuses_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("raytrain.sweeps.ownership.fcntl.flock", no_locks)
    with claim(tmp_path / "s", resume=False):
        pass
    assert "no locks on this file system" in capsys.readouterr().err


def test_a_damaged_space_json_is_named_with_its_field(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"space": {}, "base": {}, "data": 7, "search": {}}')
    with pytest.raises(DataError, match=r"space\.json: field data: Input should be a valid string"):
        identify(tmp_path, search_of("f"))


def test_a_former_drivers_actors_are_waited_for_and_helpers_that_stay_for_ever_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    import ray
    import ray.util.state

    actors = [
        SimpleNamespace(class_name="RayTrainWorker", state="ALIVE", is_detached=False),
        SimpleNamespace(class_name="TrainController", state="DEAD", is_detached=False),
        SimpleNamespace(class_name="_AutoscalingCoordinatorActor", state="ALIVE", is_detached=True),
    ]
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "n", "Alive": True}])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="h:1"))
    monkeypatch.setattr(ray.util.state, "list_actors", lambda *_, **__: actors)
    former = {"job": "01", "node": "n"}
    assert _actors(former, {"job": "02", "node": "n"}) == ["RayTrainWorker of Ray job 01"]
    assert _actors({"job": "01", "node": "of another cluster"}, {"job": "01", "node": "n"}) == []


def test_a_resumption_records_how_many_trials_there_will_be(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    import ray

    context = SimpleNamespace(get_job_id=lambda: "01", get_node_id=lambda: "n")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr("raytrain.sweeps.ownership.wait_for_former", lambda journal, here: None)
    for trials in (8, 12):
        options = {"trials": trials, "workers": 2}
        open_journal(ledger.folder, ledger.base, "f", {"seed": 0}, options, slots=4, space="dvse")
    start, resume = ledger.journal.read()
    assert (start["space"], start["options"]["trials"], resume["trials"]) == ("dvse", 8, 12)


def test_runs_that_somebody_still_writes_to_are_found_whatever_cluster_trains_them(ledger: Ledger) -> None:
    for name in ("s-t000", "s-t001", "s-t001-s1", "s-t002x", "other-t000"):
        Journal(ledger.folder.parent / name).write("start", uid=name, kind="run")  # closed with the object
    held = [Journal(ledger.folder.parent / name) for name in ("s-t001", "s-t001-s1", "s-t002x", "other-t000")]
    for journal in held:
        journal.write("epoch", epoch=1, metrics={})
    assert writers(ledger.folder) == ["s-t001", "s-t001-s1"]
    for journal in held:
        journal.close()
    assert writers(ledger.folder) == []


def test_a_former_driver_that_stays_is_refused_with_its_processes_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.sweeps.ownership._actors", lambda former, here: [f"a Worker of {former['job']}"])
    ledger.journal.write("start", uid="u", kind="sweep", ray={"job": "01", "node": "n"})
    with pytest.raises(RefusedError, match=r"1 processes of a former driver.*a Worker of 01; stop them first"):
        wait_for_former(ledger.journal, {"job": "02", "node": "n"}, timeout_s=-1.0)
