"""Diagnostics of embeddings and scores: collapse of sets, hubness, margins, calibration of uncertainty."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import normalize


def set_log_variance(sets: Tensor) -> float:
    """Mean over sets of the log circular variance, log(1 - ||mean_k e_k||) (DivE, Kim et al., CVPR 2023, section 4).

    0 where the elements of a set point in all directions; the lower, the more alike they are. A variance below 1e-12
    counts as 1e-12, so that a collapsed set has -27.6 and not minus infinity.

    Args:
        sets: (N, K, D), K > 1, of any length.
    """
    spread = 1 - normalize(sets.double(), dim=-1).mean(1).norm(dim=-1)
    return float(torch.log(spread.clamp(min=1e-12)).mean())


def set_cosine(sets: Tensor) -> float:
    """Mean cosine of two different elements of a set, in [-1, 1]; 1 where sets have collapsed to one vector.

    Args:
        sets: (N, K, D), L2-normalised, K > 1.
    """
    count = sets.shape[1]
    # |sum_k e_k|^2 counts every pair twice, and every element with itself once
    paired = sets.double().sum(1).square().sum(-1) - count
    return float((paired / (count * (count - 1))).mean())


def effective_rank(sets: Tensor) -> float:
    """Mean over sets of exp of the entropy of their singular values' shares, in [1, K] (Roy and Vetterli, 2007).

    1 where the elements of a set lie on one line, K where they are orthogonal and equally long.

    Args:
        sets: (N, K, D), of any length.
    """
    wide = sets.double()
    values = torch.linalg.eigvalsh(wide @ wide.transpose(1, 2)).clamp(min=0).sqrt()
    share = values / values.sum(1, keepdim=True).clamp(min=1e-12)
    return float(torch.special.entr(share).sum(1).exp().mean())


def element_shares(query: Tensor, gallery: Tensor, item_of_query: Tensor) -> Tensor:
    """(K,) share of the queries whose closest element of their own gallery set is each; as `effective_elements`."""
    closest = _closest_element(query, gallery, item_of_query)
    return torch.bincount(closest, minlength=gallery.shape[1]).double() / len(closest)


def ever_closest(query: Tensor, gallery: Tensor, item_of_query: Tensor) -> float:
    """Share of the elements of gallery sets that are the closest of their set to at least one of its queries.

    Under a similarity that takes the closest pair alone, only these are trained (DivE's sparse supervision). Items
    without a query are left out.

    Args:
        query, gallery, item_of_query: as in `effective_elements`.
    """
    closest = _closest_element(query, gallery, item_of_query)
    used = torch.zeros(gallery.shape[:2], dtype=torch.bool, device=gallery.device)
    used[item_of_query, closest] = True
    return float(used[torch.unique(item_of_query)].double().mean())


def effective_elements(query: Tensor, gallery: Tensor, item_of_query: Tensor) -> float:
    """Number of elements of a gallery set in use, in [1, K]: exp of the entropy of the element closest to a query.

    1 where the same element is closest to every query, K where each is closest equally often.

    Args:
        query: (Q, D) or (Q, J, D), L2-normalised.
        gallery: (N, K, D), L2-normalised.
        item_of_query: (Q,) row of `gallery` that each query belongs to.
    """
    return float(torch.special.entr(element_shares(query, gallery, item_of_query)).sum().exp())


def _closest_element(query: Tensor, gallery: Tensor, item_of_query: Tensor) -> Tensor:
    """(Q,) int64: the element of its own gallery set that each query, or the closest element of it, is closest to."""
    query_sets = query if query.dim() == 3 else query[:, None]
    return (query_sets @ gallery[item_of_query].transpose(1, 2)).amax(1).argmax(1)


def set_diagnostics(query: Tensor, gallery: Tensor, item_of_query: Tensor | None = None) -> dict[str, float]:
    """Diagnostics of embeddings that are sets of more than one vector; {} where neither side is a set.

    {"diagnostics/set_log_variance", "diagnostics/set_cosine", "diagnostics/effective_rank"} of the gallery,
    "diagnostics/query_..." of the queries, "diagnostics/effective_elements" and "diagnostics/ever_closest".

    Args:
        query: (Q, D) or (Q, K, D).
        gallery: (G, D) or (G, K, D).
        item_of_query: (Q,) row of `gallery` that each query belongs to; None leaves what needs it out.
    """
    diagnostics = {}
    query, gallery = (normalize(side.float(), dim=-1) for side in (query, gallery))
    for name, sets in (("", gallery), ("query_", query)):
        if sets.dim() == 3 and sets.shape[1] > 1:
            diagnostics[f"diagnostics/{name}set_log_variance"] = set_log_variance(sets)
            diagnostics[f"diagnostics/{name}set_cosine"] = set_cosine(sets)
            diagnostics[f"diagnostics/{name}effective_rank"] = effective_rank(sets)
    if item_of_query is not None and gallery.dim() == 3 and gallery.shape[1] > 1:
        diagnostics["diagnostics/effective_elements"] = effective_elements(query, gallery, item_of_query)
        diagnostics["diagnostics/ever_closest"] = ever_closest(query, gallery, item_of_query)
    return diagnostics


HUB_K = 10
CHUNK_ELEMENTS = 4_000_000


def hubness(similarity: Tensor, k: int = HUB_K) -> float:
    """Skewness of the number of queries that have a gallery item among their k nearest (Radovanovic et al., JMLR 2010).

    0 where all items are retrieved equally often; the larger, the more queries retrieve a few hubs.

    Args:
        similarity: (Q, G) scores, larger is closer.
        k: nearest items per query; at most G.
    """
    occurrences = similarity.new_zeros(similarity.shape[1], dtype=torch.float64)
    for scores in torch.split(similarity, _chunk(similarity)):
        nearest = scores.topk(min(k, scores.shape[1]), 1).indices.flatten()
        occurrences += torch.bincount(nearest, minlength=len(occurrences))
    centred = occurrences - occurrences.mean()
    variance = float(centred.square().mean())
    return float(centred.pow(3).mean()) / variance**1.5 if variance > 0 else 0.0


def margins(similarity: Tensor, masks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """(Q,) float64 score of the best positive minus that of the hardest negative; NaN without either.

    Above 0 where a positive ranks first; unlike a rank, the margin says by how much.

    Args:
        similarity: (Q, G) scores, larger is closer.
        masks: per block of consecutive queries, (q, G) bool positives and (q, G) bool negatives; Q rows in all.
    """
    blocks, first = [], 0
    for positive, negative in masks:
        scores = similarity[first : first + len(positive)].double()
        first += len(scores)
        best, hardest = (scores.masked_fill(~mask, -torch.inf).amax(1) for mask in (positive, negative))
        blocks.append(torch.where(positive.any(1) & negative.any(1), best - hardest, torch.nan))
    return torch.cat(blocks)


def score_diagnostics(similarity: Tensor, item_of_text: Tensor) -> dict[str, float]:
    """{"diagnostics/{i2t,t2i}/hubness", "diagnostics/{i2t,t2i}/margin": median over queries} of a score matrix.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
    """
    images = torch.arange(similarity.shape[1], device=similarity.device)
    owner = item_of_text.to(similarity.device)
    diagnostics = {}
    for direction, scores, image_of_query, image_of_item in (
        ("i2t", similarity.T, images, owner),
        ("t2i", similarity, owner, images),
    ):
        blocks = torch.split(image_of_query, _chunk(scores))
        own = (block[:, None] == image_of_item[None] for block in blocks)
        margin = float(margins(scores, ((mask, ~mask) for mask in own)).nanmedian())
        diagnostics[f"diagnostics/{direction}/hubness"] = hubness(scores)
        diagnostics[f"diagnostics/{direction}/margin"] = margin
    return diagnostics


def calibration(uncertainty: Tensor, ranks: Tensor, k: int = 10, bins: int = 10) -> list[dict[str, float]]:
    """Recall at k per bin of predicted uncertainty, the most certain queries first.

    Where the uncertainty is informative, recall falls from one bin to the next.

    Args:
        uncertainty: (Q,) predicted, larger is less certain.
        ranks: (Q,) 0-based rank of the best positive; queries with -1 are left out.
        k: cut-off.
        bins: number of bins, of equally many queries.

    Returns:
        [{"queries": number, "uncertainty": mean, "recall": percent}] per bin that holds a query.
    """
    kept = ranks >= 0
    order = uncertainty[kept].argsort(stable=True)
    ordered, ordered_ranks = uncertainty[kept][order].double(), ranks[kept][order]
    return [
        {"queries": len(part), "uncertainty": float(part.mean()), "recall": 100.0 * float((rank < k).double().mean())}
        for part, rank in zip(ordered.tensor_split(bins), ordered_ranks.tensor_split(bins), strict=True)
        if len(part)
    ]


def _chunk(similarity: Tensor) -> int:
    """Number of rows to process at once."""
    return max(1, CHUNK_ELEMENTS // max(1, similarity.shape[1]))


def rank_correlation(uncertainty: Tensor, ranks: Tensor) -> float:
    """Spearman's rho, in [-1, 1], between the predicted uncertainty of a query and the rank it reached.

    Above 0 where uncertain queries rank worse; 0 where either does not vary.

    Args:
        uncertainty: (Q,) predicted, larger is less certain.
        ranks: (Q,) 0-based rank of the best positive; queries with -1 are left out.
    """
    kept = ranks >= 0
    a, b = (_average_places(values[kept]) for values in (uncertainty, ranks))
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 0 else 0.0


def _average_places(values: Tensor) -> Tensor:
    """(Q,) float64 position of each value in ascending order; equal values share the mean of their positions."""
    _, distinct, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middle: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return middle.double()[distinct]
