"""What the ranks of a training step send each other: counted as it is sent, and by formula.

`counted` stands between the package and torch.distributed, and counts calls and bytes of every collective that a step
makes itself; `count_gradients` counts the gradients that DDP sends. `predicted` gives the same numbers from batch,
sizes and model; a test holds that both are equal for every method, on two gloo ranks. Bytes are the payload: what a
rank hands over. The bytes on the wire follow from it (benchmarks/network_model.py).

Letters: D dimensions, K views, J samples, R regions, T words, F features of a region, W ranks, P parameters. Per step
and rank:
    rows                rows of this rank x numbers per row x bytes; the gradient of gathered rows needs no message,
                        since every rank computes the loss of all rows. Where a pair costs much, also the scores of
                        this rank's rows with all others
    gradients of rows   of those scores: 4 bytes per number of all rows of a side
    shapes              8 bytes per dimension of each gathered tensor, where ranks do not know each other's
    norms               12 D per call of a batch norm of D dimensions: mean, sum of squares, count
    gradients of norms  12 W D per call
    gradients           4 P
    flags               8: whether a rank was asked to stop
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

import raytrain.distributed
from raytrain.config import RunConfig
from raytrain.methods.base import Method

CALLERS = {
    "_Gather.forward": "rows",
    "gather": "shapes",
    "_OfEveryRank.forward": "norms",
    "_OfEveryRank.backward": "gradients of norms",
    "_Shared.backward": "gradients of rows",
    "any_rank": "flags",
}
"""{function of raytrain.distributed: what it sends}"""


class Sent(NamedTuple):
    """Messages of one kind: calls of a collective, and the bytes that this rank handed over in them."""

    calls: int = 0
    bytes: int = 0


class Traffic:
    """In the place of torch.distributed, which it counts.

    Args:
        imitated: number of ranks of which the others have what this one has, in one process without a process group;
            None for the ranks of the process group.

    Attributes:
        sent: {what: calls and bytes of this rank}.
    """

    def __init__(self, imitated: int | None = None) -> None:
        self.imitated = imitated
        self.sent: dict[str, Sent] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.distributed, name)

    def add(self, what: str, tensor: Tensor) -> None:
        calls, size = self.sent.get(what, Sent())
        self.sent[what] = Sent(calls + 1, size + tensor.numel() * tensor.element_size())

    def is_initialized(self) -> bool:
        return self.imitated is not None or torch.distributed.is_initialized()

    def get_world_size(self) -> int:
        return self.imitated or torch.distributed.get_world_size()

    def get_rank(self) -> int:
        return 0 if self.imitated else torch.distributed.get_rank()

    def get_backend(self) -> str:
        return "gloo" if self.imitated else torch.distributed.get_backend()

    def all_gather(self, parts: list[Tensor], tensor: Tensor, group: Any = None) -> None:
        self.add(CALLERS[sys._getframe(1).f_code.co_qualname], tensor)
        if self.imitated is None:
            torch.distributed.all_gather(parts, tensor, group=group)
        else:
            for part in parts:
                part.copy_(tensor)

    def all_reduce(self, tensor: Tensor, op: Any = torch.distributed.ReduceOp.SUM, group: Any = None) -> None:
        self.add(CALLERS[sys._getframe(1).f_code.co_qualname], tensor)
        if self.imitated is None:
            torch.distributed.all_reduce(tensor, op=op, group=group)
        elif op == torch.distributed.ReduceOp.SUM:
            tensor.mul_(self.imitated)


@contextmanager
def counted(imitated: int | None = None) -> Iterator[Traffic]:
    """Counts what is sent in this context.

    Args:
        imitated: as of `Traffic`.
    """
    traffic, real = Traffic(imitated), raytrain.distributed.dist
    raytrain.distributed.dist = traffic  # type: ignore[assignment]
    try:
        yield traffic
    finally:
        raytrain.distributed.dist = real


def count_gradients(traffic: Traffic, parallel: nn.parallel.DistributedDataParallel) -> None:
    """Count each bucket of gradients that DDP sends."""

    def hook(state, bucket):  # type: ignore[no-untyped-def]  # DDP refuses annotations that are text
        traffic.add("gradients", bucket.buffer())
        return allreduce_hook(None, bucket)

    parallel.register_comm_hook(None, hook)


@dataclass(frozen=True)
class StepShape:
    """Sizes of the batch of one rank; where ranks differ, the largest.

    Args:
        captions, images: rows; of composed queries both are their number.
        tokens, regions: T and R, with padding.
        region_features, token_features: F of a region, and of a token state (0 where captions are words).
        by_image: the batch holds images with all their captions.
        known_positives: the batch says which targets answer each query.
        all_captions: rows of all ranks, where these differ; 0 where each has `captions`.
    """

    captions: int
    images: int
    tokens: int
    regions: int
    region_features: int
    token_features: int = 0
    by_image: bool = False
    known_positives: bool = False
    all_captions: int = 0

    @classmethod
    def of(cls, *batches: Mapping[str, Tensor | torch.Size]) -> StepShape:
        """The shape of the batches of all ranks: tensors, or their shapes."""
        shapes = [{name: torch.Size(getattr(rows, "shape", rows)) for name, rows in batch.items()} for batch in batches]
        text = [max(sizes) for sizes in zip(*(shape["text"] for shape in shapes), strict=True)]
        images, regions, features = (max(sizes) for sizes in zip(*(shape["regions"] for shape in shapes), strict=True))
        return cls(
            text[0], images, text[1], regions, features, text[2] if len(text) == 3 else 0,
            "image_row" in shapes[0], "known_positives" in shapes[0],
            sum(shape["text"][0] for shape in shapes) if len(shapes) > 1 else 0,
        )  # fmt: skip


class Rows(NamedTuple):
    """What a method gathers in one call: rows of this rank, the shape of each, bytes per number."""

    count: int
    shape: tuple[int, ...]
    bytes: int = 4

    @property
    def size(self) -> int:
        return self.count * math.prod(self.shape) * self.bytes


def gathered(config: RunConfig, shape: StepShape, ranks: int, gpu: bool = False) -> list[Rows]:
    """What a step of the config's method gathers, call by call.

    Args:
        gpu: methods that compare words with regions tell each other there where captions end.
    """
    method: Any = config.method
    kind, dim = method.kind, config.encoder.dim
    captions, images = shape.captions, shape.images
    ids = Rows(captions, (), 8)
    if kind in ("vse_infinity", "vsepp"):
        return [Rows(captions, (dim,)), Rows(images, (dim,)), ids]
    if kind == "vsrn":
        decoded = [Rows(captions, ())] if method.caption_weight else []
        return [Rows(captions, (dim,)), Rows(images, (dim,)), ids, *decoded]
    if kind in ("dvse", "mv_vse"):
        return [Rows(captions, (dim,)), Rows(images, (method.views, dim)), ids]
    if kind in ("dive", "maxmatch"):
        parts = [(method.views, dim), (method.views, dim), *([(dim,)] if kind == "maxmatch" else [])]
        sides = [Rows(rows, part) for rows in (captions, images) for part in parts]  # sets, residuals, global features
        return [*sides, ids, *([Rows(images, (), 8), ids] if shape.by_image else [ids])]
    if kind == "pvse":
        sets = [Rows(captions, (method.views, dim)), Rows(images, (method.views, dim))]
        return [*sets, ids, *(sets if method.views > 1 else [])]
    if kind == "pcme":
        return [Rows(captions, (2 + method.samples, dim)), Rows(images, (2 + method.samples, dim)), ids]
    if kind == "pcmepp":
        features = shape.regions, shape.region_features
        mixing = [Rows(images, features), Rows(images, (shape.regions,), 1), Rows(images, ())]
        return [*(mixing if method.mix != "none" else []), Rows(captions, (2, dim)), Rows(images, (2, dim)), ids]
    if kind == "asymvlm":
        return [Rows(captions, (dim,)), Rows(images, (dim,)), Rows(captions, ()), ids]
    if kind in ("scan", "caan", "imram", "naaf", "sgraf"):
        whole = 1 if kind == "sgraf" else 0  # a vector of the whole caption or image beside the local ones
        words, regions = (Rows(captions, (shape.tokens + whole, dim)), Rows(images, (shape.regions + whole, dim)))
        return [words, *([ids] if gpu else []), regions, ids]
    if kind in ("composed", "rau"):
        return _of_queries(method, dim, shape, ranks)
    if kind == "half_queries":
        return [Rows(captions, (shape.token_features,)), Rows(images, (shape.region_features,))]
    raise ValueError(f"no formula for method {kind!r}")


def compared(config: RunConfig, shape: StepShape, ranks: int) -> tuple[list[Rows], list[int]]:
    """What a step gathers of this rank's rows compared with all others, and the bytes of each gradient of all rows.

    Nothing of methods whose ranks compare all rows.
    """
    method: Any = config.method
    kind, dim, captions, images = method.kind, config.encoder.dim, shape.captions, shape.images
    items, queries = images * ranks, shape.all_captions or captions * ranks
    if kind in ("dive", "maxmatch", "pvse"):
        scores = Rows(captions, (items,))
        if kind == "pvse" and method.views == 1:
            return [scores], [4 * items * dim]
        discrepancy = [Rows(images, ()), Rows(captions, ()), Rows(captions, ())]
        return [scores, *discrepancy], [4 * rows * method.views * dim for rows in (items, queries)]
    if kind not in ("scan", "caan", "imram", "naaf", "sgraf"):
        return [], []
    scores_of_pairs = [Rows(captions, (items,))] * (3 if kind == "naaf" else 1)  # NAAF: also sums of best cosines
    statistics = [Rows(captions, ())] * (2 if kind == "sgraf" and method.module == "saf" else 0)
    whole = 1 if kind == "sgraf" else 0
    return scores_of_pairs + statistics, [4 * items * (shape.regions + whole) * dim]


def _of_queries(method: Any, dim: int, shape: StepShape, ranks: int) -> list[Rows]:
    """What methods of composed queries gather."""
    count = shape.captions
    rows = [Rows(count, (dim,)), Rows(count, (dim,))]
    if method.known_positives != "negative" and shape.known_positives:
        rows.append(Rows(count, (count * ranks,), 1))
    noise = [Rows(count, (2, dim))] if method.base_loss == "multi_grained" else []
    if method.kind == "composed":
        return rows + noise
    both = method.csu_weight > 0 or method.dr_weight > 0 or (method.isu_weight > 0 and method.isu_sides == "both")
    sides = 2 if both else int(method.isu_weight > 0)
    return rows + sides * [Rows(count, (3 * method.blocks, dim))] + noise


def norm_calls(config: RunConfig, model: Method) -> list[int]:
    """Dimensions of each call of a batch norm in a step; the image encoder of composed queries is called twice."""
    method: Any = config.method
    twice = method.kind in ("composed", "rau") and method.composition != "text"
    return [
        layer.num_features
        for name, layer in model.named_modules()
        if isinstance(layer, nn.BatchNorm1d)
        for _ in range(2 if twice and name.startswith("image.") else 1)
    ]


def predicted(
    config: RunConfig, model: Method, shape: StepShape, ranks: int, even: bool, gpu: bool = False
) -> dict[str, Sent]:
    """{what: calls and bytes of one rank} in a step that changes the weights; DDP's calls are not predicted.

    Args:
        even: ranks know that their shapes are equal.
        gpu: as of `gathered`.
    """
    rows, norms = gathered(config, shape, ranks, gpu), norm_calls(config, model)
    scores, summed = compared(config, shape, ranks)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    kinds = {
        "rows": Sent(len(rows) + len(scores), sum(part.size for part in rows + scores)),
        "gradients of rows": Sent(len(summed), sum(summed)),
        "shapes": Sent() if even else Sent(len(rows), sum(8 * (1 + len(part.shape)) for part in rows)),
        "norms": Sent(len(norms), 12 * sum(norms)),
        "gradients of norms": Sent(len(norms), 12 * ranks * sum(norms)),
        "gradients": Sent(0, 4 * trained),
        "flags": Sent(1, 8),
    }
    return {what: sent for what, sent in kinds.items() if sent != Sent()}
