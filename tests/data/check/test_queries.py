"""`data check` finds composed queries that refer to wrong rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.data.check.check import check
from raytrain.data.check.queries import check_queries
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from tests.data.queries import query_table


@pytest.mark.parametrize(
    ("changes", "row", "what"),
    [
        ({"reference": [6, 2, 5, 6, 99]}, 4, "reference points outside"),
        ({"targets": [[4], [0], [-1], [4], []]}, 2, "targets points outside"),
        ({"targets": [[4], [4], [7], [4], []]}, 1, "targets in another split"),
        ({"targets": [[4], [0], [4], [4], []]}, 2, "targets in another part of the gallery"),
        ({"targets": [[4], [0], [], [4], []]}, 2, "no target, though"),
        ({"targets": [[6], [0], [7], [4], []]}, 0, "its own target"),
        ({"subset": [[], [], [7, 2], [], []]}, 2, "subset in another split"),
        ({"text": [2, 0, 1, 2, 5]}, 3, None),
        ({"phrasings": [3, 1, 1, 1, 1]}, None, None),
        ({"phrasings": [2, 1, 1, 0, 1]}, 3, "text points outside"),
        ({"text": [2, 1, 1, 4, 5]}, 1, "belongs to another reference"),
        ({"id": ["q0", "q1", "q2", "q1", "q4"]}, 3, "id appears twice"),
    ],
)
def test_wrong_queries_are_found_by_row(
    changes: dict[str, list[Any]], row: int | None, what: str | None, tmp_path: Path
) -> None:
    table = query_table(tmp_path / "t", **changes)
    problems = [(p.row, p.what) for p in check(table.path, None, images=False) if p.file.endswith("queries.arrow")]
    if what is None:  # a text that two queries of one reference share is no fault
        assert problems == []
    else:
        assert (row, True) in [(at, what in message) for at, message in problems]


def test_a_changed_byte_of_the_queries_is_found(tmp_path: Path) -> None:
    table = query_table(tmp_path / "t")
    path = table.path / "queries.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert any(p.file == str(path) for p in check(table.path, None, images=False))


def test_a_table_of_images_and_captions_has_nothing_to_check(table: Table) -> None:
    problems = Problems()
    check_queries(table, problems)
    assert not problems


def test_targets_of_other_groups_are_right_where_the_gallery_is_the_whole_split(tmp_path: Path) -> None:
    targets = [[5], [1], [4], [7], []]
    for gallery, count in (("group", 4), ("split", 0)):
        problems = Problems()
        check_queries(query_table(tmp_path / gallery, gallery, targets=targets), problems)
        assert problems.counts["query targets group"] == count
