"""Records grouped by image."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.record_groups import RecordGroups, _Image
from raytrain.data.annotations.records import Record, Shares, SourceLocation
from raytrain.data.problems import Problems
from tests.data import own
from tests.data.own import picture


def record(row: int, text: str, **fields: Any) -> Record:
    return Record(SourceLocation("rows.csv", row), [text], **fields)


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ({"file": "1.png"}, "image id 'a' has another image in row 0"),
        ({"split": "val"}, "image 'a' is of split 'val' here and of 'train' in row 0"),
        ({"group": "h"}, "image 'a' is of group 'h' here and of 'g' in row 0"),
        ({"split": "holdout"}, "split 'holdout', allowed are train"),
    ],
)
def test_rows_of_an_image_that_contradict_each_other_are_problems(
    second: dict[str, str], what: str, tmp_path: Path
) -> None:
    own.put_pictures(tmp_path, 2)
    problems = Problems()
    groups = RecordGroups(problems, tmp_path, tmp_path / "shipped", 0.0)
    first = {"id": "a", "file": "0.png", "split": "train", "group": "g"}
    groups.add(record(0, "x", **first))
    groups.add(record(1, "y", **{**first, **second}))
    assert [(problem.row, problem.what.startswith(what)) for problem in problems.list()] == [(1, True)]


def test_an_image_is_known_by_its_id_its_file_its_content_or_its_row(tmp_path: Path) -> None:
    own.put_pictures(tmp_path, 1)
    digest = hashlib.sha256(picture(5)).hexdigest()
    groups = RecordGroups(Problems(), tmp_path, tmp_path / "shipped", 1.0)
    for number, fields in enumerate(({"id": "a", "file": "0.png"}, {"file": "./0.png"}, {"data": picture(5)}, {})):
        groups.add(record(number, "x", split="train", **fields))
    assert [identity for _, identity in groups.images] == ["a", "0.png", digest[:16], "rows.csv#3"]


def test_a_picture_without_a_caption_is_not_left_in_the_table(tmp_path: Path) -> None:
    groups = RecordGroups(Problems(), None, tmp_path / "shipped", 0.5)
    groups.add(record(0, "x", id="a", data=picture(0), split="train"))
    groups.add(record(1, " ", id="b", data=picture(1), split="train"))
    counts = groups.finish(Shares(allow_missing=0.5))
    assert counts == {"rows": 2, "empty_texts": 1, "repeated_texts": 0, "repeated_images": 0}
    assert [path.read_bytes() for path in (tmp_path / "shipped").rglob("*.png")] == [picture(0)]
    assert (groups.missing.ids, dict(groups.missing.because)) == (["b"], {"no caption": 1})


def test_ids_that_several_shards_have_get_their_shards_as_prefix() -> None:
    def ids_of(*scoped: tuple[str, str]) -> list[str]:
        groups = RecordGroups(Problems(), None, Path("/none"), 0.0)
        for row, (scope, identity) in enumerate(scoped):
            groups.images[scope, identity] = _Image(
                Item(identity, "", "train", [("x", "a dog")]), SourceLocation("x", row)
            )
        groups._tell_scopes_apart()
        return [f"{image.item.id} {image.item.texts[0][0]}" for image in groups.images.values()]

    assert ids_of(("s0", "0"), ("s1", "1")) == ["0 x", "1 x"]
    assert ids_of(("s0", "0"), ("s1", "0"), ("s1", "1")) == ["s0/0 s0/0#0", "s1/0 s1/0#0", "s1/1 s1/1#0"]
