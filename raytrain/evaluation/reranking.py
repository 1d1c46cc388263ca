"""Fast Re-ranking: scores normalised over the competing queries, so that hubs lose what they do not deserve.

A softmax along a query's own row never changes that query's ranking; the useful normalisation runs over the other
queries, for each gallery item. It therefore needs the whole query set (transductive), and its rows say so. Published
as "fast re-ranking" with DVSE, of which only abstracts were open to us; this is our reading, each choice a mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Mode = Literal["cross", "product", "additive", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)


def fast_rerank(similarity: Tensor, scale: float, mode: Mode = "cross", beta: float = 1.0) -> Tensor:
    """(Q, G) re-ranked scores for the direction query -> gallery, in the units of `similarity` (DVSE's re-ranking).

    With B the softmax of scale * similarity over the queries of each gallery item, and R that over the gallery of
    each query, the scores order each query's gallery as B (cross), B * R (product, the dual softmax) or
    similarity + beta * B (additive) does. cross and product stay in log space and are divided by the scale:

        cross     similarity - L_q               L_q (G,): log-mean-exp over queries of scale * similarity, / scale
        product   similarity - (L_q + L_g) / 2   L_g (Q,): the same over the gallery
        additive  similarity + beta * B
        off       similarity

    scale -> 0 subtracts the mean over queries, scale -> inf the maximum (an item that likes another query better goes
    behind every item whose best query this is). Both limits may be given as 0 and math.inf.

    Args:
        similarity: (Q, G) scores, larger is closer. Half precision is widened to float32.
        scale: inverse temperature, in 1 / units of `similarity`; the published values for cosines are 20 and 170.
        beta: weight of B in additive mode.

    Raises:
        ValueError: an unknown mode, or a scale that is negative or NaN.
    """
    check_mode(mode)
    if math.isnan(scale) or scale < 0:
        raise ValueError(f"scale is {scale}; give an inverse temperature from 0 to inf")
    if similarity.dtype in (torch.float16, torch.bfloat16):
        similarity = similarity.float()
    if mode == "off":
        return similarity
    over_queries = _log_mean_exp(similarity, scale, dim=0)
    if mode == "cross":
        return similarity - over_queries
    if mode == "product":
        return similarity - (over_queries + _log_mean_exp(similarity, scale, dim=1)) / 2
    if math.isinf(scale):
        best = (similarity == similarity.amax(0, keepdim=True)).to(similarity.dtype)
        return similarity + beta * best / best.sum(0, keepdim=True)
    return similarity + beta * ((similarity - over_queries) * scale).exp() / similarity.shape[0]


def _log_mean_exp(similarity: Tensor, scale: float, dim: int) -> Tensor:
    """log(mean(exp(scale * similarity))) / scale along `dim`, kept as size 1: the mean at 0, the maximum at inf."""
    top = similarity.amax(dim, keepdim=True)
    if math.isinf(scale):
        return top
    if scale == 0:
        return similarity.mean(dim, keepdim=True)
    below = (similarity - top) * scale
    # a mean so near 1 that its logarithm would lose its digits is kept as a distance from 1
    if float(below.min()) > -1:
        return top + below.expm1().mean(dim, keepdim=True).log1p() / scale
    return top + below.exp_().mean(dim, keepdim=True).log() / scale  # the largest term is 1: it cannot vanish


@dataclass(frozen=True)
class Temperatures:
    """The settings of Fast Re-ranking, an inverse temperature a direction.

    Args:
        mode: as in `fast_rerank`.
        i2t: scale for image queries; None leaves that direction as it is.
        t2i: scale for text queries; None leaves that direction as it is.
        beta: weight of additive mode.
    """

    mode: Mode = "cross"
    i2t: float | None = None
    t2i: float | None = None
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_mode(self.mode)
        for name in ("i2t", "t2i"):
            scale = getattr(self, name)
            if scale is not None and not scale >= 0:
                raise ValueError(f"{name} is {scale}; give an inverse temperature from 0 to inf, or None for off")

    @property
    def active(self) -> bool:
        """Whether anything changes."""
        return self.mode != "off" and not (self.i2t is None and self.t2i is None)

    def image_to_text(self, similarity: Tensor) -> Tensor:
        """(M, N) texts by images -> (M, N) scores that rank the texts of each image."""
        return similarity if self.i2t is None else fast_rerank(similarity.T, self.i2t, self.mode, self.beta).T

    def text_to_image(self, similarity: Tensor) -> Tensor:
        """(M, N) texts by images -> (M, N) scores that rank the images of each text."""
        return similarity if self.t2i is None else fast_rerank(similarity, self.t2i, self.mode, self.beta)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Temperatures:
        return cls(**values)


def check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"re-ranking has no mode {mode!r}. Modes: {', '.join(MODES)}.")
