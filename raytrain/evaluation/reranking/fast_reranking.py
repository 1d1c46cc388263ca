"""Fast Re-ranking: scores normalised over the competing queries, which lowers hubs (items close to every query).

A softmax along a query's own row never changes that query's ranking; the useful normalisation runs over the queries,
for each gallery item. It needs the whole query set, so results are marked transductive; or a bank of training queries
instead (`query_bank`), and then each query is ranked independently. It was published as "fast re-ranking" with DVSE, of
which only abstracts were open to us; this is our reading, each choice a mode. mtfn mode serves for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from raytrain.evaluation.reranking.mutual_rank import resorted

Mode = Literal["cross", "product", "additive", "mtfn", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)
SOFTMAX_MODES: tuple[Mode, ...] = ("cross", "product", "additive")
BLOCK_ELEMENTS = 2**20  # numbers per float64 temporary


def fast_rerank(similarity: Tensor, scale: float, mode: Mode = "cross", beta: float = 1.0) -> Tensor:
    """(Q, G) re-ranked scores for the direction query -> gallery, in the units of `similarity` (DVSE's re-ranking).

    With B the softmax of scale * similarity over the queries of each gallery item, and R that over the gallery of
    each query, the scores order each query's gallery as B (cross), B * R (product, the dual softmax) or
    similarity + beta * B (additive) does. cross and product stay in log space and are divided by the scale:

        cross     similarity - L_q               L_q (G,): log-mean-exp over queries of scale * similarity, / scale
        product   similarity - (L_q + L_g) / 2   L_g (Q,): the same over the gallery
        additive  similarity + beta * B
        mtfn      minus the position in `mutual_rank.resorted`; `scale` is K1
        off       similarity

    scale -> 0 subtracts the mean over queries, scale -> inf the maximum: an item with a better query then ranks behind
    every item whose best query this is. Both limits may be given, as 0 and math.inf. Sums are float64.

    Args:
        similarity: (Q, G) scores, larger is closer. Half precision is widened to float32.
        scale: inverse temperature, in 1 / units of `similarity`; the published values for cosines are 20 and 170.
        mode: as above.
        beta: weight of B in additive mode.

    Raises:
        ValueError: an unknown mode, or a scale that is negative or NaN.
    """
    if similarity.dtype in (torch.float16, torch.bfloat16):
        similarity = similarity.float()
    ranked = ranking_scores(similarity, scale, mode, beta)
    if mode == "product":  # ranking does not need L_g, which is the same for the whole gallery of a query
        return ranked - log_mean_exp(similarity, scale, dim=1).to(ranked.dtype) / 2
    return ranked


def ranking_scores(
    similarity: Tensor,
    scale: float,
    mode: Mode,
    beta: float = 1.0,
    queries: int = 0,
    bank: Tensor | None = None,
) -> Tensor:
    """Scores of the shape of `similarity` that order each query's gallery as `fast_rerank` does.

    Args:
        similarity: (Q, G) scores, or (G, Q) where `queries` is 1.
        scale, mode, beta: as in `fast_rerank`.
        queries: dimension of the queries.
        bank: (B, G), or (G, B) where `queries` is 1: scores of other queries, over which the softmax runs instead
            (query-bank normalisation, Bogolin et al., CVPR 2022). The ranking of a query then depends on no other
            query. In additive mode the query itself counts as one more of the bank, so that B stays below 1.

    Raises:
        ValueError: as `fast_rerank`; a bank in mtfn mode.
    """
    check_mode(mode)
    if math.isnan(scale) or scale < 0:
        raise ValueError(f"scale is {scale}; give an inverse temperature from 0 to inf")
    if mode == "off":
        return similarity
    if mode == "mtfn":
        if bank is not None:
            raise ValueError("mtfn mode sorts by the places among the other queries; it takes no bank")
        places = resorted(similarity if queries == 0 else similarity.T, int(scale))
        return -(places if queries == 0 else places.T).to(similarity.dtype)
    source = similarity if bank is None else bank
    log_mean = log_mean_exp(source, scale, dim=queries)
    return normalised(similarity, log_mean, source.shape[queries], scale, mode, beta, bank is not None)


def normalised(
    similarity: Tensor,
    log_mean: Tensor,
    number: int,
    scale: float,
    mode: Mode,
    beta: float = 1.0,
    from_bank: bool = False,
) -> Tensor:
    """Scores re-ranked by mode, given each gallery item's log-mean-exp over `number` queries.

    Args:
        similarity: scores of queries and gallery, in either order.
        log_mean: float64 log-mean-exps, which broadcast against `similarity` along the queries.
        number: of queries that `log_mean` averages.
        scale, mode, beta: as in `fast_rerank`.
        from_bank: whether those queries are a bank, and not the queries to rank; see `ranking_scores`.
    """
    if mode == "cross":
        return similarity - log_mean.to(similarity.dtype)
    if mode == "product":
        return similarity - (log_mean / 2).to(similarity.dtype)
    if math.isinf(scale):
        best = (similarity == log_mean).double()
        queries = 0 if log_mean.shape[1] == similarity.shape[1] else 1
        if from_bank:
            share = (similarity > log_mean) + best / 2
        else:
            share = best / best.sum(queries, keepdim=True)
        return similarity + beta * share.to(similarity.dtype)
    out = torch.empty_like(similarity)
    rows = max(1, BLOCK_ELEMENTS // max(1, similarity.shape[1]))
    for first in range(0, len(similarity), rows):
        part = slice(first, first + rows)
        above = (similarity[part].double() - (log_mean if len(log_mean) == 1 else log_mean[part])) * scale
        share = torch.sigmoid(above - math.log(number)) if from_bank else above.exp() / number
        out[part] = similarity[part] + (beta * share).to(similarity.dtype)
    return out


def log_mean_exp(similarity: Tensor, scale: float, dim: int) -> Tensor:
    """log(mean(exp(scale * similarity))) / scale along `dim`, kept as 1, float64: mean at scale 0, maximum at inf."""
    top = similarity.amax(dim, keepdim=True).double()
    if math.isinf(scale):
        return top
    number = similarity.shape[dim]
    rows = max(1, BLOCK_ELEMENTS // max(1, similarity.shape[1]))
    parts = [slice(first, first + rows) for first in range(0, len(similarity), rows)]
    tops = [top if dim == 0 else top[part] for part in parts]
    if scale == 0:
        sums = [similarity[part].double().sum(dim, keepdim=True) for part in parts]
        return _joined(sums, dim) / number
    spread = max(
        float((high - similarity[part].amin(dim, keepdim=True)).max()) for part, high in zip(parts, tops, strict=True)
    )
    # near 1, the mean is kept as its distance from 1, so that its logarithm keeps its digits
    near = spread * scale < 1
    sums = []
    for part, high in zip(parts, tops, strict=True):
        below = (similarity[part].double() - high).mul_(scale)
        sums.append((below.expm1_() if near else below.exp_()).sum(dim, keepdim=True))
    mean = _joined(sums, dim) / number
    return top + (mean.log1p() if near else mean.log()) / scale  # the largest term is 1: it cannot vanish


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Sums of blocks of rows: added up along dim 0, concatenated along dim 1."""
    return torch.stack(parts).sum(0) if dim == 0 else torch.cat(parts)


@dataclass(frozen=True)
class Temperatures:
    """The settings of re-ranking for each direction, as `raytrain rerank` chose them on validation.

    Args:
        mode: as in `fast_rerank`, for both directions.
        i2t: scale for image queries (K1 in mtfn mode); None leaves that direction as it is.
        t2i: scale for text queries; None leaves that direction as it is.
        beta: weight of B in additive mode.
        i2t_mode, t2i_mode: mode of one direction; None takes `mode`.
        i2t_bank: number of training images to normalise over; 0 normalises over the image queries themselves.
        t2i_bank: number of training captions to normalise over; 0 normalises over the text queries themselves.
        bank_seed: of the draw of the bank.
        pooling: how the scores of a method's views become one score; None as in training.
    """

    mode: Mode = "cross"
    i2t: float | None = None
    t2i: float | None = None
    beta: float = 1.0
    i2t_mode: Mode | None = None
    t2i_mode: Mode | None = None
    i2t_bank: int = 0
    t2i_bank: int = 0
    bank_seed: int = 0
    pooling: str | None = None

    def __post_init__(self) -> None:
        check_mode(self.mode)
        for name in ("i2t", "t2i"):
            check_mode(getattr(self, f"{name}_mode") or self.mode)
            scale = getattr(self, name)
            if scale is not None and not scale >= 0:
                raise ValueError(f"{name} is {scale}; give an inverse temperature from 0 to inf, or None for off")
            if getattr(self, f"{name}_bank") < 0:
                raise ValueError(f"{name}_bank is {getattr(self, f'{name}_bank')}; give a number of queries, or 0")

    def mode_of(self, direction: str) -> Mode:
        """The mode of "i2t" or "t2i"; "off" where nothing changes."""
        if getattr(self, direction) is None:
            return "off"
        mode: Mode = getattr(self, f"{direction}_mode") or self.mode
        return mode

    @property
    def active(self) -> bool:
        """Whether any score changes."""
        return self.pooling is not None or any(self.mode_of(direction) != "off" for direction in ("i2t", "t2i"))

    @property
    def transductive(self) -> bool:
        """Whether a query's ranking depends on the other queries: a direction is re-ranked without a bank."""
        return any(self.mode_of(name) != "off" and not getattr(self, f"{name}_bank") for name in ("i2t", "t2i"))

    @property
    def bank_sizes(self) -> tuple[int, int]:
        """(training images, training captions) that the settings need."""
        return tuple(getattr(self, f"{n}_bank") if self.mode_of(n) != "off" else 0 for n in ("i2t", "t2i"))  # type: ignore[return-value]

    def image_to_text(self, similarity: Tensor, bank: Tensor | None = None) -> Tensor:
        """(M, N) texts by images -> (M, N) scores that rank the texts of each image.

        Args:
            similarity: (M, N) scores.
            bank: (M, B) scores of the texts against the images of the bank, B at least `i2t_bank`.
        """
        return self._ranked("i2t", similarity, 1, bank)

    def text_to_image(self, similarity: Tensor, bank: Tensor | None = None) -> Tensor:
        """(M, N) texts by images -> (M, N) scores that rank the images of each text.

        Args:
            similarity: (M, N) scores.
            bank: (B, N) scores of the texts of the bank against the images, B at least `t2i_bank`.
        """
        return self._ranked("t2i", similarity, 0, bank)

    def _ranked(self, direction: str, similarity: Tensor, queries: int, bank: Tensor | None) -> Tensor:
        mode = self.mode_of(direction)
        if mode == "off":
            return similarity
        size = getattr(self, f"{direction}_bank")
        if size and (bank is None or bank.shape[queries] < size):
            have = 0 if bank is None else bank.shape[queries]
            raise ValueError(f"{direction} is normalised over a bank of {size} training queries; {have} were given")
        part = bank.narrow(queries, 0, size) if size and bank is not None else None
        if similarity.dtype in (torch.float16, torch.bfloat16):
            similarity = similarity.float()
        return ranking_scores(similarity, getattr(self, direction), mode, self.beta, queries, part)

    def as_dict(self) -> dict[str, Any]:
        """Mode, scales and beta, and other fields only where they differ from their default, as in older files."""
        always = ("mode", "i2t", "t2i", "beta")
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in always or getattr(self, field.name) != field.default
        }

    def describe(self) -> str:
        """A short description: "cross i2t 20 t2i off", "i2t cross 20 t2i product 31, bank 1000 / 5000"."""
        modes = {self.mode_of(name) for name in ("i2t", "t2i")} - {"off"}
        shared = len(modes) < 2
        words: list[str] = [modes.pop() if modes else "off"] if shared else []
        for name in ("i2t", "t2i"):
            mode = self.mode_of(name)
            words += [name, "off"] if mode == "off" else [name, *([] if shared else [mode]), f"{getattr(self, name):g}"]
        text = " ".join(words)
        text += f", bank {self.bank_sizes[0]} / {self.bank_sizes[1]}" if any(self.bank_sizes) else ""
        return text + (f", pooled by {self.pooling}" if self.pooling else "")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Temperatures:
        """The settings that `as_dict` returned."""
        return cls(**values)


def check_mode(mode: str) -> None:
    """Raise ValueError for a mode that does not exist."""
    if mode not in MODES:
        raise ValueError(f"re-ranking has no mode {mode!r}. Modes: {', '.join(MODES)}.")
