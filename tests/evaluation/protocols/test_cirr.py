"""CIRR: loops, the example of docs/evaluation.md, what the server's files hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols import cirr, composed
from raytrain.evaluation.protocols.cirr import evaluate_cirr, submissions, write_submissions
from raytrain.evaluation.protocols.composed import ComposedQueries
from tests.evaluation.oracles import blocks_of, ordered, rank, recall

DOCS = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8").replace("\n", " ")


def made(seed: int, queries: int = 30, items: int = 80, values: int = 12) -> tuple[Tensor, ComposedQueries]:
    """Scores with ties; sets of six in any order, reference and target among them."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, values, (queries, items), generator=generator).float()
    members = torch.stack([torch.randperm(items, generator=generator)[:6] for _ in range(queries)])
    reference, targets = members[:, 3], members[:, 1:2]
    scores[torch.arange(queries), reference] += values
    part, names = torch.zeros(items, dtype=torch.int64), [f"dev-{at}" for at in range(items)]
    return scores, ComposedQueries(
        reference, targets, members, part, [""], [str(100 + at) for at in range(queries)], names
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [1, 200, 1_000_000])
def test_recalls_equal_loops_without_the_reference(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composed, "BLOCK_ELEMENTS", block)
    scores, query_set = made(seed)
    result = evaluate_cirr(blocks_of(scores), query_set, "partial/cirr/val")
    ranks, inner = [], []
    for row, members in enumerate(query_set.subset.tolist()):
        reference, target = int(query_set.reference[row]), query_set.targets[row].tolist()
        ranks.append(rank(ordered(scores[row].tolist(), [reference]), target))
        inner.append(rank(ordered(scores[row].tolist(), set(range(80)) - set(members) | {reference}), target))
    assert result.ranks["query"].tolist() == ranks
    assert result.ranks["subset"].tolist() == inner
    for k in (1, 5, 10, 50):
        assert result.metrics[f"cirr/recall_at_{k}"] == pytest.approx(recall(ranks, k))
    for k in (1, 2, 3):
        assert result.metrics[f"cirr/subset_recall_at_{k}"] == pytest.approx(recall(inner, k))
    assert result.metrics["cirr/mean_recall"] == pytest.approx((recall(ranks, 5) + recall(inner, 1)) / 2)
    assert result.queries == {"query": 30, "subset": 30}
    assert result.gallery == {"query": 79, "subset": 5}


def test_the_worked_example_of_the_documentation() -> None:
    scores = -torch.arange(60).float().repeat(3, 1)
    places = [1, 5, 20]
    reference = torch.tensor([59, 0, 0])  # for the second and third query an item stands one place behind its number
    targets = torch.tensor([[0], [5], [20]])
    members = torch.tensor([[0, 59, 7, 8, 9, 10], [5, 0, 30, 31, 32, 33], [20, 0, 2, 41, 42, 43]])
    ids = [str(at) for at in range(60)]
    query_set = ComposedQueries(reference, targets, members, torch.zeros(60, dtype=torch.int64), [""], ids[:3], ids)
    result = evaluate_cirr(blocks_of(scores), query_set, "partial/cirr/val")
    assert (result.ranks["query"] + 1).tolist() == places
    assert (result.ranks["subset"] + 1).tolist() == [1, 1, 2]
    shown = [f"recall_at_{k}" for k in (1, 5, 10, 50)] + ["subset_recall_at_1", "subset_recall_at_2", "mean_recall"]
    assert [round(result.metrics[f"cirr/{name}"], 1) for name in shown] == [33.3, 66.7, 66.7, 100.0, 66.7, 100.0, 66.7]
    assert (
        "R@1 33.3, R@5 66.7, R@10 66.7, R@50 100.0; R_subset@1 66.7, R_subset@2 100.0; `cirr/mean_recall` is 66.7"
        in (DOCS)
    )


def test_one_query_and_queries_without_a_target() -> None:
    scores, query_set = made(0, queries=1)
    assert evaluate_cirr(blocks_of(scores), query_set, "partial/cirr/val").queries["query"] == 1
    scores, query_set = made(1)
    query_set.targets[:4] = -1
    result = evaluate_cirr(blocks_of(scores), query_set, "partial/cirr/val")
    assert result.queries == {"query": 26, "subset": 26}
    assert any("4 queries have no target here" in note for note in result.notes)
    assert any("30 queries instead of 4,181, 80 images instead of 2,297" in note for note in result.notes)


def test_a_collapsed_model_scores_chance() -> None:
    scores, query_set = made(2, queries=600)
    metrics = evaluate_cirr(blocks_of(torch.zeros_like(scores)), query_set, "partial/cirr/val").metrics
    assert metrics["cirr/recall_at_10"] == pytest.approx(100 * 10 / 79, abs=4)
    assert metrics["cirr/subset_recall_at_1"] == pytest.approx(20, abs=5)
    assert metrics["cirr/tied_percent"] == 100


def test_the_published_name_refuses_another_gallery() -> None:
    with pytest.raises(RefusedError, match=r"30 queries instead of 4,181.*partial/cirr/val"):
        evaluate_cirr(blocks_of(made(0)[0]), made(0)[1])


@pytest.mark.parametrize("seed", range(3))
def test_the_server_gets_the_best_names_without_the_reference(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "BLOCK_ELEMENTS", 500)
    scores, query_set = made(seed)
    written = write_submissions(submissions(blocks_of(scores), query_set, published=False), tmp_path / "out")
    assert [path.name for path in written] == ["cirr_recall.json", "cirr_recall_subset.json"]
    recall_file, subset_file = (json.loads(path.read_text()) for path in written)
    assert (recall_file.pop("version"), recall_file.pop("metric")) == ("rc2", "recall")
    assert (subset_file.pop("version"), subset_file.pop("metric")) == ("rc2", "recall_subset")
    assert list(recall_file) == list(subset_file) == query_set.query_ids
    for row, members in enumerate(query_set.subset.tolist()):
        reference = int(query_set.reference[row])
        order = ordered(scores[row].tolist(), [reference])
        assert recall_file[query_set.query_ids[row]] == [query_set.item_ids[at] for at in order[:50]]
        inner = [query_set.item_ids[at] for at in order if at in members]
        assert subset_file[query_set.query_ids[row]] == inner[:3]


def test_what_the_server_would_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, query_set = made(0)
    with pytest.raises(RefusedError, match="30 queries instead of 4,148 and 80 images instead of 2,315"):
        submissions(blocks_of(scores), query_set)
    with pytest.raises(RefusedError, match="identifies a query by its pairid, a number; given: 'q0'"):
        submissions(blocks_of(scores), replace(query_set, query_ids=[f"q{at}" for at in range(30)]), published=False)
    monkeypatch.setattr(cirr, "MAX_BYTES", 1_000)
    with pytest.raises(RefusedError, match="takes 1,000"):
        write_submissions(submissions(blocks_of(scores), query_set, published=False), tmp_path / "out")
    assert not (tmp_path / "out").exists()
