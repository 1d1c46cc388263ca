"""One-to-one assignment of the elements of two sets (MaxMatch, Alomari et al., ACL 2025).

Letters: Q queries, G gallery items, K elements of either side, D dimensions, n pairs of a query and an item.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from raytrain.similarity.functions import element_cosines
from raytrain.similarity.upload import upload

MOST_ENUMERATED = 5
"""K up to which all K! assignments are tried at once; 6! = 720 of them cost more than solving each pair by itself."""

BLOCK = 2**22
"""About how many numbers to hold in memory at once while assignments are compared."""


def best_assignment(query: Tensor, gallery: Tensor, scale: float | None = None) -> Tensor:
    """(Q, K, D) and (G, K, D) -> (Q, G) pooled cosines of the one-to-one assignment that makes them largest.

    max over permutations p of the mean over k of C_{k, p(k)}; with a scale a, of (1/a) log mean_k exp(a C_{k, p(k)}).
    The maximum is exact: all permutations for K <= 5, scipy's linear_sum_assignment, pair by pair, above. The gradient
    is that of the cosines of the best assignment, of the first of equals.

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, K, D), L2-normalised.
        scale: a; None takes the mean.

    Raises:
        ValueError: the two sides have different numbers of elements.
    """
    planes = _planes(query, gallery)
    fixed = planes.detach()
    value = fixed if scale is None else (scale * (fixed - fixed.amax(0))).exp()
    places = _enumerated(value, query.shape[1]) if query.shape[1] <= MOST_ENUMERATED else _solved(value)
    return _pooled(planes.gather(0, places), scale).view(query.shape[0], gallery.shape[0])


def top_pairs(query: Tensor, gallery: Tensor, scale: float | None = None) -> Tensor:
    """(Q, K, D) and (G, K, D) -> (Q, G) pooled cosines of the K closest pairs, whether they share elements or not.

    Never below `best_assignment`; the two are equal where the closest pairs are one to one.

    Args: as in `best_assignment`.

    Raises:
        ValueError: the two sides have different numbers of elements.
    """
    planes = _planes(query, gallery)
    return _pooled(planes.topk(query.shape[1], dim=0).values, scale).view(query.shape[0], gallery.shape[0])


def _planes(query: Tensor, gallery: Tensor) -> Tensor:
    """(K K, n) cosines; a row has one pair of elements of all pairs of items, so that neighbours can be added fast."""
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"one-to-one assignment of {query.shape[1]} elements to {gallery.shape[1]}; give as many")
    return element_cosines(query, gallery).permute(1, 3, 0, 2).flatten(2).flatten(0, 1)


def _pooled(cosines: Tensor, scale: float | None) -> Tensor:
    """(K, n) -> (n)"""
    if scale is None:
        return cosines.mean(0)
    return (torch.logsumexp(scale * cosines, 0) - math.log(cosines.shape[0])) / scale


def _enumerated(value: Tensor, elements: int) -> Tensor:
    """(K K, n) -> (K, n) rows of the assignment whose values have the largest sum, by trying all of them."""
    orders = itertools.permutations(range(elements))
    rows = torch.tensor([[k * elements + p for k, p in enumerate(order)] for order in orders])
    rows = upload(rows, value.device)
    # an exported graph has no loop: it takes any number of pairs at once
    traced = bool(torch.jit.is_tracing()) or torch.compiler.is_exporting()  # type: ignore[attr-defined, no-untyped-call]
    blocks = [value] if traced else torch.split(value, max(1, BLOCK // len(rows)), 1)
    best = [rows[_sums(block, rows).argmax(0)].T for block in blocks]
    return best[0] if len(best) == 1 else torch.cat(best, 1)


def _sums(value: Tensor, rows: Tensor) -> Tensor:
    """(K K, n) values and (P, K) rows of P assignments -> (P, n) sums of each assignment's values."""
    total = value[rows[:, 0]]
    for each in rows.T[1:]:
        total = total + value[each]
    return total


def _solved(value: Tensor) -> Tensor:
    """(K K, n) -> (K, n) rows of the assignment whose values have the largest sum, pair by pair."""
    from scipy.optimize import linear_sum_assignment  # here, since it takes a while to import

    elements = math.isqrt(len(value))
    tables = value.T.reshape(-1, elements, elements).double().cpu().numpy()
    columns = [torch.from_numpy(linear_sum_assignment(table, maximize=True)[1]) for table in tables]
    chosen = torch.stack(columns, 1) if columns else torch.empty(elements, 0, dtype=torch.int64)
    return (chosen + elements * torch.arange(elements)[:, None]).to(value.device)
