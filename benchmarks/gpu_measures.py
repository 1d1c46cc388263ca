"""The measurements of benchmarks/gpu.py: steps, feeding, the fused smooth-Chamfer similarity, four runs at once."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu import ROOT, Check, Numbers, Setup
from raytrain.config import RunConfig, override
from raytrain.data.load.batches import TimedBatches, to_device
from raytrain.distributed import gather
from raytrain.methods.base import Batch, StepContext
from raytrain.recipes.load import load_recipe
from raytrain.scoring.feed import open_feed
from raytrain.similarity import element_cosines
from raytrain.similarity.smooth_chamfer_blocks import Kernels, PlainKernels, in_blocks
from raytrain.training.build import open_batches, over_backbone
from raytrain.training.dry_run import made_up_batch
from raytrain.training.fit import train_step
from raytrain.training.input_sizes import Sizes, inputs
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from tests.runs import tiny
from tests.tables import make_table

STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "VSE-infinity, B 128": ("vse_infinity_flickr30k", {"optim.batch_size": 128}),
    "DVSE, K 4, B 128": ("dvse_flickr30k", {"optim.batch_size": 128, "method.views": 4}),
    "DivE, 64 x 5": ("dive_flickr30k", {"optim.batch_size": 64}),
    "PCME++, B 128": ("pcmepp_flickr30k", {"optim.batch_size": 128}),
    "RAU, B 128": ("rau_fashion_iq", {"optim.batch_size": 128}),
    "SCAN, B 128": ("scan_flickr30k", {"optim.batch_size": 128}),
    "VSE-infinity, B 1,024 in four parts": ("vse_infinity_flickr30k", {"optim.batch_size": 1024, "optim.parts": 4}),
}
"""{what: (recipe, overrides)} of the training steps, at the sizes of the papers."""

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def wait(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, least_s: float = 0.3) -> float:
    """Seconds of one call: the mean of as many as take `least_s`, after two that do not count."""
    for _ in range(2):
        work()
    wait(device)
    count, started = 0, time.perf_counter()
    while True:
        work()
        count += 1
        if count & (count - 1) == 0:  # look at the clock after 1, 2, 4, 8, ...: looking waits for the device
            wait(device)
            if (passed := time.perf_counter() - started) >= least_s:
                return passed / count


def matrix_rate(device: torch.device, kind: torch.dtype, size: int) -> float:
    """Floating-point operations per second of a large square matrix product in this type."""
    left = torch.randn(size, size, device=device, dtype=kind)
    return 2 * size**3 / seconds_of(lambda: left @ left, device, 0.1)


def step_config(setup: Setup, what: str, precision: str) -> tuple[RunConfig, Sizes]:
    """The config of a row of STEPS and the sizes of its data."""
    name, changes = STEPS[what]
    recipe = load_recipe(name)
    settings = {**changes, "optim.precision": precision, "data.table": str(setup.folder / "none")}
    sizes = Sizes()
    if setup.small:
        sizes = Sizes(regions=3, region_features=8, tokens=4, token_features=6, words=30, captions=2)
        settings |= {"optim.batch_size": 8, "encoder.dim": 8}
    return override(recipe, settings), sizes


def made_up_step(config: RunConfig, sizes: Sizes, device: torch.device) -> tuple[TrainState, Batch]:
    """A fresh state of a run, ready to train, and a random batch of it on the device."""
    torch.manual_seed(0)
    state = TrainState(config, over_backbone(config, inputs(config, sizes), None), device)
    state.model.train()
    return state, to_device(made_up_batch(config, sizes, state.model.noise_shape), device)


def steps(setup: Setup) -> Iterator[Check]:
    """Whole training steps on a random batch that is on the device already."""
    device = torch.device(setup.device)
    size = 64 if setup.small else 8192

    def measure(what: str, precision: str) -> Numbers:
        config, sizes = step_config(setup, what, precision)
        state, batch = made_up_step(config, sizes, device)
        context = StepContext(config.optim.num_epochs - 1, config.optim.num_epochs, gather)

        def step() -> None:
            train_step(state, batch, context)

        with FlopCounterMode(display=False) as counter:
            step()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = seconds_of(step, device, 0.02 if setup.small else 0.5)
        rate = matrix_rate(device, TYPES[precision], size)
        numbers: Numbers = {
            "ms per step": 1000 * seconds,
            "Tflop/s": counter.get_total_flops() / seconds / 1e12,
            "matrix rate": rate / 1e12,
            "share of it": counter.get_total_flops() / seconds / rate,
        }
        if device.type == "cuda":
            numbers["peak GiB"] = torch.cuda.max_memory_allocated(device) / 2**30
            numbers["synchronisations"] = synchronisations(step)
            numbers["busy share"] = busy_share(step, device)
        return numbers

    for what in list(STEPS)[:2] if setup.small else STEPS:
        for precision in ("fp32", "bf16"):
            yield Check(f"{what}, {precision}", lambda w=what, p=precision: measure(w, p))  # type: ignore[misc]


def synchronisations(work: Callable[[], object]) -> int:
    """How often the work waits for the GPU, by torch's own count."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def busy_share(work: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Share of the wall-clock time of several calls in which the GPU computes something."""
    wait(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        started = time.perf_counter()
        for _ in range(times):
            work()
        wait(device)
        passed = time.perf_counter() - started
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    busy, until = 0.0, 0.0  # microseconds; kernels of several streams may overlap
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy / 1e6 / passed


def feeding(setup: Setup) -> Iterator[Check]:
    """Batches of a table's features, read ahead and copied to the device."""
    device = torch.device(setup.device)
    items, regions, features = (24, 5, 16) if setup.small else (2000, 36, 2048)

    def measure() -> Numbers:
        table = make_table(setup.folder / "feeding", items=items, regions=regions, features=features)
        config = tiny(table, setup.folder, optim__batch_size=8 if setup.small else 128)
        train = open_tables(config)["train"]
        batches = open_batches(config, train, open_feed(config, table), ())
        count = read = 0
        started = time.perf_counter()
        waited = TimedBatches(batches.epoch(0, 0, config.feed.read_ahead))
        for batch in waited:
            moved = to_device(batch, device)
            count += len(moved["image_id"])
            read += sum(tensor.nbytes for tensor in batch.values())
        wait(device)
        passed = time.perf_counter() - started
        return {"samples/s": count / passed, "GB/s": read / passed / 1e9, "share waiting": waited.seconds / passed}

    yield Check("features from the page cache, nothing trains", measure)


def triton_kernels() -> Kernels:
    """Those of a GPU; ImportError where Triton is not installed."""
    from raytrain.similarity.smooth_chamfer_triton import TritonKernels

    return TritonKernels()


def smooth_chamfer(setup: Setup) -> Iterator[Check]:
    """One forward and backward pass by each way; scores and gradients against autograd's."""
    device = torch.device(setup.device)
    captions, images, dim = (20, 8, 8) if setup.small else (5 * 512, 512, 1024)
    query, gallery = (
        normalize(torch.randn(count, 4, dim, device=device), dim=-1).requires_grad_() for count in (captions, images)
    )
    weights = torch.randn(captions, images, device=device)

    def plain() -> torch.Tensor:
        return PlainKernels().scores(element_cosines(query, gallery), 16.0)

    def both_ways(forward: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, ...]:
        scores = forward()
        return (scores.detach(), *torch.autograd.grad((scores * weights).sum(), (query, gallery)))

    def measure(forward: Callable[[], torch.Tensor]) -> Numbers:
        expected, given = both_ways(plain), both_ways(forward)
        worst = max(float((a - b).norm() / b.norm()) for a, b in zip(given, expected, strict=True))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        seconds = seconds_of(lambda: both_ways(forward), device, 0.02 if setup.small else 0.3)
        numbers: Numbers = {"ok": worst <= 1e-4, "difference": worst, "ms": 1000 * seconds}
        if device.type == "cuda":
            numbers["MiB held"] = (torch.cuda.max_memory_allocated(device) - before) / 2**20
        return numbers

    yield Check("autograd", lambda: measure(plain))
    yield Check("blocks, by torch", lambda: measure(lambda: in_blocks(query, gallery, 16.0, PlainKernels())))
    if device.type == "cuda":
        yield Check("blocks, by Triton", lambda: measure(lambda: in_blocks(query, gallery, 16.0, triton_kernels())))


PACKED = 4


def packing(setup: Setup) -> Iterator[Check]:
    """The same training steps in one process, and in four at once."""

    def finished(number: int) -> float:
        """Seconds from the start of the first of so many processes' steps to the end of the last."""
        folder = setup.folder / f"packed{number}"
        folder.mkdir()
        marks = [folder / str(process) for process in range(number)]
        command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", setup.device]
        command += ["--small"] * setup.small
        workers = [subprocess.Popen([*command, "--worker", str(mark)]) for mark in marks]
        try:
            while not all(mark.with_suffix(".ready").exists() for mark in marks):
                if any(worker.poll() for worker in workers):
                    raise RuntimeError("a process ended before its first step; its error is above")
                time.sleep(0.02)
            (folder / "go").touch()
            started = time.perf_counter()
            codes = [worker.wait() for worker in workers]
            if any(codes):
                raise RuntimeError(f"exit codes {codes}")
            return time.perf_counter() - started
        finally:
            for worker in workers:
                worker.kill()

    def measure() -> Numbers:
        alone, together = finished(1), finished(PACKED)
        return {"s alone": alone, "s together": together, "times faster than in turn": PACKED * alone / together}

    yield Check("DVSE, K 4, B 128, bf16", measure)


def packed_worker(mark: Path, device_name: str, small: bool) -> int:
    """One of the processes of `packing`: set up, say so, wait for all, train some steps."""
    device = torch.device(device_name)
    torch.set_num_threads(1)
    config, sizes = step_config(Setup(device_name, small, mark.parent), "DVSE, K 4, B 128", "bf16")
    state, batch = made_up_step(config, sizes, device)
    context = StepContext(0.0, config.optim.num_epochs, gather)
    for _ in range(2):
        train_step(state, batch, context)
    wait(device)
    mark.with_suffix(".ready").touch()
    while not (mark.parent / "go").exists():
        time.sleep(0.01)
    for _ in range(3 if small else 300):
        train_step(state, batch, context)
    wait(device)
    return 0
