"""Attention between local features, and scores of it: SCAN, and NAAF's positive and negative branches.

Local features are (N, n, D) vectors on either side, words or regions, with rows of zeros where an item has fewer than
n. The zero rows are the mask: padding with more of them changes no score. Letters: Q queries with T members, G contexts
with R members, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from raytrain.similarity.precision import full_precision

EPS = 1e-8
"""Least denominator of a normalisation, as in SCAN's released code; keeps gradients finite at zero vectors."""


def real_rows(local: Tensor) -> Tensor:
    """(N, n, D) local features, padded with rows of zeros -> (N, n) bool, True at real rows.

    An item that has only zeros counts its first row as real, so that every score is finite.
    """
    real = local.ne(0).any(-1)
    real[:, 0] |= ~real.any(1)
    return real


def attention(query: Tensor, context: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention of each query's members to the members of each context, and their cosines (SCAN, ECCV 2018, 3.1).

    Args:
        query: (Q, T, D), L2-normalised, zero rows for padding.
        context: (G, R, D), likewise.
        scale: lambda_1, the inverse temperature of the softmax.

    Returns:
        weights: (G, R, Q, T) in [0, 1], summing to 1 over R, zero at padded members of the context.
        cosines: (G, R, Q, T) in [-1, 1].
    """
    cosines = (context.flatten(0, 1) @ query.flatten(0, 1).T).view(*context.shape[:2], *query.shape[:2])
    return attention_weights(cosines, real_rows(context), scale), cosines


def attention_weights(products: Tensor, real: Tensor, scale: float) -> Tensor:
    """Weights of SCAN's attention: softmax of scale * a over the context's members.

    a = LeakyReLU_0.1(product), divided by its L2 norm over the query's members. The norm is over the query and the
    softmax over the context, in either direction.

    Args:
        products: (G, R, Q, T) inner products of a context's and a query's members, zero at padding.
        real: (G, R) bool, True at real members of the context.
        scale: lambda_1.

    Returns:
        (G, R, Q, T), as in `attention`.
    """
    # a padded member of the query has product zero and adds nothing to the norm
    scaled = scale * normalize(leaky_relu(products, 0.1), dim=3, eps=EPS)
    return scaled.masked_fill(~real[:, :, None, None], torch.finfo(scaled.dtype).min).softmax(1)


def attended_cosine(weights: Tensor, cosines: Tensor, context: Tensor) -> Tensor:
    """(G, Q, T) cosine of each query member with the vector that it attends to, the weighted sum of context members.

    The attended vectors (D numbers per member and pair) are never computed: with weights w the cosine is
    sum_r w_r c_r / sqrt(sum_rs w_r w_s <v_r, v_s>), which needs only cosines between query and context and within
    each context. Zero where all weights are.

    Args:
        weights: (G, R, Q, T).
        cosines: (G, R, Q, T).
        context: (G, R, D).
    """
    flat = weights.flatten(2)
    square = (flat * ((context @ context.mT) @ flat)).sum(1).view(len(context), *weights.shape[2:])
    return (weights * cosines).sum(1) / square.clamp(min=EPS**2).sqrt()


def mean_over(values: Tensor, real: Tensor) -> Tensor:
    """(..., Q, T) values of members and (Q, T) bool mask of the real ones -> (..., Q) mean over real members."""
    return values.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)


def cross_attention(query: Tensor, context: Tensor, scale: float, pooling: str, pooling_scale: float) -> Tensor:
    """(Q, T, D) and (G, R, D) -> (Q, G) cosine of each query member with what it attends to, pooled over members.

    SCAN (Lee et al., ECCV 2018, equations 3 to 10): captions as queries are its text-image form, images as queries
    its image-text form. With s_t the cosine of member t and its attended vector: log_sum_exp is (1/l) log sum_t
    exp(l s_t), a sum and not a mean, so that a score grows with the number of members; mean is over real members.

    Args:
        query: (Q, T, D), L2-normalised, zero rows for padding.
        context: (G, R, D), likewise.
        scale: lambda_1, of the attention.
        pooling: "log_sum_exp" or "mean".
        pooling_scale: lambda_2, of log_sum_exp.

    Raises:
        ValueError: another pooling.
    """
    with full_precision(query.device.type):
        query, context = widened(query, context)
        along = attended_cosine(*attention(query, context, scale), context)
        real = real_rows(query)
        if pooling == "log_sum_exp":
            scores = (pooling_scale * along).masked_fill(~real, -torch.inf).logsumexp(-1) / pooling_scale
        elif pooling == "mean":
            scores = mean_over(along, real)
        else:
            raise ValueError(f"no pooling '{pooling}' of cross attention; there are log_sum_exp and mean")
    return scores.T


def widened(query: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one dtype, float32 or wider."""
    wide = torch.promote_types(torch.promote_types(query.dtype, context.dtype), torch.float32)
    return query.to(wide), context.to(wide)
