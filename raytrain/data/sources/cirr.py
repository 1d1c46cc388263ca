"""CIRR rc2: real-life pairs of NLVR2 photographs with one sentence on what changes (Liu et al., ICCV 2021).

    captions/cap.rc2.{train,val,test1}.json         [{"pairid", "reference", "target_hard", "caption",
                                                      "img_set": {"members": [6 names]}}, ...]
    image_splits/split.rc2.{train,val,test1}.json   {name: "./dev/name.png"}
    img_raw/                                        what those paths start at
    captions_ext/cap.ext.rc2.*.json                 optional: [{"pairid", "reference", "caption_extend": {"0"...}}, ...]

The gallery is all images of the split. The subset holds the six members of a query's image set, its reference and
target among them. Targets of test1 are not published: its scores come from the benchmark's server, which knows a query
by its pairid, the query's id here. test1 becomes the split "test".

The notes of captions_ext answer four questions on a pair: what both photos share, what else changed, the viewpoint, the
background. They say more than the query does, so that they are read on request alone (`extended=true`), as a second
phrasing of the query that training may draw; the caption stays what is evaluated.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.json_files import read_json, strings_of, text_of
from raytrain.data.annotations.layouts import Layout, layout_of
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.triplets import Query, write
from raytrain.data.problems import Problems
from raytrain.data.storage import root_of
from raytrain.data.table import Table
from raytrain.errors import Problem, UsageError

SPLIT_OF = {"train": "train", "val": "val", "test1": "test"}
EMPTY = "."  # one published query of test1 has no caption; it is ranked by its reference, as the server asks for it
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
    """The table of the annotations and the images that are there.

    Args:
        root: folder with captions/ and image_splits/.
        out: folder of the new table.
        images: folder that the annotated paths start at, relative to root or absolute.
        splits: which, separated by commas.
        extended: whether captions_ext makes a second phrasing of each query.
        allow_missing: share of the annotated images in [0, 1] that may be absent.

    Raises:
        DataError: every problem of the files at once.
    """
    names = [name.strip() for name in splits.split(",")]
    if unknown := [name for name in names if name not in SPLIT_OF]:
        raise UsageError(f"no split {unknown[0]!r}. Splits: {', '.join(SPLIT_OF)}.")
    folder, problems = Path(root).expanduser().resolve(), Problems()
    items: list[Item] = []
    places: dict[str, SourceLocation] = {}
    queries: list[Query] = []
    for name in dict.fromkeys(names):
        images, image_places = read_images(folder, name, problems)
        items += images
        places |= image_places
        pairs = read_pairs(folder, name, problems)
        queries += read_extended(folder, name, pairs, problems) if extended else pairs
    empty = sum(query.texts[0] == EMPTY for query in queries)
    source = {"name": "cirr", "splits": names, "extended": extended, "empty_captions": empty}
    return write(out, source, root_of(images, folder), items, places, queries, problems, allow_missing)


def read_images(folder: Path, name: str, problems: Problems) -> tuple[list[Item], dict[str, SourceLocation]]:
    """The images of a split as items, and the place of each; rows count the entries."""
    path = folder / "image_splits" / f"split.rc2.{name}.json"
    files: dict[str, Any] = read_json(path, dict, _FIX)
    items, places = [], {}
    for row, (identity, file) in enumerate(files.items()):
        if not isinstance(file, str):
            problems.add("path", Problem(str(path), row, f"{identity}: {file!r} is no path", _FIX))
            continue
        items.append(Item(identity, file.removeprefix("./"), SPLIT_OF[name]))
        places[identity] = SourceLocation(str(path), row)
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
        unsaid = name == "test1" and str(entry.get("caption", EMPTY)).isspace()
        caption = EMPTY if unsaid else text_of(entry, "caption", place, problems)
        group = entry.get("img_set")
        members = strings_of(group if isinstance(group, dict) else {}, "members", place, problems)
        number = entry.get("pairid")
        if not isinstance(number, int) or isinstance(number, bool):
            problems.add("pairid", Problem(place.file, row, f"pairid {number!r} is no integer", _FIX))
        if len(problems) == before and not {reference, target or reference} <= set(members):
            problems.add("members", Problem(place.file, row, "img_set lacks the reference or the target", _FIX))
        if len(problems) == before:
            targets = [target] if target else []
            queries.append(Query(str(number), SPLIT_OF[name], reference, [caption], targets, place, members))
    return queries


def read_extended(folder: Path, name: str, queries: list[Query], problems: Problems) -> list[Query]:
    """The queries, those that captions_ext has notes on with a second text: "Caption; note; note"."""
    path = folder / "captions_ext" / f"cap.ext.rc2.{name}.json"
    entries: list[Any] = read_json(path, list, "Put the file there, or build without extended=true.")
    query_of = {query.id: query for query in queries}
    notes_of: dict[str, list[str]] = {}
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        notes = entry.get("caption_extend") if isinstance(entry, dict) else None
        query = query_of.get(str(entry.get("pairid"))) if isinstance(entry, dict) else None
        if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
            problems.add("notes", Problem(place.file, row, "no texts under 'caption_extend'", _FIX))
        elif query is None or query.id in notes_of:
            what = f"pairid {entry.get('pairid')!r} is {'here twice' if query else f'no query of {name}'}"
            problems.add("pairid", Problem(place.file, row, what, _FIX))
        elif entry.get("reference") != query.reference:
            what = f"pairid {query.id} has reference {entry.get('reference')!r}, its query {query.reference!r}"
            problems.add("reference", Problem(place.file, row, what, _FIX))
        else:
            notes_of[query.id] = [" ".join(notes[key].split()) for key in sorted(notes)]
    extended = []
    for query in queries:
        # "[c] None existed", "[cr0] Nothing worth mentioning", "[cr1] Covered in query": codes of nothing to say
        notes = [note for note in notes_of.get(query.id, ()) if note and not note.startswith("[c")]
        more = ["; ".join([*(text for text in query.texts if text != EMPTY), *notes])] if notes else []
        extended.append(replace(query, texts=[*query.texts, *more]))
    return extended


def looks_like(root: Path) -> Layout | None:
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
    return layout_of(root, [*files, f"{folder}/"], ["captions_ext/cap.ext.rc2.*.json"], options)
