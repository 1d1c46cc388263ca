"""What the small forms of benchmarks share: their options, alternated rounds, and the file that `make bench` reads.

A small form takes seconds and yields named ratios, measured inside one run; larger is better. Both sides of a ratio
take turns, on CPU seconds of the process and one thread of torch: other work on the machine moves these least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Work = Callable[[], object]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, and nothing but ratios")
    parser.add_argument("--json", type=Path, help="where the ratios of --small are written")


def cpu_s(work: Work) -> float:
    """CPU seconds of a call, over all threads of the process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def times_as_fast(plain: Work, ours: Work, rounds: int = 5) -> float:
    """CPU seconds of `plain` over those of `ours`: the median over rounds, after one that does not count."""
    ratios = []
    for counts in (False, *[True] * rounds):
        ratio = cpu_s(plain) / cpu_s(ours)
        if counts:
            ratios.append(ratio)
    return statistics.median(ratios)


def run_small(form: Callable[[], Mapping[str, float]], into: Path | None) -> None:
    """Measure a small form on one thread, print its ratios and write them as {name: ratio}."""
    torch.set_num_threads(1)
    ratios = dict(form())
    for name, ratio in ratios.items():
        print(f"{name:34}{ratio:8.2f}")
    if into is not None:
        into.write_text(json.dumps(ratios), encoding="utf-8")
