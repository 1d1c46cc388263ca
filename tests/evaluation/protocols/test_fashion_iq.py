"""FashionIQ's evaluations: loops over every variant, the example of docs/evaluation.md, what a name refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols import composed
from raytrain.evaluation.protocols.composed import ComposedQueries
from raytrain.evaluation.protocols.fashion_iq import evaluate_fashion, find_fashion
from raytrain.evaluation.protocols.protocols import Result
from tests.evaluation.oracles import blocks_of, mean, ordered, rank, recall

DOCS = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8").replace("\n", " ")
CATEGORIES = ["dress", "shirt", "toptee"]


def made(
    seed: int, each: int = 70, pairs: int = 15, values: int = 40, named: int = 35
) -> tuple[Tensor, ComposedQueries]:
    """Scores with ties; items of the categories lie mixed, pairs name the first `named` of each, some the same ones."""
    generator = torch.Generator().manual_seed(seed)
    part = torch.arange(3).repeat(each)
    reference, targets = [], []
    for category in range(3):
        items = (part == category).nonzero()[:, 0]
        for _ in range(pairs):
            one, other = items[torch.randperm(named, generator=generator)[:2]].tolist()
            reference.append(one)
            targets.append([other])
    scores = torch.randint(0, values, (3 * pairs, 3 * each), generator=generator).float()
    scores[torch.arange(3 * pairs), torch.tensor(reference)] += 10  # a query resembles its reference
    ids = [str(at) for at in range(3 * each)]
    nothing = torch.full((3 * pairs, 1), -1)
    asked = ComposedQueries(
        torch.tensor(reference), torch.tensor(targets), nothing, part, CATEGORIES, ids[: 3 * pairs], ids
    )
    return scores, asked


def evaluated(scores: Tensor, asked: ComposedQueries, name: str) -> Result:
    protocol = find_fashion(f"partial/{name}")
    assert protocol is not None
    return evaluate_fashion(blocks_of(scores), asked, protocol)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gallery", ["original", "val_union"])
@pytest.mark.parametrize("reference", ["kept", "masked"])
@pytest.mark.parametrize("block", [1, 500, 1_000_000])
def test_every_variant_equals_loops_over_its_gallery(
    seed: int, gallery: str, reference: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "BLOCK_ELEMENTS", block)
    scores, asked = made(seed)
    name = f"fashioniq/{gallery}-{reference}"
    found = evaluated(scores, asked, name)
    part, references, targets = asked.part.tolist(), asked.reference.tolist(), asked.targets[:, 0].tolist()
    means: dict[int, list[float]] = {10: [], 50: []}
    for number, category in enumerate(CATEGORIES):
        mine = [at for at, one in enumerate(references) if part[one] == number]
        inside = {at for at, one in enumerate(part) if one == number}
        if gallery == "val_union":
            inside = {references[at] for at in mine} | {targets[at] for at in mine}
        ranks = []
        for at in mine:
            out = {one for one in range(len(part)) if one not in inside}
            out |= {references[at]} if reference == "masked" else set()
            ranks.append(rank(ordered(scores[at].tolist(), out), [targets[at]]))
        assert found.ranks["query"][mine].tolist() == ranks
        assert found.queries[category] == len(mine)
        assert found.gallery[category] == len(inside) - (reference == "masked")
        for k, several in means.items():
            several.append(recall(ranks, k))
            assert found.metrics[f"fashioniq_{gallery}-{reference}/{category}_recall_at_{k}"] == pytest.approx(
                several[-1]
            )
    for k, several in means.items():
        assert found.metrics[f"fashioniq_{gallery}-{reference}/recall_at_{k}"] == pytest.approx(mean(several))
    assert found.headline == f"fashioniq_{gallery}-{reference}/mean_recall"
    assert found.metrics[found.headline] == pytest.approx((mean(means[10]) + mean(means[50])) / 2)


def example() -> tuple[Tensor, ComposedQueries]:
    """Four queries; the targets of the first two, dresses, stand at places 4 and 11, then 12 and 60."""
    each = 100
    part = torch.arange(3).repeat_interleave(each)
    owner, places = [0, 0, 1, 2], [4, 11, 12, 60]
    scores = torch.zeros(4, 3 * each)
    reference, targets = [], []
    for row, (category, place) in enumerate(zip(owner, places, strict=True)):
        first = category * each
        scores[row, first : first + each] = -torch.arange(each).float()  # item n stands at place n + 1
        targets.append([first + place - 1])
        reference.append(first + (0 if row == 1 else each - 1))  # that of the second dress stands first
    ids = [str(at) for at in range(3 * each)]
    asked = ComposedQueries(
        torch.tensor(reference), torch.tensor(targets), torch.full((4, 1), -1), part, CATEGORIES, ids[:4], ids
    )
    return scores, asked


def test_the_worked_example_of_the_documentation() -> None:
    kept = evaluated(*example(), "fashioniq/original").metrics
    shown = ("dress_recall_at_10", "shirt_recall_at_10", "toptee_recall_at_10", "recall_at_10", "recall_at_50")
    assert [round(kept[f"fashioniq_original/{name}"], 1) for name in shown] == [50.0, 0.0, 0.0, 16.7, 66.7]
    assert round(kept["fashioniq_original/mean_recall"], 1) == 41.7
    masked = evaluated(*example(), "fashioniq/original-masked").metrics
    shown = ("dress_recall_at_10", "recall_at_10", "mean_recall")
    assert [round(masked[f"fashioniq_original-masked/{name}"], 1) for name in shown] == [100.0, 33.3, 50.0]
    assert "R@10: 50, 0, 0, mean 16.7. R@50: 100, 100, 0, mean 66.7. `mean_recall` is 41.7." in DOCS
    assert "R@10 of dress is 100, the mean 33.3, and `mean_recall` 50.0." in DOCS


def test_a_collapsed_model_scores_chance() -> None:
    scores, asked = made(0, each=100, pairs=200, named=100)
    metrics = evaluated(torch.zeros_like(scores), asked, "fashioniq/original").metrics
    assert metrics["fashioniq_original/recall_at_10"] == pytest.approx(10, abs=4)
    assert metrics["fashioniq_original/recall_at_50"] == pytest.approx(50, abs=6)
    assert metrics["fashioniq_original/tied_percent"] == 100


def test_names_say_the_variant_and_plain_ones_the_usual_one() -> None:
    usual = {"original": ("kept", "one"), "val_union": ("masked", "both")}
    for gallery, (reference, orders) in usual.items():
        plain = find_fashion(f"fashioniq/{gallery}")
        assert plain is not None and (plain.gallery, plain.reference, plain.orders) == (gallery, reference, orders)
        spelled = find_fashion(f"fashioniq/{gallery}-kept-both")
        assert spelled is not None and (spelled.reference, spelled.orders) == ("kept", "both")
    assert find_fashion("fashioniq/original-one-kept") is None
    assert find_fashion("split/val") is None


def test_a_published_name_refuses_another_gallery_and_a_partial_one_tells_it() -> None:
    scores, asked = made(0)
    protocol = find_fashion("fashioniq/val_union")
    assert protocol is not None
    twice = replace(asked, reference=asked.reference.repeat(2), targets=asked.targets.repeat(2, 1))
    with pytest.raises(RefusedError, match=r"15 dress pairs instead of 2,017.*partial/fashioniq/val_union"):
        evaluate_fashion(blocks_of(scores.repeat(2, 1)), twice, protocol)
    found = evaluated(scores.repeat(2, 1), twice, "fashioniq/val_union")
    assert found.queries == {"dress": 30, "shirt": 30, "toptee": 30}
    assert any("15 shirt pairs instead of 2,038" in note for note in found.notes)
    assert any("the reference is masked; captions in both orders" in note for note in found.notes)
    with pytest.raises(RefusedError, match="for the categories dress, shirt, toptee"):
        evaluated(scores, replace(asked, parts=["dress", "shirt", "shoe"]), "fashioniq/original")
