"""What the embeddings and the scores of a split look like, beside how well they rank."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import normalize


def set_log_variance(sets: Tensor) -> float:
    """Mean over sets of the log circular variance, log(1 - ||mean_k e_k||) (DivE, Kim et al., CVPR 2023, section 4).

    0 for elements that point everywhere; the lower, the more alike they are. A variance below 1e-12 counts as 1e-12,
    so that a collapsed set has -27.6 and not minus infinity.

    Args:
        sets: (N, K, D), K > 1; directions count, lengths do not.
    """
    spread = 1 - normalize(sets.double(), dim=-1).mean(1).norm(dim=-1)
    return float(torch.log(spread.clamp(min=1e-12)).mean())


def set_cosine(sets: Tensor) -> float:
    """Mean cosine of two elements of a set: 1 where sets have collapsed to one vector.

    Args:
        sets: (N, K, D), L2-normalised, K > 1.
    """
    count = sets.shape[1]
    # |sum_k e_k|^2 counts every pair twice and every element once
    paired = sets.double().sum(1).square().sum(-1) - count
    return float((paired / (count * (count - 1))).mean())


def effective_elements(query: Tensor, gallery: Tensor, item_of_query: Tensor) -> float:
    """How many elements of a gallery set are in use: exp of the entropy of which one is closest to its queries.

    Between 1, where the same element answers every query, and K.

    Args:
        query: (Q, D) or (Q, J, D), L2-normalised.
        gallery: (N, K, D), L2-normalised.
        item_of_query: (Q,) row of `gallery` that each query belongs to.
    """
    asked = query if query.dim() == 3 else query[:, None]
    closest = (asked @ gallery[item_of_query].transpose(1, 2)).amax(1).argmax(1)
    share = torch.bincount(closest, minlength=gallery.shape[1]).double() / len(closest)
    return float(torch.special.entr(share).sum().exp())


def set_diagnostics(query: Tensor, gallery: Tensor, item_of_query: Tensor | None = None) -> dict[str, float]:
    """What the embeddings that are sets of more than one look like; those of queries under their own name.

    Args:
        query: (Q, D) or (Q, K, D).
        gallery: (G, D) or (G, K, D).
        item_of_query: (Q,) row of `gallery` that each query belongs to, where there is one.
    """
    found = {}
    query, gallery = (normalize(side.float(), dim=-1) for side in (query, gallery))
    for name, sets in (("", gallery), ("query_", query)):
        if sets.dim() == 3 and sets.shape[1] > 1:
            found[f"diagnostics/{name}set_log_variance"] = set_log_variance(sets)
            found[f"diagnostics/{name}set_cosine"] = set_cosine(sets)
    if item_of_query is not None and gallery.dim() == 3 and gallery.shape[1] > 1:
        found["diagnostics/effective_elements"] = effective_elements(query, gallery, item_of_query)
    return found


HUB_K = 10
CHUNK_ELEMENTS = 4_000_000


def hubness(similarity: Tensor, k: int = HUB_K) -> float:
    """Skewness of how often each gallery item is among the k nearest of a query (Radovanovic et al., JMLR 2010).

    0 where all items are found equally often; the larger, the more queries are sent to a few hubs.

    Args:
        similarity: (Q, G) scores, larger is closer; k is cut at G.
    """
    found = similarity.new_zeros(similarity.shape[1], dtype=torch.float64)
    for scores in torch.split(similarity, _chunk(similarity)):
        nearest = scores.topk(min(k, scores.shape[1]), 1).indices.flatten()
        found += torch.bincount(nearest, minlength=len(found))
    apart = found - found.mean()
    spread = float(apart.square().mean())
    return float(apart.pow(3).mean()) / spread**1.5 if spread > 0 else 0.0


def margins(similarity: Tensor, masks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """(Q,) float64 score of the best positive minus that of the hardest negative; NaN without either.

    Above 0 where the query is answered first. Unlike a rank it says by how much.

    Args:
        similarity: (Q, G) scores, larger is closer.
        masks: of consecutive queries, (q, G) bool positives and (q, G) bool negatives; Q rows together.
    """
    apart, first = [], 0
    for pair in masks:
        scores = similarity[first : first + len(pair[0])].double()
        first += len(scores)
        best, hardest = (scores.masked_fill(~mask, -torch.inf).amax(1) for mask in pair)
        apart.append(torch.where(pair[0].any(1) & pair[1].any(1), best - hardest, torch.nan))
    return torch.cat(apart)


def score_diagnostics(similarity: Tensor, item_of_text: Tensor) -> dict[str, float]:
    """Hubness and margins of both directions of (M, N) scores of texts against images.

    {"diagnostics/i2t/hubness", "diagnostics/i2t/margin": median over queries, and the same of t2i}.

    Args:
        similarity: (M, N).
        item_of_text: (M,) position of the image that each text belongs to.
    """
    images = torch.arange(similarity.shape[1], device=similarity.device)
    owner = item_of_text.to(similarity.device)
    found = {}
    for direction, scores, asks, answers in (("i2t", similarity.T, images, owner), ("t2i", similarity, owner, images)):
        parts = torch.split(asks, _chunk(scores))
        own = (part[:, None] == answers[None] for part in parts)
        found[f"diagnostics/{direction}/hubness"] = hubness(scores)
        found[f"diagnostics/{direction}/margin"] = float(margins(scores, ((mask, ~mask) for mask in own)).nanmedian())
    return found


def calibration(uncertainty: Tensor, ranks: Tensor, k: int = 10, bins: int = 10) -> list[dict[str, float]]:
    """Recall at k among the queries of each share of the predicted uncertainty, the most certain first.

    A method whose uncertainty means something loses recall from one bin to the next.

    Args:
        uncertainty: (Q,) predicted, larger is less certain.
        ranks: (Q,) 0-based rank of the best positive; queries with -1 are left out.
        k: cut-off.
        bins: equal shares of the queries.

    Returns:
        [{"queries", "uncertainty": mean, "recall": percent}] of the shares that hold a query
    """
    kept = ranks >= 0
    order = uncertainty[kept].argsort(stable=True)
    sure, place = uncertainty[kept][order].double(), ranks[kept][order]
    return [
        {"queries": len(part), "uncertainty": float(part.mean()), "recall": 100.0 * float((at < k).double().mean())}
        for part, at in zip(sure.tensor_split(bins), place.tensor_split(bins), strict=True)
        if len(part)
    ]


def _chunk(similarity: Tensor) -> int:
    """Rows that are looked at in one go."""
    return max(1, CHUNK_ELEMENTS // max(1, similarity.shape[1]))


def rank_correlation(uncertainty: Tensor, ranks: Tensor) -> float:
    """Spearman's rho between what a method predicts of its own error and the rank it reached.

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
    """(Q,) float64 place of each value in ascending order; equal values share the mean of their places."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middle: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return middle.double()[place]
