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
    seed: int, per_category: int = 70, pairs: int = 15, values: int = 40, named: int = 35
) -> tuple[Tensor, ComposedQueries]:
    """Scores with ties; items of the categories lie mixed, pairs name the first `named` of each, some the same ones."""
    generator = torch.Generator().manual_seed(seed)
    part = torch.arange(3).repeat(per_category)
    reference, targets = [], []
    for category in range(3):
        items = (part == category).nonzero()[:, 0]
        for _ in range(pairs):
            source, target = items[torch.randperm(named, generator=generator)[:2]].tolist()
            reference.append(source)
            targets.append([target])
    scores = torch.randint(0, values, (3 * pairs, 3 * per_category), generator=generator).float()
    scores[torch.arange(3 * pairs), torch.tensor(reference)] += 10  # a query resembles its reference
    ids = [str(at) for at in range(3 * per_category)]
    nothing = torch.full((3 * pairs, 1), -1)
    query_set = ComposedQueries(
        torch.tensor(reference), torch.tensor(targets), nothing, part, CATEGORIES, ids[: 3 * pairs], ids
    )
    return scores, query_set


def evaluated(scores: Tensor, query_set: ComposedQueries, name: str) -> Result:
    protocol = find_fashion(f"partial/{name}")
    assert protocol is not None
    return evaluate_fashion(blocks_of(scores), query_set, protocol)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gallery", ["original", "val_union"])
@pytest.mark.parametrize("reference", ["kept", "masked"])
@pytest.mark.parametrize("block", [1, 500, 1_000_000])
def test_every_variant_equals_loops_over_its_gallery(
    seed: int, gallery: str, reference: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "BLOCK_ELEMENTS", block)
    scores, query_set = made(seed)
    name = f"fashioniq/{gallery}-{reference}"
    result = evaluated(scores, query_set, name)
    part, references, targets = query_set.part.tolist(), query_set.reference.tolist(), query_set.targets[:, 0].tolist()
    means: dict[int, list[float]] = {10: [], 50: []}
    for number, category in enumerate(CATEGORIES):
        mine = [at for at, item in enumerate(references) if part[item] == number]
        inside = {at for at, item in enumerate(part) if item == number}
        if gallery == "val_union":
            inside = {references[at] for at in mine} | {targets[at] for at in mine}
        ranks = []
        for at in mine:
            out = {item for item in range(len(part)) if item not in inside}
            out |= {references[at]} if reference == "masked" else set()
            ranks.append(rank(ordered(scores[at].tolist(), out), [targets[at]]))
        assert result.ranks["query"][mine].tolist() == ranks
        assert result.queries[category] == len(mine)
        assert result.gallery[category] == len(inside) - (reference == "masked")
        for k, several in means.items():
            several.append(recall(ranks, k))
            assert result.metrics[f"fashioniq_{gallery}-{reference}/{category}_recall_at_{k}"] == pytest.approx(
                several[-1]
            )
    for k, several in means.items():
        assert result.metrics[f"fashioniq_{gallery}-{reference}/recall_at_{k}"] == pytest.approx(mean(several))
    assert result.headline == f"fashioniq_{gallery}-{reference}/mean_recall"
    assert result.metrics[result.headline] == pytest.approx((mean(means[10]) + mean(means[50])) / 2)


def example() -> tuple[Tensor, ComposedQueries]:
    """Four queries; the targets of the first two, dresses, stand at places 4 and 11, then 12 and 60."""
    per_category = 100
    part = torch.arange(3).repeat_interleave(per_category)
    owner, places = [0, 0, 1, 2], [4, 11, 12, 60]
    scores = torch.zeros(4, 3 * per_category)
    reference, targets = [], []
    for row, (category, place) in enumerate(zip(owner, places, strict=True)):
        first = category * per_category
        scores[row, first : first + per_category] = -torch.arange(per_category).float()  # item n stands at place n + 1
        targets.append([first + place - 1])
        reference.append(first + (0 if row == 1 else per_category - 1))  # that of the second dress stands first
    ids = [str(at) for at in range(3 * per_category)]
    query_set = ComposedQueries(
        torch.tensor(reference), torch.tensor(targets), torch.full((4, 1), -1), part, CATEGORIES, ids[:4], ids
    )
    return scores, query_set


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
    scores, query_set = made(0, per_category=100, pairs=200, named=100)
    metrics = evaluated(torch.zeros_like(scores), query_set, "fashioniq/original").metrics
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
    scores, query_set = made(0)
    protocol = find_fashion("fashioniq/val_union")
    assert protocol is not None
    twice = replace(query_set, reference=query_set.reference.repeat(2), targets=query_set.targets.repeat(2, 1))
    with pytest.raises(RefusedError, match=r"15 dress pairs instead of 2,017.*partial/fashioniq/val_union"):
        evaluate_fashion(blocks_of(scores.repeat(2, 1)), twice, protocol)
    result = evaluated(scores.repeat(2, 1), twice, "fashioniq/val_union")
    assert result.queries == {"dress": 30, "shirt": 30, "toptee": 30}
    assert any("15 shirt pairs instead of 2,038" in note for note in result.notes)
    assert any("the reference is masked; captions in both orders" in note for note in result.notes)
    with pytest.raises(RefusedError, match="for the categories dress, shirt, toptee"):
        evaluated(scores, replace(query_set, parts=["dress", "shirt", "shoe"]), "fashioniq/original")
