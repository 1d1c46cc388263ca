"""How a run's model reads the items and the texts of a table: its stored features where they fit, else the raw rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from raytrain.config import RunConfig
from raytrain.data.load.batches import IMAGES_AT_ONCE, TEXTS_AT_ONCE
from raytrain.data.load.image_features import ImageFeatures
from raytrain.data.load.readers import Batch, Regions, TokenStates
from raytrain.data.storage import open_image, read_image
from raytrain.data.table import Table
from raytrain.data.table.description import Feature
from raytrain.errors import UsageError
from raytrain.retrieval.backbones import backbone_of, same_backbone
from raytrain.retrieval.images import ImageInput
from raytrain.retrieval.texts import TextInput
from raytrain.scoring.feed import Feed

RAW_AT_ONCE = 64
"""Images that are decoded for one forward pass of a backbone, and texts."""

Read = Callable[[np.ndarray], Batch]
"""(B) rows of a table -> what a method reads of them."""


@dataclass(frozen=True)
class Source:
    """What rows are embedded from.

    Args:
        features: names of the table's; () for image files and for texts.
        open: a reader of a row's bytes, which are the same wherever its embedding is.
    """

    features: tuple[str, ...]
    open: Callable[[], Callable[[int], bytes]]


@dataclass(frozen=True)
class TableRows:
    """Readers of one table.

    Args:
        table: that is read.
        regions, texts: rows of its items, and of its texts, as keys of a batch.
        region_source, text_source: what items, and texts, are embedded from.
        missing: ids of items whose features are zeros, since their image could not be read.
        images_at_once, texts_at_once: rows per batch.
    """

    table: Table
    regions: Read
    texts: Read
    region_source: Source
    text_source: Source
    missing: Sequence[str] = ()
    images_at_once: int = IMAGES_AT_ONCE
    texts_at_once: int = TEXTS_AT_ONCE

    def regions_of(self, items: Sequence[int]) -> Batch:
        """The regions of some items, by their rows."""
        return self.regions(np.array(items))


def home_rows(table: Table, feed: Feed, config: RunConfig) -> TableRows:
    """Readers of the table that the run was trained on, in the batches of an evaluation."""
    return TableRows(
        table,
        lambda rows: feed.images.read(rows, None, 0.0),
        lambda rows: feed.texts.read(rows, None, 0.0),
        _image_source(table, config.data.image_feature_names if config.encoder.image.kind == "features" else ()),
        _text_source(table, config.data.text_features if config.encoder.text.kind == "tokens" else None),
        _missing(table, config),
    )


def other_rows(
    table: Table,
    features: Mapping[str, Feature],
    config: RunConfig,
    images: ImageInput,
    texts: TextInput,
    device: torch.device,
) -> TableRows:
    """Readers of another table than the one that the run was trained on.

    Features of the same name that were made alike are read; else the backbone makes them, of image files and texts.

    Args:
        features: those that the run was trained on, by name.

    Raises:
        UsageError: neither is there.
    """
    data, names, at_once = (
        config.data,
        config.data.image_feature_names,
        {"images_at_once": IMAGES_AT_ONCE, "texts_at_once": TEXTS_AT_ONCE},
    )
    missing: Sequence[str] = ()
    regions: Read
    text_states: Read
    if config.encoder.image.kind == "features" and all(_alike(table, features, name) for name in names):
        stored = Regions(table, data.image_features, data.regions, device)
        regions, missing = (lambda rows: stored.read(rows, None, 0.0)), _missing(table, config)
        region_source = _image_source(table, names)
    else:
        if config.encoder.image.kind == "features":
            _refuse_unmade(table, features, names)
        regions, at_once["images_at_once"] = _of_files(table, images), RAW_AT_ONCE
        region_source = _image_source(table, ())
    if config.encoder.text.kind == "tokens" and data.text_features and _alike(table, features, data.text_features):
        states = TokenStates(table, data.text_features, data.max_words, device)
        text_states = lambda rows: states.read(rows, None, 0.0)  # noqa: E731
        text_source = _text_source(table, data.text_features)
    else:
        at_once["texts_at_once"], text_source = RAW_AT_ONCE, _text_source(table, None)

        def text_states(rows: np.ndarray) -> Batch:
            return texts.read(table.texts["text"].take(pa.array(rows)).to_pylist())

    return TableRows(table, regions, text_states, region_source, text_source, missing, **at_once)


def _alike(table: Table, features: Mapping[str, Feature], name: str) -> bool:
    return name in table.features and same_backbone(features[name], table.features[name])


def _refuse_unmade(table: Table, features: Mapping[str, Feature], names: Sequence[str]) -> None:
    """Raises UsageError where no backbone here makes one of these features of the table's image files."""
    for name in names:
        if backbone_of(features[name]) is None:
            absent = next(other for other in names if not _alike(table, features, other))
            raise UsageError(
                f"{table.path} has no features '{absent}' made as those that the run was trained on, and no backbone "
                f"here makes '{name}' of its images. It has: {table.has()}"
            )


def _missing(table: Table, config: RunConfig) -> Sequence[str]:
    if config.encoder.image.kind != "features":
        return ()
    data = config.data
    return ImageFeatures.of(table.features, data.image_feature_names, data.regions, str(table.path)).missing


def _of_files(table: Table, images: ImageInput) -> Read:
    files = table.items["file"]
    if not any(file.as_py() for file in files):
        raise UsageError(f"{table.path} names no image files, and has no features that this run's model reads")

    def read(rows: np.ndarray) -> Batch:
        names = files.take(pa.array(rows)).to_pylist()
        return images.read([open_image(table.image_root, name) for name in names])

    return read


def _image_source(table: Table, features: tuple[str, ...]) -> Source:
    def open_rows() -> Callable[[int], bytes]:
        if not features:
            root, files = table.image_root, table.items["file"]
            return lambda row: read_image(root, files[row].as_py())
        arrays = [table.array(name) for name in features]
        return lambda row: b"".join(array[row].tobytes() for array in arrays)

    return Source(features, open_rows)


def _text_source(table: Table, feature: str | None) -> Source:
    def open_rows() -> Callable[[int], bytes]:
        if feature is None:
            texts = table.texts["text"]
            return lambda row: str(texts[row].as_py()).encode()
        states, starts = table.array(feature), table.offsets(feature)
        return lambda row: states[starts[row] : starts[row + 1]].tobytes()

    return Source(() if feature is None else (feature,), open_rows)
