"""Build the parts of a run: its method, with the image backbone where that trains too, and its training batches."""

from __future__ import annotations

import copy

from raytrain.config import RunConfig, TransformerImages
from raytrain.data.load.batches import Batches, QueryBatches, TrainBatches
from raytrain.data.table import AnySplit, QuerySplit, Table
from raytrain.distributed import rank, world_size
from raytrain.encoders.images import VisionBackbone
from raytrain.errors import UsageError
from raytrain.methods import METHODS
from raytrain.methods.base import Inputs, Method
from raytrain.methods.trained_backbone import TrainedBackbone
from raytrain.scoring.feed import Feed


def build_method(config: RunConfig, feed: Feed) -> Method:
    """The method of a config, with fresh weights; an image backbone that trains starts from its pretrained ones."""
    return over_backbone(config, feed.inputs, copy.deepcopy(feed.backbone))


def over_backbone(config: RunConfig, inputs: Inputs, backbone: VisionBackbone | None) -> Method:
    """The method of a config, with fresh weights.

    Args:
        backbone: turns images into regions and trains with the method; None where regions are read from the table.
    """
    method = METHODS[config.method.kind](config.encoder, config.method, inputs)
    if backbone is None:
        return method
    assert isinstance(config.encoder.image, TransformerImages)
    return TrainedBackbone(method, backbone, config.encoder.image, config.data.regions)


def refuse_other_task(config: RunConfig, table: Table) -> None:
    """Raises UsageError where a table holds composed queries and the method trains on captions, or the reverse."""
    composed = table.queries is not None
    if composed != (config.batch_by == "query"):
        holds, wants = ("composed queries", "images with captions")[:: 1 if composed else -1]
        raise UsageError(f"{table.path} holds {holds}; {config.method.kind} trains on {wants}")


def open_batches(config: RunConfig, split: AnySplit, feed: Feed, noise: tuple[int, ...]) -> Batches:
    """This rank's training batches: of composed queries, or of images with captions.

    Args:
        noise: shape of the noise per unit, of a method that samples.

    Raises:
        UsageError: the method does not train on what the table holds, or the batch size does not fit.
    """
    refuse_other_task(config, split.table)
    settings = (config.data, config.optim.batch_size, config.seed, rank(), world_size())
    if isinstance(split, QuerySplit):
        return QueryBatches(split, feed.images, feed.texts, *settings, noise)
    return TrainBatches(split, feed.images, feed.texts, *settings, config.batch_by, noise)
