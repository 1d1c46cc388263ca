"""Which annotated images a root has, however their paths are written, and why one is not found.

A path that leads to no file is read in the other ways in which systems write the same path: with backslashes (Windows),
in another Unicode normal form (a Mac stores "é" as "e" and an accent), or with the number of a caption (Flickr8k's
"1.jpg#0"). Nothing else is taken for the image: other letters, suffixes or folders are named in the error.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from raytrain.data.images import IMAGE_SUFFIXES, check_header
from raytrain.data.paths import check_relative, contained, files_below, is_litter
from raytrain.data.storage import Root, Url
from raytrain.errors import DataError

_CAPTION_NUMBER = re.compile(r"#(enc#)?\d+$")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True)
class Placed:
    """An annotated image in a root.

    Args:
        file: its path relative to the root, as the root spells it; as annotated if it is not there.
        kind: "" for an image with a sound header, else "path" (refused before opening), "not found" or "broken".
        what: what is wrong; empty if nothing is.
    """

    file: str
    kind: str = ""
    what: str = ""


class Presence:
    """Which images of a root exist and, in a folder, have a sound header.

    A store is listed once and its images are not read: one request per image would take days for a few million.
    Broken images of a store show up when they are encoded.
    """

    def __init__(self, root: Root) -> None:
        self.root = root
        self.listed = root.names() if isinstance(root, Url) else None
        self._by_key: dict[tuple[str, Callable[[str], str]], dict[str, str]] = {}

    def files(self) -> Iterator[str]:
        """Relative paths of all files below the root, without litter, in no order."""
        if self.listed is not None:
            yield from (name for name in self.listed if not is_litter(name))
            return
        yield from (os.path.relpath(path, str(self.root)) for path in files_below(str(self.root)))

    def find(self, relative: str) -> Placed:
        """The image that an annotated path names."""
        try:
            file = self._spelled(relative)
            if not file:
                return Placed(relative, "not found", f"image {self.root / relative} not found{self._cause(relative)}")
        except DataError as error:
            return Placed(relative, "path", error.problems[0].what + self._tail(relative))
        file = str(PurePosixPath(file))
        if self.listed is None:
            try:
                check_header(Path(str(self.root), file))  # `_has` found it inside the root
            except DataError as error:
                return Placed(file, "broken", error.problems[0].what)
        return Placed(file)

    def file_of(self, relative: str) -> str:
        """The path of the file that an annotated path names, as the root spells it; "" if there is none."""
        try:
            return self._spelled(relative)
        except (DataError, OSError, ValueError):
            return ""

    def has(self, relative: str) -> bool:
        """Whether an annotated path names a file of the root."""
        return bool(self.file_of(relative))

    def _spelled(self, relative: str) -> str:
        """The path of the file that an annotated path names, as the root spells it; "" if there is none.

        Raises:
            DataError: the path is absolute or leads out of the root.
        """
        check_relative(relative)
        plain = _CAPTION_NUMBER.sub("", relative)
        spellings = dict.fromkeys((relative, relative.replace("\\", "/"), plain, plain.replace("\\", "/")))
        if file := next(filter(self._has, spellings), ""):
            return file
        return next(filter(None, (self._like(spelling, _normal) for spelling in spellings)), "")

    def _has(self, relative: str) -> bool:
        """Whether there is such a file; raises DataError if a link in its path leads out of the root."""
        if self.listed is not None:
            return relative in self.listed
        return contained(self.root, relative).is_file()  # type: ignore[arg-type]

    def _like(self, relative: str, key: Callable[[str], str]) -> str:
        """The file whose path has the same key as `relative`, such as its Unicode normal form; "" if there is none."""
        if self.listed is not None:
            return self._index("", key).get(key(relative), "")
        folder = ""
        parts = PurePosixPath(relative).parts
        for part in parts:
            name = self._index(folder, key).get(key(part), "")
            if not name:
                return ""
            folder = f"{folder}/{name}" if folder else name
        return folder if self._has(folder) else ""

    def _index(self, folder: str, key: Callable[[str], str]) -> dict[str, str]:
        """{key: name} of the names in a folder of the root, or of all paths of a store."""
        index = self._by_key.get((folder, key))
        if index is None:
            if self.listed is None:
                try:
                    names = sorted(os.listdir(contained(self.root, folder) if folder else self.root))  # type: ignore[arg-type]
                except (OSError, DataError):
                    names = []
            else:
                names = sorted(self.listed)
            index = self._by_key[folder, key] = {key(name): name for name in names}
        return index

    def _cause(self, relative: str) -> str:
        """The end of a sentence on an image that is not found: the file that its path may mean; "" if there is none."""
        path = PurePosixPath(relative.replace("\\", "/"))
        if len(path.parts) > 1:
            inner = str(PurePosixPath(*path.parts[1:]))
            if path.parts[0] == PurePosixPath(str(self.root)).name and self.has(inner):
                return f": {path.parts[0]!r} is the image folder itself; there is {inner!r} in it"
            if path.parts[0] == path.parts[1] and self.has(inner):
                return f": its first folder is named twice; there is {inner!r} (source imagefolder: relative_to=root)"
        suffixed = [name for suffix in IMAGE_SUFFIXES for name in (str(path.with_suffix(suffix)), f"{path}{suffix}")]
        for names, key, difference in (
            ([str(path)], _loose, "which differs in upper and lower case"),
            (suffixed, _loose, "with another suffix"),
            ([str(path), *suffixed], _unpadded, "whose number has zeros before it, or lacks them"),
        ):
            if similar := next(filter(None, (self._like(name, key) for name in names)), ""):
                return f"; there is {similar!r}, {difference}"
        return ""

    def _tail(self, relative: str) -> str:
        """The end of a sentence on an absolute path: the part of it that names a file of the root; "" if none does."""
        parts = PureWindowsPath(relative).parts
        for start in range(1, len(parts)):
            tail = "/".join(parts[start:])
            if self.has(tail):
                head = relative[: len(relative) - len(tail)]
                return f"; there is {tail!r} below the images: remove {head!r} (source captions: strip={head})"
        return ""


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _loose(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _unpadded(name: str) -> str:
    """Without the zeros before a number: a spreadsheet makes 7.jpg of 000007.jpg."""
    return _ZEROS.sub("", _loose(name))
