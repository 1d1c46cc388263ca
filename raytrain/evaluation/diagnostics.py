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


def set_diagnostics(query: Tensor, gallery: Tensor) -> dict[str, float]:
    """Log variances of the embeddings that are sets of more than one: of images, and of queries under their own name.

    Args:
        query: (Q, D) or (Q, K, D).
        gallery: (G, D) or (G, K, D).
    """
    named = {"diagnostics/set_log_variance": gallery, "diagnostics/query_set_log_variance": query}
    return {name: set_log_variance(sets) for name, sets in named.items() if sets.dim() == 3 and sets.shape[1] > 1}
