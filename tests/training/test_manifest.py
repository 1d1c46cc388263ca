"""manifest.json: of any schema up to ours, typed, and with a hash of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import raytrain
from raytrain.data.table import Table
from raytrain.errors import DataError
from raytrain.training import checkpoint
from raytrain.training.manifest import (
    MIGRATIONS,
    SCHEMA_VERSION,
    UnusableCheckpointError,
    read_manifest,
    reading,
    signed,
)
from tests.training.test_checkpoint import write


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any], sign: bool = True) -> None:
    """Change a manifest as another version of raytrain would have written it, or with `sign` False as damage does."""
    fields = json.loads((path / "manifest.json").read_text())
    own = fields.pop("manifest_sha256")
    change(fields)
    (path / "manifest.json").write_text(json.dumps(signed(fields) if sign else {**fields, "manifest_sha256": own}))


def unsigned(path: Path) -> dict[str, Any]:
    fields = json.loads((path / "manifest.json").read_text())
    del fields["manifest_sha256"]
    return dict(fields)


def test_a_manifest_says_its_schema_and_the_version_that_wrote_it(table: Table, tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, table, 1))
    assert (manifest["schema"], manifest["raytrain"]) == (SCHEMA_VERSION, raytrain.__version__)


def test_a_checkpoint_of_before_there_were_schemas_is_read_as_one_of_today(table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 3, 10.0)
    today = checkpoint.load(path).manifest
    fields = unsigned(path)
    (path / "manifest.json").write_text(
        json.dumps({name: value for name, value in fields.items() if name not in ("schema", "raytrain")})
    )
    old = checkpoint.load(path)
    assert old.manifest == {**today, "raytrain": None}
    assert checkpoint.best(tmp_path) == checkpoint.latest(tmp_path) == path
    assert torch.equal(old.weights["a"], torch.arange(3.0))


def test_every_schema_up_to_ours_has_its_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))
    for schema, migrate in MIGRATIONS.items():
        migrated = migrate({"schema": schema, "step": 3})
        assert (migrated["schema"], migrated["step"]) == (schema + 1, 3)


@pytest.mark.parametrize(
    ("later", "fix"),
    [
        ({"schema": 99, "raytrain": "7.1.0"}, "Use raytrain 7.1.0 or later"),
        ({"schema": 99, "raytrain": None}, "Use a newer raytrain, which wrote"),
        ({"schema": 3, "files": "of another form"}, "Use raytrain"),
    ],
)
def test_a_run_does_not_fall_back_from_a_checkpoint_of_a_newer_version_which_says_which_one_is_needed(
    later: dict[str, Any], fix: str, table: Table, tmp_path: Path
) -> None:
    write(tmp_path, table, 1, 10.0)
    path = write(tmp_path, table, 2, 10.0)
    rewrite(path, lambda manifest: manifest.update(later))
    for read in (checkpoint.best, checkpoint.latest, checkpoint.newest_whole):
        with pytest.raises(UnusableCheckpointError) as caught:
            read(tmp_path)
        (problem,) = caught.value.problems
        assert problem.file == str(path / "manifest.json")
        assert f"schema {later['schema']!r}; raytrain {raytrain.__version__} reads up to schema" in problem.what
        assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    ("name", "value"), [("step", 3), ("selected", 99.0), ("schema", 9), ("fingerprint", "0"), ("epoch", 7)]
)
def test_a_changed_manifest_is_damaged_by_its_own_hash(name: str, value: Any, table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    rewrite(path, lambda manifest: manifest.update({name: value}), sign=False)
    with pytest.raises(DataError, match=r"manifest\.json: damaged \(its own sha256 differs\)") as caught:
        read_manifest(path)
    assert not isinstance(caught.value, UnusableCheckpointError)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"schema": 2}', "[" * 100_000, "1" * 5000, "\ud800"])
def test_a_manifest_that_is_none_is_damaged(content: str, table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    (path / "manifest.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"manifest\.json: (not readable|no manifest)") as caught:
        read_manifest(path)
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", "two"), ("schema", True), ("schema", 0), ("schema", -1), ("step", 1.5), ("step", "1"), ("step", -1),
        ("step", 10**30), ("epoch", True), ("metrics", []), ("metrics", {"a": "x"}), ("selected", "7"), ("files", []),
        ("files", {"../x": "0"}), ("files", {"/etc/passwd": "0"}), ("files", {".": "0"}), ("files", {"a": 0}),
        ("files", {"x" * 300: "0"}), ("fingerprint", None), ("raytrain", 3), ("world_size", "two"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_damage(name: str, value: Any, table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    rewrite(path, lambda manifest: manifest.update({name: value}))
    with pytest.raises(DataError, match=rf"manifest\.json: .*{name}") as caught:
        read_manifest(path)
    assert not isinstance(caught.value, UnusableCheckpointError) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["files", "epoch", "step", "selected", "fingerprint", "metrics"])
def test_a_field_that_is_missing_is_named(name: str, table: Table, tmp_path: Path) -> None:
    path = write(tmp_path, table, 1)
    rewrite(path, lambda manifest: manifest.pop(name))
    with pytest.raises(DataError, match=rf"no manifest: '{name}': Field required"):
        read_manifest(path)


@pytest.mark.parametrize(("number", "kind"), [(5, DataError), (40, DataError), (13, UnusableCheckpointError)])
def test_errors_of_reading_are_damage_where_they_come_from_the_checkpoint(
    number: int, kind: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught, reading(tmp_path):
        raise OSError(number, "reason")
    assert type(caught.value) is kind
