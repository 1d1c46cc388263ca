"""Images in VSE-infinity's layout, for backbones that see pixels: lists of ids and captions, and where each image lies.

    precomp/train_ids.txt    an image id a line, or one a caption, with each image's repeated
    precomp/train_caps.txt   a caption a line, five an image one after the other      dev, test, testall likewise
    id_mapping.json          {"9": "train2014/COCO_train2014_000000000009.jpg", ...}
    images/                  what those paths start at

The lists may lie in the folder itself. Their arrays of region features (train_ims.npy, ...) are the source precomp's.
Chen et al., "Learning the Best Pooling Strategy for Visual Semantic Embedding", CVPR 2021.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item, present_images, to_arrow
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import KNOWN, Layout, layout_of
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.problems import Problems
from raytrain.data.sources.precomp import read_captions, read_ids
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.data.table.writer import TableWriter
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
    """The table of the lists; the images stay where they are.

    Args:
        root: folder of id_mapping.json, with the lists in it or in precomp/.
        out: folder of the new table.
        images: folder that mapped paths start at, relative to root or absolute.
        test: which lists become the test split: "test", "testall", or "none" for no test split.
        dev_images: use only the first so many dev images; published code uses 1000.
        texts_per_image: consecutive caption lines of one image.
        allow_missing: share of the images in [0, 1] that may be absent or broken.

    Raises:
        DataError: every problem of the files at once.
    """
    if test not in ("test", "testall", "none"):
        raise UsageError(f"test {test!r} is test, testall or none")
    if texts_per_image < 1 or (dev_images is not None and dev_images < 1):
        raise UsageError("texts_per_image and dev_images are at least 1")
    folder, problems, missing = Path(root).expanduser().resolve(), Problems(), Missing(allow_missing)
    image_root = root_of(images, folder)
    if not image_root.is_dir():
        raise DataError(Problem(str(image_root), None, "not a folder", "Name the image folder with images=FOLDER."))
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
                problems.add("overlap", Problem(place.file, place.row, what, "Keep an image in one split."))
            places[item.id] = place
            items.append(item)
    problems.raise_if_any()
    present = present_images(items, places, image_root, missing, problems)
    problems.raise_if_any()
    if not present:
        raise DataError(Problem(str(image_root), None, "no image of the lists is there", "Check images=FOLDER."))
    source = {"name": "vse_images", "test": test, "dev_images": dev_images, "texts_per_image": texts_per_image}
    with TableWriter(out, source, image_root=image_root, missing=missing) as writer:
        writer.write(*to_arrow(present))
    return Table(out)


def lists(folder: Path) -> Path:
    """The folder of the lists: precomp/ where there is one."""
    return folder / "precomp" if (folder / "precomp").is_dir() else folder


def _read(
    folder: Path, stem: str, split: str, texts: int, first: int | None, paths: dict[str, Any], problems: Problems
) -> list[tuple[Item, SourceLocation]]:
    """The images of one split with the line of each."""
    file = folder / f"{stem}_ids.txt"
    captions = read_captions(folder / f"{stem}_caps.txt", problems)
    if captions is None:
        return []
    if not file.is_file():
        problems.add("ids", Problem(str(file), None, "not found", _FIX))
        return []
    if len(captions) % texts:
        what = f"{len(captions):,} captions end here, {texts} an image"
        problems.add("count", Problem(str(folder / f"{stem}_caps.txt"), len(captions), what, _FIX))
        return []
    count = len(captions) // texts
    items = []
    for row, (identity, line) in enumerate(read_ids(file, count, len(captions), texts, problems)[:first]):
        place = SourceLocation(str(file), line)
        path = paths.get(identity)
        if not isinstance(path, str) or not path:
            what = f"image {identity!r} has no path in id_mapping.json"
            problems.add("mapping", Problem(place.file, place.row, what, _FIX))
            continue
        item_texts = [(f"{identity}#{n}", text) for n, text in enumerate(captions[row * texts : (row + 1) * texts])]
        items.append((Item(identity, path.removeprefix("./"), split, item_texts), place))
    return items


def looks_like(root: Path) -> Layout | None:
    if not (root / "id_mapping.json").is_file():
        return None
    inside = "precomp/" if lists(root) != root else ""
    stems = [stem for stem in ("train", "dev", "test", "testall") if (root / f"{inside}{stem}_ids.txt").is_file()]
    test = next((stem for stem in ("testall", "test") if stem in stems), "none")
    folder = next((name for name in ("images", "flickr30k-images") if (root / name).is_dir()), "images")
    options: dict[str, Any] = ({} if test == "test" else {"test": test}) | (
        {} if folder == "images" else {"images": folder}
    )
    wanted = ["train", "dev", *([] if test == "none" else [test])]
    files = [f"{inside}{stem}_{kind}.txt" for stem in wanted for kind in ("ids", "caps")]
    return layout_of(root, ["id_mapping.json", *files, f"{folder}/"], options=options, certainty=KNOWN)
