"""Folders of your own data in every layout, made in the test: eight pictures with two captions per picture."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check

SPLIT = ["train", "train", "train", "train", "val", "val", "test", "test"]
REGIONS, WIDTH = 3, 4


@functools.cache
def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (6, 5)) -> bytes:
    """The bytes of a noisy picture; another seed, another picture."""
    image = pytest.importorskip("PIL.Image", reason="Pillow (extra `encode`) writes the test's pictures")
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def captions_of(number: int) -> list[str]:
    return [f"picture {number}", f"it shows {number}, twice"]


TEXTS = [text for number in range(8) for text in captions_of(number)]


def shipped(number: int) -> str:
    """The file name, below a table's images/, of a picture that an archive contained."""
    digest = hashlib.sha256(picture(number)).hexdigest()
    return f"{digest[:2]}/{digest[:32]}.png"


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_pictures(folder: Path, count: int = 8) -> None:
    for number in range(count):
        put(folder / f"{number}.png", picture(number))


def json_lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows_of_captions() -> list[dict[str, Any]]:
    """One row per caption."""
    return [
        {"image": f"{number}.png", "text": text, "split": SPLIT[number]}
        for number in range(8)
        for text in captions_of(number)
    ]


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    quoted = (",".join(f'"{value}"' for value in row.values()) for row in rows)
    return "\n".join([",".join(rows[0]), *quoted]) + "\n"


def captions(root: Path) -> Path:
    put(root / "captions.csv", as_csv(rows_of_captions()))
    put_pictures(root / "images")
    return root


def imagefolder(root: Path) -> Path:
    """A CSV in train, JSON lines in validation, with a list of captions per row; Parquet in test."""
    for number, split in enumerate(SPLIT):
        put(root / {"val": "validation"}.get(split, split) / "inner" / f"{number}.png", picture(number))
    rows = {
        split: [{"file_name": f"inner/{n}.png", "text": captions_of(n)} for n in range(8) if SPLIT[n] == split]
        for split in ("train", "val", "test")
    }
    single = [{"file_name": row["file_name"], "text": text} for row in rows["train"] for text in row["text"]]
    put(root / "train" / "metadata.csv", as_csv(single))
    put(root / "validation" / "metadata.jsonl", json_lines(rows["val"]))
    pq.write_table(pa.Table.from_pylist(rows["test"]), root / "test" / "metadata.parquet")
    return root


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[Any, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def tar(path: Path, members: Iterable[tuple[Any, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def sample(number: int, key: str = "") -> list[tuple[Any, bytes]]:
    """The members of one sample: even numbers have a .txt of two lines, odd ones a .json."""
    key = key or f"{number:04d}"
    text_member = (
        member(f"{key}.txt", "\n".join(captions_of(number)).encode())
        if number % 2 == 0
        else member(f"{key}.json", json.dumps({"captions": captions_of(number)}).encode())
    )
    return [member(f"{key}.png", picture(number)), text_member]


def webdataset(root: Path) -> Path:
    for name, numbers in (("train-0", (0, 1)), ("train-1", (2, 3)), ("val/0", (4, 5)), ("my-test-0", (6, 7))):
        tar(root / f"{name}.tar", [member_of_sample for number in numbers for member_of_sample in sample(number)])
    return root


def hugging_rows(split: str) -> pa.Table:
    numbers = [number for number in range(8) if SPLIT[number] == split]
    images = [{"bytes": picture(number), "path": f"{number}.png"} for number in numbers]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = pa.array([captions_of(number) for number in numbers])
    return pa.table({"image": pa.array(images, kind), "text": texts, "image_id": pa.array(numbers)})


def saved(root: Path) -> Path:
    """What `DatasetDict.save_to_disk` writes: Arrow streams, two shards of the train split."""
    names = {"train": "train", "val": "validation", "test": "test"}
    put(root / "dataset_dict.json", json.dumps({"splits": list(names.values())}))
    for split, name in names.items():
        rows = hugging_rows(split)
        parts = [rows.slice(0, 2), rows.slice(2)] if split == "train" else [rows]
        files = [f"data-{number:05d}-of-{len(parts):05d}.arrow" for number in range(len(parts))]
        state = {"_data_files": [{"filename": file} for file in files], "_fingerprint": "0", "_split": name}
        put(root / name / "state.json", json.dumps(state))
        put(root / name / "dataset_info.json", "{}")
        for file, part in zip(files, parts, strict=True):
            with pa.OSFile(str(root / name / file), "wb") as sink, pa.ipc.new_stream(sink, part.schema) as out:
                out.write_table(part)
    return root


def parquet(root: Path) -> Path:
    """Parquet shards as the hub holds them."""
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows = hugging_rows(split)
        parts = [rows.slice(0, 2), rows.slice(2)] if split == "train" else [rows]
        for number, part in enumerate(parts):
            path = put(root / "data" / f"{name}-{number:05d}-of-{len(parts):05d}.parquet", b"")
            pq.write_table(part, path)
    return root


def triplet_rows() -> list[dict[str, Any]]:
    return [
        {"reference": "0.png", "text": "in red", "target": "1.png", "split": "train"},
        {"reference": "1.png", "texts": ["longer", "more  long"], "targets": ["2.png", "3.png"], "split": "train"},
        {"reference": "4.png", "text": "shorter", "target": "5.png", "split": "val", "id": "q", "subset": ["5.png"]},
        {"reference": "6.png", "text": "unknown", "split": "test"},
        {"image": ["7.png"], "split": "test"},
    ]


def composed(root: Path) -> Path:
    put(root / "triplets.jsonl", json_lines(triplet_rows()))
    put_pictures(root / "images")
    return root


def features_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).random((REGIONS, WIDTH), dtype=np.float32) * 50


def tsv_line(name: str, features: np.ndarray) -> str:
    boxes = base64.b64encode(np.zeros((len(features), 4), np.float32).tobytes()).decode()
    return "\t".join([name, "640", "480", str(len(features)), boxes, base64.b64encode(features.tobytes()).decode()])


def butd_tsv(root: Path) -> Path:
    """Two TSV files in another order than the captions, and one image that nobody captions."""
    numbers = [7, 2, 5, 0, 99, 3, 6, 1, 4]
    lines = [tsv_line(str(number), features_of(number)) + "\n" for number in numbers]
    put(root / "a.tsv", "".join(lines[:4]))
    put(root / "b.tsv", "".join(lines[4:]))
    rows = [{"image_id": n, "text": captions_of(n), "split": SPLIT[n]} for n in range(8)]
    put(root / "captions.jsonl", json_lines(rows))
    return root


def check_miniature(
    source: str, root: Path, out: Path, ids: Sequence[str], files: Sequence[str], **options: Any
) -> None:
    """Builds the table of a miniature and compares every row, count and picture with what its eight pictures give.

    Args:
        source: that reads the folder.
        root: of the miniature.
        out: folder for the tables.
        ids, files: of the eight pictures in the table.
        options: of the source.
    """
    table = build(source, root, out / "table", **options)
    by_id = {row["id"]: row for row in table.items.to_pylist()}
    assert by_id == {
        name: {"id": name, "file": file, "split": split, "group": "", "attribution": ""}
        for name, file, split in zip(ids, files, SPLIT, strict=True)
    }
    order = table.items["id"].to_pylist()
    texts = [(order[row["item"]], row["id"], row["text"]) for row in table.texts.to_pylist()]
    expected = [
        (name, f"{name}#{k}", text) for number, name in enumerate(ids) for k, text in enumerate(captions_of(number))
    ]
    assert sorted(texts) == sorted(expected)
    assert table.splits == {name: {"items": n, "texts": 2 * n} for name, n in (("train", 4), ("val", 2), ("test", 2))}
    facts = table.description.source
    assert table.description.missing == []
    assert [facts[name] for name in ("empty_texts", "repeated_texts", "repeated_images")] == [0, 0, 0]
    assert check(table.path, None) == []
    pictures = {row["file"]: (table.image_root / row["file"]).read_bytes() for row in by_id.values()}
    assert pictures == {file: picture(number) for number, file in enumerate(files)}  # byte for byte
    assert build(source, root, out / "again", **options).fingerprint == table.fingerprint
