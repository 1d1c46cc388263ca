"""MLflow's store: refused addresses, made whole or not at all, and every fault told in a line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow", reason="the mirror needs MLflow")

from raytrain.api.mirroring import tracking_uri
from raytrain.cli.main import main
from raytrain.errors import TrackingError
from raytrain.tracking import mlflow as mlflow_mirror
from raytrain.tracking import store
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.uri import default_uri, sqlite_path
from tests import forked
from tests.tracking.mirrored import client, epoch, runs_of, start


def test_processes_that_make_one_store_together_take_turns(tmp_path: Path) -> None:
    address, output = default_uri(tmp_path), tmp_path / "output.txt"
    makers = [forked.start(store.prepare_store, address, output=output) for _ in range(2)]
    for maker in makers:
        maker.join(120)
        assert maker.exitcode == 0, output.read_text(encoding="utf-8")
    assert [each.name for each in client(address).search_experiments()] == ["Default"]


@pytest.fixture
def storage(uri: str, tmp_path: Path) -> Path:
    """A storage with one finished run, and a store that has its tables and no run."""
    folder = tmp_path / "runs"
    journal = start(folder / "e" / "a")
    epoch(journal, 1, 100.0)
    journal.write("end", status="finished", error=None, metrics={})
    journal.close()
    made = folder / "mlflow.db"
    with sqlite3.connect(sqlite_path(uri) or "") as source, sqlite3.connect(made) as copy:
        source.backup(copy)
        for table in ("params", "metrics", "latest_metrics", "tags", "runs", "experiment_tags"):
            copy.execute(f"DELETE FROM {table}")
        copy.execute("DELETE FROM experiments WHERE experiment_id > 0")
    copy.close()
    return folder


@pytest.fixture
def made_by_copy(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a store takes seconds: here it is copied."""
    whole = (storage / "mlflow.db").read_bytes()
    monkeypatch.setattr(store, "_make", lambda path: path.write_bytes(whole))


def track_sync(storage: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["track", "sync", "--storage", str(storage), "--experiment", "e", *more])
    return code, *capsys.readouterr()


def told(fault: str, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Training is warned once, with the remedy, and goes on; `track sync` says why in one line."""
    uri = default_uri(storage)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert tracking_uri(None, str(storage)) == uri
        with Mirror(uri) as mirror:
            mirror.due(storage / "e" / "a")
    messages = [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]
    assert len(messages) == 1, messages
    for words in (fault, str(storage / "mlflow.db"), "the storage's own", "raytrain track sync", 'tracking="none"'):
        assert words in messages[0]
    code, _, err = track_sync(storage, capsys)
    assert code == 1 and fault in err and len(err.splitlines()) == 1, err
    store._warned.clear()


def synced(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`track sync` brings in the run."""
    code, out, err = track_sync(storage, capsys, "--json")
    assert code == 0, err
    assert json.loads(out)["runs"] == 1
    (run,) = runs_of(default_uri(storage), "e")
    assert run.info.status == "FINISHED"


def test_a_locked_store_stops_no_work_and_is_repaired_by_a_sync(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.05)
    with contextlib.closing(sqlite3.connect(storage / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        told("is locked by another process", storage, capsys)
    synced(storage, capsys)


@pytest.mark.usefixtures("made_by_copy")
@pytest.mark.parametrize("content", ["CREATE TABLE experiments (experiment_id INTEGER)"])
def test_a_half_made_store_is_put_aside_and_made_again(
    content: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = storage / "mlflow.db"
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as half:
        half.execute(content)
    synced(storage, capsys)
    assert (storage / "mlflow.db.half-made").exists()


def test_a_disk_that_is_full_while_the_store_is_made_leaves_none(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (storage / "mlflow.db").read_bytes()
    (storage / "mlflow.db").unlink()

    def full(uri: str) -> None:
        (sqlite_path(uri) or storage).write_bytes(whole[:5000])
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "open_client", full)
        told("no room on its disk", storage, capsys)
    assert not [path.name for path in storage.iterdir() if "mlflow.db" in path.name]
    monkeypatch.setattr(store, "_make", lambda path: path.write_bytes(whole))
    synced(storage, capsys)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_schema(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'of_a_later_one'")
        database.execute("INSERT INTO registered_models (name, creation_time) VALUES ('kept', 1)")
        database.commit()


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda path: path.write_bytes(b"<html>no database</html>" * 100), "is no whole database. Move it away"),
        (folder_in_its_place, "is no whole database. Move it away"),
        (other_schema, "has the schema of another version of MLflow"),
    ],
    ids=["not a database", "a folder", "another schema"],
)
def test_a_damaged_store_is_told_in_one_line(
    damage: Callable[[Path], Any], fault: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(storage / "mlflow.db")
    told(fault, storage, capsys)


def test_a_store_that_cannot_be_written_is_told(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(store, "try_lock", read_only)
    told("cannot be written", storage, capsys)


def test_where_no_file_can_be_made_mlflow_is_not_asked_to_try_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))

    monkeypatch.setattr(store, "open_client", lambda uri: pytest.fail("MLflow would try again and again"))
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(TrackingError, match="cannot be written"):
        store.prepare_store(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_deleted_experiment_is_told_with_the_command_that_restores_it(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow = client(default_uri(storage))
    number = mlflow.create_experiment("e", artifact_location=(storage / "artifacts").as_uri())  # not the working folder
    mlflow.delete_experiment(number)
    told(f"mlflow experiments restore --experiment-id {number}", storage, capsys)
    mlflow.restore_experiment(number)
    synced(storage, capsys)


def test_a_storage_that_was_moved_with_its_store_goes_on(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synced(storage, capsys)
    storage.rename(tmp_path / "elsewhere")
    epoch(Journal(tmp_path / "elsewhere" / "e" / "a"), 2, 200.0)
    synced(tmp_path / "elsewhere", capsys)


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b"<html><body>Welcome to nginx!</body></html>", "answers something that is not MLflow's API"),
        (500, b"<html>Internal Server Error</html>", "answers with HTTP 500"),
        (404, b"not here", "answers with HTTP 404"),
        (200, b"{}", "answers something that is not MLflow's API"),
        (200, b"[1, 2]", "answers something that is not MLflow's API"),
    ],
)
def test_a_server_that_answers_nonsense_stops_no_work(
    status: int, body: bytes, fault: str, storage: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Nonsense(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *given: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    try:
        assert tracking_uri(None, str(storage)) == address
        with pytest.warns(RuntimeWarning, match='tracking="none"') as caught, Mirror(address) as mirror:
            mirror.due(storage / "e" / "a")
        messages = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
        assert fault in messages[0] and f"{address} (of MLFLOW_TRACKING_URI)" in messages[0]
        code, _, err = track_sync(storage, capsys)
        assert code == 1 and fault in err and len(err.splitlines()) == 1
    finally:
        server.shutdown()
        server.server_close()


def test_one_run_that_is_not_taken_keeps_no_other_back(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(storage / "e" / "b").close()
    (storage / "e" / "c").mkdir()
    (storage / "e" / "c" / "journal.jsonl").mkdir()
    replay = mlflow_mirror.replay

    def refuse_a(client: Any, run: Any, *given: Any) -> None:
        if run.info.run_name == "a":
            raise ValueError("a value that MLflow does not take")
        replay(client, run, *given)

    monkeypatch.setattr(mlflow_mirror, "replay", refuse_a)
    code, out, err = track_sync(storage, capsys, "--json")
    answer = json.loads(out)
    assert (code, answer["runs"], answer["exit_code"]) == (1, 1, 1)
    assert [Path(problem["file"]).name for problem in answer["failed"]] == ["a"]
    assert [Path(problem["file"]).parent.name for problem in answer["skipped"]] == ["c"]
    assert "a value that MLflow does not take" in err
