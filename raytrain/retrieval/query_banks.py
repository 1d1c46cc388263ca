"""Inductive Fast Re-ranking of a search: normalisers over a bank of training queries, chosen by `raytrain rerank`.

The bank and its scores are those of an evaluation (raytrain/run_evaluation/rescore.py). A gallery of an evaluation
holds none of the bank's own images or captions, and that of a search may: there, an image's own captions in the bank
(or a caption's own image) count as the mean of the bank's other queries, or else what was trained on would rank low.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raytrain.config import RunConfig
from raytrain.data.load.batches import image_batches, text_batches
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import BankNormaliser, draw
from raytrain.evaluation.reranking.record import BANK_NAME, RerankRecord
from raytrain.methods.base import Method
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.scores import scores_of
from raytrain.run_evaluation.rescore import pool_views_by
from raytrain.scoring.embed import encode_batches
from raytrain.scoring.feed import Feed


class QueryBanks:
    """The banks of a run.

    Args:
        folder: of the run.
        model: its best checkpoint, in evaluation mode.
        feed: readers of its table.
        table: that it was trained on.
        config: of the run.
        device: of the model.
    """

    def __init__(
        self, folder: Path, model: Method, feed: Feed, table: Table, config: RunConfig, device: torch.device
    ) -> None:
        self.folder, self.model, self.feed, self.table, self.config = folder, model, feed, table, config
        self.device = device

    def temperatures(self) -> Temperatures:
        """What `raytrain rerank --bank` chose on validation.

        Raises:
            UsageError: nobody has searched.
            DataError: the file is damaged.
        """
        path = self.folder / BANK_NAME
        if not path.exists():
            raise UsageError(
                f"{self.folder.name} has no settings of inductive re-ranking; search them first with `raytrain rerank "
                f"{self.folder} --bank 1000,5000`"
            )
        return RerankRecord.read(path).temperatures

    def pooled(self, temperatures: Temperatures) -> Method:
        """The model with the pooling of view scores that the settings were found with."""
        if temperatures.pooling is None:
            return self.model
        model = copy.copy(self.model)  # shares its weights
        pool_views_by(model, temperatures.pooling)
        return model

    @torch.no_grad()
    def normaliser(self, model: Method, temperatures: Temperatures, gallery: Gallery) -> BankNormaliser | None:
        """What re-ranks scores against a gallery: of texts where it holds images, of images where it holds texts.

        None where the search found that this direction gains nothing.
        """
        direction = "t2i" if gallery.of == "images" else "i2t"
        if temperatures.mode_of(direction) == "off":
            return None
        train = self.table.split(self.config.data.train_split)
        size, seed = getattr(temperatures, f"{direction}_bank"), temperatures.bank_seed
        if direction == "t2i":
            rows = train.texts[draw(len(train.texts), size, seed).numpy()]
            bank = encode_batches(model.encode_query, text_batches(rows, self.feed.texts), self.device)
            scores = scores_of(model, bank, gallery.embeddings, "images", self.config.evaluation.memory_mib)
        else:
            rows = train.items[draw(len(train.items), size, seed).numpy()]
            bank = encode_batches(model.encode_gallery, image_batches(rows, self.feed.images), self.device)
            scores = scores_of(model, bank, gallery.embeddings, "texts", self.config.evaluation.memory_mib)
        scores = without_own(scores, self._own(rows, gallery))
        scale = getattr(temperatures, direction)
        return BankNormaliser(scores, scale, temperatures.mode_of(direction), temperatures.beta)

    def _own(self, rows: np.ndarray, gallery: Gallery) -> Tensor:
        """(B, G) bool: the bank's query and the gallery's entry are an image and its own caption."""
        if gallery.table is None or gallery.table.fingerprint != self.table.fingerprint:
            return torch.zeros(len(rows), len(gallery), dtype=torch.bool)
        owner = self.table.texts["item"].to_numpy()
        bank_items, items = (owner[rows], gallery.rows) if gallery.of == "images" else (rows, owner[gallery.rows])
        return torch.from_numpy(bank_items[:, None] == items[None, :])


def without_own(scores: Tensor, own: Tensor) -> Tensor:
    """(B, G) float64 scores of a bank; those of its own entries are the mean of each entry's other scores.

    Args:
        scores: (B, G).
        own: (B, G) bool. An entry whose scores are all its own keeps them.
    """
    wide = scores.double()
    others = (~own).sum(0)
    mean = wide.masked_fill(own, 0.0).sum(0) / others.clamp(min=1)
    return torch.where(own & (others > 0), mean, wide)
