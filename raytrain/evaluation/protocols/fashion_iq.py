"""FashionIQ's two evaluations, which differ in the gallery and must not stand in one column (Wu et al., CVPR 2021).

    fashioniq/original    gallery: all images of the category's split file, the reference among them; the captions in
                          the order given (CLIP4Cir)
    fashioniq/val_union   gallery: images that are a reference or a target of the category's pairs, without the query's
                          own reference; each pair asks twice, once with its captions in the other order (CoSMo, MGUR)

The smaller gallery gives higher recalls. What departs from this stands in the name: -kept or -masked (the reference),
-one or -both (orders), as in fashioniq/original-masked and fashioniq/val_union-kept-one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols.composed import Blocks, ComposedQueries, scored_blocks
from raytrain.evaluation.protocols.protocols import PARTIAL, Result, other_than, refusal, told
from raytrain.evaluation.ranking.measures import Measures, PerQueryMeasures, hits

KS = (10, 50)
PUBLISHED = {"dress": (2017, 3817, 2628), "shirt": (2038, 6346, 3089), "toptee": (1961, 5373, 2902)}
"""{category: (validation pairs, images of its split file, images of its pairs)}"""
_NAME = re.compile(r"(?:partial/)?fashioniq/(original|val_union)(?:-(kept|masked))?(?:-(one|both))?")


@dataclass(frozen=True)
class FashionProtocol:
    """One way to evaluate.

    Args:
        name: as it was asked for.
        gallery: "original" or "val_union".
        reference: whether the query's own reference is "kept" in its gallery or "masked" out.
        orders: whether a pair asks "one" time or in "both" orders of its captions.
    """

    name: str
    gallery: Literal["original", "val_union"]
    reference: Literal["kept", "masked"]
    orders: Literal["one", "both"]

    @property
    def prefix(self) -> str:
        """Of its metrics: "fashioniq_original", so that those of two protocols never share a name."""
        return self.name.removeprefix(PARTIAL).replace("/", "_")


def find_fashion(name: str) -> FashionProtocol | None:
    """The named protocol; None for a name of another benchmark, or that does not exist."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    gallery, reference, orders = found.groups()
    usual = ("kept", "one") if gallery == "original" else ("masked", "both")
    return FashionProtocol(name, gallery, reference or usual[0], orders or usual[1])  # type: ignore[arg-type]


def evaluate_fashion(blocks: Blocks, asked: ComposedQueries, protocol: FashionProtocol) -> Result:
    """R@10 and R@50 of each category, their unweighted means over categories, and `mean_recall`, the mean of both.

    Args:
        blocks: scores of the queries; for both orders of captions every pair is a query twice.
        asked: the queries; their parts are the categories.
        protocol: from `find_fashion`.

    Raises:
        RefusedError: other categories, or another number of pairs or images than the published ones.
    """
    notes = _check(asked, protocol)
    ranks = asked.reference.new_full((len(asked.reference),), -1)
    tied = ranks.clone()
    values: dict[str, Tensor] = {}
    queries, gallery = {}, {}
    for number, category in enumerate(asked.parts):
        rows, columns = _of(asked, number, protocol.gallery)
        one = PerQueryMeasures(precision=False)
        for _, scores, targets in scored_blocks(blocks, asked, rows, columns, protocol.reference == "kept"):
            one.add(scores, targets)
        if one.counts:
            ranks[rows] = one.ranks()
            tied[rows] = torch.cat([part.tied for part in one.counts])
        queries[category] = int((ranks[rows] >= 0).sum())
        gallery[category] = len(columns) - (protocol.reference == "masked")
        inside = torch.zeros(len(ranks), dtype=torch.bool)
        inside[rows] = True
        for k in KS:
            values[f"{protocol.prefix}/{category}_recall_at_{k}"] = hits(torch.where(inside, ranks, -1), k)
    values[f"{protocol.prefix}/tied_percent"] = (tied > 0).double().masked_fill(tied < 0, torch.nan)
    by_k = [[f"{protocol.prefix}/{category}_recall_at_{k}" for category in asked.parts] for k in KS]
    means = {f"{protocol.prefix}/recall_at_{k}": names for k, names in zip(KS, by_k, strict=True)}
    headline = f"{protocol.prefix}/mean_recall"
    means[headline] = [name for names in by_k for name in names]  # categories are as many for each k
    if lost := len(ranks) - sum(queries.values()):
        notes.append(f"{lost} queries have no target in their gallery and are left out")
    measures = Measures(values, dict.fromkeys(values, asked.reference), means)
    groups = {"reference": asked.reference}
    return Result(
        protocol.name, measures.metrics(), queries, gallery, notes, None, {"query": ranks}, groups, headline,
        measures,
    )  # fmt: skip


def _of(asked: ComposedQueries, number: int, gallery: str) -> tuple[Tensor, Tensor]:
    """(queries, gallery) of a category, as positions."""
    rows = (asked.part[asked.reference] == number).nonzero()[:, 0]
    if gallery == "original":
        return rows, (asked.part == number).nonzero()[:, 0]
    named = torch.cat([asked.reference[rows], asked.targets[rows].flatten()])
    return rows, torch.unique(named[named >= 0])


def _check(asked: ComposedQueries, protocol: FashionProtocol) -> list[str]:
    """What a reader has to know, with what is missing of a partial protocol."""
    if not asked.parts or not set(asked.parts) <= set(PUBLISHED):
        raise RefusedError(f"{protocol.name} is for the categories {', '.join(PUBLISHED)}; here are {asked.parts}")
    times = 2 if protocol.orders == "both" else 1
    sizes: dict[str, tuple[int, int | None]] = {"categories": (len(asked.parts), len(PUBLISHED))}
    for number, category in enumerate(asked.parts):
        rows, columns = _of(asked, number, protocol.gallery)
        pairs, images, union = PUBLISHED[category]
        sizes[f"{category} pairs"] = (len(rows) // times, pairs)
        sizes[f"{category} images"] = (len(columns), images if protocol.gallery == "original" else union)
    wrong = other_than(sizes)
    if wrong and not protocol.name.startswith(PARTIAL):
        raise RefusedError(refusal(protocol.name, wrong))
    where = "all images of a category's split" if protocol.gallery == "original" else "references and targets of pairs"
    said = "in the order given" if protocol.orders == "one" else "in both orders, each a query"
    return [
        *told(wrong),
        f"gallery: {where}; the reference is {protocol.reference}; captions {said}",
        "means over categories are unweighted",
    ]
