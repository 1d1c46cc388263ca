"""A copy of a feature file on the host's own disk, made once a host and checked as it is made."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from raytrain.errors import DataError, Problem
from raytrain.files import locked, need_room, room_in

CHUNK_BYTES = 2**23


def local_copy(path: Path, sha256: str, folder: Path) -> Path:
    """The file's copy in `folder`, named by its content, so that tables which share a feature share the copy.

    Whoever comes first makes it; the host's other processes wait, and a copy that a kill cut off is begun anew.

    Args:
        path: on the storage path.
        sha256: that its content must have.
        folder: on the host's own disk; made where it is missing. What lies there may be deleted at any time.

    Raises:
        DataError: the file is not the one that its table describes.
        DiskFullError: the folder has no room for it.
    """
    copy = folder / f"{sha256}{path.suffix}"
    if copy.exists():
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{sha256}.lock"
    lock.touch()
    with locked(lock), room_in(folder, f"a copy of {path}"):
        if copy.exists():  # by now
            return copy
        need_room(folder, path.stat().st_size, f"a copy of {path}")
        part = folder / f"{sha256}.part"
        try:
            found = hashlib.sha256()
            with open(path, "rb") as source, open(part, "wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    found.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            if found.hexdigest() != sha256:
                what = f"sha256 {found.hexdigest()[:12]}, its table says {sha256[:12]}"
                raise DataError(Problem(str(path), None, what, "Encode the feature again with --replace."))
            os.replace(part, copy)
        finally:
            part.unlink(missing_ok=True)
    return copy
