"""Composed evaluation against a plain one that compares names, from embeddings to all metrics, at the real sizes.

    python -m benchmarks.composed_evaluation --threads 2

CIRR's val (4,181 queries, 2,297 images) and FashionIQ's original galleries (2,017 x 3,817, 2,038 x 6,346, 1,961 x
5,373), random embeddings of 640 dimensions. The plain evaluation does what research code does: it sorts every query's
whole gallery, puts the images' names into that order, and compares whole arrays of strings to take the reference out
and to find the target and the members of the subset. The two take turns, so that a busy machine slows both; the ratio
is of their medians. Both must give the same metrics. The product of queries and images is a part of both, and is timed
alone as well: nothing that compares every pair can be faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.evaluation.protocols.cirr import KS, SUBSET_KS, VAL, evaluate_cirr
from raytrain.evaluation.protocols.composed import ComposedQueries
from raytrain.evaluation.protocols.fashion_iq import PUBLISHED, evaluate_fashion, find_fashion
from raytrain.methods.base import Method
from raytrain.scoring.protocol_runner import Scored
from raytrain.similarity import cosine


class Cosine(Method):
    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return cosine(query, gallery)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dims", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(args.threads)
    print(f"threads {args.threads}, {args.dims} dimensions, median of {args.rounds}")
    for name, made, ours, plain in (
        ("CIRR val", cirr(args.dims), our_cirr, plain_cirr),
        ("FashionIQ original", fashion_iq(args.dims), our_fashion_iq, plain_fashion_iq),
    ):
        compare(name, made, ours, plain, args.rounds)


Made = tuple[Tensor, Tensor, ComposedQueries]
Evaluate = Callable[[Tensor, Tensor, ComposedQueries], dict[str, float]]


def compare(name: str, made: Made, ours: Evaluate, plain: Evaluate, rounds: int) -> None:
    query, gallery, _ = made
    times: dict[str, list[float]] = {"ours": [], "plain": [], "scores": []}
    metrics: dict[str, dict[str, float]] = {}
    for _ in range(rounds + 1):  # the first warms up
        for which, evaluate in (("ours", ours), ("plain", plain)):
            started = time.perf_counter()
            metrics[which] = evaluate(*made)
            times[which].append(time.perf_counter() - started)
        started = time.perf_counter()
        if name.startswith("CIRR"):
            query @ gallery.T
        else:
            for rows, columns in parts(made[2]):
                query[rows] @ gallery[columns].T
        times["scores"].append(time.perf_counter() - started)
    for name_of_metric, value in metrics["plain"].items():
        ours_value = metrics["ours"][name_of_metric]
        assert abs(ours_value - value) < 0.05, (name_of_metric, ours_value, value)  # a near-tie may turn
    ours_s, plain_s, scores_s = (statistics.median(times[which][1:]) for which in ("ours", "plain", "scores"))
    print(
        f"{name}: ours {ours_s:.3f} s (of which the scores alone {scores_s:.3f} s), plain {plain_s:.2f} s, "
        f"ratio {plain_s / ours_s:.1f}; without the scores {(plain_s - scores_s) / (ours_s - scores_s):.0f}"
    )


def small() -> dict[str, float]:
    made = cirr(64, 600, 800)

    def ours() -> None:
        our_cirr(*made, "partial/cirr/val")

    return {"composed evaluation": times_as_fast(lambda: plain_cirr(*made), ours)}


def cirr(dims: int, queries: int = VAL[0], images: int = VAL[1]) -> Made:
    generator = torch.Generator().manual_seed(0)
    gallery = normalize(torch.randn(images, dims, generator=generator), dim=1)
    members = torch.rand(queries, images, generator=generator).topk(6, dim=1).indices
    reference, targets = members[:, 0], members[:, 1:2]
    noise = torch.randn(queries, dims, generator=generator) / dims**0.5
    query = normalize(gallery[reference] + gallery[targets[:, 0]] + 3 * noise, dim=1)
    ids = [f"dev-{at}-{at % 4}-img{at % 2}" for at in range(images)]
    part = torch.zeros(images, dtype=torch.int64)
    return (
        query,
        gallery,
        ComposedQueries(reference, targets, members, part, [""], [str(at) for at in range(queries)], ids),
    )


def our_cirr(query: Tensor, gallery: Tensor, queries: ComposedQueries, name: str = "cirr/val") -> dict[str, float]:
    return dict(evaluate_cirr(Scored(Cosine(), None, query, gallery).blocks(), queries, name).metrics)


def plain_cirr(query: Tensor, gallery: Tensor, queries: ComposedQueries) -> dict[str, float]:
    names = np.array(queries.item_ids)
    references, targets = names[queries.reference.numpy()], names[queries.targets[:, 0].numpy()]
    members = names[queries.subset.numpy()]
    ranked = names[torch.argsort(1 - query @ gallery.T, dim=-1).numpy()]
    count, images = ranked.shape
    kept = ranked != np.repeat(references, images).reshape(count, images)
    ranked = ranked[kept].reshape(count, images - 1)
    labels = ranked == np.repeat(targets, images - 1).reshape(count, images - 1)
    inside = (ranked[:, :, None] == members[:, None, :]).any(2)
    subset_labels = labels[inside].reshape(count, 5)
    metrics = {f"cirr/recall_at_{k}": 100 * labels[:, :k].sum() / len(labels) for k in KS}
    return metrics | {f"cirr/subset_recall_at_{k}": 100 * subset_labels[:, :k].sum() / len(labels) for k in SUBSET_KS}


def fashion_iq(dims: int) -> Made:
    generator = torch.Generator().manual_seed(1)
    reference, targets, part, first = [], [], [], 0
    for number, (pairs, images, _) in enumerate(PUBLISHED.values()):
        both = torch.rand(pairs, images, generator=generator).topk(2, dim=1).indices + first
        reference.append(both[:, 0])
        targets.append(both[:, 1:])
        part.append(torch.full((images,), number))
        first += images
    composed_queries, wanted = torch.cat(reference), torch.cat(targets)
    gallery = normalize(torch.randn(first, dims, generator=generator), dim=1)
    noise = torch.randn(len(composed_queries), dims, generator=generator) / dims**0.5
    query = normalize(gallery[composed_queries] + gallery[wanted[:, 0]] + 3 * noise, dim=1)
    ids = [f"B{at:09d}" for at in range(first)]
    nothing = torch.full((len(composed_queries), 1), -1)
    return query, gallery, ComposedQueries(composed_queries, wanted, nothing, torch.cat(part), list(PUBLISHED), [], ids)


def parts(queries: ComposedQueries) -> list[tuple[Tensor, Tensor]]:
    """(queries, images) of each category."""
    mine = queries.part[queries.reference]
    return [((mine == at).nonzero()[:, 0], (queries.part == at).nonzero()[:, 0]) for at in range(len(queries.parts))]


def our_fashion_iq(query: Tensor, gallery: Tensor, queries: ComposedQueries) -> dict[str, float]:
    protocol = find_fashion("fashioniq/original")
    assert protocol is not None
    return dict(evaluate_fashion(Scored(Cosine(), None, query, gallery).blocks(), queries, protocol).metrics)


def plain_fashion_iq(query: Tensor, gallery: Tensor, queries: ComposedQueries) -> dict[str, float]:
    metrics: dict[str, float] = {}
    every = np.array(queries.item_ids)
    for category, (rows, columns) in zip(queries.parts, parts(queries), strict=True):
        names, targets = every[columns.numpy()], every[queries.targets[rows, 0].numpy()]
        ranked = names[torch.argsort(1 - query[rows] @ gallery[columns].T, dim=-1).numpy()]
        labels = ranked == np.repeat(targets, len(columns)).reshape(ranked.shape)
        for k in (10, 50):
            metrics[f"fashioniq_original/{category}_recall_at_{k}"] = 100 * labels[:, :k].sum() / len(labels)
    return metrics


if __name__ == "__main__":
    main()
