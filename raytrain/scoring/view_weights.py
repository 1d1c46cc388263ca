"""How steady DVSE's weights of views are over batches, and whether the views that get more weight are more often right.

Weights are recomputed from the embeddings of a split, in batches of any size: a batch size can be judged without
training with it. Letters: B captions of a batch, one per image, K views, N batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain import similarity
from raytrain.config import DVSEConfig
from raytrain.losses.variance_weighting import view_statistic, view_weights

BATCH_SIZE = 128
"""Images per batch where nothing else is given."""


@dataclass(frozen=True)
class WeightMeasures:
    """What `weight_measures` found.

    Attributes:
        weight: K mean weights, 1 / K each where views are weighted alike.
        variation: K coefficients of variation (standard deviation / mean) of a view's mean weight over batches.
        pair_variation: the same of the weight that one caption gets with a view, the other images of its batch drawn
            anew; a mean over captions and views. It falls as the estimate gets steadier.
        share_right: K shares of the captions whose own image the view alone ranks first in the batch.
        correlation: Pearson's, over captions and views, of a weight and whether the view alone is right; 0 where either
            does not vary.
    """

    weight: list[float]
    variation: list[float]
    pair_variation: float
    share_right: list[float]
    correlation: float


@torch.no_grad()
def weight_measures(
    query: Tensor,
    gallery: Tensor,
    item_of_query: Tensor,
    config: DVSEConfig,
    batch_size: int = BATCH_SIZE,
    batches: int = 50,
    seed: int = 0,
) -> WeightMeasures:
    """The measures over random batches of a split's images, each with one of its captions drawn at random.

    Weights are those of captions against images, as in training; kendall's are in proportion to 1 / variance.

    Args:
        query: (M, D) embeddings of the captions, L2-normalised.
        gallery: (G, K, D) embeddings of the images, L2-normalised.
        item_of_query: (M,) the image of each caption.
        config: of the method: which statistic weighs, and how.
        batch_size: B; at most half of the images that have a caption, so that batches differ.
        batches: N, 2 or more.
        seed: of the draws.

    Raises:
        ValueError: fewer than 2 batches, or fewer than 3 images in a batch.
    """
    owner = item_of_query.cpu()
    items = torch.unique(owner)
    size = min(batch_size, len(items) // 2)
    if batches < 2 or size < 3:
        raise ValueError(f"{batches} batches of {size} images; weights vary over 2 or more batches of 3 or more images")
    draw = torch.Generator().manual_seed(seed)
    captions = _captions_by_item(owner)

    def weights_of(chosen: Tensor) -> tuple[Tensor, Tensor]:
        """(B) images -> (K, B) weights of their captions, (K, B) whether each view alone ranks the own image first."""
        texts = torch.stack([_one_of(captions[int(item)], draw) for item in chosen])
        by_view = similarity.view_similarity(query[texts.to(query.device)], gallery[chosen.to(gallery.device)])
        by_view = by_view.permute(2, 0, 1).cpu()
        statistic = view_statistic(by_view, config.weight_fn, config.variance, None, config.entropy_tau)
        name = "inv" if config.weight_fn == "kendall" else config.weight_fn
        right = by_view.argmax(-1) == torch.arange(len(chosen))
        return view_weights(statistic, name, config.weight_tau).double(), right

    drawn = [weights_of(items[torch.randperm(len(items), generator=draw)[:size]]) for _ in range(batches)]
    weight = torch.stack([each.mean(1) for each, _ in drawn])  # (N, K)
    anchors = items[torch.randperm(len(items), generator=draw)[: max(1, size // 4)]]
    captions |= {int(item): captions[int(item)][:1] for item in anchors}  # the same caption in every batch
    others = items[~torch.isin(items, anchors)]
    rest = size - len(anchors)
    fixed = [
        weights_of(torch.cat([anchors, others[torch.randperm(len(others), generator=draw)[:rest]]]))[0]
        for _ in range(batches)
    ]
    of_anchors = torch.stack(fixed)[..., : len(anchors)]  # (N, K, A)
    every = torch.cat([each.flatten() for each, _ in drawn])
    right = torch.cat([flags.flatten() for _, flags in drawn]).double()
    return WeightMeasures(
        weight.mean(0).tolist(),
        (weight.std(0) / weight.mean(0)).tolist(),
        float((of_anchors.std(0) / of_anchors.mean(0)).mean()),
        torch.stack([flags.double().mean(1) for _, flags in drawn]).mean(0).tolist(),
        _correlation(every, right),
    )


def _captions_by_item(owner: Tensor) -> dict[int, Tensor]:
    order = owner.argsort(stable=True)
    items, counts = torch.unique_consecutive(owner[order], return_counts=True)
    return dict(zip(items.tolist(), torch.split(order, counts.tolist()), strict=True))


def _one_of(values: Tensor, draw: torch.Generator) -> Tensor:
    return values[torch.randint(len(values), (), generator=draw)]


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 1e-12 else 0.0
