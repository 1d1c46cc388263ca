"""`raytrain data check`: compares a table with its table.json and looks for errors in its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from raytrain.data.check.images import FailOn, check_images
from raytrain.data.check.queries import check_queries
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say
from raytrain.data.table import Feature, Table
from raytrain.data.table.arrays import open_array
from raytrain.data.table.coverage import check_accounts
from raytrain.data.table.schema import SPLITS
from raytrain.data.table.verification import verify
from raytrain.errors import DataError, Problem
from raytrain.progress import say

_FIX = "Build the table again."
_ENCODE_FIX = "Encode the feature again."
_CHUNK_BYTES = 64 * 2**20


def check(
    path: str | os.PathLike[str],
    progress: Say | None = say,
    images: bool = True,
    *,
    workers: int | None = None,
    fail_on: FailOn = "copies",
    keep: int = 20,
) -> list[Problem]:
    """All problems of a table, including warnings; an empty list for a sound one.

    Checks all hashes, counts and references and every number of every feature, decodes all images, and compares the
    images of different splits.

    Args:
        path: folder of the table.
        progress: receives a line every few seconds; None is silent.
        images: whether to check the images, which takes most of the time.
        workers: processes that read images; None for one per core, or only this process if there are few images.
        fail_on: which images in two splits are errors instead of warnings: exact "copies", also "near" duplicates, or
            "nothing".
        keep: number of problems per kind that are listed; the rest is counted in the last one's `more`.
    """
    problems = Problems(keep)
    try:
        table = Table(path)
    except DataError as error:
        return error.problems
    for name, digest in table.description.files.items():
        _hash(table, table.path / name, digest, problems, progress)
    rows_are_read = not problems and _can_read_rows(table, problems)
    if rows_are_read:
        _references(table, problems)
        _splits(table, problems)
        check_queries(table, problems)
        check_accounts(table, problems)
    # where the rows cannot be read, features are compared with table.json alone
    for feature in table.features.values():
        with _collected(problems):
            _feature(table, feature, problems, progress, rows_are_read)
    if images and rows_are_read:
        with _collected(problems):
            check_images(table, problems, progress, workers, fail_on)
    return problems.list()


def _can_read_rows(table: Table, problems: Problems) -> bool:
    """Whether items, texts and queries can be read; adds why not."""
    before = len(problems)
    for name in ("items", "texts", "queries"):
        with _collected(problems):
            getattr(table, name)
    return len(problems) == before


@contextlib.contextmanager
def _collected(problems: Problems) -> Iterator[None]:
    """Adds the problems of a DataError inside, which ends what is inside."""
    try:
        yield
    except DataError as error:
        problems.extend(error.problems)


def _hash(table: Table, path: Path, expected: str, problems: Problems, progress: Say | None) -> None:
    with _collected(problems):
        verify(path, expected, table.path, again=True, say=progress)


def _references(table: Table, problems: Problems) -> None:
    """Checks that texts refer to items, grouped and in order, that ids are unique, and that no text is empty."""
    items, texts = str(table.path / "items.arrow"), str(table.path / "texts.arrow")
    owner = table.texts["item"].to_numpy()
    for row in np.flatnonzero((owner < 0) | (owner >= len(table.items))).tolist():
        problems.add("item", Problem(texts, row, f"item {owner[row]} of {len(table.items)} items", _FIX))
    for row in np.flatnonzero(np.diff(owner) < 0).tolist():
        problems.add("order", Problem(texts, row + 1, "texts are not grouped in the order of items", _FIX))
    # in a composed table an image may be a member of the gallery only
    without_text = [] if table.queries is not None else np.setdiff1d(np.arange(len(table.items)), owner).tolist()
    for row in without_text:
        problems.add("no text", Problem(items, row, "an image without a text", _FIX))
    _caption_counts(table, owner, problems)
    for file, column in ((items, table.items["id"]), (texts, table.texts["id"])):
        for row, value in _repeats(column.to_pylist()):
            problems.add(f"id {file}", Problem(file, row, f"id {value!r} appears twice", _FIX))
    for row in np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(table.texts["text"]), "").to_numpy()).tolist():
        problems.add("empty", Problem(texts, row, "empty text", _FIX))


def _caption_counts(table: Table, owner: np.ndarray, problems: Problems) -> None:
    """Checks the captions per image against the source's texts_per_image: more are an error, fewer a warning."""
    stated = table.description.source.get("texts_per_image")
    if not isinstance(stated, int):
        return
    counts = np.bincount(owner[owner >= 0], minlength=len(table.items))[: len(table.items)]
    file = str(table.path / "items.arrow")
    for row in np.flatnonzero(counts > stated).tolist():
        what = f"{counts[row]} captions, built with texts_per_image={stated}"
        problems.add("more captions", Problem(file, row, what, _FIX))
    for row in np.flatnonzero((counts > 0) & (counts < stated)).tolist():
        what = f"{counts[row]} captions, built with texts_per_image={stated}"
        fix = "Recalls of a protocol that expects that many are not comparable."
        problems.add("fewer captions", Problem(file, row, what, fix, level="warning"))


def _splits(table: Table, problems: Problems) -> None:
    """Checks the names of splits, their counts against table.json, and that no file is in two of them."""
    items = str(table.path / "items.arrow")
    split = table.items["split"].to_pylist()
    for row, name in enumerate(split):
        if name not in SPLITS:
            what = f"split {name!r}, allowed are {', '.join(SPLITS)}"
            problems.add("split", Problem(items, row, what, _FIX))
    owner = table.texts["item"].to_numpy()
    owner = owner[(owner >= 0) & (owner < len(split))]
    names = np.array(split, object)
    for name, stated in table.splits.items():
        counted = {"items": int((names == name).sum()), "texts": int((names[owner] == name).sum())}
        if table.queries is not None:
            counted["queries"] = int((table.queries["split"].to_numpy() == name).sum())
        if counted != stated:
            what = f"split {name} has {counted}, table.json says {stated}"
            problems.add("counts", Problem(str(table.path / "table.json"), None, what, _FIX))
    for name in sorted({name for name in split if name in SPLITS} - table.splits.keys()):
        what = f"split {name} has {split.count(name)} items, table.json has no such split"
        problems.add("counts", Problem(str(table.path / "table.json"), None, what, _FIX))
    first: dict[str, int] = {}
    shared = []
    for row, file in enumerate(table.items["file"].to_pylist()):
        other = first.setdefault(file, row)
        if file and split[other] != split[row]:
            shared.append((row, f"file {file!r} is in {split[row]} and, row {other}, in {split[other]}"))
    # a benchmark published with such images is built unchanged, and its source counts them
    if len(shared) != table.description.source.get("shared_files", 0):
        for row, what in shared:
            problems.add("overlap", Problem(items, row, what, "Keep an image in one split and build again."))


def _repeats(values: list[str]) -> Iterator[tuple[int, str]]:
    """(row, value) of each value that an earlier row has too."""
    seen: set[str] = set()
    for row, value in enumerate(values):
        if value in seen:
            yield row, value
        seen.add(value)


def _feature(table: Table, feature: Feature, problems: Problems, progress: Say | None, rows_are_read: bool) -> None:
    """Checks a feature's shape, hash, rows, offsets and numbers."""
    path = table.path / "features" / f"{feature.name}.npy"
    rows = open_array(path)
    if rows.shape != feature.shape or str(rows.dtype) != feature.dtype:
        what = f"{rows.shape} {rows.dtype}, table.json says {feature.shape} {feature.dtype}"
        problems.add("shape", Problem(str(path), None, what, _ENCODE_FIX))
    elif not rows.flags.c_contiguous:
        what = "stored by columns (Fortran order), expected rows"
        problems.add("order", Problem(str(path), None, what, _ENCODE_FIX))
    _hash(table, path, feature.sha256, problems, progress)
    if rows_are_read and feature.kind == "image" and (rows.ndim != 3 or len(rows) != len(table.items)):
        what = f"{rows.shape} for {len(table.items)} items, expected (items, regions, features)"
        problems.add("rows", Problem(str(path), None, what, _ENCODE_FIX))
    if rows_are_read and feature.kind == "text":
        with _collected(problems):
            _offsets(table, feature, rows, problems, progress)
    step = max(_CHUNK_BYTES // max(rows[:1].nbytes, 1), 1)
    count = Progress(f"check {feature.name}", len(rows), "rows", progress)
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        for row in np.flatnonzero(~np.isfinite(chunk).reshape(len(chunk), -1).all(1)).tolist():
            what = "a feature is NaN or infinite"
            problems.add(f"finite {feature.name}", Problem(str(path), start + row, what, _ENCODE_FIX))
        count.add(len(chunk))


def _offsets(table: Table, feature: Feature, rows: np.ndarray, problems: Problems, progress: Say | None) -> None:
    """Checks that a text feature's offsets rise from 0 to the number of its rows, one more than texts."""
    path = table.path / "features" / f"{feature.name}.offsets.npy"
    offsets = open_array(path)
    if feature.offsets_sha256:
        _hash(table, path, feature.offsets_sha256, problems, progress)
    if offsets.shape != (len(table.texts) + 1,) or offsets.dtype.kind not in "iu":
        what = f"{offsets.shape} {offsets.dtype} for {len(table.texts)} texts, expected integers, one more than texts"
        problems.add("offsets", Problem(str(path), None, what, _ENCODE_FIX))
        return
    for row in np.flatnonzero(np.diff(offsets) <= 0).tolist():
        problems.add("monotone", Problem(str(path), row + 1, "offsets do not increase", _ENCODE_FIX))
    if offsets[0] != 0 or offsets[-1] != len(rows):
        what = f"offsets run from {offsets[0]} to {offsets[-1]}, the array has {len(rows)} rows"
        problems.add("ends", Problem(str(path), None, what, _ENCODE_FIX))
