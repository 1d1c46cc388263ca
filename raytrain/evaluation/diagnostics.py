"""What the embeddings of a split look like, beside how well they rank."""

from __future__ import annotations

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
