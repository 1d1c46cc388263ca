"""Sizes of a run's inputs, which its config does not say: those of its table, or usual ones where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from raytrain.config import BiGRUText, RunConfig, TransformerText
from raytrain.data.load.batches import TrainBatches
from raytrain.data.table import Split
from raytrain.encoders.images import LITES
from raytrain.methods.base import Inputs
from raytrain.scoring.feed import load_backbone, open_feed
from raytrain.training.run import open_tables

IMAGE_FEATURES = {"butd": (36, 2048), **dict.fromkeys(LITES, (17, 1280))}
"""{name of an image feature: (regions, features of a region)}"""
TEXT_FEATURES = {"minilm": 384}
"""{name of a text feature: features of a token state}"""


@dataclass(frozen=True)
class Sizes:
    """What a batch measures beyond its batch size.

    Args:
        regions: R, regions per image.
        region_features: F of a region.
        pixels: side of an image, where a backbone trains on images.
        tokens: T, of the longest caption.
        token_features: F of a token state.
        words: size of the vocabulary.
        captions: per image.
    """

    regions: int = 36
    region_features: int = 2048
    pixels: int = 224
    tokens: int = 20
    token_features: int = 768
    words: int = 10_000
    captions: int = 5


def usual_sizes(config: RunConfig) -> Sizes:
    """Sizes to expect where there is no table, by the names of the features; BUTD regions for a name not known here."""
    arrays = [IMAGE_FEATURES.get(name, IMAGE_FEATURES["butd"]) for name in config.data.image_feature_names]
    sizes = Sizes(regions=arrays[0][0], region_features=sum(features for _, features in arrays))
    if (backbone := load_backbone(config)) is not None:
        sizes = replace(sizes, regions=backbone.regions, region_features=backbone.width, pixels=backbone.side)
    if config.data.regions == "global":
        sizes = replace(sizes, regions=1)
    if config.data.text_features in TEXT_FEATURES:
        sizes = replace(sizes, token_features=TEXT_FEATURES[config.data.text_features])
    if isinstance(config.encoder.text, TransformerText):
        from raytrain.encoders.tokens import load_text_model

        transformer: Any = load_text_model(config.encoder.text.path)[0]
        sizes = replace(sizes, words=int(transformer.config.vocab_size))
    return replace(sizes, tokens=min(sizes.tokens, config.data.max_words))


def table_sizes(config: RunConfig) -> Sizes:
    """The sizes of the config's table: its longest caption, and the mean number of captions per image, rounded up.

    Raises:
        UsageError: the table lacks a feature or a split, or the training split is smaller than a batch.
    """
    split = open_tables(config)["train"]
    feed = open_feed(config, split.table)
    captions = 1
    if isinstance(split, Split):
        size = config.optim.batch_size
        batches = TrainBatches(split, feed.images, feed.texts, config.data, size, config.seed, unit=config.batch_by)
        captions = math.ceil(batches.counts.mean())
    usual = usual_sizes(config)  # for what the run does not read from the table
    return Sizes(
        regions=feed.images.regions,
        region_features=feed.inputs.region_features,
        pixels=usual.pixels,
        tokens=feed.texts.longest,
        token_features=feed.inputs.token_features or usual.token_features,
        words=feed.inputs.words or usual.words,
        captions=captions,
    )


def inputs(config: RunConfig, sizes: Sizes) -> Inputs:
    """The sizes that the method takes from the data, as `open_feed` would give them."""
    text, global_region = config.encoder.text, sizes.regions - 1
    if isinstance(text, BiGRUText):
        return Inputs(sizes.region_features, words=sizes.words, global_region=global_region)
    if isinstance(text, TransformerText):
        return Inputs(sizes.region_features, global_region=global_region)
    return Inputs(sizes.region_features, token_features=sizes.token_features, global_region=global_region)
