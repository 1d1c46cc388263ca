"""Checkpoints: whole or absent, the best by one rule, of any schema up to ours, and unable to run code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import raytrain
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import Table
from raytrain.errors import DataError, DiskFullError
from raytrain.training import checkpoint
from tests.runs import tiny


def write(root: Path, table: Table, step: int, selected: float | None = None) -> Path:
    config = tiny(table, root)
    facts = {"epoch": step, "step": step, "metrics": {}, "selected": selected, "fingerprint": table.fingerprint}
    weights = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.bfloat16)}
    return checkpoint.save(root, config, weights, {"position": [1, 2, 3]}, facts, Vocabulary.count([["a", "a"]], 1))


def test_a_checkpoint_reads_back_and_carries_its_config(table: Table, tmp_path: Path) -> None:
    saved = checkpoint.load(write(tmp_path, table, 7))
    assert torch.equal(saved.weights["a"], torch.arange(3.0))
    assert saved.config == tiny(table, tmp_path)
    assert saved.state()["position"] == [1, 2, 3]
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


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a manifest as another version of raytrain would have written it."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_manifest_says_its_schema_and_the_version_that_wrote_it(table: Table, tmp_path: Path) -> None:
    manifest = json.loads((write(tmp_path, table, 1) / "manifest.json").read_text())
    assert (manifest["schema"], manifest["raytrain"]) == (checkpoint.SCHEMA_VERSION, raytrain.__version__)


def test_a_checkpoint_of_before_there_were_schemas_is_read_as_one_of_today(table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 3, 10.0)
    today = checkpoint.load(path).manifest
    rewrite(path, lambda manifest: [manifest.pop(name) for name in ("schema", "raytrain")])
    old = checkpoint.load(path)
    assert old.manifest == today | {"raytrain": None}
    assert checkpoint.best(tmp_path) == checkpoint.latest(tmp_path) == path
    assert torch.equal(old.weights["a"], torch.arange(3.0))


def test_every_schema_up_to_ours_has_its_migration() -> None:
    assert sorted(checkpoint.MIGRATIONS) == list(range(1, checkpoint.SCHEMA_VERSION))
    for schema, migrate in checkpoint.MIGRATIONS.items():
        migrated = migrate({"schema": schema, "step": 3})
        assert (migrated["schema"], migrated["step"]) == (schema + 1, 3)


@pytest.mark.parametrize(
    ("later", "fix"),
    [
        ({"schema": 99, "raytrain": "7.1.0"}, "Use raytrain 7.1.0 or later"),
        ({"schema": 99, "raytrain": None}, "Use a newer raytrain, which wrote"),
        ({"schema": "two"}, "Use raytrain"),
    ],
)
def test_a_checkpoint_of_a_newer_version_says_which_one_is_needed(
    later: dict[str, Any], fix: str, table: Table, tmp_path: Path
) -> None:
    path = write(tmp_path, table, 1, 10.0)
    rewrite(path, lambda manifest: manifest.update(later))
    for read in (lambda: checkpoint.load(path), lambda: checkpoint.best(tmp_path), lambda: checkpoint.latest(tmp_path)):
        with pytest.raises(DataError) as caught:
            read()
        (problem,) = caught.value.problems
        assert problem.file == str(path / "manifest.json")
        assert f"schema {later['schema']!r}; raytrain {raytrain.__version__} reads up to schema" in problem.what
        assert problem.fix.startswith(fix)


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"schema": 2}'])
def test_a_damaged_manifest_is_named(content: str, table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    (path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json: (not readable|no field files, epoch)"):
        checkpoint.load(path)


def test_a_state_that_could_run_code_is_refused(table: Table, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("code ran",))

    path = write(tmp_path, table, 1)
    saved = checkpoint.load(path)
    torch.save({"x": Evil()}, path / "state.pt")
    with pytest.raises(Exception, match=r"(?i)weights_only|unsupported"):
        saved.state()


def test_a_checkpoint_that_is_removed_while_they_are_listed_is_left_out(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray removes one that is no longer among the best, whenever it gets to it."""
    kept, gone = write(tmp_path / "run", table, 1, 1.0), write(tmp_path / "run", table, 2, 2.0)
    read = Path.read_text

    def too_late(path: Path, *given: Any, **more: Any) -> str:
        if path.parent == gone and gone.exists():
            shutil.rmtree(gone)
        return read(path, *given, **more)

    monkeypatch.setattr(Path, "read_text", too_late)
    assert checkpoint.complete(tmp_path / "run") == [kept]
    assert not gone.exists()
    assert checkpoint.best(tmp_path / "run") == kept
