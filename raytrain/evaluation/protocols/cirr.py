"""CIRR: recall over the whole split and within a query's image set, and submission files for the benchmark's server.

The gallery of a query is every image of the split but its reference (Liu et al., ICCV 2021). Its image set has six
members, reference and target among them; the five others are ranked by the same scores. Only the server
(cirr.cecs.anu.edu.au) has the targets of test1; it takes two JSON files of at most 5 MB.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols.composed import Blocks, ComposedQueries, clusters, scored_blocks
from raytrain.evaluation.protocols.gallery_draws import GalleryDraws, item_counts
from raytrain.evaluation.protocols.protocols import PARTIAL, Result, partial_notes, refusal, size_differences
from raytrain.evaluation.ranking.counts import best_first, positive_counts
from raytrain.evaluation.ranking.measures import Measures, hits
from raytrain.files import replacing

KS, SUBSET_KS = (1, 5, 10, 50), (1, 2, 3)
VAL, TEST = (4_181, 2_297), (4_148, 2_315)
"""(queries, images) of val and test1."""
HEADLINE = "cirr/mean_recall"
LISTED = {"recall": 50, "recall_subset": 3}
"""{metric of the server: names per query}"""
MAX_BYTES = 5_000_000


def evaluate_cirr(blocks: Blocks, queries: ComposedQueries, name: str = "cirr/val") -> Result:
    """R@1, 5, 10, 50, R_subset@1, 2, 3 (`cirr/subset_...`), and `cirr/mean_recall`, the mean of R@5 and R_subset@1.

    Args:
        blocks: scores of the queries.
        queries: with one target each and their subsets.
        name: cirr/val, or partial/cirr/val for any part of it.

    Raises:
        RefusedError: under cirr/val, another number of queries or images than the published one.
    """
    differences = size_differences(
        {"queries": (len(queries.reference), VAL[0]), "images": (len(queries.item_ids), VAL[1])}
    )
    if differences and not name.startswith(PARTIAL):
        raise RefusedError(refusal(name, differences))
    blockwise: list[tuple[Tensor, Tensor, Tensor]] = []
    whole = torch.arange(len(queries.reference)), torch.arange(len(queries.item_ids))
    draws, item_count = GalleryDraws(KS, queries.reference), item_counts(len(queries.item_ids))
    for rows, scores, targets in scored_blocks(blocks, queries, *whole):
        draws.add(rows, scores, targets, item_count)
        counts = positive_counts(scores, targets)
        subset_scores, members = _members(scores, queries, rows)
        position = torch.where((members == targets[:, :1]) & (members >= 0), torch.arange(members.shape[1]), -1)
        subset_counts = positive_counts(subset_scores, position.amax(1, keepdim=True))
        blockwise.append((counts.ranks(), counts.tied, subset_counts.ranks()))
    ranks, tied, subset_ranks = (torch.cat(parts) for parts in zip(*blockwise, strict=True))
    values = {f"cirr/recall_at_{k}": hits(ranks, k) for k in KS}
    values |= {f"cirr/subset_recall_at_{k}": hits(subset_ranks, k) for k in SUBSET_KS}
    values["cirr/tied_percent"] = (tied > 0).double().masked_fill(tied < 0, torch.nan)
    means = {HEADLINE: ["cirr/recall_at_5", "cirr/subset_recall_at_1"]}
    groups = clusters(queries)
    measures = Measures(values, dict.fromkeys(values, torch.stack(list(groups.values()), 1)), means)
    counted = {"query": int((ranks >= 0).sum()), "subset": int((subset_ranks >= 0).sum())}
    notes = [*partial_notes(differences), "a query's reference is neither in its gallery nor in its subset"]
    if lost := len(ranks) - counted["query"]:
        notes.append(f"{lost} queries have no target here and are left out")
    if lost := counted["query"] - counted["subset"]:
        notes.append(f"{lost} queries have no subset with their target, and are left out of subset_recall_at_k")
    gallery = {"query": len(queries.item_ids) - 1, "subset": int((queries.subset >= 0).sum(1).max()) - 1}
    return Result(
        name, measures.metrics(), counted, gallery, notes, None, {"query": ranks, "subset": subset_ranks},
        groups, HEADLINE, measures, draws.recalls("cirr/"),
    )  # fmt: skip


def submissions(blocks: Blocks, queries: ComposedQueries, published: bool = True) -> dict[str, dict[str, Any]]:
    """{"recall": ..., "recall_subset": ...}: the files for the server, 50 and 3 names per query, best first.

    Args:
        blocks: scores of the queries.
        queries: of test1; their ids are the pairids.
        published: whether to refuse anything but the whole of test1, which the server expects.

    Raises:
        RefusedError: another number of queries or images, or ids that are no pairids.
    """
    differences = size_differences(
        {"queries": (len(queries.reference), TEST[0]), "images": (len(queries.item_ids), TEST[1])}
    )
    if published and differences:
        raise RefusedError(f"CIRR's server asks for all of test1, and this split has {' and '.join(differences)}")
    if not_numbers := [name for name in queries.query_ids if not name.isdecimal()]:
        raise RefusedError(f"CIRR's server identifies a query by its pairid, a number; given: {not_numbers[0]!r}")
    files: dict[str, dict[str, Any]] = {name: {"version": "rc2", "metric": name} for name in LISTED}
    whole = torch.arange(len(queries.reference)), torch.arange(len(queries.item_ids))
    for rows, scores, _ in scored_blocks(blocks, queries, *whole):
        # the reference must not be named: it is last, so take one item less than there are
        ranked = best_first(scores, min(LISTED["recall"], scores.shape[1] - 1))
        subset_scores, members = _members(scores, queries, rows)
        order = best_first(subset_scores, min(LISTED["recall_subset"], subset_scores.shape[1]))
        for metric, positions in (("recall", ranked), ("recall_subset", members.gather(1, order))):
            for row, items in zip(rows.tolist(), positions.tolist(), strict=True):
                files[metric][queries.query_ids[row]] = [queries.item_ids[item] for item in items if item >= 0]
    return files


def write_submissions(files: dict[str, dict[str, Any]], folder: str | os.PathLike[str]) -> list[Path]:
    """Write `cirr_recall.json` and `cirr_recall_subset.json` into a folder and return their paths.

    The folder is created if it does not exist; existing files are replaced.

    Raises:
        RefusedError: a file larger than the server takes; then nothing is written.
    """
    texts = {f"cirr_{name}.json": json.dumps(value, separators=(",", ":")).encode() for name, value in files.items()}
    for name, text in texts.items():
        if len(text) > MAX_BYTES:
            raise RefusedError(f"{name} has {len(text):,} bytes; CIRR's server takes {MAX_BYTES:,}")
    root = Path(folder).expanduser()
    root.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with replacing(root / name) as part:
            part.write_bytes(text)
    return [root / name for name in texts]


def _members(scores: Tensor, queries: ComposedQueries, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(q, P) scores of the members of each subset and (q, P) their positions, -1 where a subset has fewer.

    Members keep the order of the gallery, so that ties break as they do there; the reference scores -inf.
    """
    members = queries.subset[rows].sort(dim=1).values
    return scores.gather(1, members.clamp(min=0)).masked_fill(members < 0, -torch.inf), members
