"""Exact copies among images: files with the same bytes under several names.

Only files of the same size are read, and of those only their ends unless these are equal too: most images of a data set
differ in size, so that a build reads a small part of its bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from raytrain.data.storage import Root, Url
from raytrain.files import open_regular

_END_BYTES = 4096


def exact_copies(paths: Iterable[Path]) -> dict[Path, str]:
    """{path: sha256} of the files that have the same bytes as another one; a file that cannot be read has no copy."""
    digests: dict[Path, str] = {}

    def digest(path: Path) -> str:
        with open_regular(path) as file:
            digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return digests[path]

    by_size = _grouped(dict.fromkeys(paths), lambda path: os.stat(path).st_size)
    by_end = [group for same_size in by_size for group in _grouped(same_size, _end)]
    copies = [group for same_end in by_end for group in _grouped(same_end, digest)]
    return {path: digests[path] for group in copies for path in group}


def copies_across_splits(files: Sequence[tuple[str, str]], root: Root) -> int:
    """The number of (file, split) pairs whose bytes an earlier file of another split has.

    0 for a store: its images are not read.

    Args:
        files: relative to the root, and known to be inside it.
        root: of the images.
    """
    if isinstance(root, Url):
        return 0
    paths = {file: root / file for file, _ in files if file}
    digests = exact_copies(paths.values())
    first_split: dict[str, str] = {}
    copies = [(digests[paths[file]], split) for file, split in files if file and paths[file] in digests]
    return sum(first_split.setdefault(digest, split) != split for digest, split in copies)


def _grouped(paths: Iterable[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    """The groups of at least two paths with the same key."""
    groups: dict[object, list[Path]] = {}
    for path in paths:
        try:
            groups.setdefault(key(path), []).append(path)
        except OSError:
            continue
    return [group for group in groups.values() if len(group) > 1]


def _end(path: Path) -> bytes:
    with open_regular(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _END_BYTES, 0))
        return file.read()
