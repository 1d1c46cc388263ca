"""Processes for tests, forked from a server that has imported what takes seconds, and that runs nothing itself."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(  # what is not installed is passed over
    ["raytrain.cli.main", "raytrain.data.build", "raytrain.config", "raytrain.data.encode.encode",
     "raytrain.encoders.images", "raytrain.data.sources.webdataset", "raytrain.training.fit", "tests.runs",
     "tests.distributed.two_ranks", "transformers.conversion_mapping", "transformers.models.auto.modeling_auto",
     "transformers.models.vit.modeling_vit", "transformers.models.vit.image_processing_vit", "mlflow.server",
     "torch._dynamo"]  # torch's wrapper of several ranks asks for it
)  # fmt: skip
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # its thread would be missing after a fork


def start(
    work: Callable[..., Any], *arguments: Any, output: Path | None = None, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """work(*arguments) in a process with this one's folder and environment, which it exits with what `work` returns.

    Args:
        work: a function of a module; it returns an exit code or None.
        output: file for what the process writes to its standard output and error.
        environment: added to this process's.
    """
    settings = {**os.environ, **(environment or {})}
    process = SERVER.Process(target=_run, args=(work, arguments, settings, os.getcwd(), output))
    process.start()
    return process


def command(arguments: list[str]) -> int:
    """One command of raytrain, as `work`."""
    from raytrain.cli.main import main

    return main(arguments)


def _run(
    work: Callable[..., Any], arguments: tuple[Any, ...], settings: dict[str, str], folder: str, output: Path | None
) -> None:
    import torch

    os.environ.clear()
    os.environ.update(settings)
    os.chdir(folder)
    torch.set_num_threads(1)
    if output is not None:
        with output.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    sys.exit(work(*arguments))
