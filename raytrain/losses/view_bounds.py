"""MV-VSE's two triplet losses over the views of an image: an upper and a lower bound.

Letters: B pairs, K views.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def multi_view_bounds(
    similarity: Tensor, negatives: Tensor, margin: float = 0.2, form: str = "hinge", tau: float = 0.05
) -> tuple[Tensor, Tensor]:
    """() upper and () lower bound, each a mean over rows, views and the two directions (MV-VSE, Li et al., IJCAI 2022).

    With S_k(i, j) the score of view k, S* its maximum over the views, and n the negatives of row i:

        upper   mean_k [m + max_n S*(i, n) - S_k(i, i)]+    every view's positive against the best negative of any view
        lower   mean_k [m + max_n S_k(i, n) - S*(i, i)]+    the best positive against each view's own best negative

    At K = 1 both are the hinge loss on the hardest negative.

    Args:
        similarity: (K, B, B) captions x images for each view, pairs on the diagonal.
        negatives: (B, B) bool; a row without any costs nothing.
        margin: required gap m, in the units of `similarity`.
        form: "hinge", as above; "mean", the hinges averaged over all negatives instead of the hardest's; "smooth", the
            maximum over negatives becomes tau logsumexp(. / tau), and [x]+ becomes tau log(1 + exp(x / tau)).
        tau: of "smooth", in the units of `similarity`; as it vanishes, "smooth" becomes "hinge".

    Raises:
        ValueError: another form.
    """
    upper, lower = similarity.new_zeros(()), similarity.new_zeros(())
    for scores, others in ((similarity, negatives), (similarity.transpose(-2, -1), negatives.T)):
        best = scores.amax(0)
        own, best_own = scores.diagonal(dim1=-2, dim2=-1), best.diagonal()  # (K, B) and (B)
        upper = upper + _costs(best[None], own, others, margin, form, tau).mean() / 2
        lower = lower + _costs(scores, best_own[None], others, margin, form, tau).mean() / 2
    return upper, lower


def _costs(scores: Tensor, own: Tensor, negatives: Tensor, margin: float, form: str, tau: float) -> Tensor:
    """(K, B, B) or (1, B, B) scores of negatives, (K, B) or (1, B) of positives -> (K, B) costs."""
    if form == "mean":
        costs = (margin + scores - own[..., None]).clamp(min=0).masked_fill(~negatives, 0.0)
        return costs.sum(-1) / negatives.sum(-1).clamp(min=1)
    lowest = torch.finfo(scores.dtype).min
    if form == "hinge":
        costs = (margin + scores.masked_fill(~negatives, lowest).amax(-1) - own).clamp(min=0)
    elif form == "smooth":
        hardest = tau * (scores / tau).masked_fill(~negatives, lowest).logsumexp(-1)
        costs = softplus(margin + hardest - own, beta=1 / tau)
    else:
        raise ValueError(f"no form '{form}' of the bounds; there are hinge, mean and smooth")
    return costs.masked_fill(~negatives.any(-1), 0.0)
