"""Embeddings across ranks, with gradient, so that W ranks of batch B / W train as one rank of batch B.

Every rank computes the whole loss from the gathered embeddings. DDP then averages the gradients of W ranks, each of
which holds only its own slice's part: the backward of `gather` multiplies by W, so that the average is the full sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        context.mine = slice(sum(sizes[: rank()]), sum(sizes[: rank() + 1]))
        longest = max(sizes)
        # collectives want equal sizes: shorter shares travel padded
        filled = torch.cat([tensor, tensor.new_zeros(longest - len(tensor), *tensor.shape[1:])])
        parts = [torch.empty_like(filled) for _ in sizes]
        dist.all_gather(parts, filled)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # each rank computed the same loss, so this slice is already complete: no communication is needed
        return gradient[context.mine] * world_size(), None


def gather(tensor: Tensor) -> Tensor:
    """The rows of each rank, however many -> those of all ranks, in rank order. One process: the tensor itself.

    Where a rank's rows are longer in a dimension (local features of its longest caption), zeros make up the others'.
    """
    if world_size() == 1:
        return tensor
    mine = torch.tensor(tensor.shape, device=tensor.device)
    shapes = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(shapes, mine)
    found = torch.stack(shapes)
    tensor = padded(tensor, found.amax(0).tolist()[1:])
    return _Gather.apply(tensor, found[:, 0].tolist())  # type: ignore[no-any-return, no-untyped-call]


def padded(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    """(N, ...) with zeros at the end of each dimension but the first, up to these sizes."""
    if tensor.shape[1:] == tuple(sizes):
        return tensor
    missing = [size - own for size, own in zip(sizes, tensor.shape[1:], strict=True)]
    return pad(tensor, [end for count in reversed(missing) for end in (0, count)])


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """Batch norm over the rows of all ranks, on any backend (torch's SyncBatchNorm needs a GPU).

    Ranks may hold different numbers of rows.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """(n, D) of this rank -> (n, D), normalised with the mean and variance of every rank's rows."""
        if not self.training or world_size() == 1:
            return super().forward(rows)
        wide = rows.float()
        count = torch.tensor([float(len(rows))], device=rows.device)
        sums = _AllReduceSum.apply(torch.cat([wide.sum(0), count]))  # type: ignore[no-untyped-call]
        total = sums[-1].detach()
        mean = sums[:-1] / total
        variance = _AllReduceSum.apply((wide - mean).square().sum(0)) / total  # type: ignore[no-untyped-call]
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((variance * total / (total - 1)).to(self.running_var.dtype), self.momentum)
        normal = (wide - mean) * torch.rsqrt(variance + self.eps)
        found: Tensor = (normal * self.weight + self.bias).to(rows.dtype)
        return found


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Every BatchNorm1d made global, in place where there is more than one rank; parameters and names stay."""
    if world_size() > 1:
        for part in module.modules():
            if type(part) is nn.BatchNorm1d:
                part.__class__ = GlobalBatchNorm1d
    return module


def any_rank(flag: bool, device: torch.device) -> bool:
    """True on every rank if it is true on one."""
    if world_size() == 1:
        return flag
    seen = torch.tensor([int(flag)], device=device)
    dist.all_reduce(seen, op=dist.ReduceOp.MAX)
    return bool(seen.item())


def default_device() -> torch.device:
    """The current CUDA device where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
