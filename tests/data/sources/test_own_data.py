"""Sources of one's own data: each layout's miniature and its exact table."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.table import QuerySplit, Table
from raytrain.errors import DataError, UsageError
from tests.data import own
from tests.data.own import SPLIT, captions_of, json_lines, member, picture, put
from tests.data.pictures import left_behind

TEXTS = [text for number in range(8) for text in captions_of(number)]


def shipped(number: int) -> str:
    """Where a picture that came inside an archive lies."""
    digest = hashlib.sha256(picture(number)).hexdigest()
    return f"{digest[:2]}/{digest[:32]}.png"


LAYOUTS: list[tuple[str, Callable[[Path], Path], dict[str, Any], list[str], list[str]]] = [
    # source, folder, options, ids, files
    ("captions", own.captions, {}, [f"{n}.png" for n in range(8)], [f"{n}.png" for n in range(8)]),
    ("webdataset", own.webdataset, {"lines": True}, [f"{n:04d}" for n in range(8)], [shipped(n) for n in range(8)]),
    ("huggingface", own.saved, {}, [str(n) for n in range(8)], [shipped(n) for n in range(8)]),
    ("huggingface", own.parquet, {}, [str(n) for n in range(8)], [shipped(n) for n in range(8)]),
]
FOLDER = [f"{ {'val': 'validation'}.get(SPLIT[n], SPLIT[n]) }/inner/{n}.png" for n in range(8)]
LAYOUTS.append(("imagefolder", own.imagefolder, {}, FOLDER, FOLDER))


@pytest.mark.parametrize(
    ("source", "make", "options", "ids", "files"), LAYOUTS, ids=lambda v: getattr(v, "__name__", "")
)
def test_a_miniature_of_each_layout_becomes_exactly_this_table(
    source: str, make: Callable[[Path], Path], options: dict[str, Any], ids: list[str], files: list[str], tmp_path: Path
) -> None:
    table = build(source, make(tmp_path / "root"), tmp_path / "table", **options)
    by_id = {row["id"]: row for row in table.items.to_pylist()}
    assert by_id == {
        name: {"id": name, "file": file, "split": split, "group": "", "attribution": ""}
        for name, file, split in zip(ids, files, SPLIT, strict=True)
    }
    order = table.items["id"].to_pylist()
    said = [(order[row["item"]], row["id"], row["text"]) for row in table.texts.to_pylist()]
    expected = [
        (name, f"{name}#{k}", text)
        for name, n in zip(ids, range(8), strict=True)
        for k, text in enumerate(captions_of(n))
    ]
    assert sorted(said) == sorted(expected)
    assert table.splits == {name: {"items": n, "texts": 2 * n} for name, n in (("train", 4), ("val", 2), ("test", 2))}
    facts = table.description.source
    assert table.description.missing == []
    assert [facts[name] for name in ("empty_texts", "repeated_texts", "repeated_images")] == [0, 0, 0]
    assert check(table.path, None) == []
    pictures = {row["file"]: (table.image_root / row["file"]).read_bytes() for row in by_id.values()}
    assert pictures == {file: picture(n) for n, file in enumerate(files)}  # byte for byte
    assert build(source, tmp_path / "root", tmp_path / "again", **options).fingerprint == table.fingerprint


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_rows_of_any_form_give_the_table_of_the_csv(suffix: str, tmp_path: Path) -> None:
    expected = build("captions", own.captions(tmp_path / "csv"), tmp_path / "a").fingerprint
    root, rows = tmp_path / "root", own.rows_of_captions()
    own.put_pictures(root / "images")
    if suffix == "tsv":
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        put(root / "my.tsv", "\r\n".join(lines))
    elif suffix == "jsonl":
        put(root / "my.jsonl", "\ufeff" + json_lines(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), root / "my.parquet")
    assert build("captions", root, tmp_path / "b").fingerprint == expected


def test_columns_are_named_by_option_and_their_content_lands_where_it_belongs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rows = [
        {"path": "0.png", "a": "one", "b": "two", "part": "train", "key": 7, "kind": "shoe", "by": "Ann"},
        {"path": "1.png", "a": '["three", "four"]', "b": "five", "part": "dev", "key": 8, "kind": "", "by": ""},
    ]
    put(
        root / "x.csv",
        "\n".join([";".join(rows[0]), *(";".join(str(v) for v in row.values()) for row in rows)]).replace(
            '["three", "four"]', '"[""three"", ""four""]"'
        ),
    )
    own.put_pictures(root / "pics", 2)
    names = {"image": "path", "text": "a,b", "split": "part", "id": "key", "group": "kind", "attribution": "by"}
    table = build("captions", root, tmp_path / "table", images="pics", delimiter=";", **names)
    assert table.items.to_pylist() == [
        {"id": "7", "file": "0.png", "split": "train", "group": "shoe", "attribution": "Ann"},
        {"id": "8", "file": "1.png", "split": "val", "group": "", "attribution": ""},
    ]
    assert table.texts["text"].to_pylist() == ["one", "two", "three", "four", "five"]
    with pytest.raises(UsageError, match="delimiter is one character"):
        build("captions", root, tmp_path / "table", delimiter="||")


def test_files_called_after_splits_state_them(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images")
    for split, numbers in (("train", range(6)), ("my_valid", range(6, 8))):
        put(root / f"{split}.csv", own.as_csv([{"image": f"{n}.png", "text": f"number {n}"} for n in numbers]))
    table = build("captions", root, tmp_path / "table")
    assert {name: count["items"] for name, count in table.splits.items()} == {"train": 6, "val": 2}


def unsplit(root: Path, count: int = 60, **more: Any) -> Path:
    for number in range(count):
        put(root / "images" / f"{number}.png", picture(number))
    rows = [{"image": f"{n}.png", "text": f"number {n}", **{k: f(n) for k, f in more.items()}} for n in range(count)]
    put(root / "rows.jsonl", json_lines(rows))
    return root


def test_splits_are_drawn_by_the_hash_of_each_image_and_the_table_says_so(tmp_path: Path) -> None:
    table = build("captions", unsplit(tmp_path / "root"), tmp_path / "table", val=0.2, test=0.1)
    expected = {}
    for number in range(60):
        digest = hashlib.sha256(picture(number)).hexdigest()
        place = int(hashlib.sha256(digest.encode()).hexdigest()[:16], 16) / 2**64
        expected[f"{number}.png"] = "test" if place < 0.1 else "val" if place < 0.3 else "train"
    assert dict(zip(*(table.items[name].to_pylist() for name in ("id", "split")), strict=True)) == expected
    drawn = table.description.source["drawn"]
    assert (drawn["val"], drawn["test"], drawn["from"]) == (0.2, 0.1, 60)
    assert drawn["images"] == {name: count["items"] for name, count in table.splits.items()}
    # an image that joins later changes no other one's split
    more = build("captions", unsplit(tmp_path / "more", 70), tmp_path / "b", val=0.2, test=0.1)
    later = dict(zip(*(more.items[name].to_pylist() for name in ("id", "split")), strict=True))
    assert {name: later[name] for name in expected} == expected


def test_a_group_is_drawn_as_a_whole_and_copies_fall_into_one_split(tmp_path: Path) -> None:
    root = unsplit(tmp_path / "root", group=lambda n: f"g{n % 12}")
    table = build("captions", root, tmp_path / "table", val=0.3, test=0.2)
    of_group: dict[str, set[str]] = {}
    for row in table.items.to_pylist():
        of_group.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in of_group.values()) and len(table.splits) == 3
    copies = unsplit(tmp_path / "copies", 30)
    for number in range(30):
        put(copies / "images" / f"copy{number}.png", picture(number))
    rows = [{"image": f"{kind}{n}.png", "text": f"number {n}"} for kind in ("", "copy") for n in range(30)]
    put(copies / "rows.jsonl", json_lines(rows))
    built = build("captions", copies, tmp_path / "b", val=0.3, test=0.2)
    split = dict(zip(*(built.items[name].to_pylist() for name in ("id", "split")), strict=True))
    assert all(split[f"{n}.png"] == split[f"copy{n}.png"] for n in range(30))
    assert built.description.source["repeated_images"] == 30


def test_val_is_drawn_from_a_stated_train_and_never_from_test(tmp_path: Path) -> None:
    root = unsplit(tmp_path / "root", split=lambda n: "test" if n < 10 else "train")
    table = build("captions", root, tmp_path / "table", val=0.3)
    assert table.splits["test"]["items"] == 10
    assert 5 < table.splits["val"]["items"] < 25
    with pytest.raises(UsageError, match=r"test=0\.1 draws a split that the data state already"):
        build("captions", root, tmp_path / "other", val=0.1, test=0.1)
    for bad in ({"val": 1.0}, {"val": -0.1}, {"val": 0.5, "test": 0.5}, {"allow_missing": 1.5}):
        with pytest.raises(UsageError):
            build("captions", root, tmp_path / "other", **bad)
    assert left_behind(tmp_path) == ["root", "table"]


def test_what_is_left_out_is_bounded_counted_and_listed(tmp_path: Path) -> None:
    root = own.captions(tmp_path / "root")
    (root / "images" / "0.png").unlink()
    put(root / "images" / "1.png", b"GIF89a")
    put(root / "images" / "nobody.png", picture(50))
    rows = own.rows_of_captions()
    rows[4]["text"] = rows[5]["text"] = ""  # picture 2 says nothing
    rows[6]["text"] = " "  # picture 3 keeps one
    rows += [rows[8], rows[9]]
    put(root / "captions.csv", own.as_csv(rows))
    with pytest.raises(DataError) as caught:
        build("captions", root, tmp_path / "table", allow_missing=0.3)  # 3 of 8 images
    assert sorted({problem.row for problem in caught.value.problems}) == [2, 4, 6]
    table = build("captions", root, tmp_path / "table", allow_missing=0.4)
    assert table.description.missing == ["0.png", "1.png", "2.png"]
    said = table.description.source
    accounts = table.description.accounts
    assert accounts is not None
    assert accounts.because == {"broken": 1, "no caption": 1, "not found": 1}
    assert accounts.allow_missing == 0.4
    assert accounts.splits["train"] == {
        "items": {"annotated": 4, "missing": 3}, "texts": {"annotated": 5, "missing": 4},
    }  # fmt: skip
    assert (said["empty_texts"], said["repeated_texts"]) == (3, 2)
    assert (said["rows"], said["unlisted_images"]) == (18, 1)
    assert table.splits["train"] == {"items": 1, "texts": 1}
    assert table.splits["val"] == {"items": 2, "texts": 4}


def test_a_list_of_captions_may_repeat_itself(tmp_path: Path) -> None:
    root = tmp_path / "root"
    own.put_pictures(root / "images", 2)
    rows = [{"image": f"{n}.png", "text": ["a dog", "a dog"], "split": "train"} for n in range(2)]
    put(root / "rows.jsonl", json_lines(rows))
    assert len(build("captions", root, tmp_path / "table").texts) == 4


def test_rows_of_the_same_picture_are_one_image(tmp_path: Path) -> None:
    root = tmp_path / "root" / "data"
    root.mkdir(parents=True)
    images = [{"bytes": picture(n), "path": None} for n in (0, 1, 0)]
    rows = pa.table({"image": pa.array(images), "text": ["a", "b", "c"]})
    pq.write_table(rows, root / "train-00000-of-00001.parquet")
    table = build("huggingface", root.parent, tmp_path / "table")
    assert table.texts["text"].to_pylist() == ["a", "c", "b"]
    assert table.items["id"].to_pylist() == [hashlib.sha256(picture(n)).hexdigest()[:16] for n in (0, 1)]


def test_pictures_that_are_paths_are_read_below_the_root(tmp_path: Path) -> None:
    root = own.parquet(tmp_path / "root")
    path = root / "data" / "test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        put(root / "pics" / row["image"]["path"], row["image"]["bytes"])
        row["image"] = {"bytes": None, "path": f"pics/{row['image']['path']}"}
    kind = pq.read_schema(path)
    pq.write_table(pa.Table.from_pylist(rows, schema=kind), path)
    table = build("huggingface", root, tmp_path / "table")
    assert table.splits["test"] == {"items": 2, "texts": 4}
    assert [row["file"] for row in table.items.to_pylist() if row["split"] == "test"] == [shipped(6), shipped(7)]


def test_a_split_column_beats_the_name_of_the_file(tmp_path: Path) -> None:
    """As in a well-known copy of Flickr30K, where everything lies in a file called test."""
    root = tmp_path / "root"
    rows = pa.concat_tables(own.hugging_rows(split) for split in ("train", "val", "test"))
    path = put(root / "test-00000-of-00001.parquet", b"")
    pq.write_table(rows.append_column("split", pa.array(SPLIT)), path)
    table = build("huggingface", root, tmp_path / "table")
    assert {name: count["items"] for name, count in table.splits.items()} == {"train": 4, "val": 2, "test": 2}


def test_a_data_set_that_was_saved_alone_keeps_its_split(tmp_path: Path) -> None:
    root = own.saved(tmp_path / "root") / "train"
    table = build("huggingface", root, tmp_path / "table", val=0.5)
    assert table.description.source["drawn"]["from"] == 4
    state = json.loads((root / "state.json").read_text())
    put(root / "state.json", json.dumps(state | {"_split": "validation"}))
    assert build("huggingface", root, tmp_path / "b").splits == {"val": {"items": 4, "texts": 8}}
    put(root / "state.json", json.dumps(state | {"_split": "all"}))
    with pytest.raises(DataError, match=r"has no split.*val=0\.1"):
        build("huggingface", root, tmp_path / "c")


def test_members_that_are_not_read_are_counted_and_whole_texts_stay_whole(tmp_path: Path) -> None:
    root = tmp_path / "root"
    facts = json.dumps({"caption": "from json", "note": ["elsewhere"]}).encode()
    members = [
        member("a/0.JPG", picture(0, "JPEG")), member("a/0.txt", b"two\nlines"), member("a/0.json", facts),
        member("a/0.cls", b"3"), member("a/1.pyd", b"cos\nsystem"), member("a/1.jpeg", picture(1, "JPEG")),
        member("a/1.txt", b"x"), member("a", kind=tarfile.DIRTYPE),
    ]  # fmt: skip
    own.tar(root / "train.tar", members)
    table = build("webdataset", root, tmp_path / "table")
    assert table.texts["text"].to_pylist() == ["two lines", "x"]
    assert table.description.source["ignored_members"] == {".cls": 1, ".pyd": 1}
    assert table.items["file"].to_pylist()[0].endswith(".jpg")
    again = build("webdataset", root, tmp_path / "b", text="note", allow_missing=0.5)
    assert (again.texts["text"].to_pylist(), again.description.missing) == (["elsewhere"], ["a/1"])
    assert [path.is_file() for path in again.image_root.glob("*/*")] == [True]  # the other picture is not shipped


def test_composed_triplets_become_exactly_this_table(tmp_path: Path) -> None:
    table = build("composed", own.composed(tmp_path / "root"), tmp_path / "table")
    ids = table.items["id"].to_pylist()
    assert ids == [f"{n}.png" for n in range(8)]
    assert table.items["split"].to_pylist() == SPLIT
    assert table.queries is not None
    said = table.texts["text"].to_pylist()
    found = [
        (
            row["id"], row["split"], ids[row["reference"]], said[row["text"] : row["text"] + row["phrasings"]],
            [ids[one] for one in row["targets"]], [ids[one] for one in row["subset"]],
        )
        for row in table.queries.to_pylist()
    ]  # fmt: skip
    assert found == [
        ("triplets1", "train", "0.png", ["in red"], ["1.png"], []),
        ("triplets2", "train", "1.png", ["longer", "more long"], ["2.png", "3.png"], []),
        ("q", "val", "4.png", ["shorter"], ["5.png"], ["5.png"]),
        ("triplets4", "test", "6.png", ["unknown"], [], []),
    ]
    assert table.gallery == "split"
    assert check(table.path, None) == []


def test_composed_groups_are_galleries_and_broken_images_are_counted(tmp_path: Path) -> None:
    root = own.composed(tmp_path / "root")
    put(root / "triplets.jsonl", json_lines({**row, "group": "shoe"} for row in own.triplet_rows()))
    put(root / "images" / "3.png", b"no picture")
    with pytest.raises(DataError, match=r"triplets\.jsonl, row 2: image .*3\.png: no JPEG, PNG or WEBP image"):
        build("composed", root, tmp_path / "table")
    table = build("composed", root, tmp_path / "table", allow_missing=0.2)
    assert table.gallery == "group" and table.description.missing == ["3.png"]
    assert len(QuerySplit(table, "train")) == 2


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
    with pytest.raises(DataError, match="no features of image '7'"):
        build("butd_tsv", root, tmp_path / "b", progress=None)
    less = build("butd_tsv", root, tmp_path / "b", progress=None, allow_missing=0.2)
    assert (less.description.missing, less.array("butd").shape) == (["7"], (7, own.REGIONS, own.WIDTH))


def test_a_failed_rebuild_keeps_the_table_with_its_pictures(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    table = build("webdataset", root, tmp_path / "table")
    put(root / "train-1.tar", b"x" * 1024)
    with pytest.raises(DataError):
        build("webdataset", root, tmp_path / "table")
    assert Table(table.path).fingerprint == table.fingerprint
    assert check(table.path, None) == []
    assert left_behind(tmp_path) == ["root", "table"]


def test_options_are_read_from_the_command_line_in_their_own_kind(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    command = ["data", "build", "webdataset", "--root", str(root), "--out", str(tmp_path / "table")]
    assert main([*command, "lines=true"]) == 0
    assert len(Table(tmp_path / "table").texts) == 16
    assert main([*command, "lines=maybe"]) == main([*command, "val=true"]) == main([*command, "lime=true"]) == 2
    numbered = tmp_path / "numbered"
    own.put_pictures(numbered / "images", 1)
    put(numbered / "x.csv", "image,0,split\n0.png,a caption,train\n")
    assert build("captions", numbered, tmp_path / "b", text=0).texts["text"].to_pylist() == ["a caption"]
