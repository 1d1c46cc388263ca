"""COCO's own annotations, with and without the lists of caption ids that VSE++ splits them by."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.detect import detect
from raytrain.data.table.arrays import open_array
from raytrain.errors import DataError
from tests.data.layouts import coco, coco_without_lists
from tests.data.own import picture, put
from tests.data.pictures import left_behind


def test_lists_of_caption_ids_make_the_splits_in_their_own_order(tmp_path: Path) -> None:
    table = build("coco", coco(tmp_path / "root"), tmp_path / "table", dev_images=1)
    assert table.splits == {
        "train": {"items": 4, "texts": 8}, "val": {"items": 1, "texts": 2}, "test": {"items": 2, "texts": 4},
    }  # fmt: skip
    rows = table.items.to_pylist()
    assert [row["id"] for row in rows] == ["9", "25", "30", "34", "42", "74", "133"]
    assert rows[4] == {
        "id": "42", "file": "val2014/COCO_val2014_000000000042.jpg", "split": "val", "group": "",
        "attribution": "CC BY, http://f/42",
    }  # fmt: skip
    texts = [(row["id"], row["text"]) for row in table.texts.to_pylist()]
    assert texts[:2] == [("2009", "2 of 9"), ("9", "0 of 9")]
    assert table.description.source["lists"] == ["train", "restval", "dev", "test"]
    assert check(table.path, progress=None) == []


def test_without_lists_the_splits_are_those_of_the_files(tmp_path: Path) -> None:
    table = build("coco", coco_without_lists(tmp_path / "root"), tmp_path / "table", texts_per_image=2)
    assert table.splits == {"train": {"items": 4, "texts": 8}, "val": {"items": 4, "texts": 8}}
    assert table.texts["id"].to_pylist()[:2] == ["9", "1009"]


def test_what_is_detected_names_the_lists_and_what_is_missing(tmp_path: Path) -> None:
    root = coco(tmp_path / "root")
    assert [candidate.layout.options for candidate in detect(root)] == [{"dev_images": 1000}]
    (root / "annotations" / "coco_restval_ids.npy").unlink()
    (root / "annotations" / "captions_train2014.json").unlink()
    assert detect(root)[0].layout.missing == ["annotations/captions_train2014.json", "annotations/coco_restval_ids.npy"]
    plain = coco_without_lists(tmp_path / "plain")
    for name in ("train2014", "val2014"):
        (plain / "images" / name).rename(plain / name)
    (plain / "images").rmdir()
    assert detect(plain)[0].layout.options == {"images": "."}


def annotations(root: Path, change: Any) -> Any:
    path = root / "annotations" / "captions_val2014.json"
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))
    return path


@pytest.mark.parametrize(
    ("change", "row", "what"),
    [
        (lambda whole: whole["images"][1].update(id=1.5), 1, "image without a number"),
        (lambda whole: whole["images"][1].update(id=9), 1, "image 9 appears twice"),
        (lambda whole: whole["images"][0].update(file_name="../../x.jpg"), 0, "climbs out"),
        (lambda whole: whole["annotations"][2].update(caption=" "), 2, "caption without"),
        (lambda whole: whole["annotations"][2].update(image_id=5), 2, "caption 2042 is of image 5"),
        (lambda whole: whole["annotations"][2].update(id=42), 2, "caption 42 appears twice"),
        (lambda whole: whole["annotations"].pop(2), 0, "caption 2042 is in no captions_"),
    ],
)
def test_bad_entries_are_named_by_row_and_nothing_is_left(change: Any, row: int, what: str, tmp_path: Path) -> None:
    root = coco(tmp_path / "root")
    annotations(root, change)
    with pytest.raises(DataError) as caught:
        build("coco", root, tmp_path / "table")
    assert any((problem.row, what in problem.what) == (row, True) for problem in caught.value.problems), (
        caught.value.problems
    )
    assert left_behind(tmp_path) == ["root"]


def test_lists_that_overlap_or_scatter_an_image_are_refused(tmp_path: Path) -> None:
    root = coco(tmp_path / "root")
    np.save(root / "annotations" / "coco_test_ids.npy", np.array([2074, 133, 74, 2009]))
    with pytest.raises(DataError) as caught:
        build("coco", root, tmp_path / "table")
    problems = [(problem.row, problem.what) for problem in caught.value.problems]
    assert (2, "caption 74 is of image 74, whose other captions are further up") in problems
    assert any("image 9 is in two of the lists" in what for _, what in problems)
    np.save(root / "annotations" / "coco_test_ids.npy", np.array([[2074.0]]))
    with pytest.raises(DataError, match="expected a list of caption ids"):
        build("coco", root, tmp_path / "table")


def test_the_published_test_list_has_its_counts() -> None:
    package = importlib.util.find_spec("eccv_caption")
    if package is None or package.origin is None:
        pytest.skip("the package eccv_caption, which ships coco_test_ids.npy, is not installed")
    folder = Path(package.origin).parent / "data"
    ids = open_array(folder / "coco_test_ids.npy")
    assert (ids.shape, ids.dtype, int(ids[0])) == ((25_000,), np.int64, 770_337)
    of_image = json.loads((folder / "original_image_to_caption.json").read_text())
    owner = {caption: image for image, captions in of_image.items() for caption in captions}
    images = [owner[int(caption)] for caption in ids]
    assert len(set(images)) == 5_000
    assert all(len(set(images[start : start + 5])) == 1 for start in range(0, 25_000, 5))


@pytest.mark.parametrize("folder", ["train", "."])
def test_a_file_of_ones_own_may_lack_the_ids_of_captions_and_the_usual_names(folder: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for split, numbers in (("train", (0, 1)), ("val", (2,))):
        for number in numbers:
            put(root / "images" / (folder and folder.replace("train", split)) / f"{number}.png", picture(number))
        images = [{"id": f"i{n}", "file_name": f"{n}.png"} for n in numbers]
        texts = [{"image_id": f"i{n}", "caption": f"{k} of {n}"} for n in numbers for k in range(2)]
        put(root / "annotations" / f"{split}.json", json.dumps({"images": images, "annotations": texts}))
    table = build("coco", root, tmp_path / "table")
    assert table.items["id"].to_pylist() == ["i0", "i1", "i2"]
    assert table.texts["id"].to_pylist() == ["i0#0", "i0#1", "i1#0", "i1#1", "i2#0", "i2#1"]
    assert {name: counts["items"] for name, counts in table.splits.items()} == {"train": 2, "val": 1}


def test_images_without_a_caption_are_missing(tmp_path: Path) -> None:
    root = coco_without_lists(tmp_path / "root")

    def take_captions(whole: Any) -> None:
        whole["annotations"] = [entry for entry in whole["annotations"] if entry["image_id"] != 73]

    annotations(root, take_captions)
    with pytest.raises(DataError, match="image '73' has no caption"):
        build("coco", root, tmp_path / "table")
    table = build("coco", root, tmp_path / "table", allow_missing=0.2)
    assert table.description.missing == ["73"]
    assert table.description.accounts is not None and table.description.accounts.because == {"no caption": 1}
