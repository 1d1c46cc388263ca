"""Seconds and memory of scoring a split and ranking it in both directions, and their ratio to the bare product.

    python -m benchmarks.evaluation                  # the table of docs/evaluation/speed.md, some minutes
    python -m benchmarks.evaluation --part sets      # one part of the table

COCO 5K has 5,000 images and 25,000 captions: single vectors of 1,024 numbers (VSE-infinity), or sets of 4 such vectors
compared by smooth-Chamfer with alpha 16 (DivE). Sets of the whole size are timed once, a slice of them several times.
Everything between embeddings and metrics is timed: scores, ranks, all recalls. In turns with it the bare product is
timed: torch.mm of the same size in float32 (on sets, of all elements), 1,000 rows at a time into one buffer, so that
it fits in memory. A ratio is the median over turns. On a machine with other work the ratio of both sides' best turn
moves less, and the ratio of CPU seconds (--cpu --threads 1) least. Memory is the peak growth of the process above its
embeddings, in the first turn. Embeddings are random: no step depends on their values.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain import similarity
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import Direction, metrics_of_counts
from raytrain.evaluation.ranking.tiles import MEMORY_MIB
from raytrain.methods.base import Method
from raytrain.scoring.embed import count_pairs

DIM, VIEWS, ALPHA = 1024, 4, 16.0
HEAD = f"{'':34}{'seconds':>9}{'torch.mm':>10}{'ratio':>7}{'(least, most)':>15}{'of bests':>10}{'MB above':>10}"


class Vectors(Method):
    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return similarity.cosine(query, gallery)


class Sets(Method):
    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return similarity.smooth_chamfer(query, gallery, ALPHA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["vectors", "sets", "growth", "all"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--cpu", action="store_true", help="measure CPU seconds; use --threads 1: threads that wait spin"
    )
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB)
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(args.threads)
    Clock.read = time.process_time if args.cpu else time.perf_counter
    print(f"threads {args.threads}, float32, D {DIM}, memory_mib {args.memory_mib}")
    print(HEAD)
    if args.part in ("vectors", "all"):
        compare("vectors 25,000 x 5,000", Vectors(), 25_000, 5_000, (DIM,), args.repeats, args.memory_mib)
    if args.part in ("sets", "all"):
        compare("sets 5,000 x 1,000 (a slice)", Sets(), 5_000, 1_000, (VIEWS, DIM), args.repeats, args.memory_mib)
        compare("sets 25,000 x 5,000, once", Sets(), 25_000, 5_000, (VIEWS, DIM), 1, args.memory_mib)
    if args.part in ("growth", "all"):
        for items in (12_500, 25_000, 50_000, 100_000):
            compare(f"vectors 5,000 x {items:,}, D 256", Vectors(), 5_000, items, (256,), 2, args.memory_mib)
        for items in (6_250, 12_500, 25_000, 50_000, 100_000):
            compare(f"sets 500 x {items:,}, D 64", Sets(), 500, items, (VIEWS, 64), 2, args.memory_mib)


@dataclass(frozen=True)
class Turns:
    """Seconds of scoring and ranking, and of the bare product, turn by turn; and the most bytes that memory grew by."""

    seconds: list[float]
    bare: list[float]
    highest: int

    def ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.seconds, self.bare, strict=True)]


def compare(
    name: str, model: Method, texts: int, items: int, shape: tuple[int, ...], repeats: int, memory_mib: int
) -> None:
    """One line of the table."""
    turns = in_turns(model, texts, items, shape, repeats, memory_mib)
    seconds, bare, ratios = turns.seconds, turns.bare, turns.ratios()
    spread = f"({min(ratios):.2f}, {max(ratios):.2f})"
    print(
        f"{name:34}{statistics.median(seconds):9.2f}{statistics.median(bare):10.2f}"
        f"{statistics.median(ratios):7.2f}{spread:>15}{min(seconds) / min(bare):10.2f}{turns.highest / 1e6:10.0f}",
        flush=True,
    )


def in_turns(
    model: Method, texts: int, items: int, shape: tuple[int, ...], repeats: int, memory_mib: int = MEMORY_MIB
) -> Turns:
    """A made-up split, evaluated in turns with its bare product."""
    query, gallery, owner = made_up(texts, items, shape)
    evaluate(model, query[:64], gallery[: int(owner[63]) + 1], owner[:64], memory_mib)  # compiles what is compiled
    seconds, bare, highest = [], [], 0
    for _ in range(repeats):
        bare.append(timed(lambda: product(query.flatten(0, -2), gallery.flatten(0, -2))))
        with Peak() if not seconds else contextlib.nullcontext() as peak:
            seconds.append(timed(lambda: evaluate(model, query, gallery, owner, memory_mib)))
        highest = peak.bytes if peak else highest
    return Turns(seconds, bare, highest)


def made_up(texts: int, items: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Random embeddings of texts and of items, and the item of each text."""
    draw = torch.Generator().manual_seed(0)
    query, gallery = (normalize(torch.randn(n, *shape, generator=draw), dim=-1) for n in (texts, items))
    # where there are fewer texts than images, most images have no text: their number is what grows
    return query, gallery, torch.arange(texts) * items // texts


def small() -> dict[str, float]:
    """The bare product over all of it: 1 is the machine's limit."""
    ratios = {}
    for name, model, texts, items, shape in (
        ("vectors", Vectors(), 5000, 1000, (DIM,)), ("sets", Sets(), 1000, 200, (VIEWS, DIM)),
    ):  # fmt: skip
        query, gallery, owner = made_up(texts, items, shape)
        left, right = query.flatten(0, -2), gallery.flatten(0, -2)

        def ours(
            model: Method = model, query: Tensor = query, gallery: Tensor = gallery, owner: Tensor = owner
        ) -> None:
            evaluate(model, query, gallery, owner, MEMORY_MIB)

        def bare(left: Tensor = left, right: Tensor = right) -> None:
            product(left, right)

        ratios[f"evaluation of {name}, of its product"] = times_as_fast(bare, ours)
    return ratios


def evaluate(model: Method, query: Tensor, gallery: Tensor, owner: Tensor, memory_mib: int) -> dict[str, float]:
    counts: dict[Direction, Counts] = count_pairs(model, query, gallery, owner, memory_mib)
    return metrics_of_counts(counts)


def product(left: Tensor, right: Tensor) -> None:
    """All of left @ right.T, 1,000 rows at a time into the same buffer."""
    into = torch.empty(1000, len(right))
    for part in left.split(1000):
        torch.mm(part, right.T, out=into[: len(part)])


class Clock:
    """The clock that is read before and after a call."""

    read = time.perf_counter


def timed(call: object) -> float:
    assert callable(call)
    started = Clock.read()
    call()
    return Clock.read() - started


class Peak:
    """The most bytes that the process grew by, sampled every two milliseconds."""

    def __enter__(self) -> Peak:
        with contextlib.suppress(OSError, AttributeError):  # what was freed and not given back would hide a growth
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.start, self.highest, self.done = resident(), 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.002):
            self.highest = max(self.highest, resident())

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self.bytes = max(0, self.highest - self.start)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
