"""Karpathy's JSON: one `dataset_*.json` and a folder of images (Flickr8k, Flickr30k, COCO).

    {"dataset": "coco", "images": [{"filename", "filepath" (COCO), "cocoid" (COCO), "split",
                                    "sentences": [{"raw", "sentid"}, ...]}, ...]}

Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments", CVPR 2015. Splits train and restval become "train".
Optional per-image fields "license" and "flickr_url" become the item's attribution.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.items import Item, open_image_root, write_items
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import MARKED, Layout, describe_match
from raytrain.data.annotations.placement import SAMPLE, place_images
from raytrain.data.annotations.records import SPLIT_OF, SourceLocation, split_of
from raytrain.data.paths import entries
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.errors import DataError, Problem, UsageError

_SHOWN = 5  # problems that `data detect` lists


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "images",
    allow_missing: float = 0.0,
    texts_per_image: int | None = None,
) -> Table:
    """Builds the table of one Karpathy JSON and its images, which stay where they are.

    Args:
        root: folder with exactly one dataset_*.json.
        out: folder of the new table.
        images: folder of the images; relative to root, absolute, or a URL; "." if filepath is relative to root.
        allow_missing: share of annotated images in [0, 1] that may be absent; they are listed in table.json.
        texts_per_image: keep only the first N captions per image. Some of COCO's images have 6 or 7; papers use 5.

    Raises:
        DataError: all problems of the file at once: paths that climb out, unknown splits, images without a caption,
            repeated ids, more images missing than allowed.
        UsageError: an option outside its range.
    """
    missing = Missing(allow_missing)
    if texts_per_image is not None and texts_per_image < 1:
        raise UsageError(f"texts_per_image is at least 1; given: {texts_per_image}")
    folder = Path(root).expanduser().resolve()
    annotations = _annotations(folder)
    image_root = open_image_root(images, folder)
    problems = Problems()
    read = read_items(annotations, problems)
    places = {item.id: place for item, place in read}
    items = [replace(item, texts=item.texts[:texts_per_image]) for item, _ in read]
    source = {"name": "karpathy", "annotations": annotations.name, "texts_per_image": texts_per_image}
    return write_items(out, source, items, places, image_root, missing, problems)


def read_items(path: Path, problems: Problems) -> list[tuple[Item, SourceLocation]]:
    """(item, its place) of each valid entry of a JSON; the problems of the other entries are added to `problems`."""
    items = []
    for row, entry in enumerate(_entries(path)):
        item = _item(entry, row, str(path), problems)
        if item is not None:
            items.append((item, SourceLocation(str(path), row)))
    _repeated([(item.id, "image") for item, _ in items], str(path), problems)
    _repeated([(name, "caption") for item, _ in items for name, _ in item.texts], str(path), problems)
    return items


def _annotations(root: Path) -> Path:
    """The only dataset_*.json of a folder; DataError if there is none, or two."""
    paths = _json_files(root) if root.is_dir() else []
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        what = f"expected exactly one dataset_*.json, there are: {names}" if root.is_dir() else "not a folder"
        raise DataError(Problem(str(root), None, what, "Give the folder that holds the JSON and the images."))
    return paths[0]


def _json_files(root: Path) -> list[Path]:
    return [path for path in entries(root) if path.match("dataset_*.json")]


def _entries(path: Path) -> list[Any]:
    """The non-empty list under 'images'; DataError if there is none."""
    fix = "Get the file again: it is Karpathy's JSON, with a list under 'images'."
    images = read_json(path, dict, fix).get("images")
    if not isinstance(images, list) or not images:
        raise DataError(Problem(str(path), None, "no list of images under 'images'", fix))
    return images


def _item(entry: Any, row: int, file: str, problems: Problems) -> Item | None:
    """The item of one entry; None after adding its problems."""
    before = len(problems)
    fix = "Correct the entry of 'images'."
    if not isinstance(entry, Mapping) or not isinstance(entry.get("filename"), str):
        problems.add("filename", Problem(file, row, "entry without a filename", fix))
        return None
    filename = entry["filename"]
    split = split_of(str(entry.get("split", "missing")))
    if split is None:
        what = f"{filename}: split {str(entry.get('split', 'missing'))!r}, allowed are {', '.join(SPLIT_OF)}"
        problems.add("split", Problem(file, row, what, fix))
    sentences = entry.get("sentences")
    name = str(entry.get("cocoid", filename))
    texts = []
    for number, sentence in enumerate(sentences if isinstance(sentences, list) else []):
        raw = sentence.get("raw") if isinstance(sentence, Mapping) else None
        caption = caption_of(raw) if isinstance(raw, str) else ""  # some contain line breaks and runs of blanks
        if not caption:
            problems.add("caption", Problem(file, row, f"{filename}: caption {number} is empty", fix))
            continue
        texts.append((str(sentence.get("sentid", f"{name}#{number}")), caption))
    if not texts:
        problems.add("captions", Problem(file, row, f"{filename}: no caption", "Add captions or remove the image."))
    filepath = entry.get("filepath", "")
    path = str(PurePosixPath(filepath if isinstance(filepath, str) else "", filename))
    credit = ", ".join(str(entry[key]) for key in ("license", "flickr_url") if entry.get(key))
    return Item(name, path, split or "", texts, "", credit) if len(problems) == before else None


def _repeated(names: list[tuple[str, str]], file: str, problems: Problems) -> None:
    """Adds repeated ids to the problems; `names` are (id, "image" or "caption") pairs."""
    seen: set[str] = set()
    for name, what in names:
        if name in seen:
            problems.add(f"{what} id", Problem(file, None, f"{what} id {name!r} appears twice", "Make ids unique."))
        seen.add(name)


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with a dataset_*.json; None for another folder."""
    paths = _json_files(root)
    if not paths:
        return None
    try:
        rows = [entry for entry in _entries(paths[0])[:SAMPLE] if isinstance(entry, Mapping)]
    except DataError as error:
        return Layout([path.name for path in paths], [error.problems[0].what], {}, MARKED)
    names = [str(PurePosixPath(str(entry.get("filepath", "")), str(entry.get("filename", "")))) for entry in rows]
    place = place_images(root, names, plain=True)
    options = place.options if place else {}
    missing = [] if place else [f"the folder of the images, with {names[0] if names else 'the files of filename'}"]
    problems = Problems()
    read_items(paths[0], problems)
    missing += [f"{problem.what} (row {problem.row})" for problem in problems.list()[:_SHOWN]]
    if len(paths) > 1:
        missing.append("exactly one dataset_*.json: keep one in the folder")
    descriptions = [", ".join(path.name for path in paths)]
    descriptions += [describe_match(root, f"{place.folder}/"), *place.words()] if place else []
    return Layout([line for line in descriptions if line], missing, options, MARKED)
