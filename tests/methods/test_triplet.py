"""The training step of SCAN and SGRAF, on a method whose embeddings are given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain.config import SCANConfig
from raytrain.methods.base import Batch, StepContext
from raytrain.methods.triplet import TripletMethod

IMAGES = [0, 0, 1, 2]


class Given(TripletMethod):
    """A method whose embeddings are the features of the batch."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.config = SCANConfig(**changes)

    def encode_query(self, batch: Batch) -> Tensor:
        return batch["text"]

    def encode_gallery(self, batch: Batch) -> Tensor:
        return batch["regions"]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return query @ gallery.T


def batch(count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(0)
    text, regions = torch.randn(2, 4, 5, generator=generator)
    whole = {"text": text, "regions": regions, "image_id": torch.tensor(IMAGES)}
    return {name: rows[:count] for name, rows in whole.items()}


def by_hand(scores: list[list[float]], margin: float, hardest: bool, masked: bool) -> float:
    total = 0.0
    for i in range(len(scores)):
        for row in (scores[i], [line[i] for line in scores]):
            negatives = [j for j in range(len(row)) if j != i and not (masked and IMAGES[j] == IMAGES[i])]
            hinges = [max(0.0, margin + row[j] - scores[i][i]) for j in negatives]
            total += (max(hinges) if hardest else sum(hinges)) if hinges else 0.0
    return total


@pytest.mark.parametrize("same_image", ["masked", "negative"])
@pytest.mark.parametrize(("epoch", "hardest"), [(0.0, False), (1.49, False), (1.5, True)])
def test_the_loss_is_that_of_all_negatives_in_the_warm_up_and_of_the_hardest_after_it(
    epoch: float, hardest: bool, same_image: Any
) -> None:
    method = Given(margin=0.4, mean_warmup_epochs=1.5, same_image=same_image)
    losses = method(batch(), StepContext(epoch, 5))
    scores = (batch()["text"] @ batch()["regions"].T).tolist()
    expected = by_hand(scores, 0.4, hardest, same_image == "masked")
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert losses.keys() == {"loss", "triplet"}
    assert losses["triplet"] == losses["loss"] and not losses["triplet"].requires_grad


def test_negatives_come_from_all_ranks() -> None:
    whole = Given()(batch())["loss"]
    rest = {name: rows[2:] for name, rows in batch().items()}
    parts = iter([rest["text"], rest["regions"], rest["image_id"]])
    first = Given()(batch(2), StepContext(gather=lambda rows: torch.cat([rows, next(parts)])))["loss"]
    torch.testing.assert_close(first, whole)


def test_a_batch_of_one_image_costs_nothing_and_half_precision_embeddings_are_widened() -> None:
    given = {name: rows.clone().requires_grad_(name != "image_id") for name, rows in batch(2).items()}
    loss = Given()(given)["loss"]
    loss.backward()
    assert loss == 0
    assert all(torch.isfinite(given[name].grad).all() for name in ("text", "regions"))  # type: ignore[arg-type]
    half = {name: rows if name == "image_id" else rows.bfloat16() for name, rows in batch().items()}
    assert Given()(half)["loss"].dtype == torch.float32
