"""What ranks exchange, so that W ranks of batch B / W train as one rank of batch B: embeddings, batch norm, flags.

Every rank computes the whole loss from the gathered embeddings. DDP then averages the gradients of W ranks, of which
each holds only the part of its own slice: the backward of `gather` multiplies by W, so that the average is the full
sum. Scores that cost much per pair are computed by the rank whose queries they are of, and gathered (`OwnRows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.weak import WeakTensorKeyDictionary


def world_size() -> int:
    """Number of ranks; 1 where no process group is initialised."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 where no process group is initialised."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _group(tensor: Tensor) -> dist.ProcessGroup | None:
    """The group over which the tensor travels: NCCL takes no tensors of the CPU, a group of gloo beside it does.

    The host waits for other hosts then, and not for the GPU. All ranks come here for the first time together.
    """
    global _host_group
    if tensor.device.type != "cpu" or dist.get_backend() != "nccl":
        return None
    if _host_group is None or _host_group[0] is not dist.group.WORLD:
        _host_group = dist.group.WORLD, dist.new_group(backend="gloo")
    return _host_group[1]


_host_group: tuple[object, dist.ProcessGroup] | None = None


class _Gather(torch.autograd.Function):
    """Rows of all ranks, of which rank r has sizes[r]."""

    @staticmethod
    def forward(context: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        context.mine = slice(sum(sizes[: rank()]), sum(sizes[: rank() + 1]))
        longest = max(sizes)
        # all_gather wants tensors of one size: shorter ones are sent padded
        filled = torch.cat([tensor, tensor.new_zeros(longest - len(tensor), *tensor.shape[1:])])
        parts = [torch.empty_like(filled) for _ in sizes]
        dist.all_gather(parts, filled, group=_group(filled))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # each rank computed the same loss, so this slice is already complete: no communication is needed
        return gradient[context.mine] * world_size(), None


def gather(tensor: Tensor, even: bool = False) -> Tensor:
    """(n, ...) rows of this rank -> (N, ...) rows of all ranks, in rank order, with gradient; one rank: the tensor.

    n may differ between ranks. So may the other dimensions (local features of the longest caption of a rank): rows are
    padded with zeros to the largest.

    Args:
        tensor: of this rank.
        even: all ranks' shapes are known to be this one's, so that they need not tell each other.
    """
    if world_size() == 1:
        return tensor
    if even:
        return _gathered(tensor, [len(tensor)] * world_size())
    mine = torch.tensor(tensor.shape)
    shapes = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(shapes, mine, group=_group(mine))
    all_shapes = torch.stack(shapes)  # (W, dimensions)
    tensor = padded(tensor, all_shapes.amax(0).tolist()[1:])
    return _gathered(tensor, all_shapes[:, 0].tolist())


def _gathered(tensor: Tensor, sizes: list[int]) -> Tensor:
    everywhere: Tensor = _Gather.apply(tensor, sizes)  # type: ignore[no-untyped-call]
    _ROW_COUNTS[everywhere] = sizes
    return everywhere


_ROW_COUNTS: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""{gathered rows: how many of them each rank has}"""


class OwnRows:
    """Gathered rows, of which each rank compares its own with all of the other side.

    For scores that cost much per pair: a rank computes those of its own rows, and all gather them, a number per pair.
    `a.gather(scores(a.own, b.all))` are the scores of all rows of a with all of b, with the gradients of the whole
    computation, of parameters in `scores` too. One rank has all rows and gathers nothing.

    Args:
        everywhere: (N, ...) from `gather`.

    Attributes:
        rows: which of the N rows are this rank's.
        own_in_place: the N rows, of which only `rows` may be compared.
        own: those rows.
        all: the N rows, to compare own rows of any side with.
    """

    def __init__(self, everywhere: Tensor) -> None:
        self.row_counts: list[int] | None = None  # of the ranks
        if torch.is_grad_enabled():
            self.row_counts = _ROW_COUNTS.get(everywhere)  # type: ignore[no-untyped-call]
        self.rows, self.own_in_place, self.all = slice(None), everywhere, everywhere
        if self.row_counts is not None:
            self.rows = slice(sum(self.row_counts[: rank()]), sum(self.row_counts[: rank() + 1]))
            self.own_in_place = _Shared.apply(everywhere, False)  # type: ignore[no-untyped-call]
            self.all = _Shared.apply(everywhere, True)  # type: ignore[no-untyped-call]
        self.own = self.own_in_place[self.rows]

    @property
    def is_part(self) -> bool:
        """Whether other ranks have further rows, and gradients are taken."""
        return self.row_counts is not None

    def gather(self, scores: Tensor) -> Tensor:
        """(n, ...) of `own` -> (N, ...) of all rows, with gradient."""
        if self.row_counts is None:
            return scores
        return _Gather.apply(scores, self.row_counts)  # type: ignore[no-any-return, no-untyped-call]


class _Shared(torch.autograd.Function):
    """Rows from which each rank computes a part of the scores.

    Their gradient, which the backward of gathered scores and that of gathered rows both multiply by W, is divided by
    it; where each rank has a part of it, the parts are summed.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, summed: bool) -> Tensor:
        context.summed = summed
        return rows.view_as(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = (gradient / world_size()).contiguous()  # ranks may have it in other strides
        if context.summed:
            dist.all_reduce(gradient)
        return gradient, None


def padded(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    """(N, ...) -> (N, *sizes): zeros at the end of each dimension but the first."""
    if tensor.shape[1:] == tuple(sizes):
        return tensor
    missing = [size - own for size, own in zip(sizes, tensor.shape[1:], strict=True)]
    return pad(tensor, [count for end in reversed(missing) for count in (0, end)])


class _OfEveryRank(torch.autograd.Function):
    """(...) of this rank -> (W, ...) of all ranks, each of which goes on with its own rows."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        parts = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total[rank()]


def of_every_rank(tensor: Tensor) -> Tensor:
    """(...) of this rank -> (W, ...) of all ranks, with gradient; the shape is that of every rank."""
    if world_size() == 1:
        return tensor[None]
    return _OfEveryRank.apply(tensor)  # type: ignore[no-any-return, no-untyped-call]


def moments(rows: Tensor) -> Tensor:
    """(n, D) -> (3, D): mean, sum of squares around it, and n, in float32; zeros of no rows."""
    wide = rows.float()
    mean = wide.sum(0) / max(len(rows), 1)
    return torch.stack([mean, (wide - mean).square().sum(0), torch.full_like(mean, float(len(rows)))])


def joined_moments(groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, D) `moments` of N groups of rows -> (D) mean and variance of all their rows, and () how many these are.

    Source: Chan, Golub and LeVeque, 1979.
    """
    means, squares, counts = groups.unbind(1)
    counts = counts.detach()
    total = counts[:, 0].sum()
    mean = (counts * means).sum(0) / total
    return mean, (squares + counts * (means - mean).square()).sum(0) / total, total


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """Batch norm over the rows of all ranks, on any backend (torch's SyncBatchNorm needs a GPU).

    Ranks may hold different numbers of rows.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """(n, D) of this rank -> (n, D), normalised with the mean and variance of every rank's rows."""
        if not self.training or world_size() == 1:
            return super().forward(rows)
        return _by_all_rows(self, rows)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """As GlobalBatchNorm1d, over the places of the images of all ranks."""

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, H, W) of this rank -> (n, C, H, W)."""
        if not self.training or world_size() == 1:
            return super().forward(images)
        places = images.movedim(1, -1)
        return _by_all_rows(self, places.flatten(0, -2)).view(places.shape).movedim(-1, 1)


def _by_all_rows(layer: nn.BatchNorm1d | nn.BatchNorm2d, rows: Tensor) -> Tensor:
    """(n, D) of this rank -> (n, D), normalised with the statistics of every rank's rows, which the layer keeps too."""
    mean, variance, total = joined_moments(of_every_rank(moments(rows)))
    with torch.no_grad():
        assert layer.running_mean is not None and layer.running_var is not None
        assert layer.num_batches_tracked is not None and layer.momentum is not None
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), layer.momentum)
        layer.running_var.lerp_((variance * total / (total - 1)).to(layer.running_var.dtype), layer.momentum)
    normal = (rows.float() - mean) * torch.rsqrt(variance + layer.eps)
    return (normal * layer.weight + layer.bias).to(rows.dtype)


GLOBAL: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: GlobalBatchNorm1d,
    nn.BatchNorm2d: GlobalBatchNorm2d,
}
"""The form of a batch norm for several ranks."""


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Make every batch norm of a module global, in place, where there are several ranks; parameters and names stay."""
    if world_size() > 1:
        for layer in module.modules():
            layer.__class__ = GLOBAL.get(type(layer), type(layer))
    return module


def any_rank(flag: bool) -> bool:
    """True on every rank if it is true on one."""
    if world_size() == 1:
        return flag
    flags = torch.tensor([int(flag)])
    dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=_group(flags))
    return bool(flags.item())


def default_device() -> torch.device:
    """The current CUDA device where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
