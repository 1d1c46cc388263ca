"""What a row was trained with, and how that differs from the row that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from raytrain.config.methods import METHOD_CONFIGS, MethodPart
from raytrain.tracking.run_record import RunRecord

UNEQUAL = 1.1
"""Budgets differ where one is more than this many times the other."""


class Budget(NamedTuple):
    """What training took, whatever the machine.

    Args:
        epochs: done.
        samples: steps times the batch, in units of the batch: caption-image pairs, images or queries; None where the
            journal does not say.
        unit: what a batch is made of.
        parameters: of the model, those of encoders that train with it among them; None where the journal does not say.
    """

    epochs: int
    samples: float | None
    unit: str
    parameters: int | None

    def against(self, other: Budget) -> str:
        """ "2.0 x the epochs, 4.1 x the parameters" of another budget; "" where they are about equal.

        Samples of batches that are made alike are compared, and epochs otherwise.
        """
        pairs: list[tuple[str, float | None, float | None]] = [
            ("samples", self.samples, other.samples)
            if self.unit == other.unit and self.samples and other.samples
            else ("epochs", self.epochs, other.epochs),
            ("parameters", self.parameters, other.parameters),
        ]
        ratios = [(what, mine / theirs) for what, mine, theirs in pairs if mine and theirs]
        return ", ".join(
            f"{ratio:.2g} x the {what}" for what, ratio in ratios if ratio > UNEQUAL or ratio < 1 / UNEQUAL
        )


def budget_of(record: RunRecord) -> Budget:
    """The budget of a run, as its journal records it."""
    config: Mapping[str, Any] = record.config
    steps = [event.get("step") for event in record.epoch_events.values()]
    step = max((step for step in steps if isinstance(step, int)), default=0)
    batch = config.get("optim.batch_size")
    parameters = record.start.get("parameters")
    way = str(config.get("data.batch_by", "method"))
    own_way = METHOD_CONFIGS.get(str(config.get("method.kind")), MethodPart).batch_ways[0]
    return Budget(
        record.epochs,
        float(step * batch) if step and isinstance(batch, int) else None,
        own_way if way == "method" else way,
        parameters if isinstance(parameters, int) else None,
    )
