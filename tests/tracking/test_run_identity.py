"""Runs of the same settings on the same data are the same run, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.config import flatten, override
from raytrain.recipes import RECIPES
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_identity import code_of, recorded_runs, run_identity

BASE = RECIPES["dvse_emoji"]()
SETTINGS = flatten(BASE)


def write(folder: Path, status: str | None = "finished", value: float | None = 1.0, **start: Any) -> Journal:
    journal = Journal(folder)
    journal.write("start", **{"uid": folder.name, "kind": "run", "config": SETTINGS, "fingerprint": "data"} | start)
    journal.write("epoch", epoch=1, step=1, metrics={} if value is None else {"val/rsum": value})
    if status:
        journal.write("end", status=status, metrics={})
    return journal


def test_names_and_places_and_the_feed_do_not_change_what_a_run_is() -> None:
    moved = {"name": "n", "experiment": "e", "storage": "s", "data.table": "t", "feed.read_ahead": 0}
    assert run_identity(flatten(override(BASE, moved)), "data") == run_identity(SETTINGS, "data")
    assert run_identity(SETTINGS, "other data") != run_identity(SETTINGS, "data")
    for change in ({"seed": 1}, {"optim.num_epochs": 1}, {"method.views": 1}, {"data.val_split": "dev"}):
        assert run_identity(flatten(override(BASE, change)), "data") != run_identity(SETTINGS, "data"), change


def test_a_field_that_came_later_is_at_its_default() -> None:
    earlier = {name: value for name, value in SETTINGS.items() if name != "optim.ema_decay"}
    assert run_identity(earlier, "data") == run_identity(SETTINGS, "data")


def test_runs_to_the_end_count_and_no_others(tmp_path: Path) -> None:
    identity = run_identity(SETTINGS, "data")
    write(tmp_path / "e" / "pruned", "pruned")
    write(tmp_path / "e" / "failed", "failed")
    write(tmp_path / "e" / "empty", value=None)
    write(tmp_path / "e" / "sweep", kind="sweep")
    write(tmp_path / "e" / "other", fingerprint="other")
    assert recorded_runs(tmp_path).finished(identity, {}) is None
    write(tmp_path / "f" / "first")
    write(tmp_path / "e" / "second")
    record = recorded_runs(tmp_path).finished(identity, {})
    assert record is not None and record.folder.name == "first"


def test_a_run_on_features_that_were_encoded_again_is_another_one(tmp_path: Path) -> None:
    write(tmp_path / "e" / "run", features={"lite0.npy": "old"})
    runs, identity = recorded_runs(tmp_path), run_identity(SETTINGS, "data")
    assert runs.finished(identity, {"lite0.npy": "new", "minilm.npy": "x"}) is None
    assert runs.finished(identity, {"lite0.npy": "old", "minilm.npy": "x"}) is not None


def test_a_run_that_trains_now_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    identity, journal = run_identity(SETTINGS, "data"), write(tmp_path / "e" / "run", None)
    training = recorded_runs(tmp_path).training(identity, {})
    assert training is not None and training.folder.name == "run"
    journal.close()
    assert recorded_runs(tmp_path).training(identity, {}) is None


def test_a_storage_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    assert not recorded_runs(tmp_path / "none").by_identity


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ({"commit": "c0ffee123456", "versions": {"raytrain": "0.2.0"}}, "c0ffee123456"),
        ({"commit": None, "versions": {"raytrain": "0.2.0"}}, "v0.2.0"),
        ({"versions": "?"}, None),
        ({}, None),
    ],
)
def test_a_run_of_an_installed_copy_knows_its_version(start: dict[str, Any], code: str | None) -> None:
    assert code_of(start) == code
