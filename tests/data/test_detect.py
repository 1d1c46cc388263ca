"""`data detect` knows every layout, says what is missing, and its command builds the table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.cli.main import main
from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.build import SOURCES, build
from raytrain.data.detect import detect
from raytrain.data.table import Table
from raytrain.errors import DataError
from tests.data import downloads, own, triplets
from tests.data.downloads import DOWNLOADS
from tests.data.layouts import LAYOUTS, coco_without_lists, flickr
from tests.data.own import put
from tests.data.pictures import entry, karpathy, left_behind


def photos_with_other_names(root: Path) -> Path:
    """Columns and folder of other names, and no split."""
    own.put_pictures(root / "my pics", 40)
    rows = [{"filename": f"{n}.png", "Caption": f"number {n}"} for n in range(40)]
    return own.put(root / "list.csv", own.as_csv(rows)).parent


def twice(root: Path) -> Path:
    own.captions(root)
    for name, number in (("6.png", 0), ("4.png", 1)):
        put(root / "images" / name, own.picture(number))
    return root


def uncaptioned_coco(root: Path) -> Path:
    path = coco_without_lists(root) / "annotations" / "captions_train2014.json"
    whole = json.loads(path.read_text())
    whole["annotations"] = [entry for entry in whole["annotations"] if entry["image_id"] in (9, 25)]
    path.write_text(json.dumps(whole))
    return root


EVERY = [(name.partition("-")[0], make) for name, make in LAYOUTS.items()] + [("captions", photos_with_other_names)]


def test_every_source_that_reads_a_folder_is_among_these() -> None:
    assert {source for source, _ in EVERY} == {name for name in SOURCES if not name.startswith("emoji")}


def test_the_help_and_the_docs_name_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "--help"]) == 0
    help_text = capsys.readouterr().out
    docs = (Path(__file__).parents[2] / "docs" / "data").glob("*.md")
    pages = "".join(path.read_text(encoding="utf-8") for path in docs)
    assert [name for name in SOURCES if name not in help_text or f"## {name}: " not in pages] == []


@pytest.mark.parametrize(("source", "make"), EVERY, ids=lambda value: getattr(value, "__name__", ""))
def test_the_command_of_the_best_layout_builds_its_table(
    source: str,
    make: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make(tmp_path / "my data")
    assert main(["data", "detect", str(root), "--json"]) == 0
    output = capsys.readouterr()
    best = json.loads(output.out)["layouts"][0]
    assert (best["source"], best["missing"]) == (source, [])
    assert best["found"]
    assert any(line.strip() == best["command"] for line in output.err.splitlines())
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(best["command"])
    assert program == "raytrain" and main(arguments) == 0, capsys.readouterr().err
    assert len(Table(tmp_path / "tables" / "my_data").items) > 0


@pytest.mark.parametrize("name", DOWNLOADS)
def test_the_command_for_what_people_have_builds_all_of_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, source, counts, options = DOWNLOADS[name]
    best = detect(make(tmp_path / "my data"))[0]
    assert (best.source, best.layout.missing) == (source, []), best
    assert best.layout.options.items() >= options.items(), best.layout
    monkeypatch.chdir(tmp_path)
    command = best.command.replace(shlex.quote(str(tmp_path / "my data")), "'my data'")
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    table = Table(tmp_path / "tables" / "my_data")
    assert counts in ((0, 0), (len(table.items), len(table.texts)))
    assert "val" in table.splits and table.description.source.get("unlisted_images", 0) == 0
    texts = table.texts["text"].to_pylist()
    assert all(caption_of(text) == text and "\ufffd" not in text and '""' not in text for text in texts)


def shards_without_images(root: Path) -> Path:
    path = put(root / "data" / "train-00000-of-00001.parquet", b"")
    rows = [{"image": {"bytes": None, "path": f"{n}.png"}, "text": "a dog"} for n in range(4)]
    pq.write_table(
        pa.Table.from_pylist(
            rows, pa.schema([("image", pa.struct({"bytes": pa.binary(), "path": pa.string()})), ("text", pa.string())])
        ),
        path,
    )
    return root


UNDECIDED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "captions without a visible character": (
        downloads.encoded("utf-8", "\u200b"),
        "8 of 8 captions are empty: mend them, or build with allow_missing=1",
    ),
    "Russian of Windows": (downloads.encoded("cp1251", "собака бежит {}"), "build with encoding=NAME"),
    "no image": (lambda root: put(root / "captions.csv", "image,text\n1.jpg,a dog\n").parent, "1.jpg not found"),
    "numbers without zeros": (
        lambda root: (
            put(put(root / "images/007.png", own.picture(7)).parents[1] / "a.csv", "image,text\n7.png,a\n").parent
        ),
        "7.png not found; there is '007.png', whose number has zeros before it",
    ),
    "metadata without rows": (
        lambda root: put(put(root / "train" / "a.png", own.picture(1)).with_name("metadata.csv"), "").parents[1],
        "missing: rows in train/metadata.csv",
    ),
    "shards without their images": (
        shards_without_images,
        "images: the column image holds none, and names none that is here",
    ),
    "an image twice": (twice, "2 images have the bytes of one in another split"),
    "COCO without captions": (uncaptioned_coco, "2 of 4 images in captions_train2014.json have no caption"),
    "Karpathy's form without captions": (
        lambda root: karpathy(root, [entry(0, "train", sentences=[]), entry(1, "holdout")]),
        "0.jpg: no caption (row 0)",
    ),
    "compressed shards": (lambda root: put(root / "a.tar.gz", b"x").parent, "a.tar.gz is compressed"),
    "other splits": (
        lambda root: put(own.captions(root) / "captions.csv", "image,text,split\n0.png,a dog,holdout\n").parent,
        "the column split has other values than train, val and test",
    ),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_without_a_command_it_says_what_it_saw_and_what_decides(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = UNDECIDED[name]
    assert main(["data", "detect", str(make(tmp_path / "root"))]) == 0
    output = capsys.readouterr().out
    assert words in output and "data build" not in output


def test_sheets_are_to_be_saved_as_csv(tmp_path: Path) -> None:
    put(tmp_path / "list.xlsx", b"PK")
    with pytest.raises(DataError, match=r"it holds list\.xlsx\. Save list\.xlsx as CSV UTF-8"):
        detect(tmp_path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_a_file_something_is_missing_or_the_rest_builds(name: str, tmp_path: Path) -> None:
    """Each file of annotations is taken away in turn: what is called complete is complete.

    A photo's captions and a part of the features are known to be missing only where all rows are read: by the build.
    """
    source = name.partition("-")[0]
    root = LAYOUTS[name](tmp_path / "root")
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in (".jpg", ".png", ".tsv"))
    files = [path for path in files if "text_c10" not in path.parts]
    incomplete = 0
    for path in files:
        path.rename(tmp_path / "away")
        try:
            candidates = [candidate for candidate in detect(root) if candidate.source == source]
        except DataError:
            candidates = []
        if candidates and not candidates[0].layout.missing:
            assert isinstance(build(source, root, tmp_path / "table", **candidates[0].layout.options), Table), path
        else:
            incomplete += 1
        (tmp_path / "away").rename(path)
    # the files of some are parts alike that nothing lists: shards, metadata, COCO's own two splits
    assert incomplete > 0 or name in ("imagefolder", "webdataset", "coco-texts_per_image=2")


def test_a_folder_above_the_data_is_sent_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flickr(tmp_path / "my data" / "flickr 8k")
    assert main(["data", "detect", str(tmp_path / "my data")]) == 3
    message = capsys.readouterr().err
    assert "a folder in it does" in message and f"raytrain data detect '{tmp_path}/my data/flickr 8k'" in message


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    root = triplets.fashion_iq(tmp_path / "fashion")
    for name in ("captions/cap.dress.test.json", "image_splits/split.shirt.val.json"):
        (root / name).unlink()
    (best,) = detect(root)
    assert best.layout.missing == ["captions/cap.dress.test.json", "image_splits/split.shirt.val.json"]
    shards = own.parquet(tmp_path / "shards")
    (shards / "data" / "train-00001-of-00002.parquet").unlink()
    assert detect(shards)[0].layout.missing == ["shard train-00001-of-00002 not found"]
    (folder := own.captions(tmp_path / "captions")).joinpath("images").rename(tmp_path / "elsewhere")
    assert detect(folder)[0].layout.missing == [f"image {folder}/0.png not found"]


def test_a_part_of_a_benchmark_names_that_part(tmp_path: Path) -> None:
    root = triplets.fashion_iq(tmp_path / "fashion")
    for kind in ("captions", "image_splits"):
        for path in (root / kind).iterdir():
            if "dress" not in path.name:
                path.unlink()
    (root / "images").rename(root / "resized_image")
    (best,) = detect(root)
    assert best.layout.missing == []
    assert best.layout.options == {"categories": "dress", "images": "resized_image"}
    two_splits = triplets.cirr(tmp_path / "cirr")
    (two_splits / "captions" / "cap.rc2.train.json").unlink()
    assert detect(two_splits)[0].layout.options == {"splits": "val,test1"}


def test_several_candidates_are_listed_the_complete_and_surest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = own.captions(flickr(tmp_path / "root"))
    own.put(root / "train_ims.npy", b"")
    candidates = detect(root)
    assert [candidate.source for candidate in candidates] == ["captions", "karpathy", "precomp"]
    assert [bool(candidate.layout.missing) for candidate in candidates] == [False, False, True]
    assert main(["data", "detect", str(root)]) == 0
    assert "captions (best)" in capsys.readouterr().out


def test_what_fits_nothing_exits_with_3_and_says_what_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.put(tmp_path / "notes.md", "x")
    assert main(["data", "detect", str(tmp_path)]) == 3
    message = capsys.readouterr().err
    assert "fits no known layout; it holds notes.md" in message
    assert all(name in message for name in SOURCES if not name.startswith("emoji"))
    assert main(["data", "detect", str(tmp_path / "absent")]) == 3
    assert "not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"[]", b'{"splits": 3}', b'image,text\n"', b"ARROW1"])
def test_detecting_never_falls_over_what_is_in_a_file(content: bytes, tmp_path: Path) -> None:
    names = [
        "dataset_x.json", "products.json", "captions.csv", "x.tsv", "x.jsonl", "metadata.csv", "metadata.parquet",
        "x-00000-of-00001.parquet", "x.arrow", "dataset_dict.json", "state.json", "x.tar", "dev_ims.npy",
        "testall_ims.npy", "captions/cap.rc2.val.json", "captions/cap.dress.val.json", "text_c10/x",
    ]  # fmt: skip
    for name in names:
        own.put(tmp_path / name, content)
    candidates = detect(tmp_path)
    assert all(
        candidate.layout.missing
        for candidate in candidates
        if candidate.source not in ("captions", "imagefolder", "huggingface")
    )
    assert left_behind(tmp_path) == sorted({name.split("/")[0] for name in names})
