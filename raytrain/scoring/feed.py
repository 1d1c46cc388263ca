"""What a run reads: readers of its table's features, and the sizes that its method takes from them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import torch

from raytrain.config import RunConfig, TransformerImages, TransformerText
from raytrain.data.load.augmentation import Augmentation
from raytrain.data.load.pixels import Pixels
from raytrain.data.load.readers import CPU, ImageReader, Regions, TextReader, TokenIds, TokenStates
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import AnySplit, Table
from raytrain.encoders.images import ProcessorPixels, VisionBackbone
from raytrain.errors import UsageError
from raytrain.methods.base import Inputs


@dataclass(frozen=True)
class Feed:
    """Readers of one table.

    Args:
        images, texts: readers of images (or their features) and of captions.
        inputs: sizes of the data, for the method.
        vocabulary: of the captions; None unless they are words.
        backbone: turns images into regions and trains with the method; None where regions are read from the table.
    """

    images: ImageReader
    texts: TextReader
    inputs: Inputs
    vocabulary: Vocabulary | None = None
    backbone: VisionBackbone | None = None


def open_feed(
    config: RunConfig, table: Table, vocabulary: Vocabulary | None = None, device: torch.device = CPU
) -> Feed:
    """The readers that a config asks for.

    Args:
        vocabulary: of the run that is evaluated; None makes one from the captions of the training split.
        device: where the batches go.
    """
    data, text = config.data, config.encoder.text
    images, global_region, backbone = _images(config, table, device)
    if text.kind == "bigru":
        vocabulary = vocabulary or Vocabulary.from_table(table, data.min_word_count, data.train_split)
        words = TokenIds.from_words(table, vocabulary, data.max_words)
        inputs = Inputs(images.width, words=len(vocabulary), global_region=global_region)
        return Feed(images, words, inputs, vocabulary, backbone)
    if isinstance(text, TransformerText):
        token_ids = TokenIds.from_transformer(table, text.path, data.max_words)
        return Feed(images, token_ids, Inputs(images.width, global_region=global_region), None, backbone)
    assert data.text_features is not None
    states = TokenStates(table, data.text_features, data.max_words, device)
    inputs = Inputs(images.width, token_features=states.width, global_region=global_region)
    return Feed(images, states, inputs, None, backbone)


def features_read(config: RunConfig) -> list[str]:
    """Names of the features that a config reads from its table."""
    names = list(config.data.image_feature_names) if config.encoder.image.kind == "features" else []
    if config.encoder.text.kind == "tokens" and config.data.text_features is not None:
        names.append(config.data.text_features)
    return names


def load_to_device(config: RunConfig, feed: Feed, split: AnySplit, device: torch.device, needed_bytes: int = 0) -> Feed:
    """Readers of the training split, its features copied to the device's memory where config.feed asks for it.

    Returns `feed` itself where the features stay on disk.

    Args:
        split: for training; other rows cannot be read from a copy.
        needed_bytes: of the device's memory, for training itself.

    Raises:
        UsageError: the copy is asked for and does not fit, or neither images nor texts are features of the table.
    """
    images, texts, place = feed.images, feed.texts, config.feed.features
    if place == "disk" or (place == "auto" and device.type != "cuda"):
        return feed
    size = images.bytes_of(split.items) if isinstance(images, Regions) else 0
    size += texts.bytes_of(split.texts) if isinstance(texts, TokenStates) else 0
    if place == "device" and not size:
        raise UsageError("feed.features=device holds features of the table, and this run reads none; use disk")
    free = max(0, free_bytes(device) - needed_bytes)
    if place == "auto" and size > config.feed.device_share * free:
        return feed
    if size > free:
        raise UsageError(
            f"feed.features=device: the features of split '{split.name}' take {size / 1e9:.1f} GB, {device} has "
            f"{free / 1e9:.1f} GB free; use feed.features=disk"
        )
    if isinstance(images, Regions):
        images = images.load_to_device(split.items)
    if isinstance(texts, TokenStates):
        texts = texts.load_to_device(split.texts)
    return replace(feed, images=images, texts=texts)


def free_bytes(device: torch.device) -> int:
    """Bytes of the device's memory that this process may still take."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        share = torch.cuda.get_per_process_memory_fraction(device) * total - torch.cuda.memory_reserved(device)
        return int(min(free, share))
    try:  # Linux counts the caches that it could free
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _images(
    config: RunConfig, table: Table, device: torch.device
) -> tuple[ImageReader, int | None, VisionBackbone | None]:
    """The reader, which of its regions stands for the whole image (None if unknown), and the backbone that trains."""
    data, image = config.data, config.encoder.image
    backbone = load_backbone(config)
    if backbone is not None:
        assert isinstance(image, TransformerImages)
        regions = 1 if data.regions == "global" else backbone.regions
        augmentation = Augmentation(image.crop, image.flip, image.colour)
        # a crop of the least area still has as many pixels as the model reads
        draft_side = math.ceil(backbone.side / math.sqrt(image.crop)) if image.draft else None
        prepare, processes = ProcessorPixels(backbone.processor), config.feed.image_processes
        pixels = Pixels(table, prepare, regions, backbone.width, image.target_pad, augmentation, draft_side, processes)
        return pixels, regions - 1, backbone
    regions_read = Regions(table, data.image_features, data.regions, device)
    return regions_read, regions_read.features.global_region, None


def load_backbone(config: RunConfig) -> VisionBackbone | None:
    """The pretrained image backbone that trains with the method; None where features are read from the table."""
    image = config.encoder.image
    if not isinstance(image, TransformerImages):
        return None
    return VisionBackbone(image.path, image.frozen_batch_norm, image.recompute)
