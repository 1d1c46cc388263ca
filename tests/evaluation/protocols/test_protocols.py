"""Protocols: whole splits, published sizes, and folds against a loop that cuts the matrix by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.protocols.protocols import PROTOCOLS, Protocol, evaluate, find_protocol
from raytrain.evaluation.ranking.recall import image_text_metrics
from raytrain.evaluation.report import read_evaluations, read_ranks, write_evaluation
from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank

FIVE_FOLDS = Protocol("coco/1k5f", items=20, texts=60, folds=5)
FACTS = {"split": "test", "fingerprint": "f" * 64, "checkpoint": "best", "seed": 0, "commit": "abc"}


def scores(images: int = 20, each: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(images).repeat_interleave(each)
    right = (owner[:, None] == torch.arange(images)).float()
    return right + torch.randn(images * each, images, generator=generator), owner


@pytest.mark.parametrize("rerank", [None, Temperatures("cross", 2.0, 5.0)])
def test_five_folds_equal_a_loop_that_cuts_re_ranks_and_averages(rerank: Temperatures | None) -> None:
    similarity, owner = scores()
    found = evaluate(similarity, owner, FIVE_FOLDS, rerank)
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
        assert found.metrics[name] == pytest.approx(sum(values) / 5)
    assert found.queries == {"i2t": 20, "t2i": 60}
    assert found.gallery == {"i2t": 12, "t2i": 4}
    assert "5 folds" in found.notes[0]


def test_folds_follow_the_owner_of_a_text_not_its_place() -> None:
    similarity, owner = scores()
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    found = evaluate(similarity[shuffled], owner[shuffled], FIVE_FOLDS)
    assert found.metrics == pytest.approx(evaluate(similarity, owner, FIVE_FOLDS).metrics)


def test_a_whole_split_equals_the_metrics_and_keeps_every_rank() -> None:
    similarity, owner = scores()
    found = evaluate(similarity, owner, "karpathy/val")
    assert found.metrics == image_text_metrics(similarity, owner)
    assert found.gallery == {"i2t": 60, "t2i": 20}
    assert len(found.ranks["i2t"]) == 20
    assert len(found.ranks["t2i"]) == 60


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
    found = evaluate(wider, owner, "split/val")
    assert found.queries["i2t"] == 4
    assert found.gallery["t2i"] == 6
    assert "2 images have no text" in found.notes[0]


def test_an_evaluation_file_keeps_what_a_comparison_needs(tmp_path: Path) -> None:
    similarity, owner = scores()
    plain = evaluate(similarity, owner, "karpathy/test")
    again = evaluate(similarity, owner, "karpathy/test", Temperatures("cross", 20.0, None))
    folded = evaluate(similarity, owner, FIVE_FOLDS)
    written = [write_evaluation(tmp_path, result, FACTS).name for result in (plain, again, folded)]
    assert written == ["test.json", "test.rerank.json", "test.coco-1k5f.json"]
    assert not list((tmp_path / "evaluation").glob("*.part"))

    (tmp_path / "evaluation" / "similarity_val.json").write_text(json.dumps({"split": "val"}))
    found = {Path(one["file"]).name: one for one in read_evaluations(tmp_path)}
    assert set(found) == set(written)
    document = found["test.json"]
    assert document["metrics"] == pytest.approx(dict(plain.metrics))
    low, high = document["intervals"]["rsum"]
    assert low < document["metrics"]["rsum"] < high
    assert (document["transductive"], found["test.rerank.json"]["transductive"]) == (False, True)
    assert found["test.rerank.json"]["rerank"] == {"mode": "cross", "i2t": 20.0, "t2i": None, "beta": 1.0}
    ranks = read_ranks(document)
    assert ranks is not None
    assert ranks["t2i"].tolist() == plain.ranks["t2i"].tolist()
    np.testing.assert_array_equal(ranks["item_of_text"], owner)


def test_an_evaluation_without_its_facts_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        write_evaluation(tmp_path, evaluate(*scores(), "split/test"), {"split": "test"})
    assert list(tmp_path.iterdir()) == []
