"""The checks of benchmarks/gpu.py: what the device computes, against the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import Check, Numbers, Setup
from raytrain.config import RunConfig
from raytrain.data.load.batches import to_device
from raytrain.data.table import Table
from raytrain.distributed import gather
from raytrain.encoders.efficientnet import EfficientNetLite
from raytrain.methods.base import StepContext
from raytrain.scoring.embed import autocast, embed_split
from raytrain.scoring.feed import open_feed
from raytrain.scoring.validate import validation_metrics
from raytrain.training import checkpoint
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from raytrain.training.train_state import trainable, training_input
from tests.distributed.two_ranks import METHODS
from tests.runs import tiny
from tests.tables import make_query_table, make_table

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3
"""Relative differences of fp32 between two devices: sums in another order."""

HALF_TOLERANCE = 0.1
"""Relative difference of a loss in half precision."""

CASES: dict[str, dict[str, Any]] = {**METHODS, "query-half": {"method__kind": "half_queries", "optim__batch_size": 12}}


@dataclass(frozen=True)
class Outcome:
    """A training step without an update, and the validation of the same weights.

    Args:
        losses: by name.
        gradient: of all parameters, one vector, on the CPU.
        metrics: of the validation split.
    """

    losses: dict[str, float]
    gradient: Tensor
    metrics: dict[str, float]


def outcome(config: RunConfig, device: torch.device, precision: str = "fp32", parts: int = 1) -> Outcome:
    """The step on a device, from the weights and the batch that the seed gives on the CPU."""
    splits = open_tables(config)
    feed = open_feed(config, splits["train"].table)
    torch.manual_seed(0)
    model = build_method(config, feed).train()
    batch = next(open_batches(config, splits["train"], feed, model.noise_shape).epoch(0))
    module = trainable(model.to(device), parts, device).train()
    with autocast(device, precision):
        losses = module(training_input(batch, parts, device), StepContext(2.0, 5, gather))
    losses["loss"].backward()
    gradients = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    query, gallery = embed_split(model, splits["val"], feed, device)
    result = validation_metrics(model, query, gallery, splits["val"], 64, False)
    return Outcome({name: float(v.detach()) for name, v in losses.items()}, torch.cat(gradients).cpu(), result.metrics)


def apart(expected: Outcome, given: Outcome) -> Numbers:
    """{"loss", "gradient": relative differences}."""
    loss = max(abs(given.losses[name] - v) / max(abs(v), 1.0) for name, v in expected.losses.items())
    norm = max(float(expected.gradient.norm()), 1e-6)
    return {"loss": loss, "gradient": float((expected.gradient - given.gradient).norm()) / norm}


def tables(setup: Setup) -> dict[str, Table]:
    """The made-up tables, made once."""
    folder = setup.folder / "tables"
    made = {"plain": {}, "ragged": {"ragged": True}}
    if not folder.exists():
        for name, options in made.items():
            make_table(folder / name, items=27, **options)
        make_query_table(folder / "query")
    return {name: Table(folder / name) for name in (*made, "query")}


def case(setup: Setup, which: str, **changes: Any) -> RunConfig:
    """The tiny run of a case."""
    kind = which.partition("-")[0 if which.startswith("query") else 2]
    at_hand = tables(setup)
    return tiny(at_hand.get(kind, at_hand["plain"]), setup.folder, **{**CASES[which], **changes})


def names(setup: Setup) -> list[str]:
    """All cases, or the first of three kinds."""
    return ["dvse", "dive-ragged", "query-rau"] if setup.small else list(CASES)


def methods(setup: Setup) -> Iterator[Check]:
    """Each method's losses, gradient and validation metrics on both devices."""
    device, cpu = torch.device(setup.device), torch.device("cpu")

    def compare(name: str) -> Numbers:
        config = case(setup, name)
        expected, given = outcome(config, cpu), outcome(config, device)
        numbers = apart(expected, given)
        # ranks are whole numbers: one query of a handful may change its place by a tie that rounding breaks
        moved = abs(given.metrics["rsum"] - expected.metrics["rsum"])
        passed = numbers["loss"] <= LOSS_TOLERANCE and numbers["gradient"] <= GRADIENT_TOLERANCE and moved <= 5.0
        return {"ok": passed, **numbers, "rsum moved": moved}

    for name in names(setup):
        yield Check(name, lambda name=name: compare(name))  # type: ignore[misc]


def precisions(setup: Setup) -> Iterator[Check]:
    """Half precision on the device against fp32 on the device."""
    device = torch.device(setup.device)

    def compare(name: str, precision: str) -> Numbers:
        config = case(setup, name)
        whole, half = outcome(config, device), outcome(config, device, precision)
        loss = abs(half.losses["loss"] - whole.losses["loss"]) / max(abs(whole.losses["loss"]), 1.0)
        cosine = float(torch.cosine_similarity(whole.gradient, half.gradient, dim=0))
        finite = bool(half.gradient.isfinite().all())
        still = not bool(whole.gradient.any())  # a method without a gradient has no direction of it
        return {"ok": finite and loss <= HALF_TOLERANCE, "loss": loss, "gradient cosine": 1.0 if still else cosine}

    for name in names(setup):
        for precision in ("bf16", "fp16") if device.type == "cuda" else ("bf16",):
            yield Check(f"{name} {precision}", lambda n=name, p=precision: compare(n, p))  # type: ignore[misc]


class Halt(Exception):
    """Ends a run after its first epoch."""


def training(setup: Setup) -> Iterator[Check]:
    """Gradient caching, and a run that was interrupted, on the device."""
    device = torch.device(setup.device)

    def in_parts(name: str) -> Numbers:
        numbers = apart(outcome(case(setup, name), device), outcome(case(setup, name), device, parts=2))
        return {"ok": numbers["loss"] <= 1e-5 and numbers["gradient"] <= GRADIENT_TOLERANCE, **numbers}

    for name in ("dvse", "dive-ragged", "query-rau"):
        yield Check(f"{name} in two parts", lambda name=name: in_parts(name))  # type: ignore[misc]

    def weights(folder: Path) -> dict[str, Tensor]:
        newest = checkpoint.latest(folder)
        assert newest is not None
        return checkpoint.load(newest).weights

    def resume() -> Numbers:
        def halt(metrics: dict[str, float], path: Path | None) -> None:
            raise Halt

        whole, halves = (case(setup, "dvse", name=name) for name in ("whole", "halves"))
        fit(whole, open_tables(whole), device=device)
        with contextlib.suppress(Halt):
            fit(halves, open_tables(halves), halt, device=device)
        fit(halves, open_tables(halves), resume_from=checkpoint.latest(halves.folder), device=device)
        expected, resumed = weights(whole.folder), weights(halves.folder)
        worst = max(float((resumed[n].float() - v.float()).abs().max()) for n, v in expected.items())
        return {"ok": worst <= 1e-4, "largest difference of a weight": worst}

    yield Check("a run resumed after its first epoch, against one run through", resume)


def encoding(setup: Setup) -> Iterator[Check]:
    """An image backbone on both devices, with random weights."""
    device = torch.device(setup.device)
    torch.manual_seed(0)
    model = EfficientNetLite(1.0, 1.0).eval().requires_grad_(False)
    pixels = torch.rand(2 if setup.small else 8, 3, 64 if setup.small else 224, 64 if setup.small else 224)

    def compare() -> Numbers:
        with torch.inference_mode():
            expected = model.maps(pixels)
            given = model.to(device).maps(to_device({"pixels": pixels}, device)["pixels"]).cpu()
            model.to("cpu")
        worst = float((given - expected).abs().max() / expected.abs().max())
        return {"ok": worst <= 1e-3, "largest relative difference": worst}

    yield Check("EfficientNet-Lite0", compare)
