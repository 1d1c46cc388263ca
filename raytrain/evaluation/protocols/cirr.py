"""CIRR: recall over the whole split and within a query's image set, and the files for the benchmark's server.

The gallery of a query is every image of the split but its reference (Liu et al., ICCV 2021). Its image set has six
members, reference and target among them; the five others are ordered by the same scores. The targets of test1 are
known to the server alone (cirr.cecs.anu.edu.au), which takes two JSON files of at most 5 MB.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols.composed import Blocks, ComposedQueries, scored_blocks
from raytrain.evaluation.protocols.protocols import PARTIAL, Result, other_than, refusal, told
from raytrain.evaluation.ranking.counts import best_first, positive_counts
from raytrain.evaluation.ranking.measures import Measures, hits

KS, SUBSET_KS = (1, 5, 10, 50), (1, 2, 3)
VAL, TEST = (4_181, 2_297), (4_148, 2_315)
"""(queries, images) of val and test1."""
HEADLINE = "cirr/mean_recall"
LISTED = {"recall": 50, "recall_subset": 3}
MAX_BYTES = 5_000_000


def evaluate_cirr(blocks: Blocks, asked: ComposedQueries, name: str = "cirr/val") -> Result:
    """R@1, 5, 10, 50, R_subset@1, 2, 3 (`cirr/subset_...`), and `cirr/mean_recall`, the mean of R@5 and R_subset@1.

    Args:
        blocks: scores of the queries.
        asked: the queries, with one target each and their subsets.
        name: cirr/val, or partial/cirr/val on whatever is there.

    Raises:
        RefusedError: another number of queries or images than the published ones.
    """
    wrong = other_than({"queries": (len(asked.reference), VAL[0]), "images": (len(asked.item_ids), VAL[1])})
    if wrong and not name.startswith(PARTIAL):
        raise RefusedError(refusal(name, wrong))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    whole = torch.arange(len(asked.reference)), torch.arange(len(asked.item_ids))
    for rows, scores, targets in scored_blocks(blocks, asked, *whole):
        counts = positive_counts(scores, targets)
        among, members = _members(scores, asked, rows)
        wanted = torch.where((members == targets[:, :1]) & (members >= 0), torch.arange(members.shape[1]), -1)
        inner = positive_counts(among, wanted.amax(1, keepdim=True))
        found.append((counts.ranks(), counts.tied, inner.ranks()))
    ranks, tied, inner_ranks = (torch.cat(parts) for parts in zip(*found, strict=True))
    values = {f"cirr/recall_at_{k}": hits(ranks, k) for k in KS}
    values |= {f"cirr/subset_recall_at_{k}": hits(inner_ranks, k) for k in SUBSET_KS}
    values["cirr/tied_percent"] = (tied > 0).double().masked_fill(tied < 0, torch.nan)
    means = {HEADLINE: ["cirr/recall_at_5", "cirr/subset_recall_at_1"]}
    measures = Measures(values, dict.fromkeys(values, asked.reference), means)
    queries = {"query": int((ranks >= 0).sum()), "subset": int((inner_ranks >= 0).sum())}
    notes = [*told(wrong), "a query's reference is neither in its gallery nor in its subset"]
    if lost := len(ranks) - queries["query"]:
        notes.append(f"{lost} queries have no target here and are left out")
    if lost := queries["query"] - queries["subset"]:
        notes.append(f"{lost} queries have no subset with their target, and are left out of subset_recall_at_k")
    gallery = {"query": len(asked.item_ids) - 1, "subset": int((asked.subset >= 0).sum(1).max()) - 1}
    return Result(
        name, measures.metrics(), queries, gallery, notes, None, {"query": ranks, "subset": inner_ranks},
        {"reference": asked.reference}, HEADLINE, measures,
    )  # fmt: skip


def submissions(blocks: Blocks, asked: ComposedQueries, published: bool = True) -> dict[str, dict[str, Any]]:
    """{"recall": ..., "recall_subset": ...}: what the server takes, 50 names and 3 names a pair, best first.

    Args:
        blocks: scores of the queries.
        asked: the queries of test1; their ids are the pairids.
        published: refuse anything but the whole of test1, since the server knows all pairs.

    Raises:
        RefusedError: another number of queries or images, or ids that are no pairids.
    """
    wrong = other_than({"queries": (len(asked.reference), TEST[0]), "images": (len(asked.item_ids), TEST[1])})
    if published and wrong:
        raise RefusedError(f"CIRR's server asks for all of test1, and this split has {' and '.join(wrong)}")
    if strange := [name for name in asked.query_ids if not name.isdecimal()]:
        raise RefusedError(f"CIRR's server knows a query by its pairid, a number; here is {strange[0]!r}")
    files: dict[str, dict[str, Any]] = {name: {"version": "rc2", "metric": name} for name in LISTED}
    whole = torch.arange(len(asked.reference)), torch.arange(len(asked.item_ids))
    for rows, scores, _ in scored_blocks(blocks, asked, *whole):
        # the reference is the one item that must not be named
        listed = best_first(scores, min(LISTED["recall"], scores.shape[1] - 1))
        among, members = _members(scores, asked, rows)
        inner = members.gather(1, best_first(among, min(LISTED["recall_subset"], among.shape[1])))
        for metric, places in (("recall", listed), ("recall_subset", inner)):
            for row, several in zip(rows.tolist(), places.tolist(), strict=True):
                files[metric][asked.query_ids[row]] = [asked.item_ids[place] for place in several if place >= 0]
    return files


def write_submissions(files: dict[str, dict[str, Any]], folder: str | os.PathLike[str]) -> list[Path]:
    """`cirr_recall.json` and `cirr_recall_subset.json` in a folder, which is made; existing ones are replaced.

    Raises:
        RefusedError: a file that is larger than the server takes; nothing is written.
    """
    texts = {f"cirr_{name}.json": json.dumps(value, separators=(",", ":")).encode() for name, value in files.items()}
    for name, text in texts.items():
        if len(text) > MAX_BYTES:
            raise RefusedError(f"{name} has {len(text):,} bytes; CIRR's server takes {MAX_BYTES:,}")
    root = Path(folder).expanduser()
    root.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        part = root / f"{name}.part"
        part.write_bytes(text)
        os.replace(part, root / name)
    return [root / name for name in texts]


def _members(scores: Tensor, asked: ComposedQueries, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(q, P) scores of the members of each subset and (q, P) their positions, -1 where there is none.

    In the order of the gallery, so that equal scores fall as they do there; the reference has -inf.
    """
    members = asked.subset[rows].sort(dim=1).values
    return scores.gather(1, members.clamp(min=0)).masked_fill(members < 0, -torch.inf), members
