"""Images in VSE-infinity's layout, for backbones on pixels: lists of ids and captions, and the path of each image.

    precomp/train_ids.txt    image ids, one line per image, or one line per caption with each image's id repeated
    precomp/train_caps.txt   captions, one per line, five consecutive ones per image      dev, test, testall likewise
    id_mapping.json          {"9": "train2014/COCO_train2014_000000000009.jpg", ...}
    images/                  the folder that those paths are relative to

The lists may be in the root folder itself. The source precomp reads their region features (train_ims.npy, ...).
Chen et al., "Learning the Best Pooling Strategy for Visual Semantic Embedding", CVPR 2021.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item, open_image_root, write_items
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import KNOWN, Layout, layout_of
from raytrain.data.annotations.placement import with_listed_images
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.data.sources.precomp import read_captions, read_ids
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.errors import DataError, Problem, UsageError

_FIX = "Get the lists and id_mapping.json from one source."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "images",
    test: str = "test",
    dev_images: int | None = None,
    texts_per_image: int = 5,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the lists; the images stay where they are.

    Args:
        root: folder of id_mapping.json, with the lists in it or in precomp/.
        out: folder of the new table.
        images: folder that mapped paths are relative to; relative to root, absolute, or a URL.
        test: lists of the test split: "test", "testall", or "none" for no test split.
        dev_images: use only the first N dev images; published code uses 1000.
        texts_per_image: consecutive caption lines per image.
        allow_missing: share of the images in [0, 1] that may be absent or broken.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    if test not in ("test", "testall", "none"):
        raise UsageError(f"test is test, testall or none; given: {test!r}")
    if texts_per_image < 1 or (dev_images is not None and dev_images < 1):
        raise UsageError("texts_per_image and dev_images are at least 1")
    folder, problems, missing = Path(root).expanduser().resolve(), Problems(), Missing(allow_missing)
    image_root = open_image_root(images, folder)
    paths: dict[str, Any] = read_json(folder / "id_mapping.json", dict, _FIX)
    items: list[Item] = []
    places: dict[str, SourceLocation] = {}
    files = {"train": "train", "dev": "val"} | ({} if test == "none" else {test: "test"})
    for stem, split in files.items():
        first = dev_images if stem == "dev" else None
        for item, place in _read(lists(folder), stem, split, texts_per_image, first, paths, problems):
            if item.id in places:
                before = places[item.id]
                what = f"image {item.id!r} is in {Path(before.file).name}, row {before.row} too"
                problems.add("overlap", place.problem(what, "Keep an image in one split."))
            places[item.id] = place
            items.append(item)
    problems.raise_if_any()
    source = {"name": "vse_images", "test": test, "dev_images": dev_images, "texts_per_image": texts_per_image}
    return write_items(out, source, items, places, image_root, missing, problems)


def lists(folder: Path) -> Path:
    """The folder of the lists: precomp/ if it exists, else the folder itself."""
    return folder / "precomp" if (folder / "precomp").is_dir() else folder


def _read(
    folder: Path, stem: str, split: str, texts: int, first: int | None, paths: dict[str, Any], problems: Problems
) -> list[tuple[Item, SourceLocation]]:
    """(item, place of its id) of each image of one split, at most `first`; adds the split's problems.

    Args:
        texts: captions per image.
        paths: {image id: path}, of id_mapping.json.
    """
    file = folder / f"{stem}_ids.txt"
    captions = read_captions(folder / f"{stem}_caps.txt", problems)
    if captions is None:
        return []
    if not file.is_file():
        problems.add("ids", Problem(str(file), None, "not found", _FIX))
        return []
    ids = {line for line in file.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()}
    if ids and len(captions) % len(ids) == 0 and len(captions) // len(ids) != texts:
        what = f"{len(captions):,} captions for {len(ids):,} image ids: {len(captions) // len(ids)} per image"
        fix = f"Build with texts_per_image={len(captions) // len(ids)}, or get the lists from one source."
        problems.add("count", Problem(str(folder / f"{stem}_caps.txt"), len(captions), what, fix))
        return []
    if len(captions) % texts:
        what = f"{len(captions):,} captions end here, which is no multiple of {texts} per image"
        problems.add("count", Problem(str(folder / f"{stem}_caps.txt"), len(captions), what, _FIX))
        return []
    count = len(captions) // texts
    items = []
    for row, (identity, line) in enumerate(read_ids(file, count, len(captions), texts, problems)[:first]):
        place = SourceLocation(str(file), line)
        path = paths.get(identity)
        if not isinstance(path, str) or not path:
            what = f"image {identity!r} has no path in id_mapping.json"
            problems.add("mapping", place.problem(what, _FIX))
            continue
        item_texts = [(f"{identity}#{n}", text) for n, text in enumerate(captions[row * texts : (row + 1) * texts])]
        items.append((Item(identity, path.removeprefix("./"), split, item_texts), place))
    return items


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with id_mapping.json; None for another folder."""
    if not (root / "id_mapping.json").is_file():
        return None
    list_folder = "precomp/" if lists(root) != root else ""
    stems = [stem for stem in ("train", "dev", "test", "testall") if (root / f"{list_folder}{stem}_ids.txt").is_file()]
    test = next((stem for stem in ("testall", "test") if stem in stems), "none")
    folder = next((name for name in ("images", "flickr30k-images") if (root / name).is_dir()), "images")
    options: dict[str, Any] = ({} if test == "test" else {"test": test}) | (
        {} if folder == "images" else {"images": folder}
    )
    needed = ["train", "dev", *([] if test == "none" else [test])]
    files = [f"{list_folder}{stem}_{kind}.txt" for stem in needed for kind in ("ids", "caps")]
    layout = layout_of(root, ["id_mapping.json", *files, f"{folder}/"], options=options, certainty=KNOWN)
    try:
        paths = read_json(root / "id_mapping.json", dict, _FIX).values()
    except DataError as error:
        return layout and replace(layout, missing=[str(error.problems[0])])
    return with_listed_images(layout, root / folder, (path for path in paths if isinstance(path, str)))
