"""What a choice of re-ranking settings gains on new images: cross-validated, and as the best of all settings.

    python benchmarks/reranking_choice.py
    python benchmarks/reranking_choice.py --images 1000 --new 4000 --draws 20

Each draw makes scores of texts against images, with hubs of a given strength, and chooses settings on some images and
their texts. The settings are then applied to new images with texts of their own, and the gains in rsum compared: of the
rule of `temperature_search.choice`, and of taking the best of everything that was tried. At strength 0 there are no
hubs, and what is gained is luck. It also prints the seconds of the search and, within it, of the choice.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import torch
from torch import Tensor

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.ranking.recall import DIRECTIONS
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.temperature_search import search
from raytrain.evaluation.temperature_search.choice import Setting, choose

MODES = ("cross", "product", "additive")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--new", type=int, default=1200)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--hubs", type=float, nargs="+", default=[0.0, 0.05, 0.15])
    args = parser.parse_args()
    torch.set_num_threads(2)
    for strength in args.hubs:
        gains = torch.zeros(args.draws, 4)  # on validation and on new images, by the rule and by the best of all
        held_out, modes, seconds, choosing = torch.zeros(args.draws), Counter[str](), 0.0, 0.0
        for draw in range(args.draws):
            scores, owner = made_up(args.images, strength, seed=2 * draw)
            new, new_owner = made_up(args.new, strength, seed=2 * draw + 1)
            result = search.search_temperatures(scores, owner, 0, draw, "split/val", MODES)
            began = time.perf_counter()
            choose({Setting(*key): torch.rand(10) for key in result.tried["i2t"]} | {search.OFF: torch.rand(10)})
            choosing += 2 * (time.perf_counter() - began)
            seconds += result.seconds
            best = best_of_all(result)
            held_out[draw] = result.held_out_rsum.gain
            modes[result.best.describe().split()[0] if result.best.active else "off"] += 1
            gains[draw] = torch.tensor([
                gain(scores, owner, result.best), gain(new, new_owner, result.best),
                gain(scores, owner, best), gain(new, new_owner, best),
            ])  # fmt: skip
        rule_val, rule_new, best_val, best_new = (f"{value:+.2f}" for value in gains.mean(0).tolist())
        error = float((gains[:, 1] - gains[:, 3]).std() / args.draws**0.5)
        print(f"hubs {strength:g}, {args.images} images, {args.draws} draws: mean gain in rsum")
        print(f"  best of all      validation {best_val}, new images {best_new}")
        print(f"  cross-validated  validation {rule_val}, new images {rule_new}, held out {held_out.mean():+.2f}")
        print(f"  modes chosen by cross-validation: {dict(modes)}")
        print(f"  difference on new images {gains[:, 1].mean() - gains[:, 3].mean():+.2f}, standard error {error:.2f}")
        each, part = seconds / args.draws, choosing / args.draws
        print(f"  {each:.2f} s per search, of which the choice {part:.3f} s", flush=True)


def made_up(images: int, strength: float, seed: int, each: int = 2, dim: int = 32) -> tuple[Tensor, Tensor]:
    """(M, N) cosines of texts near their images, plus an offset per image and per text; and (M,) owners."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(images, dim, generator=generator)
    owner = torch.arange(images).repeat_interleave(each)
    text = image[owner] + 1.5 * torch.randn(len(owner), dim, generator=generator)
    text, image = (torch.nn.functional.normalize(side, dim=1) for side in (text, image))
    offsets = torch.randn(images, generator=generator), torch.randn(len(owner), 1, generator=generator)
    return text @ image.T + strength * (offsets[0] + offsets[1]), owner


def best_of_all(result: search.SearchResult) -> Temperatures:
    """The settings with the highest recalls of everything that was tried."""
    i2t, t2i = (max(result.tried[name], key=lambda key: result.tried[name][key]) for name in DIRECTIONS)
    return Temperatures(i2t.mode, i2t.scale, t2i.scale, t2i_mode=t2i.mode)


def gain(scores: Tensor, owner: Tensor, temperatures: Temperatures) -> float:
    """rsum with the temperatures minus rsum without."""
    before, after = (evaluate(scores, owner, "split/val", value).metrics["rsum"] for value in (None, temperatures))
    return after - before


if __name__ == "__main__":
    main()
