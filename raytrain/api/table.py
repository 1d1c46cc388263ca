"""`raytrain.Table`: a data set on disk, built, opened, encoded and checked."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from raytrain.api.outside_errors import public_call
from raytrain.data.table import Table as DataTable
from raytrain.progress import Listener, say

if TYPE_CHECKING:
    from raytrain.errors import Problem


@dataclass(frozen=True)
class EncodedFeatures:
    """Features that `Table.encode` has added.

    Attributes:
        features: their name, which a run's settings name.
        kind: "image" or "text".
        shape: (N, R, F) of images, (sum T, F) of texts.
        dtype: "float16" or "float32".
        items_per_second: of this call; None where it had nothing to do.
        seconds: that this call took; None likewise.
        missing: images that could not be read.
        taken_up: images or texts that an earlier, interrupted call had encoded.
    """

    features: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    items_per_second: float | None
    seconds: float | None
    missing: int
    taken_up: int


class Table(DataTable):
    """A data set on disk: a folder of images, texts and features that is written once and memory-mapped.

    Training reads its features; `fingerprint` identifies the gallery, the queries and their relevant items.
    """

    @classmethod
    def build(
        cls,
        source: str,
        root: str | os.PathLike[str] | None,
        out: str | os.PathLike[str],
        *,
        progress: Listener | None = None,
        **options: Any,
    ) -> Self:
        """Build a table from the files of a data set; one at `out` is replaced once the new one is complete.

        Args:
            source: layout of the files, such as "captions" or "karpathy" (`raytrain sources` lists them).
            root: folder of the files; None for a source of installed packages.
            out: folder of the table.
            progress: called with a `ProgressEvent` every few seconds; None is silent.
            options: of the source (docs/data.md), such as text="title" or val=0.1.

        Raises:
            UsageError: no such source or option.
            DataError: all problems of the files; nothing is left behind.
            DiskFullError: the disk is full; nothing is left behind.
        """
        from raytrain.data.build import build

        with public_call(progress):
            return cls(build(source, root, out, **options).path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a table.

        Args:
            path: its folder.

        Raises:
            DataError: the folder is not a complete table.
        """
        return cls(path)

    def encode(
        self,
        backbone: str,
        *,
        kind: Literal["image", "text"] | None = None,
        name: str | None = None,
        dtype: Literal["float16", "float32"] = "float16",
        batch_size: int = 64,
        device: str | None = None,
        allow_missing: float = 0.0,
        target_pad: float | None = None,
        replace: bool = False,
        progress: Listener | None = None,
    ) -> EncodedFeatures:
        """Add the features of a frozen backbone; an interrupted call goes on, and features that are there stay.

        Args:
            backbone: "lite0", "lite1", "lite2", "minilm", or a folder or name that transformers loads.
            kind: which tower of a model that has both.
            name: of the features; None takes the backbone's.
            dtype: of the features.
            batch_size: images or texts per batch.
            device: "cpu", "cuda", ...; None takes a GPU if there is one.
            allow_missing: share of the images that may be unreadable.
            target_pad: pad images whose sides have a larger ratio than this; None pads none.
            replace: replace features of this name, and unfinished ones.
            progress: called with a `ProgressEvent` every few seconds; None is silent.

        Raises:
            UsageError: the backbone cannot be loaded, or a value is out of its bounds.
            DataError: images are missing or broken (all are listed), and no features are added.
            RefusedError: other features of this name are there.
            DiskFullError: the disk is full; the same call goes on.
        """
        from raytrain.data.encode.encode import encode
        from raytrain.data.table.description import TableDescription

        with public_call(progress):
            done = encode(
                self.path, backbone, kind=kind, name=name, dtype=dtype, batch_size=batch_size, device=device,
                allow_missing=allow_missing, pad=target_pad, replace=replace, progress=say,
            )  # fmt: skip
        self.description = TableDescription.read(self.path)
        return EncodedFeatures(**{**done, "shape": tuple(done["shape"])})

    def check(
        self,
        *,
        images: bool = True,
        workers: int | None = None,
        fail_on: Literal["nothing", "copies", "near"] = "copies",
        progress: Listener | None = None,
    ) -> list[Problem]:
        """Verify every hash, shape, reference and image, and that no image is in two splits.

        Args:
            images: read the images, which takes most of the time.
            workers: processes that read images; None takes one per core.
            fail_on: which images in two splits are errors: exact copies, near duplicates as well, or nothing.
            progress: called with a `ProgressEvent` every few seconds; None is silent.

        Returns:
            all problems; [] of a table without any. `level` tells errors from warnings.
        """
        from raytrain.data.check.check import check

        with public_call(progress):
            return check(self.path, images=images, workers=workers, fail_on=fail_on, keep=sys.maxsize)
