"""Items: images with their captions, as a source collects them, and their conversion into a table's columns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.data.annotations.copies import copies_across_splits
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.load.words import tokenize
from raytrain.data.paths import PATH_FIX
from raytrain.data.presence import Placed, Presence
from raytrain.data.problems import Problems
from raytrain.data.storage import Root, root_of
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.schema import ITEMS, TEXTS
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem


@dataclass
class Item:
    """One image and its captions.

    Args:
        id: unique in the table.
        file: relative to the image root; empty if only the image's features are known.
        split: "train", "val" or "test".
        texts: (id, caption) pairs.
        group: class or family, or empty.
        attribution: credit the licence asks for, or empty.
    """

    id: str
    file: str
    split: str
    texts: list[tuple[str, str]] = field(default_factory=list)
    group: str = ""
    attribution: str = ""


def to_arrow(items: Sequence[Item]) -> tuple[pa.Table, pa.Table]:
    """(items, texts) in the columns of a table. Captions are tokenised here, for all sources alike."""
    columns = {name: [getattr(item, name) for item in items] for name in ITEMS.names}
    texts = [(name, row, text) for row, item in enumerate(items) for name, text in item.texts]
    words: dict[str, str] = {}  # one string per distinct word: one per occurrence would fill most of a build's memory
    return pa.table(columns, schema=ITEMS), pa.table(
        {
            "id": [name for name, _, _ in texts],
            "item": [row for _, row, _ in texts],
            "text": [text for _, _, text in texts],
            "tokens": [[words.setdefault(word, word) for word in tokenize(text)] for _, _, text in texts],
        },
        schema=TEXTS,
    )


def open_image_root(images: str, folder: Path) -> Root:
    """The image root that the option `images` names: a URL, or an existing folder, relative to `folder`.

    Raises:
        DataError: it does not exist.
        UsageError: an unsupported URL.
    """
    root = root_of(images, folder)
    check_image_root(root)
    return root


def check_image_root(root: Root) -> None:
    """Raises DataError if an image root does not exist."""
    if not root.is_dir():
        raise DataError(Problem(str(root), None, "not a folder", "Name the image folder with images=FOLDER."))


def write_items(
    out: str | os.PathLike[str],
    source: Mapping[str, Any],
    items: Sequence[Item],
    places: Mapping[str, SourceLocation],
    image_root: Root,
    missing: Missing,
    problems: Problems,
) -> Table:
    """Writes the table of the items whose image is there.

    Args:
        out: folder of the new table.
        source: name and options of the source, for table.json.
        items: in the order of the table.
        places: {item id: place of its annotation}.
        image_root: what the items' files are relative to.
        missing: receives the items whose image is not there; states how many are allowed.
        problems: of reading the annotations; nothing is written if there is any.

    Raises:
        DataError: all problems at once, or no image is there.
    """
    present = present_images(items, places, image_root, missing, problems, needs_text=True)
    problems.raise_if_any()
    if not present:
        what = "no image of the annotations is there"
        raise DataError(Problem(str(image_root), None, what, "Check images=FOLDER."))
    source = {**source, **facts_of_files(items, present, image_root)}
    with TableWriter(out, source, image_root=image_root, missing=missing) as writer:
        writer.write(*to_arrow(present))
    return Table(out)


def facts_of_files(items: Sequence[Item], present: Sequence[Item], root: Root) -> dict[str, int]:
    """Counts about the files of items, for table.json: {"respelled_images", "copies_across_splits"} that are not 0.

    Args:
        items: as annotated.
        present: of these, as `present_images` gives them.
        root: what their files are relative to.
    """
    annotated = {item.id: item.file for item in items}
    counts = {
        "respelled_images": sum(Path(annotated[item.id]) != Path(item.file) for item in present),
        "copies_across_splits": copies_across_splits([(item.file, item.split) for item in present], root),
    }
    return {name: count for name, count in counts.items() if count}


def present_images(
    items: Sequence[Item],
    places: Mapping[str, SourceLocation],
    root: Root,
    missing: Missing,
    problems: Problems,
    needs_text: bool = False,
) -> list[Item]:
    """The items whose image exists and, in a folder, has a sound header, with their files as the root spells them.

    The others are added to `missing`, and so are items without a caption if `needs_text`. Refused paths are added to
    `problems`; so are missing and broken images if there are more than allowed.
    """
    present, absent = [], Problems()
    presence = Presence(root)
    for item in items:
        place = places[item.id]
        placed = presence.find(item.file)
        if needs_text and not item.texts and placed.kind != "path":
            placed = Placed(placed.file, "no caption", f"image {item.id!r} has no caption")
        if placed.kind == "path":
            problems.add("path", place.problem(placed.what, PATH_FIX))
        elif not placed.kind:
            present.append(item if placed.file == item.file else replace(item, file=placed.file))
        else:
            what = f"image {root / placed.file}: {placed.what}" if placed.kind == "broken" else placed.what
            missing.add_image(item.id, item.split, len(item.texts), placed.kind)
            remedy = "Write a caption" if placed.kind == "no caption" else "Put the image there"
            fix = f"{remedy}, or allow a share of missing images with allow_missing=SHARE."
            absent.add("missing", place.problem(what, fix))
    if exceeds(len(missing.ids), len(items), missing.allowed):
        problems.extend(absent.list())
    return present
