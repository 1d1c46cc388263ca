"""Recalls, median and mean ranks against loops over ranks; metrics of collapsed and perfect models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import (
    image_text_metrics,
    mean_rank,
    median_rank,
    metrics_of_counts,
    recall_at,
)
from tests.evaluation.oracles import losing_ties, ordered, rank, recall


def scored(texts: int = 23, images: int = 7) -> tuple[Tensor, list[int]]:
    """Scores of few different values, and owners in no order; the last image has no text."""
    generator = torch.Generator().manual_seed(0)
    owner = torch.randint(0, images - 1, (texts,), generator=generator).tolist()
    return torch.randint(0, 6, (texts, images), generator=generator).float(), owner


def test_every_metric_equals_its_definition() -> None:
    scores, owner = scored()
    metrics = image_text_metrics(scores, torch.tensor(owner), ks=(1, 3))
    images = scores.shape[1]
    by_direction = {
        "t2i": [(row, [owner[text]]) for text, row in enumerate(scores.tolist())],
        "i2t": [
            (column, [text for text in range(len(owner)) if owner[text] == image])
            for image, column in enumerate(scores.T.tolist())
        ],
    }
    rsum = pessimistic = 0.0
    for direction, queries in by_direction.items():
        ranks = [rank(ordered(line), positives) for line, positives in queries]
        worst = [losing_ties(line, positives) for line, positives in queries]
        answered = sorted(place for place in ranks if place >= 0)
        assert len(answered) == (len(owner) if direction == "t2i" else images - 1)
        for k in (1, 3):
            assert metrics[f"{direction}/recall_at_{k}"] == pytest.approx(recall(ranks, k))
            rsum += recall(ranks, k)
            pessimistic += recall(worst, k)
        middle = (answered[(len(answered) - 1) // 2] + answered[len(answered) // 2]) / 2
        assert metrics[f"{direction}/median_rank"] == int(middle) + 1
        assert metrics[f"{direction}/mean_rank"] == pytest.approx(sum(answered) / len(answered) + 1)
        tied = [
            max(line[item] for item in positives) in [line[i] for i in range(len(line)) if i not in positives]
            for line, positives in queries
            if positives
        ]
        assert metrics[f"{direction}/tied_percent"] == pytest.approx(100 * sum(tied) / len(tied))
    assert metrics["rsum"] == pytest.approx(rsum)
    assert metrics["pessimistic_rsum"] == pytest.approx(pessimistic)
    assert len(metrics) == 2 * (2 + 3) + 2


def test_one_direction_alone_has_metrics_of_its_own() -> None:
    counts = Counts(torch.tensor([0, 4, -1]), torch.tensor([1, 0, -1]), torch.tensor([2, 0, -1]))
    metrics = metrics_of_counts({"t2i": counts})
    assert metrics == {
        "t2i/recall_at_1": 0.0,
        "t2i/recall_at_5": 100.0,
        "t2i/recall_at_10": 100.0,
        "t2i/median_rank": 3.0,
        "t2i/mean_rank": 3.5,
        "t2i/tied_percent": 50.0,
        "rsum": 200.0,
        "pessimistic_rsum": 200.0,
    }


def test_a_collapsed_model_scores_chance_and_zero_when_ties_lose() -> None:
    images, per_image = 40, 5
    owner = torch.arange(images).repeat_interleave(per_image)
    metrics = image_text_metrics(torch.full((images * per_image, images), 0.3), owner)
    assert metrics["t2i/recall_at_1"] == pytest.approx(100 / images)
    assert metrics["t2i/recall_at_10"] == pytest.approx(1000 / images)
    assert metrics["i2t/recall_at_1"] == pytest.approx(100 / images)  # 5 of 200 captions
    assert metrics["i2t/recall_at_10"] <= 1000 / images
    assert metrics["pessimistic_rsum"] == 0
    assert metrics["i2t/tied_percent"] == metrics["t2i/tied_percent"] == 100


def test_a_perfect_model_scores_everything_without_ties() -> None:
    owner = torch.arange(12).repeat_interleave(2)
    metrics = image_text_metrics((owner[:, None] == torch.arange(12)).float(), owner)
    assert metrics["rsum"] == metrics["pessimistic_rsum"] == 600
    assert metrics["i2t/median_rank"] == metrics["t2i/mean_rank"] == 1
    assert metrics["t2i/tied_percent"] == 0


def test_queries_without_a_positive_leave_the_denominator() -> None:
    assert recall_at(torch.tensor([0, -1, 3, 1]), 1) == pytest.approx(100 / 3)
    with pytest.raises(ValueError, match="none of 2 queries"):
        recall_at(torch.tensor([-1, -1]), 1)


def test_median_and_mean_are_one_based_and_the_median_rounds_down() -> None:
    assert median_rank(torch.tensor([0, 1, 2, 7])) == 2
    assert mean_rank(torch.tensor([0, 1, 2, 7])) == 3.5


def test_a_cut_off_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        recall_at(torch.tensor([0]), 0)
