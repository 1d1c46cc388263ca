"""Protocols: whole splits, published sizes, and folds against a loop that cuts the matrix by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.protocols.protocols import PROTOCOLS, Protocol, evaluate, find_protocol
from raytrain.evaluation.ranking.recall import image_text_metrics
from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank

FIVE_FOLDS = Protocol("coco/1k5f", items=20, texts=60, folds=5)


def scores(images: int = 20, per_image: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(images).repeat_interleave(per_image)
    right = (owner[:, None] == torch.arange(images)).float()
    return right + torch.randn(images * per_image, images, generator=generator), owner


@pytest.mark.parametrize("rerank", [None, Temperatures("cross", 2.0, 5.0)])
def test_five_folds_equal_a_loop_that_cuts_re_ranks_and_averages(rerank: Temperatures | None) -> None:
    similarity, owner = scores()
    result = evaluate(similarity, owner, FIVE_FOLDS, rerank)
    wanted: dict[str, list[float]] = {}
    for fold in range(5):
        part = similarity[fold * 12 : fold * 12 + 12, fold * 4 : fold * 4 + 4]
        mine = torch.arange(4).repeat_interleave(3)
        texts = part if rerank is None else fast_rerank(part, 5.0)
        images = part if rerank is None else fast_rerank(part.T, 2.0).T
        for name, value in image_text_metrics(texts, mine).items():
            if name.startswith("t2i"):
                wanted.setdefault(name, []).append(value)
        for name, value in image_text_metrics(images, mine).items():
            if name.startswith("i2t"):
                wanted.setdefault(name, []).append(value)
    for name, values in wanted.items():
        assert result.metrics[name] == pytest.approx(sum(values) / 5)
    assert result.queries == {"i2t": 20, "t2i": 60}
    assert result.gallery == {"i2t": 12, "t2i": 4}
    assert "5 folds" in result.notes[0]


def test_folds_follow_the_owner_of_a_text_not_its_place() -> None:
    similarity, owner = scores()
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    result = evaluate(similarity[shuffled], owner[shuffled], FIVE_FOLDS)
    assert result.metrics == pytest.approx(evaluate(similarity, owner, FIVE_FOLDS).metrics)


def test_a_whole_split_equals_the_metrics_and_keeps_every_rank() -> None:
    similarity, owner = scores()
    result = evaluate(similarity, owner, "karpathy/val")
    assert result.metrics == image_text_metrics(similarity, owner)
    assert result.gallery == {"i2t": 60, "t2i": 20}
    assert len(result.ranks["i2t"]) == 20
    assert len(result.ranks["t2i"]) == 60


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_published_protocol_refuses_another_gallery(name: str) -> None:
    with pytest.raises(RefusedError, match=rf"20 images instead of .*partial/{name}") as error:
        evaluate(*scores(), name)
    assert ("karpathy/test" in str(error.value)) == (PROTOCOLS[name].relevance == "own")


def test_an_unknown_protocol_shows_those_that_exist() -> None:
    with pytest.raises(UsageError, match="coco/1k5f"):
        find_protocol("coco/1k")


def test_images_without_a_text_are_noted_and_leave_the_denominator() -> None:
    similarity, owner = scores(4)
    wider = torch.cat([similarity, torch.zeros(12, 2)], dim=1)
    result = evaluate(wider, owner, "split/val")
    assert result.queries["i2t"] == 4
    assert result.gallery["t2i"] == 6
    assert "2 images have no text" in result.notes[0]
