"""The folder of a Ray that is started here: nobody else can have made it or looks into it; it ends with its process."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from raytrain.errors import RefusedError, UsageError

PREFIX = "rtray-"
WITHIN = "r"
"""Where Ray's files lie below the folder: Ray opens what it is given to all users."""
SOCKET_PATH_BYTES = 107
"""Of the path of a Unix socket, by the kernel; Ray makes sockets below the folder."""
NEW_S = 60.0
RAY_ADDS_BYTES = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_MetricsHead")


def private_folder() -> Path:
    """A new folder that only this user may enter, with a name that nobody could foretell, for as long as this process.

    Folders that killed processes left are removed.

    Raises:
        UsageError: no folder for temporary files has a path short enough for sockets.
        RefusedError: others may rename what lies in the folder for temporary files.
    """
    parent = _parent()
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) != 0o700:
        raise RefusedError(f"{folder} was changed by somebody else as soon as it was made; set TMPDIR to a safe folder")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    with contextlib.suppress(OSError):  # a file system without locks, where nothing is swept either
        fcntl.flock(handle, fcntl.LOCK_EX)  # says that this process lives, for as long as it does
    within = folder / WITHIN
    within.mkdir()
    atexit.register(_end, folder, os.getpid())
    return within


def tmpdir_of_ray(folder: Path) -> dict[str, str]:
    """{"TMPDIR": folder} for the processes of a Ray whose folder does not lie in TMPDIR, whose path is too long then.

    Ray's dashboard makes sockets in TMPDIR too.

    Args:
        folder: of that Ray, as `private_folder` gives it.
    """
    return {} if folder.is_relative_to(Path(tempfile.gettempdir()).resolve()) else {"TMPDIR": str(folder)}


def _parent() -> Path:
    """The folder for temporary files, or /tmp where its path is too long for sockets below it."""
    longest = SOCKET_PATH_BYTES - RAY_ADDS_BYTES - len(f"/{PREFIX}12345678/{WITHIN}")
    places = [Path(tempfile.gettempdir()), Path("/tmp")]
    for place in places:
        if len(os.fsencode(place.resolve())) <= longest and place.is_dir():
            _refuse_shared(place.resolve())
            return place.resolve()
    raise UsageError(f"{places[0]} is too long a path for Ray's sockets; set TMPDIR to one of at most {longest} bytes")


def _refuse_shared(parent: Path) -> None:
    """Raises RefusedError where another user may rename or remove a folder of ours."""
    facts = parent.stat()
    if facts.st_uid not in (0, os.getuid()) or (facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX):
        raise RefusedError(
            f"others may replace what lies in {parent}: set TMPDIR to a folder of your own, or have it made sticky "
            "(chmod +t)"
        )


def _sweep(parent: Path) -> None:
    """Remove folders of this user's whose processes have ended."""
    for folder in parent.glob(f"{PREFIX}????????"):
        try:
            facts = folder.lstat()
            if (
                facts.st_uid != os.getuid() or time.time() - facts.st_mtime < NEW_S
            ):  # its process may be about to lock it
                continue
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its process lives, or nothing can be locked here
        finally:
            os.close(handle)


def _end(folder: Path, owner: int) -> None:
    """End the Ray of this process, and remove its folder; not in a copy of the process that was forked."""
    if os.getpid() != owner:
        return
    import ray

    ray.shutdown()
    if not os.environ.get("RAYTRAIN_RAY_LOGS"):
        shutil.rmtree(folder, ignore_errors=True)
