"""What a training step computes, counted operation by operation, and what it would compute at other batch sizes.

Each rank embeds its own B / W rows, compares these with all B rows where a pair costs much, and all B rows with each
other where it costs little. The work of a step is `fixed + own x rows of this rank + gathered x rows of all ranks +
compared x rows of this rank x rows of all ranks + pairs x rows of all ranks squared`. Five small batches on imitated
ranks give the five numbers, since every count is of shapes.

    products    operations of matrix products and convolutions; a multiply-add is two
    moved       bytes that all other operations read and write, as if each went to memory and back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.exchanges import Sent, StepShape, compared, counted
from raytrain.config import RunConfig, override
from raytrain.distributed import gather, synchronise_batch_norm
from raytrain.methods.base import Method, StepContext
from raytrain.training.build import over_backbone
from raytrain.training.dry_run import made_up_batch
from raytrain.training.fit import train_step
from raytrain.training.input_sizes import Sizes, inputs
from raytrain.training.train_state import TrainState

FEW = 4
"""Units per batch (images, pairs or queries) of the small batches."""
SMALL_STEPS = ((FEW, 2), (FEW, 3), (FEW, 4), (2 * FEW, 2), (2 * FEW, 3))
"""(units of a rank, ranks) of the steps that are counted."""


@dataclass(frozen=True)
class Work:
    """Counts of one step on one rank."""

    products: float = 0.0
    moved: float = 0.0

    def plus(self, other: Work, times: float = 1.0) -> Work:
        return Work(self.products + times * other.products, self.moved + times * other.moved)

    def times(self, factor: float) -> Work:
        return Work().plus(self, factor)


class WorkCounter(TorchDispatchMode):
    """Counts what is computed while it is entered, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.products = self.moved = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if any(part.alias_info is not None and not part.alias_info.is_write for part in operation._schema.returns):
            return result  # a view
        if (formula := flop_registry.get(operation._overloadpacket)) is not None:
            self.products += formula(*args, **(kwargs or {}), out_val=result)
        else:
            self.moved += _bytes(args) + _bytes(result)
        return result

    def work(self) -> Work:
        return Work(self.products, self.moved)


def _bytes(values: Any) -> int:
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    return sum(map(_bytes, values)) if isinstance(values, (list, tuple)) else 0


@dataclass(frozen=True)
class StepCost:
    """What a step of a recipe computes, sends and holds.

    Args:
        config: of the run; its batch size is that of one rank.
        model: with its parameters.
        shape: of the batch of one rank.
        fixed: whatever the batch: the optimizer.
        own: per unit (image, pair or query) of this rank: encoders, forward and backward.
        gathered: per unit of all ranks: copies and losses.
        compared: per pair of a unit of this rank and one of all: scores that cost much.
        pairs: per pair of units of all ranks: other scores, and losses.
    """

    config: RunConfig
    model: Method
    shape: StepShape
    fixed: Work
    own: Work
    gathered: Work
    compared: Work
    pairs: Work

    def encoders(self) -> Work:
        """The work that does not depend on the number of ranks."""
        return self.fixed.plus(self.own, self.config.optim.batch_size)

    def scores(self, ranks: int) -> Work:
        """The work on the rows of all ranks, which each rank does for itself."""
        units = ranks * self.config.optim.batch_size
        own = self.config.optim.batch_size
        return self.gathered.times(units).plus(self.compared, own * units).plus(self.pairs, units**2)


class CountedStep(NamedTuple):
    """What a step computed and sent, the shape of its batch, and the model after it."""

    work: Work
    sent: dict[str, Sent]
    shape: StepShape
    model: Method


def count_step(config: RunConfig, sizes: Sizes, units: int, ranks: int) -> CountedStep:
    """Take one step of one of several imitated ranks, on a random batch.

    Args:
        config: of the run; its batch size is ignored.
        units: of this rank.
    """
    config = override(config, {"optim.batch_size": units, "optim.precision": "fp32"})
    torch.manual_seed(config.seed)
    state = TrainState(config, over_backbone(config, inputs(config, sizes), None), torch.device("cpu"))
    state.model.train()
    batch = made_up_batch(config, sizes, state.model.noise_shape)
    if config.batch_by == "image":
        batch["image_row"] = batch["image_id"]
    epochs = config.optim.num_epochs
    with counted(ranks) as traffic:
        synchronise_batch_norm(state.model)
        with WorkCounter() as counter:
            train_step(state, batch, StepContext(epochs - 1, epochs, partial(gather, even=True)))
    return CountedStep(counter.work(), traffic.sent, StepShape.of(batch), state.model)


def step_cost(config: RunConfig, sizes: Sizes) -> StepCost:
    """Count five small steps of the recipe; its batch size is that of one rank."""
    steps = [count_step(config, sizes, units, ranks) for units, ranks in SMALL_STEPS]
    own_rows = bool(compared(config, steps[0].shape, SMALL_STEPS[0][1])[0])
    works = _solve([step.work for step in steps], own_rows)
    units = config.optim.batch_size
    captions = units * sizes.captions if config.batch_by == "image" else units
    shape = StepShape(
        captions, units, sizes.tokens, sizes.regions, sizes.region_features,
        sizes.token_features if config.encoder.text.kind == "tokens" else 0,
        config.batch_by == "image", config.batch_by == "query",
    )  # fmt: skip
    return StepCost(config, steps[0].model, shape, *works)


def _solve(works: Sequence[Work], own_rows: bool) -> tuple[Work, Work, Work, Work, Work]:
    """(fixed, own, gathered, compared, pairs) from the works of SMALL_STEPS.

    Of n units on W ranks: fixed + n own + W n gathered + W n^2 compared + (W n)^2 pairs. Without `own_rows` nothing is
    compared so, and what small sizes leave of it is not taken for work.
    """
    two, three, four, double_two, double_three = works
    pairs = four.plus(three, -2).plus(two).times(1 / (2 * FEW**2))
    rank, double_rank = three.plus(two, -1), double_three.plus(double_two, -1)  # what one rank more costs
    of_own = double_rank.plus(rank, -2).times(1 / (2 * FEW**2)).plus(pairs, -5) if own_rows else Work()
    gathered = rank.times(1 / FEW).plus(pairs, -5 * FEW).plus(of_own, -FEW)
    own = double_two.plus(two, -1).times(1 / FEW).plus(gathered, -2).plus(of_own, -6 * FEW).plus(pairs, -12 * FEW)
    fixed = two.plus(own, -FEW).plus(gathered, -2 * FEW).plus(of_own, -2 * FEW**2).plus(pairs, -4 * FEW**2)
    return fixed, own, gathered, of_own, pairs
