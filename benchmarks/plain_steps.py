"""Training steps as research code writes them: what benchmarks/step.py compares ours with.

Written from the equations of the papers, one term at a time, with torch's own layers: samples are dropped, cut and
padded one after the other, each view is pooled by itself with a sort of every dimension, the GRU of GPO reads every
sample, losses loop over captions and views where their sums do. Names of parameters are ours, so that weights can be
loaded; the losses are ours, to rounding (benchmarks/step.py looks at that first).

Letters: B images or queries, S captions, R regions, T words, F features, K views or elements, D dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

Samples = list[Tensor]


@dataclass(frozen=True)
class RawBatch:
    """What a data set hands over, sample by sample, nothing dropped or padded.

    Args:
        images: (R, F) each.
        kept: (R) bool each, the regions that are not dropped.
        captions: (T) words or (T, F) token states each, not cut.
        lengths: words of each caption that are kept, the first ones.
        references: (R, F) each, of composed queries.
        noise: (N, D) standard normal, of each query.
    """

    images: Samples
    kept: Samples
    captions: Samples
    lengths: list[int]
    references: Samples
    noise: Samples


def collated(samples: Samples) -> tuple[Tensor, list[int]]:
    """(B, longest, ...) with zeros behind each sample, and the lengths."""
    return pad_sequence(samples, batch_first=True), [len(sample) for sample in samples]


class PlainModel(nn.Module):
    """A model with the names of ours; `forward` computes the loss of a raw batch."""

    def images(self, raw: RawBatch) -> tuple[Tensor, list[int]]:
        return collated([image[kept] for image, kept in zip(raw.images, raw.kept, strict=True)])

    def captions(self, raw: RawBatch) -> tuple[Tensor, list[int]]:
        return collated([text[:length] for text, length in zip(raw.captions, raw.lengths, strict=True)])


def is_real(lengths: list[int]) -> Tensor:
    """(B, longest) bool."""
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask[row, :length] = True
    return mask


def sinusoids(count: int, dim: int) -> Tensor:
    """(count, dim) codes of positions."""
    position = torch.arange(count).float()[:, None]
    rate = torch.exp(torch.arange(0, dim, 2).float() * -(math.log(10000.0) / dim))
    codes = torch.zeros(count, dim)
    codes[:, 0::2], codes[:, 1::2] = torch.sin(position * rate), torch.cos(position * rate)
    return codes


def bidirectional(features: int, hidden: int) -> nn.GRU:
    return nn.GRU(features, hidden, batch_first=True, bidirectional=True)


def through(gru: nn.GRU, rows: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """(B, T, H) states, mean of both directions, and (B, H) mean of the two last ones."""
    packed = pack_padded_sequence(rows, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    states, last = gru(packed)
    both = pad_packed_sequence(states, batch_first=True)[0]
    return (both[..., : gru.hidden_size] + both[..., gru.hidden_size :]) / 2, last.mean(0)


class GPO(nn.Module):
    """Chen et al., CVPR 2021, section 3.2."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.gru, self.score = size, bidirectional(size, size), nn.Linear(size, 1, bias=False)

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        codes = sinusoids(features.shape[1], self.size).expand(len(features), -1, -1)
        states, _ = through(self.gru, codes, lengths)
        padding = ~is_real(lengths)
        weights = (self.score(states)[..., 0].masked_fill(padding, -10000.0) / 0.1).softmax(1)
        ordered = features.masked_fill(padding[..., None], -10000.0).sort(dim=1, descending=True)[0]
        ordered = ordered.masked_fill(padding[..., None], 0.0)
        return (weights[..., None] * ordered).sum(1)


class Mean(nn.Module):
    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        return torch.stack([rows[:length].mean(0) for rows, length in zip(features, lengths, strict=True)])


def residual(features: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, dim // 2), nn.BatchNorm1d(dim // 2), nn.ReLU(inplace=True), nn.Linear(dim // 2, dim)
    )


def on_real(layers: nn.Module, padded: Tensor, lengths: list[int]) -> Tensor:
    """The layers over the real rows of all samples, padded again."""
    rows = layers(torch.cat([sample[:length] for sample, length in zip(padded, lengths, strict=True)]))
    return pad_sequence(rows.split(lengths), batch_first=True)


class Images(nn.Module):
    """K views: a base and an MLP each (VSE-infinity with one)."""

    def __init__(self, features: int, dim: int, views: int, pool: nn.Module) -> None:
        super().__init__()
        self.base = nn.Linear(features, dim)
        self.mlps = nn.ModuleList(residual(features, dim) for _ in range(views))
        self.pools = nn.ModuleList([pool])

    def pooled(self, padded: Tensor, lengths: list[int]) -> list[Tensor]:
        return [
            self.pools[0](self.base(padded) + on_real(mlp, padded, lengths), lengths) for mlp in self.mlps
        ]  # fmt: skip

    def forward(self, padded: Tensor, lengths: list[int]) -> Tensor:
        return torch.stack([normalize(view, dim=-1) for view in self.pooled(padded, lengths)], 1)


class Words(nn.Module):
    def __init__(self, words: int, word_dim: int, dim: int, gpo: int) -> None:
        super().__init__()
        self.embedding, self.gru, self.pool = nn.Embedding(words, word_dim), bidirectional(word_dim, dim), GPO(gpo)

    def forward(self, ids: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
        states, _ = through(self.gru, self.embedding(ids), lengths)
        return normalize(self.pool(states, lengths), dim=-1), states


def hardest(scores: Tensor, margin: float) -> Tensor:
    """(B) hinge of each row against its hardest negative (VSE++)."""
    costs = (margin + scores - scores.diag()[:, None]).clamp(min=0)
    return costs.masked_fill(torch.eye(len(scores)) > 0.5, 0.0).max(1)[0]


class VSEInfinity(PlainModel):
    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__()
        encoder, self.margin = config.encoder, config.method.margin
        views = getattr(config.method, "views", 1)
        self.image = Images(sizes.region_features, encoder.dim, views, GPO(encoder.gpo_dim))
        self.text = Words(sizes.words, encoder.text.word_dim, encoder.dim, encoder.gpo_dim)

    def forward(self, raw: RawBatch) -> Tensor:
        scores = self.text(*self.captions(raw))[0] @ self.image(*self.images(raw))[:, 0].T
        return hardest(scores, self.margin).sum() + hardest(scores.T, self.margin).sum()


class DVSE(VSEInfinity):
    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__(config, sizes)
        self.orth_weight = config.method.orth_weight

    def forward(self, raw: RawBatch) -> Tensor:
        query, gallery = self.text(*self.captions(raw))[0], self.image(*self.images(raw))
        views = gallery.shape[1]
        by_view = [query @ gallery[:, view].T for view in range(views)]
        total = query.new_zeros(())
        for scores in (by_view, [view.T for view in by_view]):
            inverse = []
            for view in scores:
                rows = view.detach()
                spread = [torch.cat([row[:i], row[i + 1 :]]).var(unbiased=False) for i, row in enumerate(rows)]
                inverse.append(1 / (torch.stack(spread) + 1e-8))
            for view, own in zip(scores, inverse, strict=True):
                total = total + (own / torch.stack(inverse).sum(0) * hardest(view, self.margin)).sum()
        cosines = [
            (gallery[:, k] * gallery[:, other]).sum(-1) for k in range(views) for other in range(views) if other != k
        ]
        overlap = torch.stack([cosine.detach().abs() for cosine in cosines]).mean()
        return total + self.orth_weight * overlap * torch.stack([cosine.square() for cosine in cosines]).mean()


class SlotBlock(nn.Module):
    def __init__(self, features: int, dim: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        inner, self.heads = heads * head_dim, heads
        self.norm_slots, self.norm_inputs = nn.LayerNorm(dim), nn.LayerNorm(features)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key, self.value = nn.Linear(features, inner, bias=False), nn.Linear(features, inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )

    def forward(self, slots: Tensor, local: Tensor, codes: Tensor | float, real: Tensor) -> Tensor:
        inputs = self.norm_inputs(local)
        query, key, value = (
            rows.view(*rows.shape[:2], self.heads, -1).transpose(1, 2)
            for rows in (self.query(self.norm_slots(slots)), self.key(inputs + codes), self.value(inputs))
        )
        logits = (query @ key.transpose(-2, -1)) / key.shape[-1] ** 0.5
        shares = logits.masked_fill(~real[:, None, None], torch.finfo(logits.dtype).min).softmax(2)
        shares = shares / (shares.sum(-1, keepdim=True) + 1e-7)
        slots = slots + self.out((shares @ value).transpose(1, 2).flatten(2))
        return cast(Tensor, slots + self.mlp(slots))


class Slots(nn.Module):
    """DivE's set prediction, with padding as published."""

    def __init__(self, features: int, dim: int, method: Any, positions: bool) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(1, method.views, dim))
        block = SlotBlock(features, dim, method.heads, method.head_dim, method.dropout)
        self.blocks, self.iterations, self.positions = nn.ModuleList([block]), method.iterations, positions
        self.norm, self.norm_global = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, local: Tensor, real: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        slots = self.slots.expand(len(local), -1, -1)
        for _ in range(self.iterations):
            slots = self.blocks[0](slots, local, self.codes(local) if self.positions else 0.0, real)
        elements = self.norm(slots)
        return normalize(elements + self.norm_global(whole)[:, None], dim=-1), elements

    def codes(self, local: Tensor) -> Tensor:
        count, dim = local.shape[1:]
        place = torch.arange(1, count + 1) * (2 * math.pi) / count
        angle = place[:, None] * torch.exp(torch.arange(0, dim, 2).float() * -(math.log(10000.0) / dim))
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :dim]


class SetImages(nn.Module):
    def __init__(self, features: int, dim: int, method: Any) -> None:
        super().__init__()
        self.base, self.mlp, self.dropout = nn.Linear(features, dim), residual(dim, dim), nn.Dropout(method.dropout)
        self.sets = Slots(dim, dim, method, positions=False)

    def forward(self, padded: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
        base = on_real(self.base, padded, lengths)
        local = base + on_real(self.mlp, base, lengths)
        dropped = self.dropout(local)
        whole = torch.stack([rows[:n].max(0)[0] for rows, n in zip(dropped, lengths, strict=True)])
        return cast(tuple[Tensor, Tensor], self.sets(self.dropout(local), is_real(lengths), whole))


class SetWords(nn.Module):
    def __init__(self, words: int, word_dim: int, dim: int, method: Any) -> None:
        super().__init__()
        self.embedding, self.gru = nn.Embedding(words, word_dim), bidirectional(word_dim, dim)
        self.dropout, self.sets = nn.Dropout(method.dropout), Slots(word_dim, dim, method, positions=True)

    def forward(self, ids: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
        local = self.dropout(self.embedding(ids))
        _, last = through(self.gru, local, lengths)
        return cast(tuple[Tensor, Tensor], self.sets(local, is_real(lengths), self.dropout(last)))


class DivE(PlainModel):
    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__()
        self.method, dim = config.method, config.encoder.dim
        self.image = SetImages(sizes.region_features, dim, self.method)
        self.text = SetWords(sizes.words, config.encoder.text.word_dim, dim, self.method)

    def forward(self, raw: RawBatch) -> Tensor:
        (texts, text_slots), (images, image_slots) = self.text(*self.captions(raw)), self.image(*self.images(raw))
        scores, per_image = self.chamfer(texts, images), len(texts) // len(images)
        total, margin = scores.new_zeros(()), self.method.margin
        for caption in range(len(texts)):  # every pair, against its caption's and its image's hardest negatives
            image = caption // per_image
            own, row = scores[caption, image], scores[caption]
            total = total + (margin + torch.cat([row[:image], row[image + 1 :]]).max() - own).clamp(min=0)
            column, first = scores[:, image], image * per_image
            others = torch.cat([column[:first], column[first + per_image :]])
            total = total + (margin + others.max() - own).clamp(min=0)
        x, y = images.flatten(0, 1), texts.flatten(0, 1)
        kernels = [torch.exp(-0.5 * torch.cdist(*pair)).mean() for pair in ((x, x), (x, y), (y, y))]
        discrepancy = kernels[0] - 2 * kernels[1] + kernels[2]
        diversity = self.diversity(text_slots) + self.diversity(image_slots)
        weights = self.method.mmd_weight, self.method.diversity_weight
        return total / len(texts) + weights[0] * discrepancy + weights[1] * diversity

    def chamfer(self, texts: Tensor, images: Tensor) -> Tensor:
        """Equation 2, from the cosines of each pair of elements."""
        alpha, cosines = self.method.alpha, torch.einsum("qkd,gjd->qgkj", texts, images)
        left, right = (torch.logsumexp(alpha * cosines, side).mean(-1) for side in (3, 2))
        return (left + right) / (2 * alpha)

    def diversity(self, slots: Tensor) -> Tensor:
        elements = normalize(slots, dim=-1)
        pairs = [(k, other) for k in range(elements.shape[1]) for other in range(k)]
        distances = [(elements[:, k] - elements[:, other]).square().sum(-1) for k, other in pairs]
        return torch.stack([torch.exp(-2 * distance) for distance in distances]).mean()


class Tokens(nn.Module):
    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.linear, self.pool = nn.Linear(features, dim), Mean()

    def forward(self, states: Tensor, lengths: list[int]) -> Tensor:
        return normalize(self.pool(self.linear(states), lengths), dim=-1)


def hidden(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout))


class Combining(nn.Module):
    """CLIP4Cir's Combiner."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.text, self.image = hidden(dim, 4 * dim, dropout), hidden(dim, 4 * dim, dropout)
        self.mixed = nn.Sequential(hidden(8 * dim, 8 * dim, dropout), nn.Linear(8 * dim, dim))
        self.weight = nn.Sequential(hidden(8 * dim, 8 * dim, dropout), nn.Linear(8 * dim, 1), nn.Sigmoid())

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        both = torch.cat([self.text(text), self.image(image)], -1)
        weight = self.weight(both)
        return cast(Tensor, self.mixed(both) + weight * text + (1 - weight) * image)


class Fusing(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * dim, dim)
        )  # fmt: skip

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return cast(Tensor, self.mlp(torch.cat([image, text], -1)) + image + text)


class Combiner(PlainModel):
    """A query of reference and text, InfoNCE against the targets of the batch."""

    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__()
        self.method, dim = config.method, config.encoder.dim
        self.image = Images(sizes.region_features, dim, 1, Mean())
        self.text = Tokens(sizes.token_features, dim)
        kind = Combining if self.method.composition == "combiner" else Fusing
        self.composition = kind(dim, self.method.dropout)

    def features(self, raw: RawBatch) -> tuple[Tensor, Tensor]:
        """(B, D) composed queries, not normalised, and (B, D) targets."""
        reference = self.image(*collated(raw.references))[:, 0]
        return self.composition(reference, self.text(*self.captions(raw))), self.image(*collated(raw.images))[:, 0]

    def forward(self, raw: RawBatch) -> Tensor:
        query, target = self.features(raw)
        return self.info_nce(normalize(query, dim=-1) @ target.T)

    def info_nce(self, cosines: Tensor) -> Tensor:
        return cross_entropy(self.method.scale * cosines, torch.arange(len(cosines)))


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.mean, self.log_variance = nn.LayerNorm(dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm(features)
        return self.mean(normed), self.log_variance(normed).clamp(-10.0, 5.0)


class Blocks(nn.Module):
    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim) for _ in range(count))

    def forward(self, features: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        drawn = []
        for number, block in enumerate(self.blocks):
            mean, log_variance = block(features)
            sample = mean + noise[:, number] * torch.exp(log_variance / 2)
            drawn.append((mean, log_variance, sample))
            features = features + sample
        return drawn


class RAU(Combiner):
    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__(config, sizes)
        dim, count = config.encoder.dim, self.method.blocks
        self.source_blocks, self.target_blocks = Blocks(dim, count), Blocks(dim, count)

    def forward(self, raw: RawBatch) -> Tensor:
        source, target = self.features(raw)
        method, cosines = self.method, normalize(source, dim=-1) @ target.T
        noise, count = torch.stack(raw.noise), method.blocks
        blocks = list(
            zip(self.source_blocks(source, noise[:, :count]), self.target_blocks(target, noise[:, count:]), strict=True)
        )
        isu, csu, dr = [], [], []
        for (mean, log_variance, sample), (mean_to, log_variance_to, sample_to) in blocks:
            drawn = normalize(sample, dim=-1) @ normalize(sample_to, dim=-1).T
            isu.append(self.info_nce(drawn))
            positive = self.likely(cosines)
            shares = (method.scale * drawn).softmax(1)
            csu.append(-torch.log((shares * positive).sum(1)).mean())
            sigma, sigma_to = torch.exp(log_variance / 2), torch.exp(log_variance_to / 2)
            dr.append(((mean - mean_to).square().sum(-1) + (sigma - sigma_to).square().sum(-1)).mean())
        terms = (method.isu_weight, isu), (method.csu_weight, csu), (method.dr_weight, dr)
        total = method.base_weight * self.info_nce(cosines)
        for weight, by_block in terms:
            total = total + weight * torch.stack(by_block).mean()
        return total

    def likely(self, cosines: Tensor) -> Tensor:
        """(B, B) bool: own targets, and cosines from a quantile of all others on."""
        scores, own = cosines.detach(), torch.eye(len(cosines), dtype=torch.bool)
        others = scores[~own].sort()[0]
        least = others[math.ceil(self.method.theta * (len(others) - 1))]
        return own | (scores >= least)


class Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.gain, self.bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, features: Tensor) -> Tensor:
        return self.bias + self.gain * self.norm(features)


class ImageVariance(nn.Module):
    def __init__(self, features: int, dim: int, gpo: int) -> None:
        super().__init__()
        self.views, self.scale = Images(features, dim, 1, GPO(gpo)), Scale(dim)

    def forward(self, padded: Tensor, lengths: list[int]) -> Tensor:
        return cast(Tensor, self.scale(self.views.pooled(padded, lengths)[0]))


class TextVariance(nn.Module):
    def __init__(self, dim: int, gpo: int) -> None:
        super().__init__()
        self.linear, self.pool, self.scale = nn.Linear(dim, dim), GPO(gpo), Scale(dim)

    def forward(self, states: Tensor, lengths: list[int]) -> Tensor:
        return cast(Tensor, self.scale(self.pool(self.linear(states), lengths)))


class PCMEPP(PlainModel):
    def __init__(self, config: Any, sizes: Any) -> None:
        super().__init__()
        encoder, self.method = config.encoder, config.method
        dim, gpo = encoder.dim, encoder.gpo_dim
        self.image = Images(sizes.region_features, dim, 1, GPO(gpo))
        self.image_variance = ImageVariance(sizes.region_features, dim, gpo)
        self.text = Words(sizes.words, encoder.text.word_dim, dim, gpo)
        self.text_variance = TextVariance(dim, gpo)
        self.match_scale, self.match_shift = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, raw: RawBatch) -> Tensor:
        images, captions = self.images(raw), self.captions(raw)
        image, image_log = self.image(*images)[:, 0], self.image_variance(*images)
        text, states = self.text(*captions)
        text_log = self.text_variance(states, captions[1])
        distance = torch.stack([
            (text - row).square().sum(1) + text_log.exp().sum(1) + own.exp().sum()
            for row, own in zip(image, image_log, strict=True)
        ], 1)  # fmt: skip
        logits, matched = -self.match_scale * distance + self.match_shift, torch.eye(len(text))
        total = 2 * binary_cross_entropy_with_logits(logits, matched)
        for mean, log_variance in ((text, text_log), (image, image_log)):
            divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
            total = total + self.method.vib_weight * divergence.mean() / mean.shape[1]
        for rows in (logits, logits.T):
            near = (rows.detach() >= rows.detach().diag()[:, None]).float()
            total = total + self.method.pseudo_weight * binary_cross_entropy_with_logits(rows, near)
        return total


PLAIN: dict[str, type[PlainModel]] = {
    "VSE-infinity": VSEInfinity, "DVSE": DVSE, "DivE": DivE, "RAU": RAU, "Combiner": Combiner, "PCME++": PCMEPP,
}  # fmt: skip
