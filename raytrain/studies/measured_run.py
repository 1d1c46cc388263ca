"""A finished run as the measures of a study see it: its journal, its ranks on validation, and its model."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.config import RunConfig
from raytrain.data.load.batches import image_batches, text_batches
from raytrain.data.table import AnySplit, Split, Table, open_split
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.evaluation_file import read_rank_arrays
from raytrain.evaluation.ranking.counts import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.reranking.query_bank import draw
from raytrain.evaluation.significance import Ranks
from raytrain.methods.base import Method
from raytrain.run_evaluation.compare import recorded_evaluation
from raytrain.run_evaluation.rerank import read_similarity
from raytrain.scoring.embed import embed_split, encode_batches
from raytrain.scoring.feed import Feed
from raytrain.tracking.run_record import RunRecord
from raytrain.training.checkpoint import Checkpoint
from raytrain.training.run import load_run, unchanged_table


class MeasuredRun:
    """What is known of one run; each part is read when it is asked for, and kept.

    Args:
        record: of a run that was trained to its end.
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record

    @property
    def kept_similarity(self) -> bool:
        """Whether it kept its validation similarities; runs of composed queries keep none."""
        return (self.record.folder / "evaluation" / "similarity_val.npy").exists()

    @functools.cached_property
    def similarity(self) -> tuple[Tensor, Tensor]:
        """(M, N) scores of validation captions against images, and (M,) the image of each caption.

        Raises:
            UsageError: the run kept none.
        """
        _, scores, owner = read_similarity(self.record.folder)
        return scores, owner

    @functools.cached_property
    def ranks(self) -> Ranks:
        """Of its validation queries: from the kept similarities, else from an evaluation, which is made if missing."""
        if self.kept_similarity:
            return ranks_of(*self.similarity)
        split = str(self.record.config["data.val_split"])
        ranks = read_rank_arrays(recorded_evaluation(self.record, split, f"split/{split}"))
        if ranks is None:
            raise RefusedError(f"{self.record.folder.name} kept no ranks; evaluate it on {split}")
        return ranks

    @functools.cached_property
    def _loaded(self) -> tuple[Method, Feed, Checkpoint]:
        return load_run(self.record.folder)

    @property
    def model(self) -> Method:
        """Of its best checkpoint, in evaluation mode."""
        return self._loaded[0]

    @property
    def config(self) -> RunConfig:
        return self._loaded[2].config

    @property
    def feed(self) -> Feed:
        return self._loaded[1]

    @functools.cached_property
    def table(self) -> Table:
        return unchanged_table(self._loaded[2])

    def split(self, which: str) -> AnySplit:
        """The "train" or "val" split of its table."""
        return open_split(self.table, str(self.record.config[f"data.{which}_split"]))

    @functools.cached_property
    def embedded(self) -> tuple[Tensor, Tensor]:
        """(M, ...) validation queries and (N, ...) validation images, in this process's memory."""
        query, gallery = embed_split(self.model, self.split("val"), self.feed, default_device())
        return query.cpu(), gallery.cpu()

    @torch.no_grad()
    def embedded_pairs(self, which: str, most: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """(P, ...) captions and (P, ...) their images, of at most `most` images of a split, a caption per image."""
        split = self.split(which)
        if not isinstance(split, Split):
            raise UsageError(f"{self.record.folder.name} answers composed queries; this measure is of captions")
        _, captions = np.unique(split.item_of_text, return_index=True)
        chosen = captions[draw(len(captions), most, seed).numpy()]
        device = default_device()
        items = split.items[split.item_of_text[chosen]]
        texts = encode_batches(self.model.encode_query, text_batches(split.texts[chosen], self.feed.texts), device)
        images = encode_batches(self.model.encode_gallery, image_batches(items, self.feed.images), device)
        return texts.cpu().float(), images.cpu().float()

    def metric(self, name: str) -> float | None:
        """A metric of its best epoch; costs are those of its last one. None where the journal has none."""
        metrics: Any = self.record.metrics if name.startswith("cost/") else self.record.best_metrics
        value = metrics.get(name)
        return None if value is None else float(value)


def ranks_of(t2i: Tensor, owner: Tensor, i2t: Tensor | None = None) -> Ranks:
    """Ranks of both directions.

    Args:
        t2i: (M, N) scores that rank the images of each caption.
        owner: (M,) image of each caption.
        i2t: (M, N) scores that rank the captions of each image; None takes the same.
    """
    return {
        "i2t": image_to_text_counts(t2i if i2t is None else i2t, owner).ranks().numpy(),
        "t2i": text_to_image_counts(t2i, owner).ranks().numpy(),
        "item_of_text": np.asarray(owner.numpy(), np.int64),
    }
