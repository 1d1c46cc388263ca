"""Images per second of `raytrain data check`, beside decoding alone, and near duplicates beside comparing all pairs.

    python benchmarks/check_images.py tables/flickr8k --workers 1 2

Both ways read the same images of the table, after each was read once so that all come from memory: Pillow's decoding
in this process, and the check in `--workers` processes (their start included). The search for near duplicates is timed
on random hashes, half of them near a hash of the other side: in bands, and with every pair compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from raytrain.data.check.images import inspect_images
from raytrain.data.check.perceptual import BITS, NEAR, near_pairs
from raytrain.data.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--hashes", type=int, nargs=2, default=[5_000, 100_000])
    args = parser.parse_args()
    table = Table(args.table)
    root, files = table.image_root, table.items["file"].to_pylist()[: args.images]
    bare(root, files)
    alone = seconds(lambda: bare(root, files))
    print(f"decoding alone   {len(files) / alone:8.0f} images/s")
    for workers in args.workers:
        took = seconds(lambda workers=workers: list(inspect_images(root, files, workers)))  # type: ignore[misc]
        print(f"check, {workers} process{'es' if workers > 1 else '  '} {len(files) / took:8.0f} images/s, "
              f"ratio {alone / took:.2f}")  # fmt: skip
    left, right = made_up(*args.hashes)
    banded, whole = seconds(lambda: near_pairs(left, right)), seconds(lambda: all_pairs(left, right))
    print(f"near pairs of {len(left):,} x {len(right):,}: {banded:.2f} s in bands, {whole:.2f} s of all pairs, "
          f"ratio {whole / banded:.1f}")  # fmt: skip


def bare(root: Path, files: Sequence[str]) -> None:
    for file in files:
        with Image.open(root / file) as image:
            image.load()


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def made_up(queries: int, gallery: int) -> tuple[list[bytes], list[bytes]]:
    random = np.random.default_rng(0)
    right = random.integers(0, 256, (gallery, BITS // 8), np.uint8)
    left = random.integers(0, 256, (queries, BITS // 8), np.uint8)
    flips = np.packbits(random.random((queries // 2, BITS)) < NEAR / BITS / 2, axis=1)
    left[: queries // 2] = right[random.integers(0, gallery, queries // 2)] ^ flips
    return [row.tobytes() for row in left], [row.tobytes() for row in right]


def all_pairs(left: Sequence[bytes], right: Sequence[bytes]) -> list[tuple[int, int]]:
    """The same pairs with numpy, every hash against every other, in 64-bit words."""
    ours, theirs = (np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 2) for hashes in (left, right))
    pairs = []
    for row, words in enumerate(ours):
        differing = np.bitwise_count(theirs ^ words).sum(1)
        nearest = int(differing.argmin())
        if differing[nearest] <= NEAR:
            pairs.append((row, nearest))
    return pairs


if __name__ == "__main__":
    main()
