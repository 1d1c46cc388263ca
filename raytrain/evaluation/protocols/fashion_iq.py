"""FashionIQ's two evaluations, which differ in the gallery and must not share a column (Wu et al., CVPR 2021).

    fashioniq/original    gallery: all images of the category's split file, the reference among them; the captions in
                          the given order (CLIP4Cir)
    fashioniq/val_union   gallery: images that are a reference or a target of the category's pairs, without the query's
                          own reference; each pair is two queries, one per order of its captions (CoSMo, MGUR)

The smaller gallery gives higher recalls. A variant carries its difference in its name: -kept or -masked (the
reference), -one or -both (orders), as in fashioniq/original-masked and fashioniq/val_union-kept-one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols.composed import Blocks, ComposedQueries, clusters, scored_blocks
from raytrain.evaluation.protocols.gallery_draws import GalleryDraws, item_counts
from raytrain.evaluation.protocols.protocols import PARTIAL, Result, partial_notes, refusal, size_differences
from raytrain.evaluation.ranking.measures import Measures, PerQueryMeasures, hits

KS = (10, 50)
PUBLISHED = {"dress": (2017, 3817, 2628), "shirt": (2038, 6346, 3089), "toptee": (1961, 5373, 2902)}
"""{category: (validation pairs, images of its split file, images of its pairs)}"""
_NAME = re.compile(r"(?:partial/)?fashioniq/(original|val_union)(?:-(kept|masked))?(?:-(one|both))?")


@dataclass(frozen=True)
class FashionProtocol:
    """A variant of the evaluation.

    Args:
        name: as given by the user.
        gallery: "original" or "val_union".
        reference: whether the query's own reference is "kept" in its gallery or "masked" out.
        orders: whether a pair is "one" query, or two queries with "both" orders of its captions.
    """

    name: str
    gallery: Literal["original", "val_union"]
    reference: Literal["kept", "masked"]
    orders: Literal["one", "both"]

    @property
    def prefix(self) -> str:
        """Prefix of its metrics, such as "fashioniq_original", so that metrics of two variants never share a name."""
        return self.name.removeprefix(PARTIAL).replace("/", "_")


def find_fashion(name: str) -> FashionProtocol | None:
    """The variant of that name; None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    gallery, reference, orders = match.groups()
    default = ("kept", "one") if gallery == "original" else ("masked", "both")
    return FashionProtocol(name, gallery, reference or default[0], orders or default[1])  # type: ignore[arg-type]


def evaluate_fashion(blocks: Blocks, queries: ComposedQueries, protocol: FashionProtocol) -> Result:
    """R@10 and R@50 of each category, their unweighted means over categories, and `mean_recall`, the mean of both.

    Args:
        blocks: scores of the queries.
        queries: their parts are the categories; with both orders of captions every pair is two queries.
        protocol: from `find_fashion`.

    Raises:
        RefusedError: other categories, or another number of pairs or images than the published one.
    """
    notes = _check(queries, protocol)
    ranks = queries.reference.new_full((len(queries.reference),), -1)
    tied = ranks.clone()
    values: dict[str, Tensor] = {}
    counted, gallery, gallery_draws = dict[str, int](), dict[str, int](), dict[str, Tensor]()
    for number, category in enumerate(queries.parts):
        rows, columns = _of_category(queries, number, protocol.gallery)
        measures = PerQueryMeasures(precision=False)
        draws, item_count = GalleryDraws(KS, queries.reference), item_counts(len(columns))
        for chunk, scores, targets in scored_blocks(blocks, queries, rows, columns, protocol.reference == "kept"):
            measures.add(scores, targets)
            draws.add(chunk, scores, targets, item_count)
        gallery_draws |= draws.recalls(f"{protocol.prefix}/{category}_")
        if measures.counts:
            ranks[rows] = measures.ranks()
            tied[rows] = torch.cat([part.tied for part in measures.counts])
        counted[category] = int((ranks[rows] >= 0).sum())
        gallery[category] = len(columns) - (protocol.reference == "masked")
        inside = torch.zeros(len(ranks), dtype=torch.bool)
        inside[rows] = True
        for k in KS:
            values[f"{protocol.prefix}/{category}_recall_at_{k}"] = hits(torch.where(inside, ranks, -1), k)
    values[f"{protocol.prefix}/tied_percent"] = (tied > 0).double().masked_fill(tied < 0, torch.nan)
    by_k = [[f"{protocol.prefix}/{category}_recall_at_{k}" for category in queries.parts] for k in KS]
    means = {f"{protocol.prefix}/recall_at_{k}": names for k, names in zip(KS, by_k, strict=True)}
    headline = f"{protocol.prefix}/mean_recall"
    means[headline] = [name for names in by_k for name in names]  # each k has the same number of categories
    if lost := len(ranks) - sum(counted.values()):
        notes.append(f"{lost} queries have no target in their gallery and are left out")
    groups = clusters(queries)
    all_measures = Measures(values, dict.fromkeys(values, torch.stack(list(groups.values()), 1)), means)
    return Result(
        protocol.name, all_measures.metrics(), counted, gallery, notes, None, {"query": ranks}, groups, headline,
        all_measures, gallery_draws,
    )  # fmt: skip


def _of_category(queries: ComposedQueries, number: int, gallery: str) -> tuple[Tensor, Tensor]:
    """(positions of the queries, positions of the gallery items) of a category."""
    rows = (queries.part[queries.reference] == number).nonzero()[:, 0]
    if gallery == "original":
        return rows, (queries.part == number).nonzero()[:, 0]
    named = torch.cat([queries.reference[rows], queries.targets[rows].flatten()])
    return rows, torch.unique(named[named >= 0])


def _check(queries: ComposedQueries, protocol: FashionProtocol) -> list[str]:
    """Notes on the variant and on how a partial protocol differs from the published one.

    Raises:
        RefusedError: as `evaluate_fashion`.
    """
    if not queries.parts or not set(queries.parts) <= set(PUBLISHED):
        raise RefusedError(f"{protocol.name} is for the categories {', '.join(PUBLISHED)}; given: {queries.parts}")
    times = 2 if protocol.orders == "both" else 1
    sizes: dict[str, tuple[int, int | None]] = {"categories": (len(queries.parts), len(PUBLISHED))}
    for number, category in enumerate(queries.parts):
        rows, columns = _of_category(queries, number, protocol.gallery)
        pairs, images, union = PUBLISHED[category]
        sizes[f"{category} pairs"] = (len(rows) // times, pairs)
        sizes[f"{category} images"] = (len(columns), images if protocol.gallery == "original" else union)
    differences = size_differences(sizes)
    if differences and not protocol.name.startswith(PARTIAL):
        raise RefusedError(refusal(protocol.name, differences))
    where = "all images of a category's split" if protocol.gallery == "original" else "references and targets of pairs"
    orders = "in the order given" if protocol.orders == "one" else "in both orders, each a query"
    return [
        *partial_notes(differences),
        f"gallery: {where}; the reference is {protocol.reference}; captions {orders}",
        "means over categories are unweighted",
    ]
