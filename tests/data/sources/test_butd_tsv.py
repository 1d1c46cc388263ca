"""Bottom-up-attention TSV."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.annotations.records import SourceLocation
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.problems import Problems
from raytrain.data.sources.butd_tsv import Line, lines
from raytrain.errors import DataError, UsageError
from tests.data import own
from tests.data.own import SPLIT, TEXTS, captions_of, put


def test_a_tsv_of_base64_features_becomes_the_array_of_its_captions(tmp_path: Path) -> None:
    table = build("butd_tsv", own.butd_tsv(tmp_path / "root"), tmp_path / "table", dtype="float32", progress=None)
    assert table.items["id"].to_pylist() == [str(n) for n in range(8)]
    assert table.items["split"].to_pylist() == SPLIT
    assert table.texts["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(table.array("butd"), np.stack([own.features_of(n) for n in range(8)]))
    assert table.description.source["features_without_captions"] == 1
    assert check(table.path, None) == []
    half = build("butd_tsv", tmp_path / "root", tmp_path / "half", progress=None, texts_per_image=1)
    assert half.array("butd").dtype == np.float16 and len(half.texts) == 8


def test_a_tsv_goes_with_karpathys_json_too(tmp_path: Path) -> None:
    root = own.butd_tsv(tmp_path / "root")
    (root / "captions.jsonl").unlink()
    images = [
        {"filename": f"COCO_{n}.jpg", "cocoid": n, "split": SPLIT[n], "sentences": [{"raw": t} for t in captions_of(n)]}
        for n in range(8)
    ]
    put(root / "dataset_coco.json", json.dumps({"images": images}))
    table = build("butd_tsv", root, tmp_path / "table", dtype="float32", progress=None)
    assert table.texts["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(table.array("butd")[5], own.features_of(5))
    lines = (root / "a.tsv").read_text().splitlines(keepends=True)
    put(root / "a.tsv", "".join(lines[1:]))
    with pytest.raises(DataError, match="no features for image '7'"):
        build("butd_tsv", root, tmp_path / "b", progress=None)
    less = build("butd_tsv", root, tmp_path / "b", progress=None, allow_missing=0.2)
    assert (less.description.missing, less.array("butd").shape) == (["7"], (7, own.REGIONS, own.WIDTH))


def test_a_header_and_blank_lines_are_no_images(tmp_path: Path) -> None:
    header = "image_id\timage_w\timage_h\tnum_boxes\tboxes\tfeatures\n"
    path = put(tmp_path / "a.tsv", header + "\n" + own.tsv_line("7", own.features_of(7)) + "\n")
    problems = Problems()
    (line,) = lines(path, problems)
    assert (line.id, line.boxes, line.width(), line.place.row) == ("7", own.REGIONS, own.WIDTH, 3)
    assert not problems


@pytest.mark.parametrize(("boxes", "size", "width"), [(3, 48, 4), (5, 48, 0), (3, 50, 0), (1, 4, 1)])
def test_the_width_follows_from_the_bytes_and_the_boxes(boxes: int, size: int, width: int) -> None:
    place = SourceLocation("a.tsv", 1)
    assert Line(place, "7", boxes, base64.b64encode(bytes(size))).width() == width


def test_images_of_other_shapes_are_named_beside_the_first(tmp_path: Path) -> None:
    root = own.butd_tsv(tmp_path / "root")
    content = (root / "b.tsv").read_text().splitlines()
    content[0] = own.tsv_line("99", np.zeros((own.REGIONS + 2, own.WIDTH), np.float32))
    content[1] = own.tsv_line("3", np.zeros((own.REGIONS, own.WIDTH + 1), np.float32))
    put(root / "b.tsv", "\n".join(content))
    with pytest.raises(DataError) as caught:
        build("butd_tsv", root, tmp_path / "table", progress=None)
    assert [(problem.row, problem.what.partition(";")[0]) for problem in caught.value.problems] == [
        (1, "image '99' has 5 boxes of 4, the first one 3 of 4"),
        (2, "image '3' has 3 boxes of 5, the first one 3 of 4"),
    ]


def test_captions_are_the_only_file_that_fits_or_the_named_one(tmp_path: Path) -> None:
    root = own.butd_tsv(tmp_path / "root")
    put(root / "more.csv", "image_id,text,split\n0,another caption,train\n")
    with pytest.raises(DataError, match=r"there are: captions\.jsonl, more\.csv.*captions=FILE"):
        build("butd_tsv", root, tmp_path / "table", progress=None)
    table = build("butd_tsv", root, tmp_path / "table", captions="more.csv", progress=None)
    assert table.texts["text"].to_pylist() == ["another caption"]
    for options in ({"dtype": "int8"}, {"texts_per_image": 0}, {"allow_missing": 2.0}):
        with pytest.raises(UsageError):
            build("butd_tsv", root, tmp_path / "other", **options)
