"""Karpathy's JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.data.sources.karpathy import read_items
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem
from tests.data.pictures import entry, karpathy, left_behind

SPLITS = ["train", "restval", "val", "test"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return karpathy(tmp_path / "root", [entry(n, split) for n, split in enumerate(SPLITS)])


def refused(tmp_path: Path, entries: list[dict[str, Any]], **options: Any) -> list[Problem]:
    """The problems of building these entries, after checking that nothing was left behind."""
    root = karpathy(tmp_path / "root", entries)
    out = tmp_path / "tables"
    out.mkdir()
    with pytest.raises(DataError) as caught:
        build("karpathy", root, out / "made", **options)
    assert left_behind(out) == []
    return caught.value.problems


def test_the_miniature_becomes_the_table_one_expects(root: Path, tmp_path: Path) -> None:
    table = build("karpathy", root, tmp_path / "table")
    assert table.splits == {
        "train": {"items": 2, "texts": 4},
        "val": {"items": 1, "texts": 2},
        "test": {"items": 1, "texts": 2},
    }
    assert table.items.to_pylist()[1] == {
        "id": "1.jpg", "file": "1.jpg", "split": "train", "group": "", "attribution": "",
    }  # fmt: skip
    assert table.texts.to_pylist()[3] == {
        "id": "3", "item": 1, "text": "Caption 1 of picture 1.",
        "tokens": ["caption", "1", "of", "picture", "1", "."],
    }  # fmt: skip
    assert table.image_root == (root / "images").resolve()


def test_building_twice_gives_the_same_fingerprint_and_another_caption_another(root: Path, tmp_path: Path) -> None:
    first = build("karpathy", root, tmp_path / "a").fingerprint
    assert build("karpathy", root, tmp_path / "b").fingerprint == first
    entries = [entry(n, split) for n, split in enumerate(SPLITS)]
    entries[2]["sentences"][0]["raw"] = "Another caption."
    karpathy(root, entries)
    assert build("karpathy", root, tmp_path / "a").fingerprint != first


def test_coco_names_folders_ids_and_licences(tmp_path: Path) -> None:
    coco = entry(0, "val", filepath="val2014", cocoid=42, license="CC BY", flickr_url="http://x")
    table = build("karpathy", karpathy(tmp_path / "root", [coco]), tmp_path / "table", texts_per_image=1)
    row = table.items.to_pylist()[0]
    assert (row["id"], row["file"], row["attribution"]) == ("42", "val2014/0.jpg", "CC BY, http://x")
    assert len(table.texts) == 1


def test_line_breaks_inside_a_caption_become_blanks(tmp_path: Path) -> None:
    broken = entry(0, "train", sentences=[{"raw": " A dog \n runs\r\n. "}])
    table = build("karpathy", karpathy(tmp_path / "root", [broken]), tmp_path / "table")
    assert table.texts.to_pylist()[0]["text"] == "A dog runs ."


def test_a_path_that_climbs_out_is_named_by_its_row(tmp_path: Path) -> None:
    problems = refused(tmp_path, [entry(0, "train"), entry(1, "train", filename="../../secret.jpg")])
    assert [(p.file, p.row) for p in problems] == [(str(tmp_path / "root" / "dataset_made.json"), 1)]
    assert "climbs out" in problems[0].what


@pytest.mark.parametrize("change", [{"filename": "/etc/passwd"}, {"filepath": "/etc"}, {"filepath": "a/../.."}])
def test_absolute_paths_are_refused(tmp_path: Path, change: dict[str, str]) -> None:
    karpathy(tmp_path / "root", [entry(0, "train", **change)], pictures=False)
    with pytest.raises(DataError) as caught:
        build("karpathy", tmp_path / "root", tmp_path / "table")
    assert caught.value.problems[0].row == 0


def test_a_link_out_of_the_image_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (root / "images" / "3.jpg").unlink()
    (root / "images" / "3.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="link") as caught:
        build("karpathy", root, tmp_path / "table")
    assert caught.value.problems[0].row == 3
    assert not (tmp_path / "table").exists()


def test_all_problems_of_a_file_are_listed_at_once(tmp_path: Path) -> None:
    entries = [
        entry(0, "holdout"),
        entry(1, "train", sentences=[]),
        entry(2, "val", sentences=[{"raw": "  "}, {"raw": "x"}]),
        {"split": "train"},
        entry(4, "train"),
    ]
    del entries[4]["split"]
    problems = refused(tmp_path, entries)
    assert sorted((p.row, p.what.split(": ")[-1][:12]) for p in problems) == [
        (0, "split 'holdo"), (1, "no caption"), (2, "caption 0 is"), (3, "entry withou"), (4, "split 'missi"),
    ]  # fmt: skip


def test_repeated_images_and_captions_are_refused(tmp_path: Path) -> None:
    problems = refused(tmp_path, [entry(0, "train"), entry(0, "test")])
    assert any("'0.jpg' appears twice" in p.what for p in problems)
    assert any("caption id '0' appears twice" in p.what for p in problems)


def test_missing_images_are_refused_counted_and_allowed_by_share(root: Path, tmp_path: Path) -> None:
    (root / "images" / "1.jpg").unlink()
    with pytest.raises(DataError) as caught:
        build("karpathy", root, tmp_path / "table", allow_missing=0.2)
    assert caught.value.problems[0].row == 1
    assert not (tmp_path / "table").exists()
    table = build("karpathy", root, tmp_path / "table", allow_missing=0.25)
    assert table.description.missing == ["1.jpg"]
    assert table.splits["train"] == {"items": 1, "texts": 2}


def test_many_alike_are_listed_up_to_a_bound_and_the_rest_counted(tmp_path: Path) -> None:
    problems = refused(tmp_path, [entry(n, "nowhere") for n in range(50)])
    assert len(problems) == 20
    assert problems[-1].more == 30


@pytest.mark.parametrize("text", ["{", '{"images": []}', '{"images": {}}', "[]", "\xff"])
def test_what_is_no_karpathy_json_names_the_file(root: Path, tmp_path: Path, text: str) -> None:
    (root / "dataset_made.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        build("karpathy", root, tmp_path / "table")
    assert caught.value.problems[0].file.endswith("dataset_made.json")


def test_no_json_or_two_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "dataset_other.json").write_text("{}")
    with pytest.raises(DataError, match="exactly one"):
        build("karpathy", root, tmp_path / "table")
    with pytest.raises(DataError, match="not a folder"):
        build("karpathy", root / "absent", tmp_path / "table")


def test_a_failed_rebuild_keeps_the_old_table(root: Path, tmp_path: Path) -> None:
    old = build("karpathy", root, tmp_path / "table").fingerprint
    (root / "dataset_made.json").write_text(json.dumps({"images": [entry(0, "nowhere")]}))
    with pytest.raises(DataError):
        build("karpathy", root, tmp_path / "table")
    assert Table(tmp_path / "table").fingerprint == old


@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        ("flickr8k", {"train": (6000, 30000), "val": (516, 2580), "test": (484, 2420)}),
        ("coco_mini", {"train": (80, 400), "test": (79, 395)}),
    ],
)
def test_the_real_annotations_have_their_counts_and_images(
    folder: str, counts: dict[str, tuple[int, int]], real_data: Path
) -> None:
    if not (real_data / folder).is_dir():
        pytest.skip(f"no {folder} here")
    (path,), problems = (real_data / folder).glob("dataset_*.json"), Problems()
    items = [item for item, _ in read_items(path, problems)]
    assert len(problems) == 0
    images, texts = Counter(item.split for item in items), Counter[str]()
    for item in items:
        texts[item.split] += len(item.texts)
    assert {split: (images[split], texts[split]) for split in images} == counts
    assert all((real_data / folder / "images" / item.file).is_file() for item in items)


def test_real_images_and_captions_build_a_table(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "coco_mini").is_dir():
        pytest.skip("no coco_mini here")
    table = build("karpathy", real_data / "coco_mini", tmp_path / "table")
    assert table.splits == {"train": {"items": 80, "texts": 400}, "test": {"items": 79, "texts": 395}}
    assert table.description.missing == []
