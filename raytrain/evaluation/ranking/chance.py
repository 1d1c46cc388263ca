"""Recalls that say little, because so small a gallery gives them to a random order too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import comb

TRIVIAL_PERCENT = 20.0
"""A recall is marked where a random order reaches this: R@10 in a gallery of at most 50 items with one positive."""
_RECALL = re.compile(r"(?:(?P<where>.*)[/_])?recall_at_(?P<k>\d+)")


def chance_recall(k: int, gallery: int, positives: float = 1) -> float:
    """Percent of the queries that have a positive among the first k of a random order.

    Args:
        gallery: number of items that are ranked, the positives among them.
        positives: of a query, rounded to whole ones.
    """
    positives = min(max(1, round(positives)), gallery)
    return 100 * (1 - comb(gallery - positives, k) / comb(gallery, k)) if k < gallery else 100.0


def trivial_recalls(names: Iterable[str], queries: Mapping[str, int], gallery: Mapping[str, int]) -> dict[str, float]:
    """{name of a recall: percent that chance reaches} of those whose gallery is that small.

    Args:
        names: of metrics, such as "t2i/recall_at_10" or "recall_at_50"; others than recalls are left out.
        queries, gallery: as in a Result. A recall without a direction is the mean over all of them. CIRR's subsets are
            of five by definition and are left out.
    """
    sizes = {name: size for name, size in gallery.items() if name != "subset" and size > 0}
    positives = {"i2t": queries["t2i"] / queries["i2t"]} if queries.get("t2i") and queries.get("i2t") else {}
    trivial = {}
    for name in names:
        match = _RECALL.fullmatch(name)
        if match is None or not sizes or len(match["k"]) > 4:
            continue
        where = re.split("[/_]", match["where"] or "")[-1]
        if where == "subset":
            continue
        own = [where] if where in sizes else list(sizes)
        chances = [chance_recall(int(match["k"]), sizes[key], positives.get(key, 1)) for key in own]
        chance = sum(chances) / len(chances)
        if chance >= TRIVIAL_PERCENT:
            trivial[name] = chance
    return trivial


def chance_note(trivial: Mapping[str, float]) -> list[str]:
    """The sentence on recalls that chance reaches; [] without any."""
    if not trivial:
        return []
    listed = ", ".join(f"{name} {chance:.1f}" for name, chance in trivial.items())
    return [f"the gallery is so small that a random order reaches {listed}"]
