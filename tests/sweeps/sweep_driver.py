"""What the drivers that tests start have in common: a small sweep by the library, told as the last thing they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raytrain.cluster.connect import connect
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.sweep import sweep
from tests.runs import small_run


def drive(
    space: Callable[[Any], dict[str, Any] | None], name: str, epochs: int, options: SweepOptions, mlflow: bool = False
) -> None:
    """Sweep under the folder of the first argument, with "resume" as the second go on, and print the result."""
    root = Path(sys.argv[1])
    connect()
    result = sweep(
        space,
        small_run(root, num_epochs=epochs),
        options,
        name=name,
        resume="resume" in sys.argv,
        tracking_uri=f"sqlite:///{root}/mlflow.db" if mlflow else None,
    )
    print(json.dumps(result))


def result_of(out: str) -> dict[str, Any]:
    """What a driver printed; Ray may have spoken of lost workers after it."""
    result: dict[str, Any] = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    return result
