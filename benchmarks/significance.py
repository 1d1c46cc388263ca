"""How often the leaderboard's intervals and p-values err, in simulated tables whose truth is known.

    python benchmarks/significance.py --repeats 4000

Methods are equal in expectation. Each has an ability per image, training moves the whole run by an amount with a
standard deviation of 4.9 rsum, and each image of each run besides; an image has five captions. Printed with their Monte
Carlo error, in percent: true differences that a 95 % interval leaves out, and intervals of a row that contain its rsum.
The truth of a row is that of its method, or with one seed that of its trained model; beside it stands how often the
same p then calls the methods different.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtr

from raytrain.evaluation.significance import simultaneous
from raytrain.evaluation.variance import Estimate, Floats, estimate

CAPTIONS, KS = 5, (1, 5, 10)
CENTRE = {"i2t": 0.7, "t2i": 1.0}
"""Mean of the logarithm of a rank, by direction."""
IMAGE, METHOD, RUN, QUERY = 0.9, 0.4, 0.5, 0.9
"""Standard deviations of log-ranks: what an image has for all methods, for one, for one run, and a query by itself."""
TRAINING_SD = 4.9
TOP = 600.0


def expected_rsum(shift: float | Floats, training: float = 0.0) -> float | Floats:
    """rsum over all images of runs whose log-ranks are shifted, with a standard deviation over runs besides."""
    deviation = math.sqrt(IMAGE**2 + METHOD**2 + RUN**2 + QUERY**2 + training**2)
    return 100 * sum(ndtr((math.log(k) - centre - shift) / deviation) for centre in CENTRE.values() for k in KS)


def training_shift() -> float:
    """Standard deviation of a run's shift that moves rsum by TRAINING_SD."""
    return TRAINING_SD * 2e-3 / abs(expected_rsum(1e-3) - expected_rsum(-1e-3))


def cells_of_runs(generator: np.random.Generator, shared: Floats, shifts: Floats) -> Floats:
    """(R, S, C) what each image adds to rsum, in R repeats of a method of S runs; `shared` is (R, C), shifts (R, S)."""
    repeats, images = shared.shape

    def noise(scale: float, *shape: int) -> Floats:
        return scale * generator.standard_normal(shape, dtype=np.float32)

    runs = shifts.shape[1]
    common = (shared + noise(METHOD, repeats, images))[:, None] + shifts[..., None].astype(np.float32)
    common = common + noise(RUN, repeats, runs, images)
    total = np.zeros((repeats, runs, images))
    for direction, queries in (("i2t", 1), ("t2i", CAPTIONS)):
        for _ in range(queries):
            log_rank = CENTRE[direction] + common + noise(QUERY, repeats, runs, images)
            for k in KS:
                total += (100 / queries / images) * (log_rank < math.log(k))
    return total


def methods(
    images: int, seeds: Sequence[int], repeats: int, seed: int = 0
) -> Iterator[tuple[list[Floats], list[Floats]]]:
    """Per repeat: [(S, C) cells of each method], [(S,) expected rsum of each of its runs].

    Args:
        images: C.
        seeds: S of each method.
        repeats: number of simulated tables.
        seed: of the simulation.
    """
    generator, deviation = np.random.default_rng(seed), training_shift()
    step = max(1, 400_000 // (images * sum(seeds)))
    for first in range(0, repeats, step):
        size = min(step, repeats - first)
        shared = (IMAGE * generator.standard_normal((size, images))).astype(np.float32)
        shifts = [deviation * generator.standard_normal((size, number)) for number in seeds]
        cells = [cells_of_runs(generator, shared, shift) for shift in shifts]
        for repeat in range(size):
            yield [of[repeat] for of in cells], [np.asarray(expected_rsum(shift[repeat])) for shift in shifts]


def row(cells: Floats) -> Estimate:
    return estimate(float(cells.sum(1).mean()), [cells])


def difference(a: Floats, b: Floats) -> Estimate:
    return estimate(float(a.sum(1).mean() - b.sum(1).mean()), [a, -b])


def pair_rates(images: int, seeds: tuple[int, int], repeats: int, seed: int = 0) -> dict[str, float]:
    """Shares of pairs of equal methods.

    Returns:
        {"rejected": p < 0.05, "difference": the interval contains the difference, "row": the interval of the first row
        contains its rsum}. The truth of a row is that of its method, or with one seed that of its trained model.
    """
    counted = dict.fromkeys(("rejected", "difference", "row"), 0)
    of_method = float(expected_rsum(0.0, training_shift()))
    for (a, b), of_runs in methods(images, seeds, repeats, seed):
        of_a, of_b = (float(of[0]) if len(of) == 1 else of_method for of in of_runs)
        change = difference(a, b)
        low, high = change.interval(0.95)
        counted["rejected"] += change.p < 0.05
        counted["difference"] += low <= of_a - of_b <= high
        low, high = row(a).share_interval(0.95, TOP)
        counted["row"] += low <= of_a <= high
    return {name: number / repeats for name, number in counted.items()}


def table_rates(images: int, seeds: int, repeats: int, rows: int = 10, seed: int = 0) -> dict[str, float]:
    """Shares of tables of equal methods in which any row's interval against the first leaves out zero: "each" interval
    of 95 % by itself, and corrected ("together")."""
    counted = {"each": 0, "together": 0}
    for cells, _ in methods(images, [seeds] * rows, repeats, seed):
        differences = [difference(other, cells[0]) for other in cells[1:]]
        counted["each"] += any(change.p < 0.05 for change in differences)
        counted["together"] += any(low > 0 or high < 0 for (low, high), _ in simultaneous(differences))
    return {name: number / repeats for name, number in counted.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4000)
    repeats = parser.parse_args().repeats

    def percent(share: float, number: int = repeats) -> str:
        return f"{100 * share:5.1f} ± {100 * math.sqrt(max(share * (1 - share), 1 / number) / number):.1f}"

    print(f"{repeats} repeats; percent ± Monte Carlo error; seeds of both rows; rsum {expected_rsum(0.0):.0f}")
    print("images  seeds  truth rejected  interval of a row holds  one seed: p < 0.05 for equal methods")
    for images in (12, 40, 200, 1000):
        for seeds in ((1, 1), (2, 2), (3, 3), (5, 5), (1, 3), (2, 5)):
            rates = pair_rates(images, seeds, repeats)
            beside = percent(rates["rejected"]) if min(seeds) == 1 else ""
            names, first = f"{seeds[0]}, {seeds[1]}", percent(1 - rates["difference"])
            print(f"{images:6}  {names:5}  {first:14}  {percent(rates['row']):23}  {beside}".rstrip(), flush=True)
    few = max(1, repeats // 4)
    print("tables of ten rows with an interval that leaves out zero: each by itself, corrected")
    for images in (40, 200):
        for seeds in (3, 5):
            rates = table_rates(images, seeds, few)
            print(
                f"{images:6}  {seeds:5}  {percent(rates['each'], few)}  {percent(rates['together'], few)}", flush=True
            )


if __name__ == "__main__":
    main()
