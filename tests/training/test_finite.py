"""Losses and gradients that are not finite: at once on the CPU, in the next step on a GPU."""

from __future__ import annotations

import pytest
import torch

from raytrain.errors import NonFiniteError
from raytrain.training.finite import FiniteCheck
from tests.gpu import fake_gpu as fake

GOOD, BAD = torch.tensor(1.0), torch.tensor(torch.nan)


def test_the_cpu_looks_at_once_and_names_the_term_before_the_sum() -> None:
    check = FiniteCheck(torch.device("cpu"))
    check.add(0, 0, {"loss": GOOD, "triplet": GOOD}, GOOD)
    with pytest.raises(NonFiniteError, match=r"^step 7 \(epoch 2\): triplet is nan; lower optim\.lr$"):
        check.add(7, 1, {"loss": BAD, "triplet": BAD}, BAD)


def test_a_gradient_is_named_where_the_losses_are_finite() -> None:
    check = FiniteCheck(torch.device("cpu"))
    with pytest.raises(NonFiniteError, match=r"^step 3: the gradient is inf; lower optim\.lr, or look at the data$"):
        check.add(3, 0, {"loss": GOOD}, torch.tensor(torch.inf))
    FiniteCheck(torch.device("cpu")).add(3, 0, {"loss": GOOD}, None)


@pytest.mark.skipif(not fake.available(), reason="this torch lets no Python class stand in for a device")
def test_a_gpu_tells_in_the_next_step_or_when_it_is_asked_and_nothing_waits() -> None:
    with fake.FakeGPU() as gpu:
        good, bad = (tensor.pin_memory().to(gpu.device, non_blocking=True) for tensor in (GOOD, BAD))
        check = FiniteCheck(gpu.device)
        check.add(0, 0, {"loss": bad}, good)
        with pytest.raises(NonFiniteError, match=r"^step 0 \(epoch 1\): loss is nan"):
            check.add(1, 0, {"loss": good}, good)
        check.finish()  # the step that raised was good
        check.add(2, 0, {"loss": good}, bad)
        with pytest.raises(NonFiniteError, match=r"^step 2: the gradient is nan"):
            check.finish()
        check.finish()
    assert gpu.waits == []
