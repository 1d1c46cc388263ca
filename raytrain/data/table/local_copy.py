"""Copies of feature files on a host's own disk, made once per host and checked while they are made."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from raytrain.data.table.verification import ChangedFile, record
from raytrain.errors import Problem
from raytrain.files import locked, need_room, open_regular, room_in

CHUNK_BYTES = 2**23


def local_copy(path: Path, sha256: str, folder: Path) -> Path:
    """The file's copy in `folder`, named by its content, so that tables that share a feature share the copy.

    The first process makes it and the host's other processes wait; a copy that a kill interrupted is started anew.

    Args:
        path: of the file on the storage path.
        sha256: of its content, by the table.
        folder: on the host's own disk; made if it is missing. Its files may be deleted at any time.

    Returns:
        The path of the copy.

    Raises:
        ChangedFile: the file is not the one that its table describes.
        DiskFullError: the folder has no room for it.
    """
    copy = folder / f"{sha256}{path.suffix}"
    if copy.exists():
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{sha256}.lock"
    lock.touch()
    with locked(lock), room_in(folder, f"a copy of {path}"):
        if copy.exists():  # another process made it in the meantime
            return copy
        need_room(folder, path.stat().st_size, f"a copy of {path}")
        part = folder / f"{sha256}.part"
        try:
            digest = hashlib.sha256()
            with open_regular(path) as source, open(part, "wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != sha256:
                what = f"sha256 {digest.hexdigest()[:12]}, its table says {sha256[:12]}"
                raise ChangedFile(
                    Problem(str(path), None, what, "Encode the feature again with `raytrain data encode --replace`.")
                )
            os.replace(part, copy)
            record(copy, sha256, folder)
        finally:
            part.unlink(missing_ok=True)
    return copy
