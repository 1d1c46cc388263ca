"""Is this GPU path right, and how fast is it? One call, one Markdown and one JSON file.

    python benchmarks/gpu.py --out gpu          # writes gpu.md and gpu.json; under eight minutes on one CUDA device
    python benchmarks/gpu.py --device cpu --small --out /tmp/small

It needs torch and the core of this package, and neither Ray nor Optuna nor MLflow. First it compares CPU and device:
losses, gradients and ranks of every method, half precision, gradient caching, a resumed run, an image backbone, the
fused smooth-Chamfer similarity. Then it measures: training steps beside the rate of matrix products measured next to
each, their synchronisations with the host, how busy the device is, peak memory, feeding, four runs at once.

Every check stands alone: one that fails, or takes longer than its section has left, is reported as such, and the rest
goes on. Exit code 1 where a check failed. Whoever has a GPU runs it and adds the Markdown to docs/log.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """Where and how large.

    Args:
        device: name of a torch device.
        small: sizes that a CPU computes in seconds; what they measure says nothing.
        folder: for tables and runs, removed afterwards.
    """

    device: str
    small: bool
    folder: Path


@dataclass(frozen=True)
class Check:
    """One check or measurement.

    Args:
        name: of the row in the report.
        run: returns the row's numbers; "ok", where it is among them, says whether the check passed.
    """

    name: str
    run: Callable[[], Numbers]


@dataclass(frozen=True)
class Section:
    """A table of the report.

    Args:
        title: of the table.
        budget_s: wall-clock seconds of all its checks; those that come later are skipped.
        checks: made one after the other, so that what one needs may be made by the one before.
    """

    title: str
    budget_s: float
    checks: Callable[[Setup], Iterator[Check]]


@dataclass(frozen=True)
class Row:
    """What came of a check.

    Args:
        section, name: as in the report.
        state: "ok", "measured", "failed" or "skipped".
        numbers: of the check.
        why: it failed or was skipped.
        seconds: it took.
    """

    section: str
    name: str
    state: str
    numbers: Numbers
    why: str
    seconds: float


class OutOfTime(BaseException):
    """A check took longer than its section has left. No check may catch it."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Inside, OutOfTime is raised after so many seconds, as soon as Python code runs."""

    def stop(number: int, frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_section(section: Section, setup: Setup, tell: Callable[[str], None] = print) -> list[Row]:
    """All rows of a section; no error of a check comes out of here, but for KeyboardInterrupt."""
    rows: list[Row] = []
    ends = time.monotonic() + section.budget_s
    checks = iter(section.checks(setup))
    while True:
        name, started = "(setting up)", time.monotonic()
        state, numbers, why = "ok", {}, ""
        try:
            with at_most(ends - started):
                check = next(checks, None)
                if check is None:
                    break
                name = check.name
                numbers = check.run()
            passed = numbers.pop("ok", None)
            state = "measured" if passed is None else "ok" if passed else "failed"
            why = "" if passed in (None, True) else "out of tolerance"
        except OutOfTime:
            state, why = "skipped", f"the {section.budget_s:g} s of '{section.title}' were over"
        except Exception as error:
            text = str(error).strip().splitlines()
            state, why = "failed", f"{type(error).__name__}: {text[0][:300] if text else ''}"
        rows.append(Row(section.title, name, state, numbers, why, time.monotonic() - started))
        tell(f"{section.title} | {name} | {state} {why} {numbers or ''}")
        if state == "skipped" or name == "(setting up)":
            break
    return rows


def sections() -> list[Section]:
    """What is checked and measured, in order; eight minutes in all at most."""
    from benchmarks import gpu_checks, gpu_measures

    return [
        Section("Losses, gradients and ranks against the CPU", 110, gpu_checks.methods),
        Section("Half precision against fp32", 60, gpu_checks.precisions),
        Section("Training", 40, gpu_checks.training),
        Section("Encoding", 20, gpu_checks.encoding),
        Section("Smooth-Chamfer similarity, forward and backward", 40, gpu_measures.smooth_chamfer),
        Section("Training steps", 110, gpu_measures.steps),
        Section("Feeding", 30, gpu_measures.feeding),
        Section("Four runs at once", 60, gpu_measures.packing),
    ]


def facts(device: str) -> dict[str, str]:
    """What the numbers were measured on."""
    import torch

    named = {"device": device, "torch": torch.__version__, "python": platform.python_version()}
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        named |= {
            "device": properties.name,
            "memory": f"{properties.total_memory / 2**30:.0f} GiB",
            "CUDA": str(torch.version.cuda),
        }
    return named


def as_markdown(about: dict[str, str], rows: Sequence[Row]) -> str:
    """The report: one table per section, a column per number."""
    failed = [row for row in rows if row.state in ("failed", "skipped")]
    lines = ["# Acceptance on a device", "", ", ".join(f"{name} {value}" for name, value in about.items()), ""]
    lines.append(f"{len(rows)} checks and measurements, {len(failed)} failed or skipped.")
    for title in dict.fromkeys(row.section for row in rows):
        own = [row for row in rows if row.section == title]
        columns = list(dict.fromkeys(name for row in own for name in row.numbers))
        lines += ["", f"## {title}", "", "| | " + " | ".join(["state", *columns, "s"]) + " |"]
        lines.append("|" + " --- |" * (len(columns) + 3))
        for row in own:
            cells = [_cell(row.numbers.get(name, "")) for name in columns]
            state = f"{row.state}: {row.why}" if row.why else row.state
            lines.append(
                f"| {row.name} | " + " | ".join([state.replace("|", "/"), *cells, f"{row.seconds:.1f}"]) + " |"
            )
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def accept(setup: Setup, out: Path, tell: Callable[[str], None] = print) -> list[Row]:
    """All sections; OUT.md and OUT.json are written anew after each, so that a lost machine leaves what it had."""
    rows: list[Row] = []
    about = facts(setup.device)
    for section in sections():
        rows += run_section(section, setup, tell)
        out.with_suffix(".md").write_text(as_markdown(about, rows), encoding="utf-8")
        content = {"about": about, "rows": [asdict(row) for row in rows]}
        out.with_suffix(".json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script itself")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="files to write, without .md and .json")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)  # one of the four runs
    given = parser.parse_args(arguments)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    if given.worker:
        from benchmarks.gpu_measures import packed_worker

        return packed_worker(given.worker, given.device, given.small)
    with tempfile.TemporaryDirectory(prefix="gpu") as folder:
        rows = accept(Setup(given.device, given.small, Path(folder)), given.out)
    print(f"{given.out}.md and {given.out}.json")
    return int(any(row.state == "failed" for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
