"""Folders as people have them: common downloads, and what spreadsheets, Windows and Macs make of a file of captions.

Each function writes such a folder of eight pictures: four in train, two in val and two in test where splits are stated.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data import own, triplets
from tests.data.own import SPLIT, member, picture, put, put_pictures, sample, tar
from tests.data.pictures import entry, karpathy

NUMBERS = range(8)


def lines(rows: Iterable[Iterable[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


def with_splits(header: str = "image,text,split", text: str = "a dog {}", folder: str = "") -> list[list[str]]:
    rows = [[f"{folder}{n}.png", text.format(n), SPLIT[n]] for n in NUMBERS]
    return [header.split(","), *rows]


def kaggle_flickr8k(root: Path) -> Path:
    rows = "".join(f'{n}.png,"a dog , number {k}"\n' for n in NUMBERS for k in range(5))
    put(root / "captions.txt", "image,caption\n" + rows)
    put_pictures(root / "Images")
    return root


def kaggle_flickr30k(root: Path) -> Path:
    """The fourth image's last row lacks its second pipe."""
    rows = [f'{n}.png| {k}| a dog says "{k}" .' for n in NUMBERS for k in range(5)]
    rows[19] = rows[19].replace("| a", "   a")
    put(root / "results.csv", "image_name| comment_number| comment\n" + "\n".join(rows) + "\n")
    put_pictures(root / "flickr30k_images" / "flickr30k_images")
    return root


def flickr8k_tokens(root: Path) -> Path:
    put(root / "Flickr8k.token.txt", "".join(f"{n}.png#{k}\ta dog , {k}\n" for n in NUMBERS for k in range(5)))
    put_pictures(root / "Flicker8k_Dataset")
    return root


def open_clip(root: Path) -> Path:
    """Tabs, and paths of another machine."""
    for split in ("train", "val"):
        rows = [[f"/home/me/my data/photos/{n}.png", f"a dog, {n}"] for n in NUMBERS if SPLIT[n] == split]
        put(root / f"{split}.csv", lines([["filepath", "title"], *rows], "\t"))
    put_pictures(root / "photos", 6)
    return root


def windows_machine(root: Path) -> Path:
    rows = with_splits("image,text,split", folder="C:\\data\\photos\\")
    put(root / "captions.csv", lines(rows, end="\r\n"))
    put_pictures(root / "images")
    return root


def blip(root: Path) -> Path:
    for split in ("train", "val", "test"):
        rows = [
            {"image": f"val2014/{n}.png", "caption": [f"a dog {n}", f"a cat {n}"] if split != "train" else f"a dog {n}"}
            for n in NUMBERS
            if SPLIT[n] == split
        ]
        put(root / f"own_karpathy_{split}.json", json.dumps(rows, indent=1))
    put_pictures(root / "val2014")
    return root


def cuhk_pedes(root: Path) -> Path:
    rows = [{"split": SPLIT[n], "captions": ["a man", "he walks"], "file_path": f"{n}.png", "id": 1} for n in NUMBERS]
    put(root / "reid_raw.json", json.dumps(rows))
    put_pictures(root / "imgs")
    return root


def names_and_captions(root: Path) -> Path:
    put(root / "captions.json", json.dumps({f"{n}.png": [f"a dog {n}", "a cat"] for n in NUMBERS}))
    put_pictures(root / "images")
    return root


def frame_of_pandas(root: Path) -> Path:
    columns = {"filepath": {f"{n}": f"{n}.png" for n in NUMBERS}, "caption": {f"{n}": f"a dog {n}" for n in NUMBERS}}
    put(root / "captions.json", json.dumps(columns))
    put_pictures(root / "images")
    return root


def array_in_jsonl(root: Path) -> Path:
    put(
        root / "captions.jsonl",
        json.dumps([{"image": f"{n}.png", "text": "a dog", "split": SPLIT[n]} for n in NUMBERS]),
    )
    put_pictures(root / "images")
    return root


def lines_in_json(root: Path) -> Path:
    put(root / "captions.json", own.json_lines({"image": f"{n}.png", "text": "x", "split": SPLIT[n]} for n in NUMBERS))
    put_pictures(root / "images")
    return root


def photo_and_comment(root: Path) -> Path:
    put(root / "my list.csv", lines([["nr", "Photo", "Comment"], *([f"{n}", f"{n}.png", "so nice"] for n in NUMBERS)]))
    put_pictures(root / "my photos")
    return root


def columns_of_other_words(root: Path) -> Path:
    """Only the content tells which column is which."""
    rows = [[f"x{n}", f"{n}.png", f"ein Hund läuft {n}"] for n in NUMBERS]
    put(root / "liste.csv", lines([["nr", "datei", "was man sieht"], *rows]))
    put_pictures(root / "bilder")
    return root


def five_columns(root: Path) -> Path:
    header = ["image", *(f"caption_{k}" for k in range(5)), "split"]
    put(
        root / "captions.csv",
        lines([header, *([f"{n}.png", *(f"a {k}" for k in range(5)), SPLIT[n]] for n in NUMBERS)]),
    )
    put_pictures(root / "images")
    return root


def five_columns_of_parquet(root: Path) -> Path:
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        numbers = [n for n in NUMBERS if SPLIT[n] == split]
        rows = [
            {"image": {"bytes": picture(n), "path": None}, **{f"caption_{k}": f"{k} of {n}" for k in range(5)}}
            for n in numbers
        ]
        pq.write_table(pa.Table.from_pylist(rows), put(root / "data" / f"{name}-00000-of-00001.parquet", b""))
    return root


def encoded(encoding: str, text: str, end: str = "\n", delimiter: str = ",", name: str = "captions.csv") -> Any:
    def make(root: Path) -> Path:
        put(root / name, lines(with_splits(text=text), delimiter, end).encode(encoding))
        put_pictures(root / "images")
        return root

    return make


def excel(root: Path) -> Path:
    """A statement of the delimiter, columns and rows in which nothing stands, quotes."""
    rows = [f'{n}.png;"a ""big"" dog; {n}";{SPLIT[n]};;' for n in NUMBERS]
    put(
        root / "captions.csv",
        "\r\n".join(["sep=;", "image;text;split;;", *rows, ";;;;", ";;;;", ""]).encode("utf-8-sig"),
    )
    put_pictures(root / "images")
    return root


def line_breaks_in_captions(root: Path) -> Path:
    put(root / "captions.csv", "image,text,split\n" + "".join(f'{n}.png,"a\ndog",{SPLIT[n]}\n' for n in NUMBERS))
    put_pictures(root / "images")
    return root


def backslashes(root: Path) -> Path:
    put(root / "captions.csv", lines(with_splits(folder="sub\\")))
    put_pictures(root / "images" / "sub")
    return root


def other_normal_form(root: Path) -> Path:
    """Names with accents, composed in the file and decomposed on the disk."""
    put(root / "captions.csv", lines(with_splits(folder="Fotos für/é")))
    for n in NUMBERS:
        put(root / "images" / unicodedata.normalize("NFD", f"Fotos für/é{n}.png"), picture(n))
    return root


def mac_litter(root: Path) -> Path:
    put(root / "captions.csv", lines(with_splits()))
    put_pictures(root / "images")
    for n in NUMBERS:
        put(root / "images" / f"._{n}.png", b"\0\5\x16\7")
    for name in ("._captions.csv", ".DS_Store", "images/.DS_Store", "images/Thumbs.db", "__MACOSX/images/._0.png"):
        put(root / name, b"\0\5\x16\7")
    return root


def numbers_without_suffix(root: Path) -> Path:
    rows = [[str(n), "Men", f"Red Shirt {n}"] for n in NUMBERS]
    put(root / "styles.csv", lines([["id", "gender", "productDisplayName"], *rows]))
    put_pictures(root / "images")
    return root


def list_in_a_folder(root: Path) -> Path:
    put(root / "annotations" / "list.csv", lines(with_splits()))
    put_pictures(root / "images")
    return root


def metadata_of_the_root(root: Path) -> Path:
    put(
        root / "train" / "metadata.jsonl", own.json_lines({"file_name": f"train/{n}.png", "text": "x"} for n in NUMBERS)
    )
    put_pictures(root / "train")
    return root


def fashion_iq_png(root: Path) -> Path:
    triplets.fashion_iq(root)
    for path in list((root / "images").rglob("*.jpg")):
        path.rename(path.with_suffix(".png"))
    return root


def coco_of_ones_own(root: Path) -> Path:
    """No ids of captions, images side by side."""
    for split in ("train", "val"):
        numbers = [n for n in NUMBERS if (SPLIT[n] == "val") == (split == "val")]
        images = [{"id": f"i{n}", "file_name": f"{n}.png"} for n in numbers]
        texts = [{"image_id": f"i{n}", "caption": f"a dog {n}"} for n in numbers]
        put(root / "annotations" / f"captions_{split}.json", json.dumps({"images": images, "annotations": texts}))
    put_pictures(root / "images")
    return root


def shards(root: Path) -> Path:
    """Keys that begin at 0 in every shard, and what a Mac, an old tar and other tools put beside the samples."""
    for shard, numbers in enumerate(((0, 1), (2, 3), (4, 5), (6, 7))):
        members = [member("._0000.png", b"\0\5\x16\7"), member("./PaxHeaders.7/0000.png", b"30 mtime=1\n")]
        for place, number in enumerate(numbers):
            key = f"./{place:04d}"
            image, text = sample(number, key)
            image[0].name = f"{key}.PNG"
            members += [image, text, member(f"{key}.cls", b"3"), member(f"{key}.__key__", b"0")]
        tar(root / f"{SPLIT[numbers[0]]}-{shard:05d}.tar", members)
    return root


def one_caption_per_image(root: Path) -> Path:
    for stem in ("train", "dev", "test"):
        rows = np.random.default_rng(0).random((10, 2, 3), dtype=np.float32)
        np.save(put(root / f"{stem}_ims.npy", b""), rows)
        put(root / f"{stem}_caps.txt", "".join(f"a dog {n}\n" for n in range(10)))
    return root


def karpathy_of_ones_own(root: Path) -> Path:
    return karpathy(root, [entry(n, split) for n, split in enumerate(("training", "validation", "dev", "test"))])


WESTERN, CHINESE = "un café près de l'hôtel {}", "一只红色的狗{}"

# {name: (what writes the folder, source, images and captions in the table, options of the command)}
DOWNLOADS: dict[str, tuple[Callable[[Path], Path], str, tuple[int, int], dict[str, Any]]] = {
    "Flickr8k of Kaggle": (kaggle_flickr8k, "captions", (8, 40), {"file": "captions.txt", "images": "Images"}),
    "Flickr30k of Kaggle": (kaggle_flickr30k, "captions", (8, 39), {"text": "comment", "allow_missing": 0.025}),
    "Flickr8k's tokens": (flickr8k_tokens, "captions", (8, 40), {"header": False, "image": "0", "text": "1"}),
    "open_clip": (open_clip, "captions", (6, 6), {"images": "photos", "strip": "/home/me/my data/photos/"}),
    "paths of Windows": (windows_machine, "captions", (8, 8), {"strip": "C:\\data\\photos\\"}),
    "BLIP": (blip, "captions", (8, 12), {"text": "caption", "images": "."}),
    "CUHK-PEDES": (cuhk_pedes, "captions", (8, 16), {"file": "reid_raw.json", "image": "file_path"}),
    "names and captions": (names_and_captions, "captions", (8, 16), {"file": "captions.json", "val": 0.1}),
    "pandas' to_json": (frame_of_pandas, "captions", (8, 8), {"image": "filepath", "text": "caption", "val": 0.1}),
    "array in .jsonl": (array_in_jsonl, "captions", (8, 8), {}),
    "lines in .json": (lines_in_json, "captions", (8, 8), {"file": "captions.json"}),
    "photo and comment": (photo_and_comment, "captions", (8, 8), {"image": "Photo", "images": "my photos"}),
    "other words": (columns_of_other_words, "captions", (8, 8), {"image": "datei", "text": "was man sieht"}),
    "five columns": (five_columns, "captions", (8, 40), {"text": "caption_0,caption_1,caption_2,caption_3,caption_4"}),
    "five columns of Parquet": (five_columns_of_parquet, "huggingface", (8, 40), {}),
    "UTF-8 with a mark": (encoded("utf-8-sig", WESTERN, "\r\n", ";"), "captions", (8, 8), {}),
    "UTF-16": (encoded("utf-16", WESTERN, "\r\n", "\t", "list.txt"), "captions", (8, 8), {"file": "list.txt"}),
    "UTF-16 without a mark": (encoded("utf-16-le", "a dog {}"), "captions", (8, 8), {}),
    "cp1252": (encoded("cp1252", WESTERN, "\r\n", ";"), "captions", (8, 8), {"encoding": "cp1252"}),
    "gb18030": (encoded("gb18030", CHINESE), "captions", (8, 8), {"encoding": "gb18030"}),
    "line ends of old Macs": (encoded("utf-8", WESTERN, "\r"), "captions", (8, 8), {}),
    "Excel": (excel, "captions", (8, 8), {}),
    "line breaks in captions": (line_breaks_in_captions, "captions", (8, 8), {}),
    "backslashes": (backslashes, "captions", (8, 8), {}),
    "decomposed names": (other_normal_form, "captions", (8, 8), {}),
    "a Mac's litter": (mac_litter, "captions", (8, 8), {}),
    "numbers without suffix": (numbers_without_suffix, "captions", (8, 8), {"image": "id", "suffix": ".png"}),
    "a list in a folder": (list_in_a_folder, "captions", (8, 8), {"file": "annotations/list.csv"}),
    "metadata of the root": (metadata_of_the_root, "imagefolder", (8, 8), {"relative_to": "root"}),
    "FashionIQ in PNG": (fashion_iq_png, "fashion_iq", (0, 0), {"suffix": ".png"}),
    "COCO of one's own": (coco_of_ones_own, "coco", (8, 8), {}),
    "shards": (shards, "webdataset", (8, 16), {"lines": True}),
    "one caption per image": (one_caption_per_image, "precomp", (30, 30), {"texts_per_image": 1}),
    "Karpathy's form of one's own": (karpathy_of_ones_own, "karpathy", (4, 8), {}),
}
