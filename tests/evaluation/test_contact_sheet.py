"""A contact sheet as a file: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.errors import DataError
from raytrain.evaluation.contact_sheet import MOST_CHARACTERS, clipped, files_of, read_sheet, sheet_file, write_sheet
from tests.review.made_sheets import a_sheet


def evaluation(folder: Path, digest: str = "a") -> dict[str, str]:
    return {"file": str(folder / "val.json"), "ranks_sha256": digest}


def test_a_sheet_is_read_as_it_was_written_while_the_ranks_are_its_own(tmp_path: Path) -> None:
    sheet = a_sheet()
    assert read_sheet(evaluation(tmp_path)) is None
    assert write_sheet(tmp_path / "val.json", sheet).name == "val.sheet.json"
    assert read_sheet(evaluation(tmp_path)) == sheet
    assert read_sheet(evaluation(tmp_path, "of a later evaluation")) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [({"systems": []}, "systems"), ({"version": 2}, "version"), ({"sections": [{"rule": "x"}] * 40}, "sections")],
)
def test_a_damaged_sheet_names_its_field(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = sheet_file(tmp_path / "val.json")
    path.write_text(json.dumps(a_sheet().model_dump() | change))
    with pytest.raises(DataError, match=rf"val\.sheet\.json.*field {named}.*evaluate RUN --sheet"):
        read_sheet(evaluation(tmp_path))


def test_the_best_right_answer_follows_where_it_is_not_among_the_first() -> None:
    sheet = a_sheet()
    near, far = sheet.sections[0].queries[0].rankings[0], sheet.sections[0].queries[1].rankings[0]
    assert near.shown == near.first and far.shown == [*far.first, far.best]
    assert files_of(sheet.sections).count("far.png") == 2, "once as a result, once as the image that asks"


def test_long_captions_are_cut_and_stand_on_one_line() -> None:
    assert clipped(" a\n b ") == "a b"
    assert len(clipped("word " * 10**6)) == MOST_CHARACTERS
