"""Checkpoints: whole or absent, the best by one rule, unable to run code; a run goes on from the newest whole one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.load.words import Vocabulary
from raytrain.data.table import Table
from raytrain.errors import DataError, DiskFullError
from raytrain.files import sha256
from raytrain.training import checkpoint
from raytrain.training.manifest import UnusableCheckpointError, read_manifest, signed
from tests.runs import tiny
from tests.tables import make_table


def state(step: int) -> dict[str, Any]:
    """That of a run whose epochs have one step each."""
    return {
        "optimizer": {}, "scaler": {}, "live": None, "position": [step, step, 0], "best": 0.0, "worker_seconds": 1.0,
        "sums": {},
    }  # fmt: skip


def write(root: Path, table: Table, step: int, selected: float | None = None) -> Path:
    config = tiny(table, root)
    facts = {"epoch": step, "step": step, "metrics": {}, "selected": selected, "fingerprint": table.fingerprint}
    weights = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.bfloat16)}
    return checkpoint.save(root, config, weights, state(step), facts, Vocabulary.count([["a", "a"]], 1))


def test_a_checkpoint_reads_back_and_carries_its_config(table: Table, tmp_path: Path) -> None:
    saved = checkpoint.load(write(tmp_path, table, 7))
    assert torch.equal(saved.weights["a"], torch.arange(3.0))
    assert saved.config == tiny(table, tmp_path)
    assert saved.state()["position"] == [7, 7, 0]
    assert saved.vocabulary is not None
    assert "a" in saved.vocabulary.words


def test_a_damaged_file_is_found_and_named(table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    (path / "model.safetensors").write_bytes(b"\0" * 100)
    (path / "state.pt").unlink()
    with pytest.raises(DataError) as error:
        checkpoint.load(path)
    assert {Path(problem.file).name for problem in error.value.problems} == {"model.safetensors", "state.pt"}


def test_the_best_is_the_highest_and_the_earlier_of_equals(table: Table, tmp_path: Path) -> None:
    for step, selected in ((1, 10.0), (2, 30.0), (3, 30.0), (4, 20.0), (5, None)):
        write(tmp_path, table, step, selected)
    best, latest = checkpoint.best(tmp_path), checkpoint.latest(tmp_path)
    assert best is not None
    assert latest is not None
    assert (best.name, latest.name) == ("checkpoint_00000002", "checkpoint_00000005")
    checkpoint.keep_best_and_last(tmp_path)
    assert [path.name for path in checkpoint.complete(tmp_path)] == ["checkpoint_00000002", "checkpoint_00000005"]


def test_a_failed_write_leaves_the_last_good_one(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, table, 1)
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DiskFullError, match=f"{tmp_path}: no room for checkpoint_00000002: the disk is full"):
        write(tmp_path, table, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_00000001"]


def test_a_half_written_folder_is_no_checkpoint(table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    (path / "manifest.json").unlink()
    assert checkpoint.latest(tmp_path) is None


def test_a_state_that_could_run_code_is_refused(table: Table, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("code ran",))

    path = write(tmp_path, table, 1)
    saved = checkpoint.load(path)
    torch.save({"x": Evil()}, path / "state.pt")
    with pytest.raises(DataError, match=r"state\.pt: not readable with weights_only"):
        saved.state()


def test_a_checkpoint_that_is_removed_while_they_are_listed_is_left_out(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray removes one that is no longer among the best, whenever it gets to it."""
    kept, gone = write(tmp_path / "run", table, 1, 1.0), write(tmp_path / "run", table, 2, 2.0)
    read = Path.read_bytes

    def too_late(path: Path) -> bytes:
        if path.parent == gone and gone.exists():
            shutil.rmtree(gone)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", too_late)
    assert checkpoint.complete(tmp_path / "run") == [kept]
    assert not gone.exists()
    assert checkpoint.best(tmp_path / "run") == kept


def rehash(path: Path) -> None:
    """Make a checkpoint's manifest that of the files beside it."""
    fields = read_manifest(path)
    fields["files"] = {name: sha256(path / name) for name in fields["files"]}
    (path / "manifest.json").write_text(json.dumps(signed(fields)))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replace_by_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def replace_by_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "flipped": flip,
    "folder": replace_by_folder,
    "loop": replace_by_loop,
    "pipe": replace_by_pipe,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with three checkpoints, which tests only copy."""
    root = tmp_path_factory.mktemp("whole")
    for step in (1, 2, 3):
        write(root / "run", make_table(root / "table"), step, 10.0 * step)
    return root / "run"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml", "state.pt", "vocabulary.json", "manifest.json"])
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole_and_says_why(
    damage: str, name: str, whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    for step in (2, 3):
        DAMAGES[damage](folder / checkpoint.name_of(step) / name)
    resumption = checkpoint.newest_whole(folder)
    assert resumption.path == folder / checkpoint.name_of(1)
    assert list(resumption.left) == [checkpoint.name_of(3), checkpoint.name_of(2)]
    assert all(why.startswith(f"{name}: ") for why in resumption.left.values())
    checkpoint.set_aside(folder, resumption.left)
    assert checkpoint.newest_whole(folder) == checkpoint.Resumption(resumption.path, {})
    assert checkpoint.best(folder) == checkpoint.latest(folder) == resumption.path
    assert sorted(path.name for path in folder.glob("damaged_*")) == [
        "damaged_checkpoint_00000002", "damaged_checkpoint_00000003",
    ]  # fmt: skip


def test_whatever_lies_in_the_place_of_a_checkpoint_is_left(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    (folder / "checkpoint_00000004").symlink_to("checkpoint_00000004")
    (folder / "checkpoint_00000005").write_text("")
    shutil.copytree(folder / "checkpoint_00000001", folder / "checkpoint_00000006")  # named after another step
    (folder / "checkpoint_best").mkdir()
    resumption = checkpoint.newest_whole(folder)
    assert resumption.path == folder / checkpoint.name_of(3)
    assert [name[-1] for name in resumption.left] == ["6", "5", "4"]
    checkpoint.set_aside(folder, resumption.left)
    assert checkpoint.newest_whole(folder).left == {}


def test_a_run_without_a_whole_checkpoint_begins_and_says_why(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    for file in folder.glob("*/state.pt"):
        flip(file)
    resumption = checkpoint.newest_whole(folder)
    assert resumption.path is None and len(resumption.left) == 3
    assert checkpoint.newest_whole(tmp_path / "none") == checkpoint.Resumption(None, {})


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([1], "it holds list, no state"),
        ({"position": [3, 3, 0]}, "no state: optimizer, scaler, live, best, worker_seconds, sums missing"),
        (state(4), r"of position \[4, 4, 0\], not of that in manifest"),
    ],
)
def test_a_state_of_another_form_is_left(content: Any, what: str, whole: Path, tmp_path: Path) -> None:
    """Even where its hash is right."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    torch.save(content, folder / "checkpoint_00000003" / "state.pt")
    rehash(folder / "checkpoint_00000003")
    resumption = checkpoint.newest_whole(folder)
    assert resumption.path == folder / checkpoint.name_of(2)
    assert re.search(what, resumption.left[checkpoint.name_of(3)])


def test_a_checkpoint_that_may_not_be_read_is_not_damaged(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint, "sha256", refuse)
    with pytest.raises(UnusableCheckpointError, match=r"Permission denied\. Let this process read it"):
        checkpoint.newest_whole(whole)


def test_a_file_that_the_manifest_does_not_name_is_not_read(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run")) / "checkpoint_00000003"
    fields = read_manifest(folder)
    for name in ("vocabulary.json", "state.pt"):
        del fields["files"][name]
    (folder / "manifest.json").write_text(json.dumps(signed(fields)))
    with pytest.raises(DataError) as caught:
        checkpoint.load(folder)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["state.pt", "vocabulary.json"]


@pytest.mark.parametrize("damage", ["folder", "loop", "empty"])
def test_a_checkpoint_is_written_over_whatever_lies_there(damage: str, table: Table, tmp_path: Path) -> None:
    tmp_path.joinpath("checkpoint_00000001").write_text("x")
    DAMAGES[damage](tmp_path / "checkpoint_00000001")
    path = write(tmp_path, table, 1)
    assert checkpoint.newest_whole(tmp_path).path == path
