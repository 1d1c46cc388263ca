"""The same run in one process, under torchrun with two ranks, and on Ray Train with two workers: the same losses.

Every method trains a few steps, with dropout off and augmentation drawn for each sample, on tables of a folder that
`make demo` and `raytrain data build emoji_triplets` filled. Prints, for each method, the loss of each launcher and how
far the worst of them stands from the single process, and exits with 1 where that is more than the tolerance.

    python benchmarks/launchers.py --tables tables --steps 12
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from raytrain.config.methods import METHOD_CONFIGS
from raytrain.tracking.journal import Journal

LAUNCHERS = {
    "one": ["-m", "raytrain.cli", "train"],
    "torchrun": [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "raytrain.cli",
        "train",
    ],
    "ray": ["-m", "raytrain.cli", "train", "--workers", "2"],
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--tables", default="tables", help="folder of the tables emoji and emoji_triplets")
    arguments.add_argument("--methods", nargs="*", default=list(METHOD_CONFIGS), choices=list(METHOD_CONFIGS))
    arguments.add_argument("--steps", type=int, default=12)
    arguments.add_argument("--tolerance", type=float, default=1e-5, help="largest relative difference")
    given = arguments.parse_args()
    worst = 0.0
    print(f"{'method':14s}" + "".join(f"{name:>16s}" for name in LAUNCHERS) + f"{'difference':>14s}", flush=True)
    with tempfile.TemporaryDirectory() as storage:
        for kind in given.methods:
            losses = {name: _run(name, kind, given, storage) for name in LAUNCHERS}
            apart = max(abs(loss / losses["one"] - 1) for loss in losses.values())
            worst = max(worst, apart)
            print(f"{kind:14s}" + "".join(f"{loss:16.8f}" for loss in losses.values()) + f"{apart:14.1e}", flush=True)
    return int(worst > given.tolerance)


def _run(launcher: str, kind: str, given: argparse.Namespace, storage: str) -> float:
    """Mean training loss over the steps."""
    config = METHOD_CONFIGS[kind]
    composed = config.batch_ways[0] == "query"
    recipe, table = ("rau_emoji", "emoji_triplets") if composed else ("vse_infinity_emoji", "emoji")
    name = f"{kind}-{launcher}"
    settings = [
        f"method.kind={kind}", f"data.table={Path(given.tables) / table}", f"storage={storage}", f"name={name}",
        "experiment=launchers", "encoder.dim=32", "optim.batch_size=32", "optim.num_epochs=1", "optim.lr=1e-4",
        f"optim.max_steps={given.steps}", *(["method.dropout=0"] if "dropout" in config.model_fields else []),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *LAUNCHERS[launcher], recipe, *settings, "--tracking", "none"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    epoch = Journal(Path(storage) / "launchers" / name).last("epoch")
    if done.returncode or epoch is None:
        raise SystemExit(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return float(epoch["metrics"]["train/loss"])


if __name__ == "__main__":
    sys.exit(main())
