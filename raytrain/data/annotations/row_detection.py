"""How a folder's files of rows can be read as images and captions, for `raytrain data detect`.

Names of columns are only a first guess: the image column is one whose values name files that are there. All rows of a
file are read, up to a size, so that the command allows for what the build will leave out, or says what must be mended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.columns import IMAGE_NAMES, SPLIT_NAMES, text_columns, texts_of
from raytrain.data.annotations.copies import copies_across_splits
from raytrain.data.annotations.layouts import GUESSED, MARKED, Layout, column_named, describe_match
from raytrain.data.annotations.placement import SAMPLE, Placement, place_images
from raytrain.data.annotations.records import SourceLocation, split_in, split_of
from raytrain.data.annotations.row_files import LISTED_FILES, SEPARATED_FILES, read_rows
from raytrain.data.annotations.separated import Row, has_header
from raytrain.data.annotations.text_files import readings
from raytrain.data.paths import entries
from raytrain.data.presence import Presence
from raytrain.data.problems import Problems
from raytrain.errors import DataError

_OTHER = (".txt", ".json")
_TEXTS = (*SEPARATED_FILES, ".jsonl", ".ndjson")
_MAX_ROWS = 500_000  # of which a command's allow_missing is made
_TOLERABLE = 0.05  # a larger share of unusable rows, captions or images is to be mended, not allowed
_MAX_INNER = 20
_MAX_HASHED = 20_000  # images whose copies are looked for


@dataclass
class _File:
    """A file of rows as it can be read.

    Args:
        path: of the file.
        encodings: {encoding: a line read in it} if it is not in UTF-8 or UTF-16.
        header: whether its first line names the columns.
        rows: its first rows.
        image: column of the images.
        texts: columns of the captions.
        placement: of the images; None if none of the first ones is there.
    """

    path: Path
    encodings: dict[str, str]
    header: bool
    rows: list[Row]
    image: str = ""
    texts: list[str] = field(default_factory=list)
    placement: Placement | None = None

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def encoding(self) -> str:
        return next(iter(self.encodings), "")

    @property
    def form(self) -> tuple[Any, ...]:
        """What files have in common that one build can read."""
        options = self.placement.options if self.placement else {}
        return self.image, self.texts, self.encoding, self.header, options


def layout_of_rows(root: Path) -> Layout | None:
    """The layout of a folder with files of rows of images and captions; None if there is none."""
    paths = [path for path in entries(root) if _may_hold_rows(path)]
    files = _readable(root, paths)
    if not files:
        inner = [path for path in entries(root) if path.is_dir() and not path.name.startswith(".")][:_MAX_INNER]
        files = _readable(root, [path for folder in inner for path in entries(folder) if _may_hold_rows(path)])
        files = [file for file in files if file.placement is not None]
    if not files:
        return None
    files.sort(key=lambda file: (file.placement is None, file.path.suffix.lower() in _OTHER))  # stable: else by name
    first = files[0]
    together = [file for file in files if file.form == first.form and file.path.parent == first.path.parent]
    options: dict[str, Any] = {}
    by_default = [path for path in paths if path.suffix.lower() in LISTED_FILES or path.stem == "metadata"]
    if sorted(file.path for file in together) != by_default:
        options["file"] = ",".join(sorted(file.path.relative_to(root).as_posix() for file in together))
    options |= {
        name: value for name, value in (("image", first.image), ("text", ",".join(first.texts))) if value != name
    }
    if not first.header:
        options["header"] = False
    if len(first.encodings) == 1:
        options["encoding"] = first.encoding
    if first.placement:
        options |= first.placement.options
    scan = _Scan(root, together)
    options |= scan.options()
    names = ", ".join(file.path.relative_to(root).as_posix() for file in together)
    columns = ", ".join(first.columns) if first.header else "no header"
    encoding = (
        f"; a line reads {first.encodings[first.encoding]!r} as {first.encoding}" if len(first.encodings) == 1 else ""
    )
    folder = first.placement.folder if first.placement else "images"
    present = [f"{names} (columns {columns}{encoding})", describe_match(root, f"{folder}/"), *scan.found]
    if left := [file.path.relative_to(root).as_posix() for file in files if file not in together]:
        present.append(f"not read: {', '.join(left)} (file=NAME reads one)")
    missing = [*_undecided(first), *scan.missing]
    certainty = MARKED if first.placement and first.path.parent == root else GUESSED
    return Layout([line for line in present if line], missing, options, certainty)


def _may_hold_rows(path: Path) -> bool:
    return path.suffix.lower() in (*LISTED_FILES, *_OTHER) and path.stem != "metadata" and path.is_file()


def _undecided(file: _File) -> list[str]:
    """What must be known about a file in one of several encodings."""
    if len(file.encodings) < 2:
        return []
    choices = ", ".join(f"{line!r} as {name}" for name, line in file.encodings.items())
    return [f"the encoding: {file.path.name} is not UTF-8; a line of it reads {choices}: build with encoding=NAME"]


def _readable(root: Path, paths: Sequence[Path]) -> list[_File]:
    """The files with a column of images and one of captions."""
    files = (_examined(root, path) for path in paths)
    return [file for file in files if file is not None]


def _examined(root: Path, path: Path) -> _File | None:
    """A file as it can be read; None if it does not hold images and captions."""
    try:
        encodings = readings(path) if path.suffix.lower() in _TEXTS else {}
        encoding = next(iter(encodings), "")
        header = True
        if path.suffix.lower() in SEPARATED_FILES:
            first = next(read_rows(path, Problems(), "", encoding, header=False), None)
            header = first is None or has_header(list(first[1].values()))
        rows = [row for _, row in islice(read_rows(path, Problems(), "", encoding, header), 2 * SAMPLE)]
    except (DataError, OSError, ValueError):
        return None
    file = _File(path, encodings, header, rows)
    if not rows or len(file.columns) < 2:
        return None
    named = [column for name in IMAGE_NAMES if (column := column_named(file.columns, (name,)))]
    for column in (*named, *(column for column in file.columns if column not in named)):
        names = _names(rows, column)
        placement = place_images(root, names) if names else None
        if placement and (file.placement is None or placement.there > file.placement.there):
            file.image, file.placement = column, placement
        if placement and placement.there == placement.sampled:
            break
    if file.placement is None and named and _names(rows, named[0]):
        file.image = named[0]
    file.texts = _text_columns(file)
    return file if file.image and file.texts else None


def _names(rows: Sequence[Row], column: str) -> list[str]:
    """The values of a column if they may be names of files; [] for other columns."""
    values = [row.get(column) for row in rows]
    if not all(value is None or (isinstance(value, str | int) and not isinstance(value, bool)) for value in values):
        return []
    names = [str(value).strip() for value in values if value is not None]
    is_long = sum(len(name) > 250 or name.count(" ") > 6 for name in names)
    return names if names and is_long < 0.2 * len(names) else []


def _text_columns(file: _File) -> list[str]:
    """The columns of captions: by their names, else the one with the most words per value, at least two."""
    others = [column for column in file.columns if column != file.image]
    words = {column: _words(file.rows, column) for column in others}
    by_name = [column for column in text_columns(others) if words[column] > 0]
    if by_name:
        return by_name
    best = max(words, key=lambda column: words[column], default="")
    return [best] if best and words[best] >= 2 else []


def _words(rows: Sequence[Row], column: str) -> float:
    """Words per value of a column; 0 if it holds something else than texts and lists of texts."""
    problems = Problems()
    here = SourceLocation("", None)
    texts = [text for row in rows for text in texts_of(row.get(column), column, here, problems)]
    return 0.0 if problems or not texts else sum(len(text.split()) for text in texts) / len(texts)


class _Scan:
    """What the rows of files say about the build: splits, and rows, captions and images that cannot be used.

    Attributes:
        found: sentences about what the build will leave out.
        missing: sentences about what must be mended or decided before the build.
    """

    def __init__(self, root: Path, files: Sequence[_File]) -> None:
        self.found: list[str] = []
        self.missing: list[str] = []
        self.root, self.file = root, files[0]
        placement = self.file.placement
        self.split = column_named(self.file.columns, SPLIT_NAMES)
        self.splits: set[str | None] = set()
        self.bad_rows, self.rows, self.texts, self.empty = Problems(), 0, 0, 0
        self.captioned: dict[str, bool] = {}
        self.split_of_name: dict[str, str] = {}
        for file in files:
            try:
                for _, row in islice(read_rows(file.path, self.bad_rows, "", file.encoding, file.header), _MAX_ROWS):
                    self._add(row, split_in(file.path.stem))
            except DataError as error:
                self.missing.append(str(error.problems[0]))
        if self.split and self.split != "split" and None in self.splits:
            self.split, self.splits = "", {split_of(split_in(file.path.stem)) or "" for file in files}
        strip, suffix = (placement.strip, placement.suffix) if placement else ("", "")
        presence = Presence(root / placement.folder) if placement else None
        self.absent: list[str] = []
        if presence is not None:
            self._look_for_images(presence, strip, suffix)

    def _look_for_images(self, presence: Presence, strip: str, suffix: str) -> None:
        """Notes the listed images that are not there, and those with the bytes of one in another split."""
        file_of = {name: presence.file_of(name.removeprefix(strip) + suffix) for name in self.captioned}
        self.absent = [name for name, file in file_of.items() if not file]
        if len(file_of) > _MAX_HASHED or "" in self.splits:
            return
        split_of_file = [(file, self.split_of_name[name]) for name, file in file_of.items() if file]
        if copies := copies_across_splits(split_of_file, presence.root):
            self.missing.append(f"{copies:,} images have the bytes of one in another split: keep each in one split")

    def _add(self, row: Row, stated: str) -> None:
        here = SourceLocation("", None)
        self.rows += 1
        value = row.get(self.split) if self.split else None  # pandas writes its index under the name ""
        split = str(value).strip() if value not in (None, "") else stated
        self.splits.add(split_of(split) if split else "")
        texts = [text for column in self.file.texts for text in texts_of(row.get(column), column, here, Problems())]
        captions = [text for text in texts if caption_of(text)]
        self.texts += len(texts)
        self.empty += len(texts) - len(captions)
        name = str(row.get(self.file.image) or "").strip()
        self.captioned[name] = self.captioned.get(name, False) or bool(captions)
        self.split_of_name[name] = split_of(split) or ""

    def options(self) -> dict[str, Any]:
        """The options of the build that the rows ask for; fills `found` and `missing`."""
        options: dict[str, Any] = {"split": self.split} if self.split and self.split != "split" else {}
        if None in self.splits:
            self.missing.append(f"splits: the column {self.split} has other values than train, val and test")
        if "val" not in self.splits:
            options["val"] = 0.1
        if not self.splits & {"val", "test"}:
            options["test"] = 0.1
        if "" in self.splits and "val" in self.splits:
            self.missing.append("splits: some rows state none")
        placement = self.file.placement
        if placement is None:
            folder = self.root / "images" if (self.root / "images").is_dir() else self.root
            self.missing.append(Presence(folder).find(next(iter(self.captioned), "images/1.jpg")).what)
            return options
        absent = set(self.absent)
        unusable = sum(name in absent or not captioned for name, captioned in self.captioned.items())
        first_bad = next((f"row {row.row}: {row.what}" for row in self.bad_rows.list()), "")
        self._tell(len(self.bad_rows), self.rows + len(self.bad_rows), "rows cannot be read", first_bad)
        self._tell(self.empty, self.texts, "captions are empty", "")
        self._tell(
            len(self.absent), len(self.captioned), "listed images are not there", f"such as {(self.absent or [''])[0]}"
        )
        counts = (
            (len(self.bad_rows), self.rows + len(self.bad_rows)),
            (self.empty, self.texts),
            (unusable, len(self.captioned)),
        )
        share = max((count / total for count, total in counts if total), default=0.0)
        if 0 < share <= _TOLERABLE:
            options["allow_missing"] = _rounded_up(share)
        return options

    def _tell(self, count: int, total: int, what: str, example: str) -> None:
        if count:
            sentence = f"{count:,} of {total:,} {what}{f' ({example})' if example else ''}"
            if count <= _TOLERABLE * total:
                self.found.append(sentence)
            else:
                share = _rounded_up(count / total)
                self.missing.append(f"{sentence}: mend them, or build with allow_missing={share} or more")


def _rounded_up(share: float) -> float:
    return math.ceil(share * 1000) / 1000
