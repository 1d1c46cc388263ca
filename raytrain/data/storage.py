"""Where a table's images are: a folder, or a place behind an fsspec URL (s3://bucket/photos).

Both are read as `root` and a path from an annotation, which is untrusted and stays inside the root. Behind a URL there
are no links: a relative path without ".." cannot leave it. A URL is one store and one place: nothing chained, no
options, no passwords; credentials come from the store's own environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from raytrain.data.images import MAX_IMAGE_BYTES, check_header, decode
from raytrain.data.paths import check_relative, contained, opened
from raytrain.errors import DataError, Interrupted, Problem, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

# the stores, and the package that brings each; none needs more than a listing and reads
STORES = {
    "memory": "",
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
}
TRIES = 3
PAUSE_S = 1.0


@dataclass(frozen=True)
class Url:
    """A folder of images behind an fsspec URL."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, relative: str) -> Url:
        """A place inside, for errors; what reads images checks it first."""
        return Url(f"{self.text.rstrip('/')}/{relative}")

    def is_dir(self) -> bool:
        """Whether it can be listed."""
        store, path = self.store()
        return bool(store.isdir(path))

    def store(self) -> tuple[Any, str]:
        """(fsspec file system, path in it).

        Raises:
            UsageError: a package is not installed; names it.
        """
        protocol = self.text.partition("://")[0]
        try:
            import fsspec

            store, path = fsspec.url_to_fs(self.text)
        except ImportError as error:
            package = "fsspec (extra `encode`)" if error.name == "fsspec" else STORES[protocol]
            raise UsageError(f"{self.text}: images in {protocol}:// are read with {package}; install it") from None
        return store, str(path).rstrip("/")

    def names(self) -> set[str]:
        """Relative paths of everything below, from one listing."""
        store, path = self.store()
        return {str(found)[len(path) :].lstrip("/") for found in _patiently(self, lambda: store.find(path))}

    def read(self, relative: str) -> bytes:
        """The bytes of a file inside, at most MAX_IMAGE_BYTES.

        Raises:
            DataError: a path that leaves the folder, no such file, one that may not be read, or a larger one.
            Interrupted: the store does not answer.
        """
        check_relative(relative)
        store, path = self.store()

        def load() -> bytes:
            with store.open(f"{path}/{relative}", "rb") as file:
                return bytes(file.read(MAX_IMAGE_BYTES + 1))

        fix = "Put the image there, or give yourself the right to read it."
        try:
            data: bytes = _patiently(self / relative, load)
        except FileNotFoundError:
            raise DataError(Problem(str(self / relative), None, "not found", fix)) from None
        except (PermissionError, IsADirectoryError) as error:
            raise DataError(Problem(str(self / relative), None, f"not readable: {error}", fix)) from None
        if len(data) > MAX_IMAGE_BYTES:
            raise DataError(Problem(str(self / relative), None, f"more than {MAX_IMAGE_BYTES:,} bytes", fix))
        return data


Root = Path | Url


def root_of(given: str | os.PathLike[str], base: Path) -> Root:
    """A root from what the user named: a URL, or a folder relative to `base`; file:// is a folder.

    Raises:
        UsageError: a URL of no store of STORES, or one with a password, options or another URL inside.
    """
    text = os.fspath(given)
    protocol, separator, _ = text.partition("://")
    if not separator:
        return (base / Path(text).expanduser()).resolve()
    if protocol == "file":
        return Path(text.removeprefix("file://")).resolve()
    if protocol not in STORES:
        raise UsageError(f"{text}: images are read from folders and from {', '.join(f'{name}://' for name in STORES)}")
    parts = urlsplit(text)
    if "::" in text or "@" in parts.netloc or parts.query or parts.fragment or ".." in parts.path.split("/"):
        raise UsageError(f"{text}: give one plain URL, without user, options, '..' or another URL inside")
    return Url(text.rstrip("/") if parts.path.strip("/") or parts.netloc else text)


def open_image(root: Root, relative: str) -> Image:
    """The image in RGB (raytrain/data/images.py: decode), after every check of its path, format and size.

    Raises:
        DataError: it is missing, broken, refused or outside the root.
    """
    if isinstance(root, Url):
        return decode(root.read(relative), name=str(root / relative))
    return decode(contained(root, relative))


def read_image(root: Root, relative: str) -> bytes:
    """The bytes of an image, after every check of its path and size; nothing is decoded.

    Raises:
        DataError: it is missing, outside the root, no regular file, or larger than MAX_IMAGE_BYTES.
    """
    if isinstance(root, Url):
        return root.read(relative)
    with opened(contained(root, relative)) as file:
        data = file.read(MAX_IMAGE_BYTES + 1)
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(Problem(str(root / relative), None, f"more than {MAX_IMAGE_BYTES:,} bytes", "Replace it."))
    return data


class Presence:
    """Which images of a root are there, and sound as far as that is seen without decoding them.

    In a folder each image's header is read. Behind a URL one listing says what is there, since a request an image
    would take days at a few million; broken ones are found when they are encoded.
    """

    def __init__(self, root: Root) -> None:
        self.root = root
        self.listed = root.names() if isinstance(root, Url) else None

    def files(self) -> Iterator[str]:
        """Relative paths of all files below the root."""
        if self.listed is not None:
            yield from self.listed
            return
        for folder, _, names in os.walk(str(self.root)):
            inside = os.path.relpath(folder, str(self.root))
            yield from names if inside == "." else (f"{inside}/{name}" for name in names)

    def fault(self, relative: str) -> tuple[str, str]:
        """(kind, what is wrong in words): ("path", why it is refused), "not found", "broken", or ("", "")."""
        try:
            if self.listed is None:
                path = contained(self.root, relative)  # type: ignore[arg-type]
                there = path.is_file()
            else:
                check_relative(relative)
                there = relative in self.listed
        except DataError as error:
            return "path", error.problems[0].what
        if not there:
            return "not found", f"image {self.root / relative} not found"
        if self.listed is not None:
            return "", ""
        try:
            check_header(path)
        except DataError as error:
            return "broken", error.problems[0].what
        return "", ""


def _patiently(url: Url, ask: Callable[[], Any]) -> Any:
    """An answer of a store; what it does not find or allow is an error at once, all else after TRIES."""
    for attempt in range(TRIES):
        try:
            return ask()
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception as error:  # each store has errors of its own
            if attempt + 1 == TRIES:
                raise Interrupted(f"{url} cannot be read: {type(error).__name__}: {error}; try again later") from error
            time.sleep(PAUSE_S * 2**attempt)
    raise AssertionError
