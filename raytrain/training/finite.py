"""Notices a loss or a gradient that is not finite, without the host waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.errors import NonFiniteError


@dataclass(frozen=True)
class _Step:
    """The numbers of one step on their way to the host.

    Args:
        where: the step, as an error names it.
        names: of the losses, each term before the sum that it spoils.
        values: of the losses and, last, of the gradient's norm where it is looked at; on the CPU once `copied`.
        copied: None where they are there already.
    """

    where: str
    names: list[str]
    values: Tensor
    copied: torch.cuda.Event | None

    def refuse_non_finite(self) -> None:
        if self.copied is not None:
            self.copied.synchronize()
        values = self.values.tolist()
        for name, value in zip(self.names, values, strict=False):
            if not math.isfinite(value):
                raise NonFiniteError(f"{self.where}: {name} is {value}; lower optim.lr")
        if not all(map(math.isfinite, values)):
            step = self.where.partition(" (")[0]
            raise NonFiniteError(f"{step}: the gradient is {values[-1]}; lower optim.lr, or look at the data")


class FiniteCheck:
    """Looks at the losses and gradients of each step; every rank holds the same ones, so that all stop at one step.

    The CPU's are looked at in their own step. A GPU copies them to the host while it goes on, and they are looked at in
    the next step, so that the host is at most one step ahead of the device.

    Args:
        device: where they are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._newest: _Step | None = None

    def add(self, step: int, epoch: int, losses: Mapping[str, Tensor], norm: Tensor | None) -> None:
        """Takes the numbers of a step.

        Args:
            step: steps done before it.
            epoch: epochs done before it.
            losses: {name: ()}, with their sum as "loss".
            norm: () of the gradient; None where it may overflow, or is not complete.

        Raises:
            NonFiniteError: a number of this step, or of the one before, is not finite; it names step and term.
        """
        names = [name for name in losses if name != "loss"] + ["loss"]  # a term before the sum that it spoils
        parts = [losses[name].detach().float() for name in names] + ([] if norm is None else [norm.detach().float()])
        values, copied = torch.stack(parts), None
        if self.device.type != "cpu":
            values = torch.empty(len(parts)).pin_memory().copy_(values, non_blocking=True)
            if self.device.type == "cuda":
                copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
                copied.record()
        before, self._newest = self._newest, _Step(f"step {step} (epoch {epoch + 1})", names, values, copied)
        if before is not None:
            before.refuse_non_finite()
        if self.device.type == "cpu":
            self.finish()

    def finish(self) -> None:
        """Looks at the last step: before its numbers or its weights are written anywhere.

        Raises:
            NonFiniteError: as `add`.
        """
        newest, self._newest = self._newest, None
        if newest is not None:
            newest.refuse_non_finite()
