"""config.json of a portable model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from raytrain.config import to_values
from raytrain.data.table import Table
from raytrain.errors import DataError
from raytrain.retrieval.portable.description import Description, is_portable, neutral
from tests.runs import tiny


def test_no_place_of_the_machine_is_kept(pictures: Table, tmp_path: Path) -> None:
    changes = {"feed__local_copy": str(tmp_path / "copy"), "optim__start_from": str(tmp_path / "checkpoint_00000003")}
    values = neutral(to_values(tiny(pictures, tmp_path / "runs", **changes)))
    assert str(tmp_path) not in json.dumps(values)
    assert values["data"]["table"] == pictures.path.name
    assert values["optim"]["start_from"] == "checkpoint_00000003"


def test_what_is_read_is_what_was_written(export_of: Callable[[str], Path], tmp_path: Path) -> None:
    export = export_of("dvse over words")
    description = Description.read(export)
    description.write(tmp_path)
    assert Description.read(tmp_path) == description
    assert description.inputs.words is not None
    assert is_portable(export) and not is_portable(tmp_path / "nothing")


def test_a_newer_schema_and_a_damaged_field_are_told_in_one_line(
    export_of: Callable[[str], Path], tmp_path: Path
) -> None:
    values = json.loads((export_of("dvse over words") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"schema": 9}))
    with pytest.raises(DataError, match="schema 9"):
        Description.read(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values | {"regions": "many"}))
    with pytest.raises(DataError, match="field regions"):
        Description.read(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    assert not is_portable(tmp_path)
