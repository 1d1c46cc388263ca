"""FashionIQ: two sentences on how a garment differs from another (Wu et al., CVPR 2021).

    captions/cap.{dress,shirt,toptee}.{train,val,test}.json     [{"candidate", "target", "captions": [2]}, ...]
    image_splits/split.{category}.{split}.json                  [image names]
    images/<name>.jpg

Each category has a gallery of its own: the images of its split file. Hundreds of images are in shirt's and in toptee's
files, some in different splits; such an image is an item in each, as published, and table.json counts those under the
source's `shared_files`. Targets of the test split are not published.

Both sentences of a pair make its texts, as CLIP4Cir joins them (Baldrati et al., CVPRW 2022): "First and second", the
one that is evaluated, "Second and first", and in training each alone too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raytrain.data.composed import Place, Query, read_json, strings_of, text_of, write
from raytrain.data.problems import Problems
from raytrain.data.rows import Item
from raytrain.data.table import SPLITS, Table
from raytrain.errors import Problem, UsageError

CATEGORIES = ("dress", "shirt", "toptee")
_FIX = "Get the annotations again from the FashionIQ repository."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "images",
    suffix: str = ".jpg",
    categories: str = "dress,shirt,toptee",
    allow_missing: float = 0.0,
) -> Table:
    """The table of the annotations and the images that are there; group = category, the gallery of a query.

    Args:
        root: folder with captions/ and image_splits/.
        out: folder of the new table.
        images: folder of the images, relative to root or absolute.
        suffix: of an image's file name.
        categories: which, separated by commas.
        allow_missing: share of the annotated images in [0, 1] that may be absent; many are dead at their shop.

    Raises:
        DataError: every problem of the files at once.
    """
    names = [name.strip() for name in categories.split(",")]
    if unknown := [name for name in names if name not in CATEGORIES]:
        raise UsageError(f"no category {unknown[0]!r}. Categories: {', '.join(CATEGORIES)}.")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    items: list[Item] = []
    places: dict[str, Place] = {}
    queries: list[Query] = []
    for category in dict.fromkeys(names):
        for split in SPLITS:
            some, where = read_images(folder, category, split, suffix, problems)
            items += some
            places |= where
            queries += read_pairs(folder, category, split, problems)
    source = {"name": "fashion_iq", "categories": names}
    return write(out, source, (folder / images).resolve(), items, places, queries, problems, allow_missing, "group")


def read_images(
    folder: Path, category: str, split: str, suffix: str, problems: Problems
) -> tuple[list[Item], dict[str, Place]]:
    """The images of a split file as items `category/name`, and the place of each."""
    path = folder / "image_splits" / f"split.{category}.{split}.json"
    names: list[Any] = read_json(path, list, _FIX)
    items, places = [], {}
    for row, name in enumerate(names):
        if not isinstance(name, str) or not name:
            problems.add("name", Problem(str(path), row, f"{name!r} is no image name", _FIX))
            continue
        items.append(Item(f"{category}/{name}", f"{name}{suffix}", split, group=category))
        places[items[-1].id] = Place(str(path), row)
    return items, places


def read_pairs(folder: Path, category: str, split: str, problems: Problems) -> list[Query]:
    """The pairs of a caption file as queries."""
    path = folder / "captions" / f"cap.{category}.{split}.json"
    entries: list[Any] = read_json(path, list, _FIX)
    queries = []
    for row, entry in enumerate(entries):
        place = Place(str(path), row)
        before = len(problems)
        reference = text_of(entry, "candidate", place, problems)
        target = text_of(entry, "target", place, problems) if split != "test" else ""
        texts = phrasings(strings_of(entry, "captions", place, problems), split) if isinstance(entry, dict) else []
        if len(problems) == before and not texts:
            problems.add("empty", Problem(place.file, row, "every caption is empty", "Write one or remove the pair."))
        if len(problems) == before:
            targets = [f"{category}/{target}"] if target else []
            queries.append(Query(f"{category}-{split}{row}", split, f"{category}/{reference}", texts, targets, place))
    return queries


def phrasings(captions: list[str], split: str) -> list[str]:
    """What is said of a pair, the evaluated text first; sixteen published pairs have one empty caption.

    phrasings(["is red.", "has sleeves"], "train")
        -> ["Is red and has sleeves", "Has sleeves and is red", "Is red", "Has sleeves"]
    """
    said = [" ".join(caption.split()).strip(".?, ") for caption in captions]
    said = [caption for caption in said if caption]
    both = [" and ".join(said), " and ".join(reversed(said))] if len(said) > 1 else []
    texts = [*both, *said] if split == "train" or not both else both
    return [text[:1].upper() + text[1:] for text in dict.fromkeys(texts)]
