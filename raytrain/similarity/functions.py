"""Similarities between queries and gallery items, as pure functions of embeddings.

Embeddings are L2-normalised unless a docstring says otherwise. Letters: Q queries, G gallery items, K embeddings per
query, J embeddings per gallery item, D dimensions.

All are computed in float32 or wider, also under autocast: exp(alpha C) overflows fp16 from alpha = 12 on, and a hinge
between two scores needs more digits than bfloat16 has. Those of two sets hold (Q, K, G, J) numbers in
memory at once; call them in chunks of queries when there are many.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from raytrain.similarity.installed import module_with_numba
from raytrain.similarity.precision import full_precision, in_float32
from raytrain.similarity.smooth_chamfer_blocks import Kernels, PlainKernels, in_blocks

ON_GPU_FROM = 2**22
"""Cosines of elements (16 MiB) from which smooth-Chamfer similarity runs in blocks on a GPU."""

MOST_ELEMENTS = 32
"""Elements per set up to which it does: the cosines of a pair of sets fit the registers of a program."""


@in_float32
def cosine(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, D) and (G, D) -> (Q, G) cosine of each pair."""
    return query @ gallery.T


@in_float32
def view_similarity(query: Tensor, gallery: Tensor) -> Tensor:
    """Cosine of each query vector with each view of each gallery item (DVSE).

    Args:
        query: (Q, D), L2-normalised.
        gallery: (G, K, D), L2-normalised.

    Returns:
        (Q, G, K)
    """
    items, views, dim = gallery.shape
    return (query @ gallery.reshape(items * views, dim).T).reshape(query.shape[0], items, views)


@in_float32
def pool_views(similarity: Tensor, score: str, scale: float = 16.0, weights: Tensor | None = None) -> Tensor:
    """(..., K) view scores -> (...) one score; at K = 1 the score of the only view.

    Args:
        similarity: (..., K), larger is closer.
        score: "max"; "mean"; "log_mean_exp", (1/scale) log mean exp(scale S), between the two; "learned", weighted.
        scale: of "log_mean_exp".
        weights: (K) weights of "learned", summing to 1.

    Raises:
        ValueError: another score.
    """
    if score == "max":
        return similarity.amax(-1)
    if score == "mean":
        return similarity.mean(-1)
    if score == "log_mean_exp":
        return (torch.logsumexp(scale * similarity, -1) - math.log(similarity.shape[-1])) / scale
    if score == "learned":
        assert weights is not None
        return similarity @ weights
    raise ValueError(f"no view score '{score}'; there are max, mean, log_mean_exp and learned")


def max_similarity(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) largest cosine of any two elements (MIL; PVSE, Song and Soleymani, CVPR 2019).

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
    """
    return element_cosines(query, gallery).amax((1, 3))


def match_probability(query: Tensor, gallery: Tensor, scale: Tensor | float, shift: Tensor | float) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) mean of sigmoid(scale C + shift) over all pairs of elements.

    PCME's matching probability (Chun et al., CVPR 2021) on cosines, as DivE's table compares it (CVPR 2023, table 3).

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
        scale: () factor of the cosine.
        shift: () added to it.
    """
    return torch.sigmoid(scale * element_cosines(query, gallery) + shift).mean((1, 3))


def match_logits(query: Tensor, gallery: Tensor, scale: Tensor | float, shift: Tensor | float) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, K, G, J) match logits of pairs of samples, shift - scale d, float32 or wider.

    d = sqrt(||x - y||^2 + 1e-6). Two samples match with probability e^l / (e^l + e^-l), which is sigmoid(2 l) (PCME,
    Chun et al., CVPR 2021, equations 2 and 3; official code).

    Args:
        query, gallery: samples, not normalised.
        scale: () a.
        shift: () b.
    """
    return shift - scale * (squared_distances(query, gallery) + 1e-6).sqrt()


def log_match_probability(query: Tensor, gallery: Tensor, scale: Tensor | float, shift: Tensor | float) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) log of the mean match probability over all pairs of samples (PCME).

    The logarithm ranks as the probability does, and still separates pairs whose probability underflows to zero.

    Args:
        query, gallery: samples, not normalised.
        scale, shift: as in `match_logits`.
    """
    logits = match_logits(query, gallery, scale, shift)
    pairs = query.shape[1] * gallery.shape[1]
    return logsigmoid(2 * logits).logsumexp((1, 3)) - math.log(pairs)


def closed_form_sampled_distance(
    query: Tensor, query_variance: Tensor, gallery: Tensor, gallery_variance: Tensor
) -> Tensor:
    """(Q, G) expected squared distance of two Gaussians' samples: ||mu_q - mu_g||^2 + sum sigma_q^2 + sum sigma_g^2.

    The distance of PCME++ (Chun, ICLR 2024, equation 1); the smaller, the closer.

    Args:
        query, gallery: (Q, D) and (G, D) means.
        query_variance, gallery_variance: (Q) and (G) variances, summed over dimensions.
    """
    distances = squared_distances(query[:, None], gallery[:, None])[:, 0, :, 0]
    return distances + query_variance.to(distances.dtype)[:, None] + gallery_variance.to(distances.dtype)[None]


@in_float32
def order(query: Tensor, gallery: Tensor, block: int = 2**25) -> Tensor:
    """(Q, D) and (G, D) -> (Q, G) minus the order violation ||max(0, query - gallery)|| (Vendrov et al., ICLR 2016).

    The caption is the more general of the two: it should be smaller than its image in every dimension (VSE++, official
    code). Where nothing is violated the score is zero, and so is its gradient.

    Args:
        query: (Q, D) captions, no number below zero.
        gallery: (G, D) images, no number below zero.
        block: about how many numbers to hold in memory at once; queries are compared in chunks.
    """
    chunks = []
    for part in torch.split(query, max(1, block // max(gallery.numel(), 1))):
        squared = (part[:, None] - gallery[None]).clamp(min=0).square().sum(-1)
        # where the violation is zero, take the root of 1: the gradient of the root of 0 would be infinity times zero
        violated = squared > 0
        chunks.append(torch.where(violated, -torch.where(violated, squared, 1.0).sqrt(), 0.0))
    return torch.cat(chunks)


def chamfer(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) Chamfer similarity: cosine of each element with its closest, averaged per set.

    The two averages are averaged again (DivE, Kim et al., CVPR 2023, section 3.3). It is the limit of `smooth_chamfer`
    as alpha grows.

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
    """
    cosines = element_cosines(query, gallery)
    return (cosines.amax(3).mean(1) + cosines.amax(1).mean(2)) / 2


def smooth_chamfer(query: Tensor, gallery: Tensor, alpha: float) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, G) smooth-Chamfer similarity (DivE, Kim et al., CVPR 2023, equation 2).

    s = 1/(2 alpha K) sum_k log sum_j exp(alpha C_kj) + 1/(2 alpha J) sum_j log sum_k exp(alpha C_kj).
    The inner sum is not a mean, so a score can exceed 1 by log(max(K, J)) / alpha. At K = J = 1 it is the cosine.

    Args:
        query: (Q, K, D), L2-normalised.
        gallery: (G, J, D), L2-normalised.
        alpha: scale of the cosines; the larger, the nearer to `chamfer`.
    """
    if (fused := _fused(query, gallery)) is not None:
        items, others, dim = gallery.shape
        with full_precision("cpu"):
            # gallery items last, so that neighbours in memory are different pairs, not elements of the same pair
            planes = query.flatten(0, 1) @ gallery.transpose(0, 1).reshape(others * items, dim).T
        scores: Tensor = fused.smooth_chamfer_of_cosines(planes.view(*query.shape[:2], others, items), alpha)
        return scores
    if (kernels := _gpu_kernels(query, gallery)) is not None:
        return in_blocks(query.float(), gallery.float(), alpha, kernels)
    return PlainKernels().scores(element_cosines(query, gallery), alpha)


def element_cosines(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, K, G, J) cosine of each pair of elements, float32 or wider."""
    with full_precision(query.device.type):
        wide = torch.promote_types(torch.promote_types(query.dtype, gallery.dtype), torch.float32)
        left, right = query.to(wide).flatten(0, 1), gallery.to(wide).flatten(0, 1)
        return (left @ right.T).view(*query.shape[:2], *gallery.shape[:2])


def _fused(query: Tensor, gallery: Tensor) -> ModuleType | None:
    """The module smooth_chamfer_cpu where it applies (float32 on the CPU, no gradient nor export, numba); else None."""
    gradient = torch.is_grad_enabled() and (query.requires_grad or gallery.requires_grad)
    traced = bool(torch.jit.is_tracing()) or torch.compiler.is_exporting()  # type: ignore[attr-defined, no-untyped-call]
    if gradient or traced or query.device.type != "cpu" or not query.dtype == gallery.dtype == torch.float32:
        return None
    return module_with_numba("raytrain.similarity.smooth_chamfer_cpu")


def _gpu_kernels(query: Tensor, gallery: Tensor) -> Kernels | None:
    """Those of smooth_chamfer_triton, for float32 or less on a GPU, sets and matrices of fitting size; else None.

    Below ON_GPU_FROM cosines the plain path keeps little, and launches no more kernels than that.
    """
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
    cosines = math.prod(query.shape[:2]) * math.prod(gallery.shape[:2])
    if query.device.type != "cuda" or traced or cosines < ON_GPU_FROM or torch.float64 in (query.dtype, gallery.dtype):
        return None
    if max(query.shape[1], gallery.shape[1]) > MOST_ELEMENTS or not importlib.util.find_spec("triton"):
        return None
    kernels: Kernels = importlib.import_module("raytrain.similarity.smooth_chamfer_triton").TritonKernels()
    return kernels


def squared_distances(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, K, D) and (G, J, D) -> (Q, K, G, J) squared distance of each pair of elements, float32 or wider.

    Computed as ||x||^2 + ||y||^2 - 2 x.y, which needs no (Q, K, G, J, D) tensor; rounding below zero is cut at zero.
    """
    with full_precision(query.device.type):
        wide = torch.promote_types(torch.promote_types(query.dtype, gallery.dtype), torch.float32)
        left, right = query.to(wide), gallery.to(wide)
        lengths = left.square().sum(-1)[:, :, None, None] + right.square().sum(-1)
        return (lengths - 2 * element_cosines(left, right)).clamp(min=0)
