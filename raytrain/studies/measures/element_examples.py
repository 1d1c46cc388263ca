"""What the elements of a trained set mean: their nearest items of the other side, and their attention over the grid.

Letters: M captions, N images, K elements, D dimensions, R regions.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.data.load.batches import image_batches, to_device
from raytrain.data.table import Split
from raytrain.distributed import default_device
from raytrain.methods.dive import DivE
from raytrain.studies.examples import Element, Example, Nearest
from raytrain.studies.measured_run import MeasuredRun

NEAREST = 3


def element_examples(run: MeasuredRun, number: int = 24, seed: int = 0) -> list[Example]:
    """Examples of `number` validation images with the captions nearest to each element, then as many captions.

    Args:
        number: of each side, drawn by the seed.
        seed: of the draw.
    """
    split = run.split("val")
    assert isinstance(split, Split)
    captions, images = (_as_sets(side) for side in run.embedded)
    owner = torch.from_numpy(split.item_of_text)
    generator = torch.Generator().manual_seed(seed)
    chosen_images = torch.randperm(len(images), generator=generator)[:number]
    chosen_captions = torch.randperm(len(captions), generator=generator)[:number]
    maps = attention_maps(run, split.items[chosen_images.numpy()])
    texts = [str(split.table.texts["text"][int(row)].as_py()) for row in split.texts]
    files = [str(split.table.items["file"][int(row)].as_py()) for row in split.items]
    first_caption = {int(item): place for place, item in reversed([*enumerate(owner.tolist())])}
    examples = []
    for place, item in enumerate(chosen_images.tolist()):
        elements = [
            Element(
                str(at + 1),
                [Nearest(texts[near]) for near in nearest_items(images[item, at], captions)],
                None if maps is None else _as_grid(maps[place, at]),
            )
            for at in range(images.shape[1])
        ]
        own = texts[first_caption[item]] if item in first_caption else ""
        examples.append(Example(own, elements, files[item]))
    for caption in chosen_captions.tolist():
        elements = [
            Element(str(at + 1), [Nearest(files[near], files[near]) for near in nearest_items(element, images)])
            for at, element in enumerate(captions[caption])
        ]
        examples.append(Example(texts[caption], elements))
    return examples


def nearest_items(element: Tensor, sets: Tensor) -> list[int]:
    """Positions of the NEAREST sets that have the elements closest to this one.

    Args:
        element: (D,)
        sets: (N, K, D)
    """
    closeness = (sets @ element).amax(1)
    return closeness.topk(min(NEAREST, len(closeness))).indices.tolist()


@torch.no_grad()
def attention_maps(run: MeasuredRun, items: np.ndarray) -> Tensor | None:
    """(N, K, cells) attention of images' elements (`DivE.image_attention`), without the global region.

    None of methods without it, and of features that are no square grid.

    Args:
        items: rows of the table's items.
    """
    if not isinstance(run.model, DivE):
        return None
    batches = (to_device(batch, default_device()) for batch in image_batches(items, run.feed.images))
    weights = torch.cat([run.model.image_attention(batch).cpu() for batch in batches])
    whole = run.feed.inputs.global_region
    cells = weights if whole is None else weights[..., [at for at in range(weights.shape[-1]) if at != whole]]
    return cells if math.isqrt(cells.shape[-1]) ** 2 == cells.shape[-1] else None


def _as_sets(embeddings: Tensor) -> Tensor:
    sets = embeddings if embeddings.ndim == 3 else embeddings[:, None]
    return normalize(sets.float(), dim=-1)


def _as_grid(weights: Tensor) -> list[list[float]]:
    """(cells,) -> rows of shares of the largest."""
    side = math.isqrt(len(weights))
    shares: list[list[float]] = (weights / weights.max().clamp(min=1e-12)).view(side, side).tolist()
    return shares
