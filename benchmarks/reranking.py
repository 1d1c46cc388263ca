"""Seconds of 64 re-ranking temperatures over one matrix, and the ratio to plain numpy, one temperature after another.

    python -m benchmarks.reranking
    python -m benchmarks.reranking --images 1000 --path torch

Makes random scores of texts against images (cosines of random features with a shared part; the five texts of an image
are close to it). Finds the normalisers and the ranks of both directions under 64 scales of cross mode in one pass, and
prints the time, the memory above the matrix, and whether all recalls are those of plain numpy: the number of queries
within the first 1, 5 and 10 must be equal, at every scale and in both directions.

Plain numpy is written twice, in blocks of rows that fit the cache. "float64" sums its exponentials in float64, as the
definition does: its recalls must be equal. "float32" is what a quick script would do; it is faster, and may put a few
near ties the other way. Each is timed on some scales only, and the fastest time is multiplied by the number of scales,
since all would take minutes. The check computes all scales, as many at a time as there are threads. Where other work
runs on the machine, the ratio of CPU seconds (all threads of the one pass against numpy's single thread) moves less
than that of the clock.
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.evaluation.temperature_search.log_means import Grid, has_numba, log_means
from raytrain.evaluation.temperature_search.many_temperatures import Best, image_ranks, text_ranks
from raytrain.evaluation.temperature_search.recalls import GRID

KS = (1, 5, 10)
Hits = np.ndarray  # (2, 3) int: image queries and text queries within each k


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--texts-per-image", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--path", choices=["numba", "torch"], default="numba" if has_numba() else "torch")
    parser.add_argument("--timed", type=int, default=3, help="scales that plain numpy is timed on")
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(args.threads)
    scores, owner = made_up(args.images, args.texts_per_image)
    compiled = args.path == "numba"
    if compiled:  # compiling, once per machine, is timed apart
        began = time.perf_counter()
        few = scores[: 5 * args.images].narrow(0, 0, min(64, len(scores)))
        every_scale(few, owner[: len(few)], GRID, compiled)
        print(f"compiling or loading the kernels {time.perf_counter() - began:.1f} s")

    before = peak_bytes()
    seconds, busy = [], []
    for _ in range(3):
        began, work = time.perf_counter(), time.process_time()
        hits = every_scale(scores, owner, GRID, compiled)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - work)
    above = peak_bytes() - before
    shape = f"{len(scores):,} texts x {scores.shape[1]:,} images, float32, {scores.nbytes / 2**20:.0f} MiB"
    print(f"{shape}, {args.threads} threads, {args.path}")
    turns = ", ".join(f"{turn:.2f}" for turn in seconds)
    print(f"{len(GRID)} scales of cross mode, both directions, all recalls: {min(seconds):.2f} s (of {turns})")
    print(f"CPU seconds of that, all threads: {min(busy):.2f}")
    print(f"peak memory above the matrix: {above / 2**20:.0f} MiB")

    array, place = scores.numpy(), owner.numpy()
    chosen = [GRID.scales[i] for i in np.linspace(0, len(GRID) - 1, args.timed).round().astype(int)]
    for dtype in (np.float32, np.float64):
        alone, alone_busy = [], []
        for scale in chosen:
            began, work = time.perf_counter(), time.process_time()
            plain(array, place, scale, dtype)
            alone.append(time.perf_counter() - began)
            alone_busy.append(time.process_time() - work)
        every = min(alone) * len(GRID)
        took = f"{min(alone):.2f} s per scale (least of {len(alone)}), so {every:.0f} s for {len(GRID)}"
        ratio, of_cpu = every / min(seconds), min(alone_busy) * len(GRID) / min(busy)
        print(
            f"plain numpy, {np.dtype(dtype).name}: {took}: ratio {ratio:.0f}, of CPU seconds {of_cpu:.0f}", flush=True
        )
    with ThreadPoolExecutor(args.threads) as pool:
        expected = np.stack(list(pool.map(lambda scale: plain(array, place, scale, np.float64), GRID.scales)))
    wrong = int((hits != expected).sum())
    print(f"counts of queries within 1, 5 and 10 that differ from plain numpy's: {wrong} of {hits.size}")
    if wrong:
        raise SystemExit("the recalls are not equal")


def small() -> dict[str, float]:
    """Plain numpy, which is timed on two scales, over the one pass per scale."""
    scores, owner = made_up(400, 5)
    compiled, chosen = has_numba(), (GRID.scales[0], GRID.scales[-1])

    def numpy() -> None:
        for scale in chosen:
            plain(scores.numpy(), owner.numpy(), scale, np.float32)

    ratio = times_as_fast(numpy, lambda: every_scale(scores, owner, GRID, compiled))
    return {f"re-ranking, {'compiled' if compiled else 'torch'}": ratio * len(GRID) / len(chosen)}


def made_up(images: int, texts_per_image: int, dim: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """(M, N) cosines with hubs, and (M,) owners; texts are near their image, and all lean to a common direction."""
    generator = torch.Generator().manual_seed(0)
    common = 0.7 * torch.randn(dim, generator=generator)
    image = torch.randn(images, dim, generator=generator)
    owner = torch.arange(images).repeat_interleave(texts_per_image)
    text = image[owner] + 1.8 * torch.randn(len(owner), dim, generator=generator)
    image, text = (torch.nn.functional.normalize(x + common, dim=1) for x in (image, text))
    return text @ image.T, owner


def every_scale(scores: torch.Tensor, owner: torch.Tensor, grid: Grid, compiled: bool) -> np.ndarray:
    """(K, 2, 3) queries within each k."""
    over_texts, over_images = log_means(scores, grid, compiled=compiled)
    ranks = (
        image_ranks(scores, owner, over_images.mean, Best(over_images.best, over_images.best_offset), compiled),
        text_ranks(scores, owner, over_texts.mean, Best(over_texts.best, over_texts.best_offset), compiled),
    )
    return np.stack([[((rank >= 0) & (rank < k)).sum(1).numpy() for k in KS] for rank in ranks]).transpose(2, 0, 1)


def plain(scores: np.ndarray, owner: np.ndarray, scale: float, dtype: type, rows: int = 100) -> Hits:
    """The same for one scale, in blocks of rows: normalisers, scores less the normalisers, ranks."""
    texts, images = scores.shape
    blocks = [slice(first, first + rows) for first in range(0, texts, rows)]
    top = scores.max(0)
    column_sums = np.zeros(images)
    over_images = np.empty(texts, dtype)
    for block in blocks:
        part = scores[block].astype(dtype)
        column_sums += np.exp((part - top) * dtype(scale)).sum(0, dtype=np.float64)
        row_top = part.max(1, keepdims=True)
        row_sums = np.exp((part - row_top) * dtype(scale)).sum(1, dtype=np.float64)
        over_images[block] = row_top[:, 0] + np.log(row_sums / images) / scale
    over_texts = (top + np.log(column_sums / texts) / scale).astype(dtype)

    text_rank = np.empty(texts, np.int64)
    own = scores[np.arange(texts), owner] - over_images
    best = np.full(images, -np.inf, dtype)
    np.maximum.at(best, owner, own)
    place = np.full(images, -1)
    np.maximum.at(place, owner, np.where(own == best[owner], np.arange(texts), -1))
    image_rank = np.zeros(images, np.int64)
    columns = np.arange(images)
    for block in blocks:
        ranked = scores[block] - over_texts
        mine = np.take_along_axis(ranked, owner[block, None], 1)
        ties = (ranked == mine) & (columns > owner[block, None])
        text_rank[block] = (ranked > mine).sum(1) + ties.sum(1)
        ranked = scores[block] - over_images[block, None]
        ties = (ranked == best) & (np.arange(block.start, block.start + len(ranked))[:, None] > place)
        image_rank += (ranked > best).sum(0) + ties.sum(0)
    image_rank = image_rank[place >= 0]
    return np.array([[int((rank < k).sum()) for k in KS] for rank in (image_rank, text_rank)])


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
