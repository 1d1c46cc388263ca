"""Fast Re-ranking: scores normalised over the competing queries, which lowers hubs (items close to every query).

A softmax along a query's own row never changes that query's ranking; the useful normalisation runs over the queries,
for each gallery item. It needs the whole query set, so results are marked transductive; or a bank of training queries
instead (`query_bank`), and then each query is ranked independently. It was published as "fast re-ranking" with DVSE, of
which only abstracts were open to us; this is our reading, each choice a mode. mtfn mode serves for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from raytrain.evaluation.reranking.normaliser import Mode, Normaliser, check_mode, check_scale, log_mean_exp


def fast_rerank(similarity: Tensor, scale: float, mode: Mode = "cross", beta: float = 1.0) -> Tensor:
    """(Q, G) float64 re-ranked scores of the direction query -> gallery, in the units of `similarity` (DVSE).

    With B the softmax of scale * similarity over the queries of each gallery item, and R that over the gallery of
    each query, the scores order each query's gallery as B (cross), B * R (product, the dual softmax) or
    similarity + beta * B (additive) does. cross and product stay in log space and are divided by the scale:

        cross     similarity - L_q               L_q (G,): log-mean-exp over queries of scale * similarity, / scale
        product   similarity - (L_q + L_g) / 2   L_g (Q,): the same over the gallery
        additive  similarity + beta * B
        own_row   similarity - L_g; L_g is the same for a query's whole gallery: a demonstration that this ranks as off
        mtfn      minus the position in `mutual_rank.resorted`; `scale` is K1
        off       similarity, as it is

    scale -> 0 subtracts the mean over queries, scale -> inf the maximum: an item with a better query then ranks behind
    every item whose best query this is. Both limits may be given, as 0 and math.inf. Where a
    query has nearly all of an item's softmax, cross scores are equal to float64's last digits, log(Q) / scale; the
    evaluation still orders them (`normaliser`).

    Args:
        similarity: (Q, G) scores, larger is closer.
        scale: inverse temperature, in 1 / units of `similarity`; the published values for cosines are 20 and 170.
        mode: as above.
        beta: weight of B in additive mode.

    Raises:
        ValueError: an unknown mode, or a scale that is negative or NaN.
    """
    check_mode(mode)
    check_scale(scale)
    if mode == "off":
        return similarity
    ranked = Normaliser(similarity, scale, mode, beta).whole(similarity)
    if mode == "product":  # ranking does not need L_g, which is the same for the whole gallery of a query
        ranked -= log_mean_exp(similarity, scale, dim=1) / 2
    return ranked


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
        own = ("off", "own_row")
        return any(self.mode_of(name) not in own and not getattr(self, f"{name}_bank") for name in ("i2t", "t2i"))

    @property
    def bank_sizes(self) -> tuple[int, int]:
        """(training images, training captions) that the settings need."""
        return tuple(getattr(self, f"{n}_bank") if self.mode_of(n) != "off" else 0 for n in ("i2t", "t2i"))  # type: ignore[return-value]

    def normaliser(self, direction: str, similarity: Tensor, bank: Tensor | None = None) -> Normaliser | None:
        """What re-ranks a direction of a text-image matrix, block by block; None where it stays as it is.

        Args:
            direction: "i2t" ranks the texts of each image, "t2i" the images of each text.
            similarity: (M, N) scores of texts against images.
            bank: (M, B) scores of the texts against the images of the bank for i2t, (B, N) scores of the texts of the
                bank against the images for t2i; B at least the number that the settings name.

        Raises:
            ValueError: a bank is missing or too small.
        """
        mode, queries = self.mode_of(direction), 1 if direction == "i2t" else 0
        if mode == "off":
            return None
        size = getattr(self, f"{direction}_bank")
        if size and (bank is None or bank.shape[queries] < size):
            have = 0 if bank is None else bank.shape[queries]
            raise ValueError(f"{direction} is normalised over a bank of {size} training queries; {have} were given")
        source = bank.narrow(queries, 0, size) if size and bank is not None else similarity
        return Normaliser(source, getattr(self, direction), mode, self.beta, queries, from_bank=size > 0)

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
