"""A miniature of every layout that a source reads: {"source" or "source-option=value": what writes it}."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.data import own, triplets
from tests.data.pictures import entry, karpathy, write_image


def flickr(root: Path) -> Path:
    return karpathy(root, [entry(n, split) for n, split in enumerate(("train", "val", "test"))])


def arrays(root: Path) -> Path:
    root.mkdir()
    for stem in ("train", "dev", "testall"):
        np.save(root / f"{stem}_ims.npy", np.ones((2, 3, 4), np.float32))
        own.put(root / f"{stem}_caps.txt", "a caption\n" * 10)
    return root


def birds(root: Path) -> Path:
    for species in ("001.Auk", "101.Hawk"):
        for number in range(2):
            write_image(root / "CUB_200_2011" / "images" / species / f"{number}.jpg", number)
            own.put(root / "text_c10" / species / f"{number}.txt", "a bird\nanother bird\n")
    own.put(root / "trainvalclasses.txt", "001.Auk\n")
    own.put(root / "testclasses.txt", "101.Hawk\n")
    own.put(root / "seen_test_images.txt", "001.Auk/1.jpg\n")
    return root


def coco(root: Path) -> Path:
    """Four images of train2014 and four of val2014 with three captions each, and the lists that take two of each."""
    for part, (split, numbers) in enumerate((("train2014", (9, 25, 30, 34)), ("val2014", (42, 73, 74, 133)))):
        images, captions = [], []
        for number in numbers:
            name = f"COCO_{split}_{number:012d}.jpg"
            write_image(root / "images" / split / name)
            images.append({"id": number, "file_name": name, "license": 4, "flickr_url": f"http://f/{number}"})
            captions += [
                {"id": 1000 * k + number, "image_id": number, "caption": f"{k} of\n{number}"} for k in range(3)
            ]
        whole = {"images": images, "annotations": captions, "licenses": [{"id": 4, "name": "CC BY"}]}
        own.put(root / "annotations" / f"captions_{split}.json", json.dumps(whole))
        taken = [[1000 * k + number for k in (2, 0)] for number in numbers]
        lists = (
            (("train", taken[:3]), ("restval", taken[3:])) if part == 0 else (("dev", taken[:2]), ("test", taken[2:]))
        )
        for name, ids in lists:
            np.save(root / "annotations" / f"coco_{name}_ids.npy", np.array(ids, np.int64).reshape(-1))
    return root


def coco_without_lists(root: Path) -> Path:
    for path in coco(root).glob("annotations/*.npy"):
        path.unlink()
    return root


def vse_images(root: Path) -> Path:
    """One id per line: per image in train, per caption elsewhere."""
    paths = {}
    for part, stem in enumerate(("train", "dev", "testall")):
        ids = [str(100 * part + number) for number in (3, 1, 2)]
        for identity in ids:
            paths[identity] = f"{stem}2014/{identity}.jpg"
            write_image(root / "images" / paths[identity])
        lines = ids if stem == "train" else [identity for identity in ids for _ in range(5)]
        own.put(root / "precomp" / f"{stem}_ids.txt", "".join(f"{line}\n" for line in lines))
        captions = [f"caption {k} of {identity}\n" for identity in ids for k in range(5)]
        own.put(root / "precomp" / f"{stem}_caps.txt", "".join(captions))
    own.put(root / "id_mapping.json", json.dumps(paths))
    return root


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "karpathy": flickr,
    "precomp-test=testall": arrays,
    "vse_images-test=testall": vse_images,
    "coco": coco,
    "coco-texts_per_image=2": coco_without_lists,
    "cub": birds,
    "fashion_iq": triplets.fashion_iq,
    "cirr": triplets.cirr,
    "cirr-extended=true": triplets.cirr,
    "products": triplets.products,
    "captions": own.captions,
    "imagefolder": own.imagefolder,
    "webdataset": own.webdataset,
    "huggingface": own.saved,
    "huggingface-text=text": own.parquet,
    "composed": own.composed,
    "butd_tsv": own.butd_tsv,
}
