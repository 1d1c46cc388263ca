"""JSON annotation files, and checks of their entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.data.annotations.json_files import read_json
from raytrain.errors import DataError
from tests.data.own import put


def test_json_of_any_depth_is_refused_and_never_overflows(tmp_path: Path) -> None:
    for content in ("[" * 10**6, '{"a":' * 10**5, json.dumps({"a": "\ud800"}), '{"a": ' + "9" * 10**5 + "}"):
        with pytest.raises(DataError):
            read_json(put(tmp_path / "x.json", content), dict, "fix")
