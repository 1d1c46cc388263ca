"""The loss of pairs that image-text methods share: a triplet loss, InfoNCE with its temperature, or both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from raytrain.config import ContrastivePart, InfoNCEPart


class Temperature(nn.Module):
    """The temperature of InfoNCE; a learned one is the exponential of its only parameter, bounded from below.

    The bound lets the gradient through: a parameter below it can come back.
    """

    undecayed: ClassVar[tuple[str, ...]] = ("log",)

    def __init__(self, config: InfoNCEPart) -> None:
        super().__init__()
        self.start, self.least = config.temperature, config.temperature_min
        self.log = nn.Parameter(torch.tensor(math.log(config.temperature))) if config.temperature_learned else None

    def scale(self) -> Tensor | float:
        """1 / temperature, the factor of the scores."""
        if self.log is None:
            return 1 / self.start
        return (self.log + (self._bounded() - self.log).detach()).neg().exp()

    def parts(self) -> dict[str, Tensor]:
        """{"temperature": ()} for the journal, where it is learned."""
        return {} if self.log is None else {"temperature": self._bounded().detach().exp()}

    def _bounded(self) -> Tensor:
        assert self.log is not None
        return self.log.clamp(min=math.log(self.least))


class Contrast(nn.Module):
    """What `config.loss` names, of scores that a method hands over as two losses.

    Args:
        config: the choice, the weight of InfoNCE and its temperature.
    """

    def __init__(self, config: ContrastivePart) -> None:
        super().__init__()
        self.config = config
        self.temperature = None if config.loss == "triplet" else Temperature(config)

    def forward(
        self, triplet: Callable[[], Tensor], info_nce: Callable[[Tensor | float], Tensor], queries: int = 1
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts without gradient.

        Args:
            triplet: () -> () the method's triplet loss, a sum over `queries`; 1 where it is a mean. It is called where
                the choice needs it.
            info_nce: scale of the scores -> () InfoNCE, a mean over queries.
            queries: of the global batch.
        """
        if self.temperature is None:
            loss = triplet()
            return loss, {"triplet": loss.detach()}
        nce = info_nce(self.temperature.scale())
        parts = {"infonce": nce.detach(), **self.temperature.parts()}
        if self.config.loss == "infonce":
            return nce, parts
        mean = triplet() / queries
        return mean + self.config.infonce_weight * nce, {"triplet": mean.detach(), **parts}
