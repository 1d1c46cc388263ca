"""`raytrain evaluate RUN --shards N`: a split ranked by N Ray actors, for galleries that no one machine holds.

Each actor embeds a share of the images and keeps it, embeds a share of the captions, and hands these out in pieces
through the object store. It then compares its images with every piece, one at a time, and returns counts, which add up
(raytrain/evaluation/ranking/streaming.py). No process holds all embeddings, and none more scores than a tile.

Shards are of whole batches and tiles are cut alike for any number of shards: the ranks are the same for any N.

Letters: M captions, N images of the split.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.cluster.connect import connect
from raytrain.data.load.batches import IMAGES_AT_ONCE, TEXTS_AT_ONCE
from raytrain.data.table import AnySplit, QuerySplit, Split, Table, open_split
from raytrain.distributed import default_device, padded
from raytrain.errors import RaytrainError, RefusedError, UsageError, argument
from raytrain.evaluation.protocols.named_split import refuse_other_split
from raytrain.evaluation.protocols.protocols import Result, evaluate_counts, find_protocol
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.ranking.streaming import Positives, Scores, count, merge, own_scores, total
from raytrain.evaluation.ranking.tiles import Plan, cut, slices
from raytrain.methods.base import Method
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.scoring.embed import embed_images, embed_texts, scoring
from raytrain.scoring.feed import Feed
from raytrain.training.run import load_run

PIECE = 8 * TEXTS_AT_ONCE  # captions that are sent at once


def evaluate_by_shards(
    folder: str | os.PathLike[str],
    split: str,
    protocol: str | None,
    shards: int,
    diagnostics: bool = False,
    verify_features: bool = True,
) -> dict[str, Any]:
    """As raytrain.run_evaluation.evaluate.evaluate_run, over `shards` actors.

    Connects to the cluster of RAY_ADDRESS, or starts one on this machine. With GPUs in the cluster each actor takes
    one, and one CPU otherwise. The run's folder and its table lie on storage that all of them mount. Re-ranking needs
    all scores in one place and is left out.

    Raises:
        UsageError: a protocol of another split, of folds or with positives of its own, composed queries, or more shards
            than fit.
    """
    if shards < 1:
        raise UsageError(f"shards is at least 1; given: {shards}")
    name = protocol or f"split/{split}"
    definition = find_protocol(name)
    if definition.folds > 1 or definition.relevance != "own":
        raise UsageError(f"{name} ranks a gallery that any machine holds: leave {argument('shards')} out")
    refuse_other_split(name, split)
    connect()
    ranker = RayRanker(shards, verify_features)
    return evaluate_run(
        folder, split, protocol, ranker=ranker, diagnostics=diagnostics, verify_features=verify_features
    )


@dataclass
class RayRanker:
    """A Ranker (raytrain/run_evaluation/evaluate.py) over Ray.

    Args:
        shards: actors at most; a split of few images has fewer batches than that.
        verify_features: as in Table, on every node.
    """

    shards: int
    verify_features: bool = True

    def __call__(self, checkpoint: Path, split: AnySplit, protocol: str) -> Result:
        import ray

        if isinstance(split, QuerySplit):
            raise UsageError(f"composed queries have a gallery each: evaluate them without {argument('shards')}")
        resources = ray.cluster_resources()
        gpus = resources.get("GPU", 0) >= self.shards
        if not gpus and (cpus := math.floor(resources.get("CPU", 0))) < self.shards:
            raise UsageError(f"{self.shards} shards need as many CPUs; the cluster has {cpus}")
        actor = ray.remote(num_cpus=0 if gpus else 1, num_gpus=1 if gpus else 0)(Actor)
        given = (str(checkpoint), split.name, split.table.fingerprint, self.verify_features)
        workers = [actor.remote(*given) for _ in range(self.shards)]
        try:
            counts = rank_by_shards(
                workers, split, lambda worker, name, *given: getattr(worker, name).remote(*given), ray.get
            )
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RaytrainError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise RaytrainError(
                f"a shard was lost, and its counts with it; run the same command again: {error}"
            ) from error
        finally:
            for worker in workers:
                ray.kill(worker)
        return evaluate_counts(lambda *_: counts, torch.from_numpy(split.item_of_text), len(split), protocol)


def rank_by_shards(
    workers: Sequence[Any], split: Split, call: Callable[..., Any], get: Callable[[Any], Any]
) -> dict[Direction, Counts]:
    """Counts of both directions.

    Args:
        workers: each a `Shard`, or what stands for one.
        split: its owners and sizes alone are read.
        call: worker, name of its method, arguments -> a promise.
        get: a promise, or a list of them -> what was promised.
    """
    shares = [share for share in share_images(len(split), len(workers)) if share.stop > share.start]
    workers = workers[: len(shares)]
    image_shapes = get([call(worker, "embed_images", share) for worker, share in zip(workers, shares, strict=True)])
    pieces = [slice(n, min(n + PIECE, len(split.texts))) for n in range(0, len(split.texts), PIECE)]
    takers = [workers[n % len(workers)] for n in range(len(pieces))]
    sent = [call(taker, "embed_texts", piece) for taker, piece in zip(takers, pieces, strict=True)]
    # local features are as long as the longest of their batch, so that the cost of a pair depends on all of them
    text_shapes = get([call(taker, "shape", [piece]) for taker, piece in zip(takers, sent, strict=True)])
    sizes = [[max(size) for size in zip(*shapes, strict=True)] for shapes in (text_shapes, image_shapes)]
    get([call(worker, "open", pieces, *sizes) for worker in workers])

    owns = get([call(worker, "own", sent) for worker in workers])
    own = torch.from_numpy(np.nanmax(owns, axis=0))  # each caption's image is in one worker's share
    positives = Positives.of(own, torch.from_numpy(split.item_of_text), len(split))
    return merge(get([call(worker, "count", sent, own.numpy()) for worker in workers]), positives)


def share_images(items: int, shards: int) -> list[slice]:
    """Images of each shard, in whole batches, so that embeddings do not depend on how many shards there are."""
    bounds = np.linspace(0, -(-items // IMAGES_AT_ONCE), shards + 1).astype(int) * IMAGES_AT_ONCE
    return [slice(int(a), min(int(b), items)) for a, b in itertools.pairwise(bounds)]


class Shard:
    """What one worker does: some images of the split against all of its captions."""

    def __init__(self, model: Method, feed: Feed, split: Split, device: torch.device, memory_mib: float) -> None:
        self.model, self.feed, self.split, self.device, self.memory_mib = model.eval(), feed, split, device, memory_mib

    def fetch(self, promise: Any) -> Any:
        """What another worker made."""
        return promise

    def embed_images(self, share: slice) -> tuple[int, ...]:
        """Embeds the images that it keeps, and returns the shape of one."""
        self.share = share
        self.gallery = embed_images(self.model, self.split, self.feed, self.device, share)
        return tuple(self.gallery.shape[1:])

    def embed_texts(self, piece: slice) -> np.ndarray:
        """(m, ...) embeddings of captions, for everybody."""
        return embed_texts(self.model, self.split, self.feed, self.device, piece).cpu().numpy()

    def shape(self, sent: Sequence[Any]) -> tuple[int, ...]:
        """The shape of one caption of a piece."""
        return tuple(self.fetch(sent[0]).shape[1:])

    def open(self, pieces: Sequence[slice], text: Sequence[int], image: Sequence[int]) -> None:
        """Cuts the tiles: of whole pieces and of batches of images, whatever the shards.

        Args:
            pieces: captions of each piece.
            text, image: the largest shape of an embedding of either side.
        """
        self.gallery = padded(self.gallery, list(image))
        texts, items = len(self.split.texts), len(self.split)
        cost = self.model.pair_cost(
            *(torch.empty(n, *size, device="meta") for n, size in ((texts, text), (items, image)))
        )
        rows, columns = cut(PIECE, IMAGES_AT_ONCE, cost, self.memory_mib)
        self.rows = [slices(piece.start, piece.stop, rows[0].stop) for piece in pieces]
        self.columns = [
            part
            for first in range(self.share.start, self.share.stop, IMAGES_AT_ONCE)
            for part in slices(first, min(first + IMAGES_AT_ONCE, self.share.stop), columns[0].stop)
        ]
        every = [part for some in self.rows for part in some]
        self.plan = Plan(torch.from_numpy(self.split.item_of_text), every, self.columns)

    def own(self, sent: Sequence[Any]) -> np.ndarray:
        """(M,) score of each caption with its image; NaN where that is elsewhere."""
        own_score = torch.full((len(self.split.texts),), torch.nan)
        for number, rows in enumerate(self.rows):
            if any(len(self.plan.own_pairs(part, some)[0]) for part in rows for some in self.columns):
                with self._tiles(sent[number], rows) as scores:
                    part = own_scores(scores, rows=rows).cpu()
                own_score = torch.where(part.isnan(), own_score, part)
        return own_score.numpy()

    def count(self, sent: Sequence[Any], own: np.ndarray) -> dict[Direction, Counts]:
        """Counts of all captions among its images, and of its images among all captions."""
        positives = Positives.of(torch.tensor(own, device=self.device), self.plan.item_of_text, len(self.split))
        parts = []
        for number, rows in enumerate(self.rows):
            with self._tiles(sent[number], rows) as scores:
                parts.append(count(scores, positives, rows=rows))
                parts = [total(parts)]
        return {way: Counts(*(values.cpu() for values in counts)) for way, counts in parts[0].items()}

    @contextlib.contextmanager
    def _tiles(self, promise: Any, rows: Sequence[slice]) -> Iterator[Scores]:
        """The tiles of one piece of captions."""
        query, first = torch.tensor(self.fetch(promise), device=self.device), rows[0].start
        with scoring(self.model, query, self.gallery) as tile:

            def moved(texts: Tensor | slice, images: slice) -> Tensor:
                assert isinstance(texts, slice)  # captions of a table stand by their images
                start = self.share.start
                return tile(
                    slice(texts.start - first, texts.stop - first), slice(images.start - start, images.stop - start)
                )

            yield Scores(moved, self.plan)


class Actor(Shard):
    """A Shard in a process of its own, which opens the checkpoint itself."""

    def __init__(self, checkpoint: str, split: str, fingerprint: str, verify_features: bool) -> None:
        model, feed, saved = load_run(Path(checkpoint), verify_features=verify_features)
        table = Table(saved.config.data.table)
        if table.fingerprint != fingerprint:
            raise RefusedError(f"{table.path} is another table on this node: fingerprint {table.fingerprint[:12]}")
        rows = open_split(table, split, allow_test=True)
        assert isinstance(rows, Split)
        super().__init__(model, feed, rows, default_device(), saved.config.evaluation.memory_mib)

    def fetch(self, promise: Any) -> Any:
        import ray

        return ray.get(promise)
