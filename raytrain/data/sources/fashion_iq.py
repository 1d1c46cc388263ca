"""FashionIQ: two sentences on how a garment differs from another (Wu et al., CVPR 2021).

    captions/cap.{dress,shirt,toptee}.{train,val,test}.json     [{"candidate", "target", "captions": [2]}, ...]
    image_splits/split.{category}.{split}.json                  [image names]
    images/<name>.jpg                                           or images/<category>/<name>.jpg

or the lists that CoSMo and its successors use (Lee et al., CVPR 2021), which have train and val only:

    captions_pairs/fashion_iq-{split}-cap-{category}.txt        category/candidate.jpg;category/target.jpg;caption

with two lines per pair, which give the same texts. These lists leave out pairs whose images were gone, and their
gallery is the images they name: the smaller one of the "VAL" protocol. Its recalls are higher; do not compare them with
those of the full galleries.

Each category has its own gallery: the images of its split file. Hundreds of images are in the files of both shirt and
toptee, some in different splits; such an image is an item in each, as published, and table.json counts those in two
splits under the source's `shared_files`. Targets of the test split are not published.

The two sentences of a pair are joined as in CLIP4Cir (Baldrati et al., CVPRW 2022): "First and second", which is
evaluated, "Second and first", and in training each sentence alone.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.items import Item
from raytrain.data.annotations.json_files import read_json, strings_of, text_of
from raytrain.data.annotations.layouts import KNOWN, Layout, layout_of
from raytrain.data.annotations.placement import SAMPLE
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.text_files import text_lines
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.images import IMAGE_SUFFIXES
from raytrain.data.presence import Presence
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError, Problem, UsageError

CATEGORIES = ("dress", "shirt", "toptee")
_FIX = "Get the annotations again from the FashionIQ repository."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "images",
    suffix: str = ".jpg",
    categories: str = "dress,shirt,toptee",
    pairs: str = "captions",
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the annotations and the images that are there; group = category, the gallery of a query.

    Args:
        root: folder with captions/ and image_splits/, or with captions_pairs/.
        out: folder of the new table.
        images: folder of the images; relative to root, absolute, or a URL.
        suffix: of the image files' names.
        categories: categories to read, separated by commas.
        pairs: lists to read, "captions" or "captions_pairs".
        allow_missing: share of the annotated images in [0, 1] that may be absent; many are no longer online.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an unknown category, or an option outside its range.
    """
    names = [name.strip() for name in categories.split(",")]
    if unknown := [name for name in names if name not in CATEGORIES]:
        raise UsageError(f"no category {unknown[0]!r}. Categories: {', '.join(CATEGORIES)}.")
    if pairs not in ("captions", "captions_pairs"):
        raise UsageError(f"pairs is captions or captions_pairs; given: {pairs!r}")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    items: list[Item] = []
    places: dict[str, SourceLocation] = {}
    queries: list[Query] = []
    for category in dict.fromkeys(names):
        for split in SPLITS if pairs == "captions" else ("train", "val"):
            if pairs == "captions":
                split_items, split_places = read_images(folder, category, split, suffix, problems)
                queries += read_pairs(folder, category, split, problems)
            else:
                split_items, split_places, split_queries = read_pair_lines(folder, category, split, suffix, problems)
                queries += split_queries
            items += split_items
            places |= split_places
    image_root = root_of(images, folder)
    own_folder = {category for category in names if (image_root / category).is_dir()}
    items = [replace(item, file=f"{item.group}/{item.file}") if item.group in own_folder else item for item in items]
    source = {"name": "fashion_iq", "categories": names, "pairs": pairs}
    return write(out, source, image_root, items, places, queries, problems, allow_missing, "group")


def read_images(
    folder: Path, category: str, split: str, suffix: str, problems: Problems
) -> tuple[list[Item], dict[str, SourceLocation]]:
    """(the images of a split file as items `category/name`, the place of each by item id)."""
    path = folder / "image_splits" / f"split.{category}.{split}.json"
    names: list[Any] = read_json(path, list, _FIX)
    items, places = [], {}
    for row, name in enumerate(names):
        place = SourceLocation(str(path), row)
        if not isinstance(name, str) or not name:
            problems.add("name", place.problem(f"{name!r} is not an image name", _FIX))
            continue
        items.append(Item(f"{category}/{name}", f"{name}{suffix}", split, group=category))
        places[items[-1].id] = place
    return items, places


def read_pairs(folder: Path, category: str, split: str, problems: Problems) -> list[Query]:
    """The pairs of a caption file as queries."""
    path = folder / "captions" / f"cap.{category}.{split}.json"
    entries: list[Any] = read_json(path, list, _FIX)
    queries = []
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
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


def read_pair_lines(
    folder: Path, category: str, split: str, suffix: str, problems: Problems
) -> tuple[list[Item], dict[str, SourceLocation], list[Query]]:
    """(the images that a file of captions_pairs names, the place of each by item id, its queries); lines count from 1.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    path = folder / "captions_pairs" / f"fashion_iq-{split}-cap-{category}.txt"
    if not path.is_file():
        raise DataError(Problem(str(path), None, "not found", "Put the file there, or build with pairs=captions."))
    items: dict[str, Item] = {}
    places: dict[str, SourceLocation] = {}
    queries: list[Query] = []
    open_pair: tuple[SourceLocation, list[str], str] | None = None  # first line of a pair: place, images, caption
    for number, line in text_lines(path, problems):
        place = SourceLocation(str(path), number)
        if not line.strip():
            continue
        images, caption = _pair_line(line, category, suffix)
        if not images:
            what = f"{line.strip()[:60]!r}, expected {category}/name{suffix};{category}/name{suffix};caption"
            problems.add("line", place.problem(what, _FIX))
        elif open_pair is None:
            open_pair = place, images, caption
            for name in images:
                items.setdefault(name, Item(f"{category}/{name}", f"{name}{suffix}", split, group=category))
                places.setdefault(f"{category}/{name}", place)
        elif images != open_pair[1]:
            what = f"expected the second caption of the pair in line {open_pair[0].row}: each pair has two lines"
            problems.add("second", place.problem(what, _FIX))
            open_pair = place, images, caption
        else:
            texts = phrasings([open_pair[2], caption], split)
            if not texts:
                problems.add("empty", place.problem("both captions are empty", "Remove the pair."))
            reference, target = (f"{category}/{name}" for name in images)
            queries.append(Query(f"{category}-{split}{len(queries)}", split, reference, texts, [target], place))
            open_pair = None
    if open_pair is not None:
        problems.add("last", open_pair[0].problem("a pair without its second caption", _FIX))
    return list(items.values()), places, queries


def _pair_line(line: str, category: str, suffix: str) -> tuple[list[str], str]:
    """(names of candidate and target, caption); no names if the line has another form."""
    parts = line.split(";", 2)
    images = [part.strip().removeprefix(f"{category}/").removesuffix(suffix) for part in parts[:2]]
    valid = len(parts) == 3 and all(
        part.strip().startswith(f"{category}/") and part.strip().endswith(suffix) for part in parts[:2]
    )
    return (images, parts[2]) if valid and all(images) else ([], "")


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with FashionIQ's captions or captions_pairs; None for another folder."""
    with_captions = [name for name in CATEGORIES if list(root.glob(f"captions/cap.{name}.*.json"))]
    with_pairs = [name for name in CATEGORIES if list(root.glob(f"captions_pairs/fashion_iq-*-cap-{name}.txt"))]
    names = with_captions or with_pairs
    if not names:
        return None
    options = {} if names == list(CATEGORIES) else {"categories": ",".join(names)}
    if with_captions:
        needed = [
            file
            for name in names
            for split in SPLITS
            for file in (f"captions/cap.{name}.{split}.json", f"image_splits/split.{name}.{split}.json")
        ]
    else:
        options["pairs"] = "captions_pairs"
        needed = [f"captions_pairs/fashion_iq-{split}-cap-{name}.txt" for name in names for split in ("train", "val")]
    folder = next((name for name in ("images", "resized_image", "image_data") if (root / name).is_dir()), "images")
    if folder != "images":
        options["images"] = folder
    layout = layout_of(root, [*needed, f"{folder}/"], options=options, certainty=KNOWN)
    return layout if layout is None or layout.missing else _with_suffix(root, folder, names[0], layout)


def _with_suffix(root: Path, folder: str, category: str, layout: Layout) -> Layout:
    """The layout with the suffix of the image files, or with the images that are missing."""
    suffixes = (".jpg", *(suffix for suffix in IMAGE_SUFFIXES if suffix != ".jpg"))
    inside = f"{category}/" if (root / folder / category).is_dir() else ""
    presence = Presence(root / folder)
    names: list[str] = []
    try:
        for split in SPLITS:
            if "pairs" not in layout.options:
                names += read_json(root / "image_splits" / f"split.{category}.{split}.json", list, _FIX)[:SAMPLE]
            elif split != "test":
                items, _, _ = read_pair_lines(root, category, split, "", Problems())
                names += [item.file for item in items[:SAMPLE]]
    except DataError as error:
        return replace(layout, missing=[str(error.problems[0])])
    for suffix in ("",) if "pairs" in layout.options else suffixes:
        there = sum(presence.has(f"{inside}{name}{suffix}") for name in names)
        if there:
            present = (
                layout.found if there == len(names) else [*layout.found, f"{there} of {len(names)} images are there"]
            )
            options = layout.options if suffix in ("", ".jpg") else {**layout.options, "suffix": suffix}
            return replace(layout, found=present, options=options)
    return replace(layout, missing=[f"images, such as {folder}/{inside}{names[0] if names else 'NAME'}.jpg"])


def phrasings(captions: list[str], split: str) -> list[str]:
    """The texts of a pair, the evaluated one first; sixteen published pairs have one empty caption.

    phrasings(["is red.", "has sleeves"], "train")
        -> ["Is red and has sleeves", "Has sleeves and is red", "Is red", "Has sleeves"]
    """
    sentences = [caption_of(caption).strip(".?, ") for caption in captions]
    sentences = [caption for caption in sentences if caption]
    both = [" and ".join(sentences), " and ".join(reversed(sentences))] if len(sentences) > 1 else []
    texts = [*both, *sentences] if split == "train" or not both else both
    return [text[:1].upper() + text[1:] for text in dict.fromkeys(texts)]
