"""Trials that share a GPU against the same trials one after another: how much faster they train, and whether all end.

    python -m benchmarks.packing --packed 4

Each trial is a process of its own, without Ray. It trains as a trial of a sweep does: two steps estimate the memory it
needs, and it is held to its share of the GPU's memory. First some steps are trained on the CPU too, and their losses
must agree. Then all trials are run one after another, each with the same share of the memory, and all at once. The
ratio is the training time (from a run's first step to its end) one after another over that of all at once.
`--device cpu` tries the script itself where there is no GPU; its ratio says nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.config import (
    DataConfig,
    DVSEConfig,
    EncoderConfig,
    OptimConfig,
    RunConfig,
    from_yaml,
    override,
    to_yaml,
)
from raytrain.data.table import Table
from raytrain.tracking.journal import Journal
from tests.tables import make_table

Events = list[dict[str, Any]]


@dataclass(frozen=True)
class Packed:
    """The same trials one after another and all at once.

    Args:
        alone_s: training seconds, summed over the trials, one after another.
        together_s: seconds from the first step of the first trial to the end of the last one, all at once.
        lost: the trials that did not finish.
    """

    alone_s: float
    together_s: float
    lost: list[str]

    @property
    def ratio(self) -> float:
        return self.alone_s / self.together_s


def main() -> int:
    if sys.argv[1:2] == ["worker"]:
        return worker(Path(sys.argv[2]), float(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=int, default=4, help="trials that share the GPU")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--images", type=int, default=4000, help="of the made-up table")
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--dim", type=int, default=1024, help="of the embeddings")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest relative difference from the CPU's loss")
    given = parser.parse_args()
    share = 1 / given.packed if given.device == "cuda" else 0.0
    with tempfile.TemporaryDirectory(prefix="packing") as folder:
        base = config(Path(folder), given)
        difference = check(base, share, given.tolerance)
        print(f"the first steps on the {given.device} differ from the CPU's by {difference:.1e}")
        alone = [override(base, {"name": f"alone-{n}", "seed": n}) for n in range(given.packed)]
        together = [override(base, {"name": f"together-{n}", "seed": n}) for n in range(given.packed)]
        for run in alone:
            finish([start(run, share)])
        finish([start(run, share) for run in together])
        journals = [[Journal(run.folder).read() for run in way] for way in (alone, together)]
        packed = compare(*journals)
        memory = (Journal(together[0].folder).last("start") or {}).get("memory")
    if memory:
        needed, allowed = (memory[name] / 2**30 for name in ("needed_bytes", "allowed_bytes"))
        print(f"each was expected to hold {needed:.2f} GiB of its {allowed:.2f} GiB")
    print(f"{given.packed} trials: {packed.alone_s:.1f} s one after another, {packed.together_s:.1f} s together: "
          f"{packed.ratio:.2f} times; lost: {', '.join(packed.lost) or 'none'}")  # fmt: skip
    return int(bool(packed.lost))


def config(folder: Path, given: argparse.Namespace) -> RunConfig:
    make_table(folder / "table", items=given.images, regions=given.regions, features=given.features)
    return RunConfig(
        name="base",
        experiment="packing",
        storage=str(folder / "runs"),
        data=DataConfig(table=str(folder / "table"), min_word_count=1),
        encoder=EncoderConfig(dim=given.dim),
        method=DVSEConfig(views=2),
        optim=OptimConfig(lr=2e-4, batch_size=min(128, given.images), num_epochs=given.epochs, decay_epochs=()),
    )


def check(base: RunConfig, share: float, tolerance: float) -> float:
    """Relative difference between the losses of a few steps on the device and on the CPU.

    Raises:
        SystemExit: it is above the tolerance.
    """
    loss = []
    for name, part in (("check-cpu", 0.0), ("check-device", share)):
        run = override(base, {"name": name, "optim.num_epochs": 1, "optim.max_steps": 8})
        finish([start(run, part)])
        loss.append(float((Journal(run.folder).last("epoch") or {})["metrics"]["train/loss"]))
    difference = abs(loss[1] / loss[0] - 1)
    if difference > tolerance:
        raise SystemExit(f"the loss on the device is {loss[1]}, on the CPU {loss[0]}: {difference:.1e} apart")
    return difference


def start(run: RunConfig, share: float) -> subprocess.Popen[bytes]:
    recipe = Path(run.storage).parent / f"{run.name}.yaml"
    recipe.write_text(to_yaml(run), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.packing", "worker", str(recipe), str(share)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def finish(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all of them; whether one failed is in its journal."""
    for process in processes:
        process.wait()


def worker(recipe: Path, share: float) -> int:
    """What each process runs: a trial as in a sweep, with this share of a GPU; on the CPU where it is 0."""
    from raytrain.sweeps.single_worker import train_single_worker

    config = from_yaml(recipe)
    fingerprint = Table(config.data.table).fingerprint
    train_single_worker(config, {"CPU": 1.0, "GPU": share}, None, fingerprint, lambda metrics: None)
    return 0


def compare(alone: list[Events], together: list[Events]) -> Packed:
    """Compare from the journals of the same trials, run one after another and all at once."""
    spans = [[_span(events) for events in way] for way in (alone, together)]
    lost = [str(n) for n, events in enumerate([*alone, *together]) if events[-1].get("status") != "finished"]
    first, last = min(span[0] for span in spans[1]), max(span[1] for span in spans[1])
    return Packed(sum(end - begin for begin, end in spans[0]), last - first, lost)


def _span(events: Events) -> tuple[float, float]:
    return float(events[0]["time"]), float(events[-1]["time"])


if __name__ == "__main__":
    sys.exit(main())
