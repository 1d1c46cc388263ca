"""`raytrain data build`: a table from a public layout."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any

from raytrain.data.table import Table
from raytrain.errors import UsageError

SOURCES = {
    "karpathy": "Flickr8k, Flickr30k, COCO: dataset_*.json and an image folder",
    "precomp": "SCAN / VSE-infinity arrays: {split}_ims.npy and {split}_caps.txt",
    "cub": "CUB Captions: text_c10/ and lists of species, or dataset_*.json; items grouped by species",
    "emoji": "the embedded default: Twemoji graphics with names and keywords, from installed packages",
    "emoji_triplets": "the embedded default of composed retrieval: Twemoji graphics that differ in one attribute",
    "products": "catalogue photos with attribute-derived triplets: products.json, triplets.{split}.json",
    "fashion_iq": "FashionIQ: captions/ and image_splits/ of three categories",
    "cirr": "CIRR rc2: captions/, image_splits/ and NLVR2 images",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "int | None": (int, type(None)),
}


def build(source: str, root: str | os.PathLike[str] | None, out: str | os.PathLike[str], **options: Any) -> Table:
    """The table of a source; a table already at `out` is replaced when the new one is complete.

    Args:
        source: a name of SOURCES.
        root: folder of the downloaded files; None for sources that come from packages.
        out: folder of the table.
        options: keyword arguments of the source's own `build`.

    Raises:
        UsageError: a source or option that does not exist, with those that do.
        DataError: everything wrong with the files; nothing is left behind.
    """
    make = function_of(source)
    allowed = options_of(source)
    if unknown := [name for name in options if name not in allowed]:
        names = ", ".join(allowed) or "none"
        raise UsageError(f"source {source} has no option '{unknown[0]}'. Options: {names}.")
    for name, value in options.items():
        kinds = _KINDS.get(str(inspect.signature(make).parameters[name].annotation), ())
        if kinds and (not isinstance(value, kinds) or isinstance(value, bool)):
            words = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
            raise UsageError(f"source {source}: option {name} takes {words}; given: {value!r}")
    takes_root = "root" in inspect.signature(make).parameters
    if takes_root and root is None:
        raise UsageError(f"source {source} reads a folder; name it with --root")
    if not takes_root and root is not None:
        raise UsageError(f"source {source} comes from installed packages and takes no --root")
    table: Table = make(root, out, **options) if takes_root else make(out, **options)
    return table


def function_of(source: str) -> Callable[..., Table]:
    """The source's own `build`."""
    if source not in SOURCES:
        raise UsageError(f"no source '{source}'. Sources: {', '.join(SOURCES)}.")
    module = importlib.import_module(f"raytrain.data.sources.{source}")
    make: Callable[..., Table] = module.build
    return make


def options_of(source: str) -> list[str]:
    """Names of the options a source takes."""
    parameters = inspect.signature(function_of(source)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
