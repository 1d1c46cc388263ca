"""Inductive Fast Re-ranking of a search: normalisers over a bank of training queries, chosen by `raytrain rerank`.

The bank and its scores are those of an evaluation (raytrain/run_evaluation/rescore.py). A gallery of an evaluation
holds none of the bank's own images or captions, and that of a search may: there, an image's own captions in the bank
(or a caption's own image) count as the mean of the bank's other queries, or else what was trained on would rank low.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

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

Direction: TypeAlias = Literal["t2i", "i2t"]


@dataclass(frozen=True)
class Bank:
    """The embedded training queries of one direction.

    Args:
        embeddings: (B, ...) of captions for a gallery of images, of images for a gallery of texts.
        items: (B) row of the table's image that each is, or that it describes.
    """

    embeddings: Tensor
    items: np.ndarray


class QueryBanks(Protocol):
    """The banks of a trained model.

    Attributes:
        model: in evaluation mode.
        fingerprint: of the table that the banks are of.
    """

    model: Method
    fingerprint: str

    def temperatures(self) -> Temperatures:
        """What `raytrain rerank --bank` chose on validation; UsageError where nobody has searched."""
        ...

    def bank(self, direction: Direction, temperatures: Temperatures) -> Bank:
        """The training queries of a direction."""
        ...


class RunBanks:
    """The banks of a run, read from its table.

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
        self.device, self.fingerprint = device, table.fingerprint

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

    @torch.no_grad()
    def bank(self, direction: Direction, temperatures: Temperatures) -> Bank:
        train = self.table.split(self.config.data.train_split)
        size, seed = getattr(temperatures, f"{direction}_bank"), temperatures.bank_seed
        if direction == "t2i":
            rows = train.texts[draw(len(train.texts), size, seed).numpy()]
            batches = text_batches(rows, self.feed.texts)
            owner = self.table.texts["item"].to_numpy()
            return Bank(encode_batches(self.model.encode_query, batches, self.device), owner[rows])
        rows = train.items[draw(len(train.items), size, seed).numpy()]
        batches = image_batches(rows, self.feed.images)
        return Bank(encode_batches(self.model.encode_gallery, batches, self.device), rows)


def pooled(model: Method, temperatures: Temperatures) -> Method:
    """The model with the pooling of view scores that the settings were found with."""
    if temperatures.pooling is None:
        return model
    model = copy.copy(model)  # shares its weights
    pool_views_by(model, temperatures.pooling)
    return model


def normaliser(
    banks: QueryBanks, model: Method, temperatures: Temperatures, gallery: Gallery, memory_mib: float
) -> BankNormaliser | None:
    """What re-ranks scores against a gallery: of texts where it holds images, of images where it holds texts.

    None where the search found that this direction gains nothing.

    Args:
        model: as `pooled` gives it.
        memory_mib: as in `scores_of`.
    """
    direction: Direction = "t2i" if gallery.of == "images" else "i2t"
    if temperatures.mode_of(direction) == "off":
        return None
    bank = banks.bank(direction, temperatures)
    scores = scores_of(model, bank.embeddings, gallery.embeddings, gallery.of, memory_mib)
    scores = without_own(scores, _own(banks, bank, gallery))
    scale = getattr(temperatures, direction)
    return BankNormaliser(scores, scale, temperatures.mode_of(direction), temperatures.beta)


def _own(banks: QueryBanks, bank: Bank, gallery: Gallery) -> Tensor:
    """(B, G) bool: the bank's query and the gallery's entry are an image and its own caption."""
    if gallery.fingerprint != banks.fingerprint:
        return torch.zeros(len(bank.items), len(gallery), dtype=torch.bool)
    return torch.from_numpy(bank.items[:, None] == gallery.items[None, :])


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
