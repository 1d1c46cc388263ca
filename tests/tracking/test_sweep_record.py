"""space.json: what is written reads back, damage is named, and recorded sweeps open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.errors import DataError
from raytrain.tracking.sweep_record import NAME, SearchIdentity

ROOT = Path(__file__).resolve().parents[2]
CONTENT = {"space": {"a": {"name": "FloatDistribution"}}, "base": {"optim.lr": 0.1}, "data": "f", "search": {"seed": 0}}


def test_what_is_written_reads_back_with_parts_of_a_newer_version(tmp_path: Path) -> None:
    for content in (CONTENT, CONTENT | {"later": [1]}):
        SearchIdentity.model_validate(content).write(tmp_path)
        assert list(json.loads((tmp_path / NAME).read_text()).items()) == list(content.items())
        assert SearchIdentity.read(tmp_path).model_dump() == content


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (CONTENT | {"data": 1}, "field data: Input should be a valid string"),
        (CONTENT | {"space": {"a": 1}}, "field space.a: Input should be a valid dictionary"),
        ({name: CONTENT[name] for name in ("space", "base", "data")}, "field search: Field required"),
        ([], "field (whole file): "),
        (None, "not readable: "),
    ],
)
def test_damage_is_one_error_that_names_file_and_field(content: object, what: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{" if content is None else json.dumps(content))
    with pytest.raises(DataError) as caught:
        SearchIdentity.read(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.what.startswith(what)) == (str(tmp_path / NAME), True)


def test_a_folder_without_one_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SearchIdentity.read(tmp_path)


def test_recorded_sweeps_open_and_would_be_written_as_they_are(tmp_path: Path) -> None:
    files = sorted((ROOT / "results").rglob(NAME))
    assert files
    for file in files:
        SearchIdentity.read(file.parent).write(tmp_path)
        assert (tmp_path / NAME).read_bytes() == file.read_bytes()
