"""Gradient caching: the loss of a whole batch, with the activations of one part of it in memory at a time.

Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (RepL4NLP 2021). A part of a batch
is to the whole what a rank is to all ranks: a method hands what it embedded to `StepContext.gather`, and compares only
what it gets back. So any method can be embedded in parts. Each part but the last runs up to its last gather under
torch's checkpoint, which keeps its inputs and its gathered rows, and computes the part again, with the same dropout,
when the gradient of the rows is there. The last part computes the loss of all rows. The price is one more forward pass.

Dropout draws part by part, so its masks are others than those of the whole batch at once; a part has the same ones in
both of its passes. Batch norm normalises by the statistics of the whole batch, over all parts and ranks: for each call
of a batch norm the parts run up to it once more, to collect them. An image backbone that trains runs ahead of all that,
in parts of its own, and is not run again for the batch norms of the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from raytrain.distributed import GlobalBatchNorm1d, joined_moments, moments, of_every_rank, padded, world_size
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, Method, StepContext
from raytrain.methods.trained_backbone import TrainedBackbone

OF_CAPTIONS = ("text", "text_mask", "image_id", "image_row")
"""What a batch of images with all their captions holds per caption, and not per image."""


class Statistics(NamedTuple):
    """Mean and variance, (D) each, of the rows of a whole batch at one call of a batch norm."""

    mean: Tensor
    variance: Tensor


class Stopped(Exception):
    """A pass over a part has what it was made for.

    Args:
        layer, rows: the batch norm, and what it was called with, where the pass was for its statistics.
    """

    def __init__(self, layer: CachedBatchNorm1d | None = None, rows: Tensor | None = None) -> None:
        self.layer, self.rows = layer, rows


@dataclass
class Pass:
    """What one pass over a part has called so far.

    Args:
        statistics: of the whole batch, at the first calls of batch norms; later calls take those of their own rows.
        collects: whether the pass ends at the first call of a batch norm that has no statistics.
        gathers: the pass ends at this gather, counted from 1; None for no end.
        norms: calls of batch norms.
        norms_before_gather: those ahead of the last gather.
        gathered: rows handed to `StepContext.gather`.
    """

    statistics: Sequence[Statistics] = ()
    collects: bool = False
    gathers: int | None = None
    norms: int = 0
    norms_before_gather: int = 0
    gathered: list[Tensor] = field(default_factory=list)

    def gather(self, rows: Tensor) -> Tensor:
        """Keeps the rows, and gives them back as those of all ranks."""
        self.gathered.append(rows)
        self.norms_before_gather = self.norms
        if len(self.gathered) == self.gathers:
            raise Stopped
        return rows


@dataclass
class Running:
    """The pass that runs at the moment; batch norms look it up here."""

    step: Pass | None = None


class CachedBatchNorm1d(GlobalBatchNorm1d):
    """Batch norm by the statistics of a whole batch of which it sees one part."""

    running: Running

    def forward(self, rows: Tensor) -> Tensor:
        """(n, D) of this part -> (n, D)."""
        step = self.running.step
        if not self.training or step is None:
            return super().forward(rows)
        step.norms += 1
        if step.norms > len(step.statistics):
            if step.collects:
                raise Stopped(self, rows)
            return super().forward(rows)
        mean, variance = step.statistics[step.norms - 1]
        normal = (rows.float() - mean) * torch.rsqrt(variance + self.eps)
        scaled: Tensor = (normal * self.weight + self.bias).to(rows.dtype)
        return scaled

    @torch.no_grad()
    def follow(self, of_batch: Statistics, count: Tensor) -> None:
        """Move the running statistics, as torch's batch norm does.

        Args:
            of_batch: of the whole batch.
            count: () its rows.
        """
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(of_batch.mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_((of_batch.variance * count / (count - 1)).to(self.running_var.dtype), self.momentum)


class GradientCache(nn.Module):
    """A method whose forward pass takes the parts of a batch in place of the batch, and returns the same losses.

    Args:
        method: trains; its batch norms learn to take the statistics of a whole batch.

    Raises:
        UsageError: what the method makes of a row in training depends on other rows in another way.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        if method.mixes_rows:
            raise UsageError(
                "optim.parts embeds a batch in parts, and this method makes embeddings of several rows; use "
                "method.mix=none, or optim.parts=1"
            )
        if isinstance(method, TrainedBackbone) and method.backbone.has_free_batch_norm():
            raise UsageError(
                "optim.parts embeds a batch in parts, and encoder.image.frozen_batch_norm=false normalises each by "
                "itself; use frozen_batch_norm=true, or optim.parts=1"
            )
        self.method = method
        self.gathers, self.norms = 0, 0  # of one pass; counted in the first step
        self.running = Running()
        for layer in method.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.__class__ = CachedBatchNorm1d
                cast(CachedBatchNorm1d, layer).running = self.running

    def forward(self, parts: Sequence[Batch], context: StepContext) -> dict[str, Tensor]:
        """The losses of the whole batch, the same on every rank.

        Args:
            parts: of this rank's batch, as `split_batch` makes them.
        """
        method = self.method
        if isinstance(method, TrainedBackbone):
            parts = [_cached(method.with_regions, part) for part in parts]
            method = method.method
        if not self.gathers:
            self._count(method, parts, context)
        statistics: list[Statistics] = []
        for _ in range(self.norms):
            collected = [_cached(self._moments, method, part, context, tuple(statistics)) for part in parts]
            statistics.append(_of_whole_batch([of_part for _, of_part in collected], collected[0][0]))
        rows = [_cached(self._rows, method, part, context, tuple(statistics)) for part in parts[:-1]]
        return self._losses(method, parts[-1], context, tuple(statistics), rows)

    def _losses(
        self,
        method: Method,
        part: Batch,
        context: StepContext,
        statistics: tuple[Statistics, ...],
        others: Sequence[Sequence[Tensor]],
    ) -> dict[str, Tensor]:
        """The losses, from the last part and the rows that the others gathered."""
        step = Pass(statistics)

        def gather(own: Tensor) -> Tensor:
            place = len(step.gathered)
            if place >= self.gathers:
                raise _uneven(method)
            step.gather(own)
            by_part = [*(rows[place] for rows in others), own]
            sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in by_part), strict=True)]
            return context.gather(torch.cat([padded(part, sizes) for part in by_part]))

        losses: dict[str, Tensor] = self._run(step, lambda: method(part, replace(context, gather=gather)))
        if len(step.gathered) < self.gathers:
            raise _uneven(method)
        return losses

    def _rows(
        self, method: Method, part: Batch, context: StepContext, statistics: tuple[Statistics, ...]
    ) -> list[Tensor]:
        """What the method gathers of a part, in order."""
        step = Pass(statistics, gathers=self.gathers)
        if self._stop(step, method, part, context) is None:
            raise _uneven(method)
        return step.gathered

    def _moments(
        self, method: Method, part: Batch, context: StepContext, statistics: tuple[Statistics, ...]
    ) -> tuple[CachedBatchNorm1d, Tensor]:
        """The next batch norm that has no statistics yet, and the `moments` of the rows that it is called with."""
        stop = self._stop(Pass(statistics, collects=True), method, part, context)
        assert stop is not None and stop.layer is not None and stop.rows is not None
        return stop.layer, moments(stop.rows)

    def _stop(self, step: Pass, method: Method, part: Batch, context: StepContext) -> Stopped | None:
        """Where the pass stopped; None where it came to an end."""
        try:
            self._run(step, lambda: method(part, replace(context, gather=step.gather)))
        except Stopped as stop:
            return stop
        return None

    def _run(self, step: Pass, work: Callable[[], Any]) -> Any:
        self.running.step = step
        try:
            return work()
        finally:
            self.running.step = None

    @torch.no_grad()
    def _count(self, method: Method, parts: Sequence[Batch], context: StepContext) -> None:
        """Count the gathers of one pass, and the calls of batch norms ahead of the last; nothing else changes.

        The rows of the first part stand for those of all parts and ranks.
        """
        step, first = Pass(), parts[0]
        totals = {len(first[name]): sum(len(part[name]) for part in parts) for name in ("regions", "text")}

        def gather(rows: Tensor) -> Tensor:
            step.gather(rows)
            total = totals[len(rows)] * world_size()
            return rows[torch.arange(total, device=rows.device) % len(rows)]

        buffers = {name: buffer.clone() for name, buffer in method.named_buffers()}
        device = first["text"].device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            given = (first, replace(context, gather=gather))
            self._run(step, lambda: functional_call(method, buffers, given))
        self.gathers, self.norms = len(step.gathered), step.norms_before_gather


def parts_of(batch: Batch | list[Batch], parts: int) -> list[Batch]:
    """The batch in parts; what is in parts already stays as it is.

    Args:
        batch: on the CPU, since the host looks at its ids.
        parts: at most the number of its images or queries; one is the batch.

    Raises:
        UsageError: the batch has fewer.
    """
    if isinstance(batch, list):
        return batch
    return [batch] if parts == 1 else split_batch(batch, parts)


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """The batch in parts of consecutive rows; where it holds images with all their captions, captions stay with theirs.

    Args:
        batch: with its ids on the CPU.
        parts: at most the number of its images or queries.

    Raises:
        UsageError: the batch has fewer.
    """
    images = len(batch["regions"])
    if images < parts:
        raise UsageError(f"optim.parts={parts} is more than the {images} rows of a worker's batch")
    bounds = [images * part // parts for part in range(parts + 1)]
    captions = bounds
    if len(batch["text"]) != images:
        first_caption = torch.searchsorted(_places(batch["image_id"]), torch.arange(images))
        captions = [*first_caption[bounds[:-1]].tolist(), len(batch["text"])]
    return [
        {
            name: rows[slice(*(captions if name in OF_CAPTIONS else bounds)[part : part + 2])]
            for name, rows in batch.items()
        }
        for part in range(parts)
    ]


def _places(image_id: Tensor) -> Tensor:
    """(S) ids of the captions' images, those of one image in a row -> (S) its place among the images: 0, 0, 1, 1, 2."""
    new = torch.ones_like(image_id)
    new[0] = 0
    new[1:] = (image_id[1:] != image_id[:-1]).long()
    return new.cumsum(0)


def _cached(work: Callable[..., Any], *given: Any) -> Any:
    """work(*given), whose activations are computed again, with the same dropout, when their gradient is there."""
    return checkpoint(work, *given, use_reentrant=False, preserve_rng_state=True)


def _of_whole_batch(parts: Sequence[Tensor], layer: CachedBatchNorm1d) -> Statistics:
    """The statistics over all parts and ranks; the layer's running statistics follow them.

    Args:
        parts: (3, D) `moments` of each part of this rank.
    """
    mean, variance, total = joined_moments(of_every_rank(torch.stack(list(parts))).flatten(0, 1))
    of_batch = Statistics(mean, variance)
    layer.follow(of_batch, total)
    return of_batch


def _uneven(method: Method) -> UsageError:
    return UsageError(
        f"{type(method).__name__}.forward gathers more often in some steps than in others, and optim.parts counts its "
        "gathers once; use optim.parts=1"
    )
