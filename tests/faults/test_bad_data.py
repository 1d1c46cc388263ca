"""Malformed data of every source: exit code 3, the file and row by name, and no table nor anything else left behind."""

from __future__ import annotations

import base64
import json
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.cli.main import main
from tests.data import own, triplets
from tests.data.layouts import arrays, birds, flickr
from tests.data.own import json_lines, member, picture, put, sample, tar
from tests.data.pictures import left_behind

Spoil = Callable[[Path], object]
Case = tuple[str, Spoil, str, "int | None", str, list[str]]


def text(name: str, content: str | bytes) -> Spoil:
    return lambda root: put(root / name, content)


def line(name: str, number: int, content: str | bytes) -> Spoil:
    """Replaces a line, counted from 1."""

    def spoil(root: Path) -> None:
        lines = (root / name).read_bytes().splitlines()
        lines[number - 1] = content.encode() if isinstance(content, str) else content
        put(root / name, b"\n".join(lines) + b"\n")

    return spoil


def gone(name: str) -> Spoil:
    return lambda root: (root / name).unlink()


def rows(name: str, **changes: Any) -> Spoil:
    """Changes the second row of JSON lines or of a JSON list."""

    def spoil(root: Path) -> None:
        path = root / name
        if path.suffix == ".json":
            triplets.change(path, 1, **changes)
        else:
            result = [json.loads(one) for one in path.read_text().splitlines()]
            result[1] = {key: value for key, value in (result[1] | changes).items() if value != "REMOVED"}
            put(path, json_lines(result))

    return spoil


def link(name: str) -> Spoil:
    def spoil(root: Path) -> None:
        outside = put(root.parent / "outside" / "secret.png", picture(77))
        (root / name).unlink()
        (root / name).symlink_to(outside)

    return spoil


def shard(*members: tuple[Any, bytes]) -> Spoil:
    return lambda root: tar(root / "train-1.tar", members)


def cut(name: str, size: int) -> Spoil:
    """Keeps the first bytes; of a negative size leaves so many off."""
    return lambda root: put(root / name, (root / name).read_bytes()[:size])


def patched(name: str, offset: int, content: bytes) -> Spoil:
    def spoil(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[offset : offset + len(content)] = content
        put(root / name, bytes(data))

    return spoil


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a hundred bytes whose header claims far more pixels."""
    data = bytearray(picture(0))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def parquet_of(name: str, columns: dict[str, Any]) -> Spoil:
    return lambda root: pq.write_table(pa.table(columns), root / name)


def image_column(*images: bytes | None) -> pa.Array:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": image, "path": None} for image in images], kind)


def karpathy_entry(**changes: Any) -> Spoil:
    def spoil(root: Path) -> None:
        value = json.loads((root / "dataset_made.json").read_text())
        value["images"][1] |= changes
        put(root / "dataset_made.json", json.dumps(value))

    return spoil


def array(name: str, value: Any, allow_pickle: bool = False) -> Spoil:
    return lambda root: np.save(root / name, value, allow_pickle=allow_pickle)


def feature_line(**changes: str) -> Spoil:
    """The second line of a.tsv, which is line 2."""

    def spoil(root: Path) -> None:
        names = ["id", "w", "h", "boxes", "places", "features"]
        fields = dict(zip(names, own.tsv_line("2", own.features_of(2)).split("\t"), strict=True))
        line("a.tsv", 2, "\t".join((fields | changes).values()))(root)

    return spoil


NAN = base64.b64encode(np.full((own.REGIONS, own.WIDTH), np.nan, np.float32).tobytes()).decode()
HUGE = base64.b64encode(np.full((own.REGIONS, own.WIDTH), 1e6, np.float32).tobytes()).decode()
CAPTIONS, FOLDER, TRIPLETS = "captions.csv", "validation/metadata.jsonl", "triplets.jsonl"
TRAIN, DICT = "data/train-00000-of-00002.parquet", "dataset_dict.json"
VAL, SHARD = "data/validation-00000-of-00001.parquet", "train-1.tar"
PAIRS = "captions_pairs/fashion_iq-train-cap-dress.txt"
GALLERY = "image_splits/split.rc2.val.json"
WHERE = "captions/cap.dress.val.json"

# what is spoiled, the file that must be named, its row, words of the message, options
OWN: dict[str, tuple[Callable[[Path], Path], list[tuple[Spoil, str, int | None, str, list[str]]]]] = {
    "captions": (
        own.captions,
        [
            (text(CAPTIONS, ""), CAPTIONS, None, "empty file", []),
            (text(CAPTIONS, "image,text\n"), CAPTIONS, None, "no rows", []),
            (text(CAPTIONS, "image,image\na,b\n"), CAPTIONS, 1, "each once", []),
            (text(CAPTIONS, "picture,text\na.png,b\n"), CAPTIONS, 2, "no column 'image'", []),
            (text(CAPTIONS, "image,words\na.png,b\n"), CAPTIONS, 2, "no column 'text'", []),
            (line(CAPTIONS, 2, '"0.png","a"'), CAPTIONS, 2, "2 fields, the header has 3", []),
            (line(CAPTIONS, 3, '"0.png","a'), CAPTIONS, 3, "not CSV", []),
            (line(CAPTIONS, 4, b'"1.png","caf\xe9","train"'), CAPTIONS, 4, "not UTF-8", []),
            (line(CAPTIONS, 5, '"1.png","","train"'), CAPTIONS, 5, "empty caption", []),
            (line(CAPTIONS, 5, '"1.png"," \t ","train"'), CAPTIONS, 5, "empty caption", []),
            (line(CAPTIONS, 6, '"2.png","a","holdout"'), CAPTIONS, 6, "split 'holdout'", []),
            (line(CAPTIONS, 7, '"2.png","a","val"'), CAPTIONS, 7, "of split 'val' here and of 'train' in row 6", []),
            (line(CAPTIONS, 2, '"","a","train"'), CAPTIONS, 2, "no image", []),
            (line(CAPTIONS, 2, '"/etc/passwd","a","train"'), CAPTIONS, 2, "absolute path", []),
            (line(CAPTIONS, 2, '"../secret.png","a","train"'), CAPTIONS, 2, "climbs out", []),
            (line(CAPTIONS, 2, '"C:\\x.png","a","train"'), CAPTIONS, 2, "absolute path", []),
            (line(CAPTIONS, 2, f'"{"x" * 300}.png","a","train"'), CAPTIONS, 2, "longer than file systems allow", []),
            (line(CAPTIONS, 2, b'"0\x00.png","a","train"'), CAPTIONS, 2, "names no file", []),
            (link("images/1.png"), CAPTIONS, 4, "through a link", []),
            (gone("images/7.png"), CAPTIONS, 16, "not found", []),
            (text("images/3.png", b"GIF89a..."), CAPTIONS, 8, "not a JPEG, PNG or WEBP", []),
            (text("images/3.png", b""), CAPTIONS, 8, "not a JPEG, PNG or WEBP", []),
            (text("images/3.png", "<svg/>"), CAPTIONS, 8, "not a JPEG, PNG or WEBP", []),
            (text("images/3.png", bomb(9_000)), CAPTIONS, 8, "9000 x 9000 pixels, at most 64,000,000", []),
            (text("images/3.png", bomb()), CAPTIONS, 8, "at most 64,000,000 allowed", []),
            (lambda root: None, "pictures", None, "not a folder", ["images=pictures"]),
            (lambda root: None, CAPTIONS, 2, "no column 'why' for group", ["group=why"]),
            (lambda root: None, "../captions.csv", None, "climbs out", ["file=../captions.csv"]),
            (text("rows.pkl", b"cos"), "rows.pkl", None, "vocab.json in place of vocab.pkl", ["file=rows.pkl"]),
            (text("rows.xlsx", b"PK"), "rows.xlsx", None, "suffix '.xlsx'", ["file=rows.xlsx"]),
            (gone(CAPTIONS), "", None, "no file with rows", []),
            (text("more.jsonl", '{"image": "0.png", "text": 5, "split": "train"}\n'), "more.jsonl", 1, "is int", []),
            (text("more.jsonl", '[1]\n'), "more.jsonl", 1, "expected an object", []),
            (text("more.jsonl", '{"image": {"a": []}, "text": "x"}\n'), "more.jsonl", 1, "no split", []),
            (text("more.jsonl", '{"image": ["a"], "text": "x"}\n'), "more.jsonl", 1, "expected an image", []),
            (text("more.jsonl", '{"image": "\\ud800.png", "text": "x"}\n'), "more.jsonl", 1, "not JSON", []),
            (text("more.jsonl", "[" * 100_000 + "\n"), "more.jsonl", 1, "not JSON", []),
            (text("more.parquet", b"PAR1 and nothing more"), "more.parquet", 0, "not readable", []),
            (parquet_of("more.parquet", {"image": [b"x"], "text": ["x"]}), "more.parquet", 0, "source huggingface", []),
        ],
    ),
    "imagefolder": (
        own.imagefolder,
        [
            (rows(FOLDER, file_name="../../../x.png"), FOLDER, 2, "climbs out", []),
            (rows(FOLDER, file_name="/etc/passwd"), FOLDER, 2, "absolute path", []),
            (rows(FOLDER, file_name="9.png"), FOLDER, 2, "not found", []),
            (rows(FOLDER, text=[]), FOLDER, 2, "empty caption", []),
            (rows(FOLDER, text=["x", 3]), FOLDER, 2, "expected a text", []),
            (rows(FOLDER, file_name="REMOVED"), FOLDER, 2, "no image", []),
            (text(FOLDER, "{"), FOLDER, 1, "not JSON", []),
            (text("validation/metadata.csv", "file_name,text\n"), "validation", None, "in the same folder", []),
            (lambda root: [path.unlink() for path in root.rglob("metadata.*")], "", None, "no metadata.csv", []),
            (link("train/inner/0.png"), "train/metadata.csv", 2, "through a link", []),
            (lambda root: None, "test/metadata.parquet", 0, "no column 'x'", ["text=x"]),
            (cut("test/metadata.parquet", -9), "test/metadata.parquet", 0, "not readable", []),
        ],
    ),
    "webdataset": (
        own.webdataset,
        [
            (text("train-1.tar", b"no tar at all"), SHARD, None, "not a tar file", []),
            (text("train-1.tar", b""), SHARD, None, "not a tar file", []),
            (cut("train-1.tar", 700), SHARD, 1, "broken from here on", []),
            (cut("train-1.tar", 2048), SHARD, None, "truncated", []),
            (patched("train-1.tar", 1024, b"garbage"), SHARD, 1, "no tar header", []),
            (shard(member("../../x.png", picture(9)), *sample(2)), SHARD, 0, "climbs out", []),
            (shard(member("/etc/x.png", picture(9)), *sample(2)), SHARD, 0, "absolute path", []),
            (shard(*sample(2), member("a.png", kind=tarfile.SYMTYPE, link="/etc/passwd")), SHARD, 2, "a link", []),
            (shard(*sample(2), member("a.png", kind=tarfile.LNKTYPE, link="0002.png")), SHARD, 2, "a link", []),
            (shard(*sample(2), member("a.png", kind=tarfile.CHRTYPE)), SHARD, 2, "device", []),
            (shard(*sample(2), member("a.txt", kind=tarfile.FIFOTYPE)), SHARD, 2, "device", []),
            (shard(*sample(2), member("b.txt", b"a text without an image")), SHARD, 2, "no image", []),
            (shard(*sample(2), member("b.png", picture(9))), SHARD, 2, "empty caption", []),
            (shard(*sample(2), member("b.png", b"no"), member("b.txt", b"x")), SHARD, 2, "not a JPEG", []),
            (shard(*sample(2), member("b.png", bomb()), member("b.txt", b"x")), SHARD, 2, "at most 64,000,000", []),
            (shard(*sample(2), member("b.png", picture(9)), member("b.txt", b"\xff")), SHARD, 3, "not readable", []),
            (shard(*sample(2), member("b.png", picture(9)), member("b.json", b"{")), SHARD, 3, "not readable", []),
            (shard(*sample(2), member("b.png", picture(8)), member("b.jpg", picture(9))), SHARD, 2, "two images", []),
            (shard(*sample(2), *sample(3), *sample(9, "0002")), SHARD, 4, "another image", []),
            (shard(*sample(2), *sample(4, "b")), "val/0.tar", 0, "its copy", []),
            (lambda root: [path.unlink() for path in root.rglob("*.tar")], "", None, "no *.tar", []),
        ],
    ),
    "huggingface": (
        own.parquet,
        [
            (text(TRAIN, b""), TRAIN, 0, "not readable", []),
            (cut(TRAIN, -40), TRAIN, 0, "not readable", []),
            (gone("data/train-00001-of-00002.parquet"), "data", None, "train-00001-of-00002 not found", []),
            (parquet_of(TRAIN, {"text": ["x"]}), TRAIN, 0, "no column 'image'", ["image=image"]),
            (parquet_of(TRAIN, {"image": image_column(picture(9)), "text": [""]}), TRAIN, 0, "empty caption", []),
            (parquet_of(TRAIN, {"image": image_column(b"no"), "text": ["x"]}), TRAIN, 0, "not a JPEG", []),
            (parquet_of(TRAIN, {"image": image_column(None), "text": ["x"]}), TRAIN, 0, "no image", []),
            (parquet_of(TRAIN, {"image": image_column(picture(4)), "text": ["x"]}), VAL, 0, "its copy", []),
            (parquet_of(TRAIN, {"image": ["../../x.png"], "text": ["x"]}), TRAIN, 0, "climbs out", []),
            (parquet_of(TRAIN, {"image": [1.5], "text": ["x"]}), TRAIN, 0, "expected an image", []),
            (parquet_of(TRAIN, {"image": image_column(picture(9)), "text": [5]}), TRAIN, 0, "expected a text", []),
            (text(DICT, '{"splits": "train"}'), DICT, None, "no list of names", []),
            (text(DICT, '{"splits": ["../.."]}'), DICT, None, "climbs out", []),
            (text(DICT, '{"splits": ["train"]}'), "train/state.json", None, "not found", []),
            (text("state.json", '{"_data_files": []}'), "state.json", None, "no list", []),
            (text("state.json", '{"_data_files": [{"filename": "/x.arrow"}]}'), "state.json", 0, "absolute", []),
            (text("state.json", '{"_data_files": [{"filename": "x.pkl"}]}'), "state.json", 0, "not the name", []),
            (text("state.json", '{"_data_files": [{"filename": "x.arrow"}]}'), "state.json", 0, "not found", []),
            (
                text("state.json", '{"_data_files": [{}], "_indices_data_files": [{}]}'),
                "state.json", None, "flatten_indices", [],
            ),
        ],
    ),
    "composed": (
        own.composed,
        [
            (rows(TRIPLETS, reference="../x.png"), TRIPLETS, 2, "climbs out", []),
            (rows(TRIPLETS, targets=["1.png"]), TRIPLETS, 2, "its own target", []),
            (rows(TRIPLETS, targets=[]), TRIPLETS, 2, "no path under 'target'", []),
            (rows(TRIPLETS, targets=[5]), TRIPLETS, 2, "not a path or a list", []),
            (rows(TRIPLETS, targets=["4.png"]), TRIPLETS, 3, "of split 'val'", []),
            (rows(TRIPLETS, reference=None), TRIPLETS, 2, "no path under 'reference'", []),
            (rows(TRIPLETS, texts=["x", ""]), TRIPLETS, 2, "an empty text", []),
            (rows(TRIPLETS, texts="REMOVED"), TRIPLETS, 2, "an empty text", []),
            (rows(TRIPLETS, split="holdout"), TRIPLETS, 2, "split 'holdout'", []),
            (rows(TRIPLETS, split="REMOVED"), TRIPLETS, 2, "split ''", []),
            (rows(TRIPLETS, id="triplets1"), TRIPLETS, 2, "appears twice", []),
            (rows(TRIPLETS, group="shoe"), TRIPLETS, 2, "of group 'shoe'", []),
            (rows(TRIPLETS, targets=["9.png"]), TRIPLETS, 2, "not found", []),
            (text(TRIPLETS, "\n\n"), TRIPLETS, None, "no triplet", []),
            (text("images/2.png", b"x"), TRIPLETS, 2, "not a JPEG", []),
        ],
    ),
    "butd_tsv": (
        own.butd_tsv,
        [
            (feature_line(features="?"), "a.tsv", 2, "do not divide", []),
            (feature_line(features="*" * 64), "a.tsv", 2, "not base64", []),
            (feature_line(features=NAN), "a.tsv", 2, "NaN", []),
            (feature_line(features=HUGE), "a.tsv", 2, "dtype=float32", []),
            (feature_line(boxes="4"), "a.tsv", 2, "4 boxes", []),
            (feature_line(boxes="many"), "a.tsv", 2, "num_boxes", []),
            (feature_line(id="5"), "a.tsv", 3, "row 2 too", []),
            (line("a.tsv", 2, "2\t640"), "a.tsv", 2, "2 fields", []),
            (cut("b.tsv", -20), "b.tsv", 5, "do not divide", []),
            (gone("captions.jsonl"), "", None, "expected exactly one", []),
            (rows("captions.jsonl", image_id=1000), "a.tsv", None, "no features for image '1000'", []),
            (rows("captions.jsonl", split="x"), "captions.jsonl", 2, "split 'x'", []),
            (rows("captions.jsonl", text=""), "captions.jsonl", 2, "empty caption", []),
            (lambda root: None, "vocab.pkl", None, "never read", ["captions=vocab.pkl"]),
        ],
    ),
    "karpathy": (
        flickr,
        [
            (karpathy_entry(filename="../x.jpg"), "dataset_made.json", 1, "climbs out", []),
            (karpathy_entry(filename="\ud800.jpg"), "dataset_made.json", None, "not readable", []),
            (karpathy_entry(filename="x" * 300), "dataset_made.json", 1, "longer than file systems", []),
            (karpathy_entry(sentences=[]), "dataset_made.json", 1, "no caption", []),
            (karpathy_entry(split="x"), "dataset_made.json", 1, "split 'x'", []),
            (text("images/1.jpg", b"no picture"), "dataset_made.json", 1, "not a JPEG", []),
            (text("dataset_made.json", '{"images": [' + "1" * 5000), "dataset_made.json", None, "not readable", []),
        ],
    ),
    "precomp": (
        arrays,
        [
            (text("dev_ims.npy", b""), "dev_ims.npy", None, "no .npy header", ["test=testall"]),
            (array("dev_ims.npy", np.array([{}]), True), "dev_ims.npy", None, "Python objects", ["test=testall"]),
            (array("dev_ims.npy", np.full((2, 3, 4), np.inf, np.float32)), "dev_ims.npy", 0, "NaN", ["test=testall"]),
            (gone("train_caps.txt"), "train_caps.txt", None, "not found", ["test=testall"]),
            (line("train_caps.txt", 3, ""), "train_caps.txt", 3, "empty caption", ["test=testall"]),
        ],
    ),
    "cub": (
        birds,
        [
            (text("trainvalclasses.txt", "../x\n"), "trainvalclasses.txt", 1, "expected a folder", []),
            (text("text_c10/001.Auk/0.txt", "\n"), "text_c10/001.Auk/0.txt", None, "no caption", []),
            (text("seen_test_images.txt", "101.Hawk/0.jpg\n"), "seen_test_images.txt", 1, "no photo of a training", []),
            (text("CUB_200_2011/images/001.Auk/0.jpg", b""), "text_c10/001.Auk/0.txt", None, "not a JPEG", []),
        ],
    ),
    "products": (
        triplets.products,
        [
            (rows("products.json", file="../x.jpg"), "products.json", 1, "climbs out", []),
            (rows("triplets.val.json", targets=["nobody"]), "triplets.val.json", 1, "not annotated", []),
            (text("images/train-1.jpg", b"no"), "products.json", 1, "not a JPEG", []),
        ],
    ),
    "fashion_iq": (
        triplets.fashion_iq,
        [
            (rows(WHERE, candidate=""), WHERE, 1, "no text under 'candidate'", []),
            (rows(WHERE, captions=["\ud83d", "x"]), WHERE, None, "not readable", []),
            (gone("image_splits/split.shirt.val.json"), "image_splits/split.shirt.val.json", None, "not found", []),
            (text("x", ""), PAIRS, None, "not found", ["pairs=captions_pairs"]),
        ],
    ),
    "cirr": (
        triplets.cirr,
        [
            (rows("captions/cap.rc2.val.json", pairid="x"), "captions/cap.rc2.val.json", 1, "not an integer", []),
            (text(GALLERY, "[]"), GALLERY, None, "expected a dict", []),
        ],
    ),
}  # fmt: skip
CASES = [
    pytest.param(source, make, *case, id=f"{source}-{number}")
    for source, (make, cases) in OWN.items()
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize(("source", "make", "spoil", "file", "row", "words", "options"), CASES)
def test_bad_data_exit_with_3_name_file_and_row_and_leave_nothing(
    source: str,
    make: Callable[[Path], Path],
    spoil: Spoil,
    file: str,
    row: int | None,
    words: str,
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make(tmp_path / "root")
    spoil(root)
    before = left_behind(tmp_path)
    code = main(["data", "build", source, "--root", str(root), "--out", str(tmp_path / "tables" / "t"), *options])
    said = [one for one in capsys.readouterr().err.splitlines() if words in one]
    assert code == 3
    assert said, "the message lacks the words"
    place = file if file.startswith("../") else str(root / file)
    ends = ":" if row is None else f", row {row}:"
    assert any(f"{place}{ends}" in one or (row is None and f"{place}, row " in one) for one in said), said
    # the folder of tables may have been made; nothing is in it
    assert [name for name in left_behind(tmp_path) if name not in before] in ([], ["tables"])
    assert not (tmp_path / "tables").exists() or left_behind(tmp_path / "tables") == []


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
