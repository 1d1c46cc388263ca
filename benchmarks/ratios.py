"""Small forms of the benchmarks, and their ratios compared with committed ones: `make bench`.

    python -m benchmarks.ratios                    # all of them; a ratio that fell is a warning
    python -m benchmarks.ratios gru loader --strict
    python -m benchmarks.ratios --update           # writes benchmarks/ratios.json, on a quiet machine

Each benchmark of BENCHES runs in a process of its own and yields ratios of two ways to do the same, measured in turns;
larger is better. A ratio that lies further below the committed one than its tolerance is measured once more, and the
better of both counts. If that is too low as well, it is printed as a warning, as an annotation where GITHUB_ACTIONS is
set. The exit code is 1 under --strict alone.

A tolerance is a share of the ratio: one and a half times the spread of the repeated runs of --update, and at least a
tenth. It also has to cover other machines, of whose ratios of two ways each has its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "benchmarks" / "ratios.json"
BENCHES = (
    "evaluation",
    "reranking",
    "composed_evaluation",
    "loader",
    "epoch",
    "step",
    "dropout",
    "gru",
    "gradient_cache",
    "encoding",
    "index",
    "watching",
)
"""Modules of benchmarks/ that take --small and --json FILE, and write {name: ratio}, larger is better."""
LEAST_TOLERANCE = 0.1


@dataclass(frozen=True)
class Expected:
    """A committed ratio.

    Args:
        bench: that measures it.
        ratio: the median of repeated runs.
        tolerance: share of it by which a ratio may be lower.
        where: how often, on which machine, at what load, when, and at which commit it was measured.
    """

    bench: str
    ratio: float
    tolerance: float
    where: str = ""

    @property
    def least(self) -> float:
        return self.ratio * (1 - self.tolerance)


def expected_of(bench: str, ratios: Sequence[float], where: str = "") -> Expected:
    """What repeated runs of a ratio let one expect of the next."""
    middle = statistics.median(ratios)
    spread = (max(ratios) - min(ratios)) / middle
    return Expected(bench, round(middle, 3), round(max(LEAST_TOLERANCE, 1.5 * spread), 3), where)


def warnings_of(bench: str, measured: Mapping[str, float] | None, committed: Mapping[str, Expected]) -> dict[str, str]:
    """{ratio or bench: what is wrong with it}.

    Args:
        measured: None where the benchmark failed.
        committed: of all benchmarks.
    """
    if measured is None:
        return {bench: "failed"}
    wrong = {
        name: f"fell to {measured[name]:.2f} from {expected.ratio:.2f} (at least {expected.least:.2f})"
        for name, expected in committed.items()
        if name in measured and measured[name] < expected.least
    }
    missing = [name for name, expected in committed.items() if expected.bench == bench and name not in measured]
    return wrong | dict.fromkeys(missing, "was not measured")


Measure = Callable[[str], Mapping[str, float] | None]


def run_bench(bench: str) -> Mapping[str, float] | None:
    """Ratios of the small form, in a process of its own; None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratios.json"
        command = [sys.executable, "-m", f"benchmarks.{bench}", "--small", "--json", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            print("\n".join((done.stdout + done.stderr).splitlines()[-5:]), file=sys.stderr)
            return None
        ratios: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return ratios


def compare(benches: Sequence[str], committed: Mapping[str, Expected], measure: Measure) -> dict[str, str]:
    """Measure the benchmarks and print their ratios; {ratio or bench: what is wrong with it}."""
    wrong: dict[str, str] = {}
    for bench in benches:
        began = time.monotonic()
        measured = measure(bench)
        if warnings_of(bench, measured, committed):
            again = measure(bench)
            if again is not None:
                measured = {name: max(ratio, (measured or {}).get(name, ratio)) for name, ratio in again.items()}
        wrong |= warnings_of(bench, measured, committed)
        for name, ratio in (measured or {}).items():
            before = f"was {committed[name].ratio:.2f}" if name in committed else "is new"
            print(f"{name:38}{ratio:8.2f}   {before}", flush=True)
        print(f"{'':38}{'':8}   {bench} took {time.monotonic() - began:.0f} s", flush=True)
    return wrong


def annotation(name: str, what: str) -> str:
    """The line that says so, in the form that GitHub shows where it runs the job."""
    return f"::warning title=bench::{name} {what}" if os.environ.get("GITHUB_ACTIONS") else f"WARNING: {name} {what}"


def read(path: Path) -> dict[str, Expected]:
    """The committed ratios by name; none where there is no file."""
    if not path.exists():
        return {}
    ratios = json.loads(path.read_text(encoding="utf-8"))["ratios"]
    return {name: Expected(**expected) for name, expected in ratios.items()}


def write(path: Path, ratios: Mapping[str, Expected]) -> None:
    described = {"ratios": {name: asdict(expected) for name, expected in ratios.items()}}
    path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def place(repeats: int) -> str:
    """How often, on which machine, at what load of the last five minutes, when and at which commit."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return (
        f"{repeats} runs, {model}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}, {platform.system()}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, commit {commit}"
    )


def update(benches: Sequence[str], repeats: int, path: Path, measure: Measure) -> None:
    """Measure each benchmark so many times and write what to expect, one after the other; others' ratios stay."""
    kept = {name: expected for name, expected in read(path).items() if expected.bench not in benches}
    for bench in benches:
        runs = [measure(bench) for _ in range(repeats)]
        names = {name: None for run in runs if run is not None for name in run}
        if not names:
            raise SystemExit(f"{bench} failed; its ratios were not written")
        for name in names:
            ratios = [run[name] for run in runs if run is not None and name in run]
            kept[name] = expected_of(bench, ratios, place(len(ratios)))
            print(f"{name:38}{kept[name].ratio:8.2f} - {kept[name].tolerance:.0%}", flush=True)
        write(path, kept)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"default all: {', '.join(BENCHES)}")
    parser.add_argument("--update", action="store_true", help="write what is measured as what to expect")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each benchmark under --update")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where a ratio fell")
    parser.add_argument("--file", type=Path, default=COMMITTED, help="of the committed ratios")
    args = parser.parse_args(arguments)
    benches = args.benches or BENCHES
    if unknown := sorted({*benches} - {*BENCHES}):
        parser.error(f"no benchmark of that name: {', '.join(unknown)}. There are: {', '.join(BENCHES)}")
    if args.update:
        update(benches, args.repeats, args.file, run_bench)
        return 0
    wrong = compare(benches, read(args.file), run_bench)
    for name, what in wrong.items():
        print(annotation(name, what))
    return int(args.strict and bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
