"""COCO Captions as COCO publishes them, split by the lists of caption ids of VSE++ and its successors.

    annotations/captions_train2014.json    {"images": [{"id", "file_name"}],
    annotations/captions_val2014.json       "annotations": [{"id", "image_id", "caption"}]}
    annotations/coco_train_ids.npy         caption ids, grouped by image; restval, dev and test likewise
    images/train2014/COCO_train2014_000000000009.jpg      images/val2014/...

The lists train and restval become the split "train", dev "val" and test "test", as in Karpathy's splits. Without lists
the splits are those of the file names: COCO's own two, train2014 and val2014 (or train2017 and val2017), or one's own
(captions_train.json, captions_val.json, captions_test.json, with the images in train/ and so on, or side by side).
Images without a caption are missing. Images and captions keep their COCO
ids, which ECCV Caption and CxC refer to. Lin et al., ECCV 2014; the lists: Faghri et al., BMVC 2018 (also used by PVSE,
PCME and DivE).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.items import Item, open_image_root, write_items
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import KNOWN, Layout, describe_match, layout_of
from raytrain.data.annotations.placement import SAMPLE, place_images
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.text_files import head_of
from raytrain.data.paths import entries
from raytrain.data.presence import Presence
from raytrain.data.problems import Problems
from raytrain.data.storage import Root
from raytrain.data.table import Table
from raytrain.data.table.arrays import open_array
from raytrain.data.table.coverage import Missing
from raytrain.errors import DataError, Problem, UsageError

LISTS = {"train": "train", "restval": "train", "dev": "val", "test": "test"}
_FIX = "Correct the entry, or get COCO's annotations again."
_NAME = re.compile(r"(?:captions_)?((train|val|test)\d*)\.json")


CaptionId = int | str | tuple[str, int]


@dataclass
class Annotated:
    """The contents of the annotation files.

    Args:
        items: {image id: item} without captions, in the split of their file.
        places: {image id: place of its annotation}.
        captions: {caption id, or (file, row) where it has none: (image id, text)}, in the order of the files.
    """

    items: dict[str, Item] = field(default_factory=dict)
    places: dict[str, SourceLocation] = field(default_factory=dict)
    captions: dict[CaptionId, tuple[str, str]] = field(default_factory=dict)


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "images",
    annotations: str = "annotations",
    dev_images: int | None = None,
    texts_per_image: int | None = None,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the annotations; the images stay where they are.

    Args:
        root: folder of the annotations and images.
        out: folder of the new table.
        images: folder of train2014/ and val2014/; relative to root, absolute, or a URL.
        annotations: folder of captions_*.json and of the lists coco_*_ids.npy, relative to root or absolute.
        dev_images: use only the first N images of the list dev; published code uses 1000 of 5000.
        texts_per_image: keep only the first N captions per image; for COCO's own splits, since lists hold five.
        allow_missing: share of the images in [0, 1] that may be absent or broken.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    if any(number is not None and number < 1 for number in (dev_images, texts_per_image)):
        raise UsageError("dev_images and texts_per_image are at least 1")
    folder, problems, missing = Path(root).expanduser().resolve(), Problems(), Missing(allow_missing)
    image_root, annotation_folder = open_image_root(images, folder), (folder / annotations).resolve()
    read = _read(annotation_folder, image_root, problems)
    list_names = [name for name in LISTS if (annotation_folder / f"coco_{name}_ids.npy").is_file()]
    if list_names:
        items = [item for name in list_names for item in _listed(annotation_folder, name, read, dev_images, problems)]
        _check_once(items, annotation_folder, problems)
    else:
        numbers = list(read.captions)
        if all(isinstance(number, int) for number in numbers):
            numbers.sort()
        for number in numbers:
            image, text = read.captions[number]
            texts = read.items[image].texts
            texts.append((f"{image}#{len(texts)}" if isinstance(number, tuple) else str(number), text))
        items = list(read.items.values())
    if texts_per_image is not None:
        items = [replace(item, texts=item.texts[:texts_per_image]) for item in items]
    problems.raise_if_any()
    source = {"name": "coco", "lists": list_names, "dev_images": dev_images, "texts_per_image": texts_per_image}
    return write_items(out, source, items, read.places, image_root, missing, problems)


def _read(folder: Path, image_root: Root, problems: Problems) -> Annotated:
    """The contents of all captions_*.json of a folder."""
    paths = _files(folder)
    if not paths:
        what = f"no captions_train2014.json or captions_val2014.json in {folder.name}/"
        raise DataError(Problem(str(folder), None, what, "Put them there, or name the folder with annotations=FOLDER."))
    read, presence = Annotated(), Presence(image_root)
    for path in paths:
        _read_file(path, presence, read, problems)
    return read


def _files(folder: Path) -> list[Path]:
    """The captions_*.json of a folder, sorted; without any, the train.json, val.json and test.json of this form."""
    paths = [path for path in entries(folder) if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    named = [path for path in paths if path.name.startswith("captions_")]
    return named or [path for path in paths if _has_this_form(path)]


def _has_this_form(path: Path) -> bool:
    """Whether a JSON begins as an object with images or annotations."""
    head = head_of(path)
    return head.lstrip().startswith(b"{") and any(key in head for key in (b'"images"', b'"annotations"'))


def _listed_images(document: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """(paths below the folder of the file's name, the names alone) of the first images of a captions_*.json."""
    images = document.get("images")
    rows = images[:SAMPLE] if isinstance(images, list) else []
    first = [entry.get("file_name") for entry in rows if isinstance(entry, Mapping)]
    names = [file for file in first if isinstance(file, str) and file]
    return [f"{name}/{file}" for file in names], names


def _read_file(path: Path, presence: Presence, read: Annotated, problems: Problems) -> None:
    """Adds the contents of one captions_*.json to `read`.

    Args:
        presence: of the images.
    """
    match = _NAME.fullmatch(path.name)
    assert match is not None
    folder, split = match[1], match[2]
    document = read_json(path, dict, _FIX)
    lists = {key: document.get(key) for key in ("images", "annotations")}
    if empty := [key for key, value in lists.items() if not isinstance(value, list) or not value]:
        raise DataError(Problem(str(path), None, f"no list under {empty[0]!r}", _FIX))
    inside, alone = _listed_images(document, folder)
    side_by_side = not any(map(presence.has, inside)) and any(map(presence.has, alone))
    licences = document.get("licenses")
    names = {
        licence.get("id"): str(licence.get("name", ""))
        for licence in (licences if isinstance(licences, list) else [])
        if isinstance(licence, Mapping) and isinstance(licence.get("id"), int)
    }

    for row, entry in enumerate(lists["images"] or []):
        place = SourceLocation(str(path), row)
        number, file = (entry.get("id"), entry.get("file_name")) if isinstance(entry, Mapping) else (None, None)
        if not _is_id(number) or not isinstance(file, str) or not file:
            what = "image without a number or text under 'id' and a name under 'file_name'"
            problems.add(f"image {path}", place.problem(what, _FIX))
        elif str(number) in read.items:
            problems.add(f"twice {path}", place.problem(f"image {number} appears twice", _FIX))
        else:
            licence_id = entry.get("license")
            licence_name = names.get(licence_id, "") if isinstance(licence_id, int) else ""
            credit = ", ".join(str(part) for part in (licence_name, entry.get("flickr_url")) if part)
            read.items[str(number)] = Item(
                str(number), file if side_by_side else f"{folder}/{file}", split, attribution=credit
            )
            read.places[str(number)] = place
    for row, entry in enumerate(lists["annotations"] or []):
        place = SourceLocation(str(path), row)
        entry = entry if isinstance(entry, Mapping) else {}
        number, image, caption = entry.get("id"), entry.get("image_id"), entry.get("caption")
        text = caption_of(caption) if isinstance(caption, str) else ""
        if not (number is None or _is_id(number)) or not _is_id(image) or not text:
            what = "caption without a number or text under 'image_id', or a text under 'caption'"
            problems.add(f"caption {path}", place.problem(what, _FIX))
        elif str(image) not in read.items:
            what = f"caption {number} is of image {image}, which is not among the images"
            problems.add(f"of image {path}", place.problem(what, _FIX))
        elif number in read.captions:
            problems.add(f"caption twice {path}", place.problem(f"caption {number} appears twice", _FIX))
        else:
            key: CaptionId = (path.name, row) if number is None else number
            read.captions[key] = (str(image), text)


def _is_id(value: Any) -> bool:
    """Whether a value of JSON is a whole number or a text that is not empty."""
    return bool(value) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def _listed(folder: Path, name: str, read: Annotated, dev_images: int | None, problems: Problems) -> list[Item]:
    """The images of the list coco_{name}_ids.npy in its order, each with its listed captions."""
    path = folder / f"coco_{name}_ids.npy"
    ids = open_array(path)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids):
        what = f"array {ids.shape} of {ids.dtype}, expected a list of caption ids"
        raise DataError(Problem(str(path), None, what, "Get the file again."))
    listed: dict[str, Item] = {}
    last = ""
    for row, number in enumerate(ids.astype(np.int64).tolist()):
        if number not in read.captions:
            what = f"caption {number} is in no captions_*.json"
            problems.add(f"list {name}", Problem(str(path), row, what, "Put the annotations of all its images there."))
            continue
        image, text = read.captions[number]
        item = listed.get(image)
        if item is None:
            annotated = read.items[image]
            item = listed[image] = Item(image, annotated.file, LISTS[name], attribution=annotated.attribution)
        elif image != last:
            what = f"caption {number} is of image {image}, whose other captions are further up"
            problems.add(f"apart {name}", Problem(str(path), row, what, "Group the captions by image."))
        item.texts.append((str(number), text))
        last = image
    return list(listed.values())[: dev_images if name == "dev" else None]


def _check_once(items: list[Item], folder: Path, problems: Problems) -> None:
    """Adds images of two lists to the problems."""
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            what = f"image {item.id} is in two of the lists coco_*_ids.npy"
            problems.add("lists", Problem(str(folder), None, what, "Get the lists from one source."))
        seen.add(item.id)


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with COCO's captions_*.json; None for another folder."""
    for folder in ("annotations", "."):
        paths = _files(root / folder)
        files = [path.name for path in paths]
        if not files:
            continue
        lists = [name for name in LISTS if (root / folder / f"coco_{name}_ids.npy").is_file()]
        needed = [f"{folder}/{name}" for name in files]
        if lists:
            both = [f"{folder}/captions_{name}2014.json" for name in ("train", "val")]
            needed = [*both, *(f"{folder}/coco_{name}_ids.npy" for name in LISTS)]
        options: dict[str, Any] = {} if folder == "annotations" else {"annotations": folder}
        if "dev" in lists:
            options["dev_images"] = 1000
        layout = layout_of(root, needed, options=options, certainty=KNOWN)
        return layout and _with_images(root, paths[0], layout)
    return None


def _with_images(root: Path, path: Path, layout: Layout) -> Layout:
    """The layout with the folder of the images that a captions_*.json lists, or with what is missing."""
    match = _NAME.fullmatch(path.name)
    name = match[1] if match else ""
    try:
        document = read_json(path, dict, _FIX)
        inside, alone = _listed_images(document, name)
    except DataError as error:
        return replace(layout, missing=[*layout.missing, str(error.problems[0])])
    places = [place_images(root, names, plain=True) for names in (inside, alone)]
    place = next((place for place in places if place is not None), None)
    if place is None:
        what = Presence(root).find(inside[0]).what if inside else f"images in {path.name}"
        missing = [*layout.missing, what]
        return replace(layout, missing=missing)
    present = [*layout.found, describe_match(root, f"{place.folder}/"), *place.words()]
    if not list(path.parent.glob("coco_*_ids.npy")) and (uncaptioned := _uncaptioned(document)):
        count, total = uncaptioned, len(document["images"])
        share = math.ceil(1000 * count / total) / 1000
        what = f"{count:,} of {total:,} images in {path.name} have no caption: write one, or build with "
        what += f"allow_missing={share:g} or more"
        return replace(layout, found=present, options=layout.options | place.options, missing=[*layout.missing, what])
    return replace(layout, found=present, options=layout.options | place.options)


def _uncaptioned(document: Mapping[str, Any]) -> int:
    """The number of images of a captions_*.json that none of its annotations is of."""
    lists = [document.get("images"), document.get("annotations")]
    images, annotations = (
        [entry for entry in rows if isinstance(entry, Mapping)] if isinstance(rows, list) else [] for rows in lists
    )
    captioned = {str(entry.get("image_id")) for entry in annotations}
    return sum(str(entry.get("id")) not in captioned for entry in images)
