"""torch.compile of what a method is made of (`optim.compile`).

The modules of a method are compiled, each by itself: branches of images and texts, composition, blocks. What joins them
is not, since it changes with the epoch, nor are exchanges between ranks, recurrences and GPO's sort on a CPU. A module
is compiled for its first shapes, and at the second caption length once more for every length, so that a run compiles
twice and not for each length of captions. Weights, their names and checkpoints stay as they are; dropout draws other
numbers.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

import torch

from raytrain.errors import UsageError
from raytrain.methods.base import Method


def compile_modules(model: Method, device: torch.device, backend: str = "inductor") -> None:
    """Let torch compile the modules of a method, in place, when they first run.

    Args:
        model: on the device.
        device: where it trains.
        backend: of torch.compile; others than inductor are for tests.

    Raises:
        UsageError: what inductor needs is missing: a C++ compiler for a CPU, Triton for a GPU.
    """
    if backend == "inductor" and (missing := _missing(device)) is not None:
        raise UsageError(
            f"optim.compile=true needs {missing} on {device.type}; install it, or leave optim.compile false"
        )
    for module in model.compiled_modules():
        module.compile(backend=backend)


def _missing(device: torch.device) -> str | None:
    """What inductor lacks on this machine; None where it has all that it needs."""
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "Triton (the package triton)"
    compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return None if any(name and shutil.which(name) for name in compilers) else "a C++ compiler (g++ or clang++)"
