"""Image roots: a local folder, or an fsspec URL (s3://bucket/photos), and the reading of images below them.

An image is a `root` and a relative path from an annotation, which is untrusted and stays inside the root. Stores have
no links, so a relative path without ".." cannot leave a URL. A URL names one store and one place: no chained URLs,
options or passwords; credentials come from the store's own environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from raytrain.data.images import MAX_IMAGE_BYTES, decode
from raytrain.data.paths import check_relative, contained, open_binary
from raytrain.errors import DataError, Interrupted, Problem, UsageError, pip_install

if TYPE_CHECKING:
    from PIL.Image import Image

# {protocol: package that reads it}; every store only has to be listed and read
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
        """The URL of a file inside, unchecked: for error messages."""
        return Url(f"{self.text.rstrip('/')}/{relative}")

    def is_dir(self) -> bool:
        """Whether it can be listed."""
        store, path = self.store()
        return bool(store.isdir(path))

    def store(self) -> tuple[Any, str]:
        """(fsspec file system, path in it).

        Raises:
            UsageError: the store's package is not installed.
        """
        protocol = self.text.partition("://")[0]
        try:
            import fsspec

            store, path = fsspec.url_to_fs(self.text)
        except ImportError as error:
            install = pip_install("encode") if error.name == "fsspec" else f"pip install {STORES[protocol]}"
            package = "fsspec" if error.name == "fsspec" else STORES[protocol]
            raise UsageError(f"{self.text}: reading images from {protocol}:// needs {package}: {install}") from None
        return store, str(path).rstrip("/")

    def names(self) -> set[str]:
        """Relative paths of all files below, from one listing.

        Raises:
            Interrupted: the store does not answer.
        """
        store, path = self.store()
        paths = _with_retries(self, lambda: store.find(path))
        return {str(file)[len(path) :].lstrip("/") for file in paths}

    def read(self, relative: str) -> bytes:
        """The bytes of a file inside, at most MAX_IMAGE_BYTES.

        Raises:
            DataError: the path leaves the folder, or the file is missing, not readable or too large.
            Interrupted: the store does not answer.
        """
        check_relative(relative)
        store, path = self.store()

        def load() -> bytes:
            with store.open(f"{path}/{relative}", "rb") as file:
                return bytes(file.read(MAX_IMAGE_BYTES + 1))

        fix = "Put the image there, or grant yourself read permission."
        try:
            data: bytes = _with_retries(self / relative, load)
        except FileNotFoundError:
            raise DataError(Problem(str(self / relative), None, "not found", fix)) from None
        except (PermissionError, IsADirectoryError) as error:
            raise DataError(Problem(str(self / relative), None, f"not readable: {error}", fix)) from None
        if len(data) > MAX_IMAGE_BYTES:
            raise DataError(Problem(str(self / relative), None, f"more than {MAX_IMAGE_BYTES:,} bytes", fix))
        return data


Root = Path | Url


def root_of(given: str | os.PathLike[str], base: Path) -> Root:
    """The image root that the user named: a URL, or a folder relative to `base`; a file:// URL is a folder.

    Raises:
        UsageError: the URL's protocol is not in STORES, or it holds a password, options or another URL.
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


def open_image(root: Root, relative: str, draft_side: int | None = None) -> Image:
    """The image in RGB (raytrain/data/images.py: decode), after checks of its path, format and size.

    Args:
        draft_side: as in `decode`.

    Raises:
        DataError: the image is missing, broken, too large, of another format or outside the root.
        Interrupted: the store does not answer.
    """
    if isinstance(root, Url):
        return decode(root.read(relative), name=str(root / relative), draft_side=draft_side)
    return decode(contained(root, relative), draft_side=draft_side)


def read_image(root: Root, relative: str) -> bytes:
    """The bytes of an image, after checks of its path and size; nothing is decoded.

    Raises:
        DataError: the file is missing, outside the root, not a regular file, or larger than MAX_IMAGE_BYTES.
        Interrupted: the store does not answer.
    """
    if isinstance(root, Url):
        return root.read(relative)
    with open_binary(contained(root, relative)) as file:
        data = file.read(MAX_IMAGE_BYTES + 1)
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(Problem(str(root / relative), None, f"more than {MAX_IMAGE_BYTES:,} bytes", "Replace it."))
    return data


def _with_retries(url: Url, request: Callable[[], Any]) -> Any:
    """The answer of a store, asked at most TRIES times; missing files and refused permissions are errors at once.

    Raises:
        Interrupted: every try failed.
    """
    for attempt in range(TRIES):
        try:
            return request()
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception as error:  # each store raises its own types
            if attempt + 1 == TRIES:
                raise Interrupted(f"{url} cannot be read: {type(error).__name__}: {error}; try again later") from error
            time.sleep(PAUSE_S * 2**attempt)
    raise AssertionError
