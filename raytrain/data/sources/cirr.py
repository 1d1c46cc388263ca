"""CIRR rc2: pairs of NLVR2 photographs with one sentence per pair on what changes (Liu et al., ICCV 2021).

    captions/cap.rc2.{train,val,test1}.json         [{"pairid", "reference", "target_hard", "caption",
                                                      "img_set": {"members": [6 names]}}, ...]
    image_splits/split.rc2.{train,val,test1}.json   {name: "./dev/name.png"}
    img_raw/                                        the folder that those paths are relative to
    captions_ext/cap.ext.rc2.*.json                 optional: [{"pairid", "reference", "caption_extend": {"0"...}}, ...]

The gallery is all images of the split. The subset holds the six members of a query's image set, including its reference
and target. Targets of test1 are not published: the benchmark's server computes its scores and identifies a query by its
pairid, which is the query's id here. test1 becomes the split "test".

The notes of captions_ext answer four questions about a pair: what both photos share, what else changed, the viewpoint,
the background. They contain more than the query does, so they are read only on request (`extended=true`), as a second
phrasing of the query that training may draw; evaluation uses the caption.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.json_files import read_json, strings_of, text_of
from raytrain.data.annotations.layouts import Layout, layout_of
from raytrain.data.annotations.placement import SAMPLE, with_listed_images
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.errors import DataError, UsageError

SPLIT_OF = {"train": "train", "val": "val", "test1": "test"}
EMPTY = "."  # one published query of test1 has no caption, and the server expects a ranking of it; this is its text
_FIX = "Get the annotations again from the CIRR repository, or leave the split out with splits=NAMES."


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: str = "img_raw",
    splits: str = "train,val,test1",
    extended: bool = False,
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of the annotations and the images that are there.

    Args:
        root: folder with captions/ and image_splits/.
        out: folder of the new table.
        images: folder that annotated paths are relative to; relative to root, absolute, or a URL.
        splits: splits to read, separated by commas.
        extended: whether the notes of captions_ext become a second phrasing of their query.
        allow_missing: share of the annotated images in [0, 1] that may be absent.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an unknown split, or an option outside its range.
    """
    names = [name.strip() for name in splits.split(",")]
    if unknown := [name for name in names if name not in SPLIT_OF]:
        raise UsageError(f"no split {unknown[0]!r}. Splits: {', '.join(SPLIT_OF)}.")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    items: list[Item] = []
    places: dict[str, SourceLocation] = {}
    queries: list[Query] = []
    for name in dict.fromkeys(names):
        split_items, split_places = read_images(folder, name, problems)
        items += split_items
        places |= split_places
        pairs = read_pairs(folder, name, problems)
        queries += read_extended(folder, name, pairs, problems) if extended else pairs
    empty = sum(query.texts[0] == EMPTY for query in queries)
    source = {"name": "cirr", "splits": names, "extended": extended, "empty_captions": empty}
    return write(out, source, root_of(images, folder), items, places, queries, problems, allow_missing)


def read_images(folder: Path, name: str, problems: Problems) -> tuple[list[Item], dict[str, SourceLocation]]:
    """(the images of a split as items, the place of each by item id); rows count the entries."""
    path = folder / "image_splits" / f"split.rc2.{name}.json"
    files: dict[str, Any] = read_json(path, dict, _FIX)
    items, places = [], {}
    for row, (identity, file) in enumerate(files.items()):
        place = SourceLocation(str(path), row)
        if not isinstance(file, str):
            problems.add("path", place.problem(f"{identity}: {file!r} is not a path", _FIX))
            continue
        items.append(Item(identity, file.removeprefix("./"), SPLIT_OF[name]))
        places[identity] = place
    return items, places


def read_pairs(folder: Path, name: str, problems: Problems) -> list[Query]:
    """The queries of a split; rows count the entries."""
    path = folder / "captions" / f"cap.rc2.{name}.json"
    entries: list[Any] = read_json(path, list, _FIX)
    queries = []
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        before = len(problems)
        reference = text_of(entry, "reference", place, problems)
        if len(problems) > before:
            continue
        target = text_of(entry, "target_hard", place, problems) if name != "test1" else ""
        no_caption = name == "test1" and str(entry.get("caption", EMPTY)).isspace()
        caption = EMPTY if no_caption else text_of(entry, "caption", place, problems)
        image_set = entry.get("img_set")
        members = strings_of(image_set if isinstance(image_set, dict) else {}, "members", place, problems)
        pair_id = entry.get("pairid")
        if not isinstance(pair_id, int) or isinstance(pair_id, bool):
            problems.add("pairid", place.problem(f"pairid {pair_id!r} is not an integer", _FIX))
        if len(problems) == before and not {reference, target or reference} <= set(members):
            problems.add("members", place.problem("img_set lacks the reference or the target", _FIX))
        if len(problems) == before:
            targets = [target] if target else []
            queries.append(Query(str(pair_id), SPLIT_OF[name], reference, [caption], targets, place, members))
    return queries


def read_extended(folder: Path, name: str, queries: list[Query], problems: Problems) -> list[Query]:
    """The queries, with a second text "caption; note; note" where captions_ext has notes."""
    path = folder / "captions_ext" / f"cap.ext.rc2.{name}.json"
    entries: list[Any] = read_json(path, list, "Put the file there, or build without extended=true.")
    query_of = {query.id: query for query in queries}
    notes_of: dict[str, list[str]] = {}
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        notes = entry.get("caption_extend") if isinstance(entry, dict) else None
        query = query_of.get(str(entry.get("pairid"))) if isinstance(entry, dict) else None
        if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
            problems.add("notes", place.problem("no texts under 'caption_extend'", _FIX))
        elif query is None or query.id in notes_of:
            what = f"pairid {entry.get('pairid')!r} {'appears twice' if query else f'is no query of {name}'}"
            problems.add("pairid", place.problem(what, _FIX))
        elif entry.get("reference") != query.reference:
            what = f"pairid {query.id} has reference {entry.get('reference')!r}, its query {query.reference!r}"
            problems.add("reference", place.problem(what, _FIX))
        else:
            notes_of[query.id] = [" ".join(notes[key].split()) for key in sorted(notes)]
    extended = []
    for query in queries:
        # codes of an empty note: "[c] None existed", "[cr0] Nothing worth mentioning", "[cr1] Covered in query"
        notes = [note for note in notes_of.get(query.id, ()) if note and not note.startswith("[c")]
        more = ["; ".join([*(text for text in query.texts if text != EMPTY), *notes])] if notes else []
        extended.append(replace(query, texts=[*query.texts, *more]))
    return extended


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with CIRR's captions or image splits; None for another folder."""
    present_splits = [name for name in SPLIT_OF if (root / f"captions/cap.rc2.{name}.json").is_file()]
    if not present_splits and not list(root.glob("image_splits/split.rc2.*.json")):
        return None
    names = present_splits or list(SPLIT_OF)
    options = {} if names == list(SPLIT_OF) else {"splits": ",".join(names)}
    folder = next((name for name in ("img_raw", "images") if (root / name).is_dir()), "img_raw")
    if folder != "img_raw":
        options["images"] = folder
    files = [
        file for name in names for file in (f"captions/cap.rc2.{name}.json", f"image_splits/split.rc2.{name}.json")
    ]
    layout = layout_of(root, [*files, f"{folder}/"], ["captions_ext/cap.ext.rc2.*.json"], options)
    paths: list[Any] = []
    try:
        for name in names if layout and not layout.missing else ():
            paths += list(read_json(root / f"image_splits/split.rc2.{name}.json", dict, _FIX).values())[:SAMPLE]
    except DataError as error:
        return layout and replace(layout, missing=[str(error.problems[0])])
    return with_listed_images(layout, root / folder, (path for path in paths if isinstance(path, str)))
