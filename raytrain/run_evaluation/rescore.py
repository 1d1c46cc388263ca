"""Scores that training did not keep: against a bank of training queries, or with a DVSE model's views pooled anew."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raytrain.config import DVSEConfig
from raytrain.data.load.batches import image_batches, text_batches
from raytrain.data.table import Split
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.reranking.query_bank import QueryBank, draw
from raytrain.methods.base import Method
from raytrain.scoring.embed import embed_split, encode_batches, score
from raytrain.scoring.feed import Feed
from raytrain.training.run import load_run, unchanged_table

POOLINGS = ("max", "mean", "log_mean_exp")


class Rescore:
    """Validation scores of a run's best checkpoint, which is loaded once and called for each setting.

    Args:
        folder: of the run.

    Raises:
        UsageError: the folder holds no finished checkpoint.
        RefusedError: the table has changed since the run was trained, or holds composed queries.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.model, self.feed, saved = load_run(Path(folder).expanduser().resolve())
        self.table = unchanged_table(saved)
        self.checkpoint = saved.path.name
        self.config = saved.config
        if self.table.queries is not None:
            raise RefusedError("Fast Re-ranking is of images and captions; this run answers composed queries")

    def __call__(
        self, pooling: str | None, bank_size: int, seed: int, checkpoint: str
    ) -> tuple[Tensor, QueryBank | None]:
        """(M, N) validation scores, and the scores of a bank of training queries.

        Args:
            pooling: of view scores; None takes that of training.
            bank_size: the most images and the most captions in the bank; 0 for no bank.
            seed: for drawing the bank.
            checkpoint: name of the checkpoint whose scores the caller has.

        Raises:
            UsageError: the run's best checkpoint is another one, or the method has no such pooling.
        """
        if checkpoint != self.checkpoint:
            raise UsageError(f"the run kept scores of {checkpoint}, but its best checkpoint is {self.checkpoint}")
        pool_views_by(self.model, pooling)
        val = self.table.split(self.config.data.val_split)
        query, gallery = embed_split(self.model, val, self.feed, default_device())
        bank = None
        if bank_size:
            train = self.table.split(self.config.data.train_split)
            bank = bank_scores(self.model, self.feed, train, val, (bank_size, bank_size), seed, (query, gallery))
        return score(self.model, query, gallery), bank


def bank_scores(
    model: Method,
    feed: Feed,
    train: Split,
    split: Split,
    sizes: tuple[int, int],
    seed: int,
    embedded: tuple[Tensor, Tensor] | None = None,
) -> QueryBank:
    """Scores of training images and captions, drawn by the seed, against a split's captions and images.

    Args:
        train: split to draw the bank from.
        split: whose images and captions are ranked.
        sizes: the most images and the most captions in the bank; 0 leaves that direction without a bank.
        embedded: (M, ...) captions and (N, ...) images of the split, for a caller that has them.

    Raises:
        RefusedError: the two splits share an image or a caption.
    """
    if np.intersect1d(train.items, split.items).size or np.intersect1d(train.texts, split.texts).size:
        raise RefusedError(f"splits '{train.name}' and '{split.name}' overlap; a bank holds no query that is evaluated")
    device = default_device()
    query, gallery = embedded if embedded is not None else embed_split(model, split, feed, device)
    i2t = t2i = None
    with torch.no_grad():
        if sizes[0]:
            items = train.items[draw(len(train.items), sizes[0], seed).numpy()]
            i2t = score(model, query, encode_batches(model.encode_gallery, image_batches(items, feed.images), device))
        if sizes[1]:
            texts = train.texts[draw(len(train.texts), sizes[1], seed).numpy()]
            t2i = score(model, encode_batches(model.encode_query, text_batches(texts, feed.texts), device), gallery)
    return QueryBank(i2t, t2i, seed)


def pool_views_by(model: Method, pooling: str | None) -> None:
    """Change how a DVSE model pools its view scores into one score; None leaves it as it was trained.

    Raises:
        UsageError: the method has no views, or there is no such pooling.
    """
    if pooling is None:
        return
    model = model.over_features
    config = getattr(model, "config", None)
    if not isinstance(config, DVSEConfig):
        raise UsageError(f"{type(model).__name__} has no views whose scores could be pooled in another way; DVSE has")
    if pooling not in POOLINGS:
        raise UsageError(f"no pooling '{pooling}'. Poolings: {', '.join(POOLINGS)}")
    changed = DVSEConfig.model_validate({**config.model_dump(), "score": pooling})
    setattr(model, "config", changed)  # noqa: B010 - a Module's attributes are Any
